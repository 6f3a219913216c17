"""Which images a training uses, and what they hold as arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Annotation, Item, Project, class_indices
from segsweep.errors import DataError, TrainingError
from segsweep.files import read_image
from segsweep.models.preprocess import resize_image, resize_mask, scale_image, scale_mask, standardise
from segsweep.reporting import Reporter, track
from segsweep.training.classes import ClassPlan
from segsweep.training.parallel import ordered_map
from segsweep.training.settings import TrainingSettings

__all__ = ["Pair", "Samples", "read_samples"]


@dataclass(frozen=True)
class Pair:
    """A picture and the class of every pixel.

    Attributes:
        image: uint8 RGB, HxWx3.
        mask: Class indices, HxW; uint8, or int32 where there are more than 255 classes.
    """

    image: NDArray[np.uint8]
    mask: NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.image.nbytes + self.mask.nbytes


class Samples:
    """The samples of a set, by index; those that are not in memory are read when they are asked for.

    Attributes:
        items: Where they come from.
    """

    def __init__(self, items: Sequence[Item], kept: Sequence[Pair | None], read: Callable[[Item], Pair]) -> None:
        self.items = tuple(items)
        self._kept = tuple(kept)
        self._read = read

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int, /) -> Pair:
        kept = self._kept[index]
        return self._read(self.items[index]) if kept is None else kept

    @property
    def names(self) -> list[str]:
        """`<dataset>/<image>` of every sample."""
        return [f"{item.dataset}/{item.name}" for item in self.items]

    @property
    def in_memory(self) -> int:
        """How many are kept in memory."""
        return sum(pair is not None for pair in self._kept)


@dataclass(frozen=True)
class _Seen:
    """What reading an item gave; `tags` is None when not even those could be read."""

    item: Item
    tags: frozenset[str] | None
    has_objects: bool
    pair: Pair | None
    error: str


def read_samples(
    project: Project, classes: ClassPlan, settings: TrainingSettings, reporter: Reporter
) -> tuple[Samples, Samples]:
    """Selects the images by their tags, reads every one once, and keeps as many as `settings.cache_bytes` allows.

    Reading them all before the first step means that a damaged file stops a training now and not after an hour, and
    that the same samples are left out whatever the number of workers.

    Returns:
        The training set and the validation set, in the project's order.

    Raises:
        TrainingError: A set is empty, holds no object, or more of its samples are unreadable than allowed.
    """
    sets = [
        (settings.train_tag, settings.allow_corrupted_train),
        (settings.val_tag, settings.allow_corrupted_val),
    ]
    tags = {tag for tag, _ in sets}

    def read(item: Item) -> Pair:
        return _pair(item, item.annotation(project.meta), classes, settings)

    def look(item: Item) -> _Seen:
        names: frozenset[str] | None = None
        has_objects = False
        try:
            annotation = item.annotation(project.meta)
            names = frozenset(tag.name for tag in annotation.tags)
            has_objects = bool(annotation.objects)
            used = not names.isdisjoint(tags)
            return _Seen(item, names, has_objects, _pair(item, annotation, classes, settings) if used else None, "")
        except Exception as error:  # whatever is wrong with one file is that sample's failure, counted below
            return _Seen(item, names, has_objects, None, str(error) or type(error).__name__)

    seen: list[_Seen] = []
    room = settings.cache_bytes
    threads = min(8, os.cpu_count() or 1)
    with closing(ordered_map(look, project.items, threads)) as results:
        for result in track(results, reporter, "Reading samples", total=len(project.items), unit="image"):
            kept = result.pair if result.pair is not None and result.pair.nbytes <= room else None
            room -= kept.nbytes if kept is not None else 0
            seen.append(_Seen(result.item, result.tags, result.has_objects, kept, result.error))

    train, val = (
        Samples([each.item for each in chosen], [each.pair for each in chosen], read)
        for chosen in (_chosen(seen, tag, allowed, reporter) for tag, allowed in sets)
    )
    reporter.message(
        f"{len(train)} training and {len(val)} validation samples, "
        f"{train.in_memory + val.in_memory} of them in memory ({(settings.cache_bytes - room) / 2**20:.0f} MiB)"
    )
    return train, val


def _chosen(seen: Sequence[_Seen], tag: str, allowed: int, reporter: Reporter) -> list[_Seen]:
    """The readable samples of one set, after all that must hold for it."""
    wanted = [each for each in seen if each.tags is None or tag in each.tags]
    broken = [each for each in wanted if each.error]
    if len(broken) > allowed:
        lines = "\n".join(f"  - {each.item.dataset}/{each.item.name}: {each.error}" for each in broken[:20])
        more = f"\n  … and {len(broken) - 20} more" if len(broken) > 20 else ""
        raise TrainingError(
            f"{len(broken)} samples of the set {tag!r} cannot be read, and {allowed} are allowed "
            f"(allow_corrupted_samples):\n{lines}{more}"
        )
    for each in broken:
        reporter.message(f"{each.item.dataset}/{each.item.name} is left out of {tag!r}: {each.error}", "warning")
    readable = [each for each in wanted if not each.error]
    if not readable:
        known = sorted({name for each in seen for name in each.tags or ()})
        raise TrainingError(f"no image has the tag {tag!r} (dataset_tags); the project's image tags are {known}")
    if not any(each.has_objects for each in readable):
        raise TrainingError(f"no image with the tag {tag!r} has an object; there is nothing to learn from")
    return readable


def _pair(item: Item, annotation: Annotation, classes: ClassPlan, settings: TrainingSettings) -> Pair:
    image = read_image(item.image_path)
    if image.shape[:2] != (annotation.height, annotation.width):
        raise DataError(
            f"the image is {image.shape[1]}x{image.shape[0]}, its annotation {annotation.width}x{annotation.height}"
        )
    indices = class_indices(annotation, classes.drawn, background=0, background_title=classes.background)
    mask = indices.astype(np.uint8) if classes.ignore_index <= 255 else indices
    if settings.normalisation == "image":
        image = standardise(image)
    if settings.sampling == "crop":
        return Pair(scale_image(image, settings.image_scale), scale_mask(mask, settings.image_scale))
    return Pair(
        resize_image(image, settings.width, settings.height), resize_mask(mask, settings.width, settings.height)
    )
