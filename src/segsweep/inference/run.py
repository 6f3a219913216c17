"""The prediction of a project, from top to bottom."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import nn

from segsweep.annotation import Annotation, Item, Project, ProjectWriter
from segsweep.errors import DataError
from segsweep.files import image_size
from segsweep.inference.ahead import ahead
from segsweep.inference.merging import MOST_AT_ONCE, enlarged, merged, resized
from segsweep.inference.naming import name_classes, read_thresholds
from segsweep.inference.network import How, maps, shown_size
from segsweep.inference.placement import Box, Boxes, Roi, Windows, box_of, grown, offsets, roi_box
from segsweep.inference.reading import pictures
from segsweep.inference.result import PredictionResult
from segsweep.inference.settings import InferenceSettings
from segsweep.inference.writing import Part, Region, Target, Writing
from segsweep.models.devices import choose_device, choose_precision
from segsweep.models.folder import ModelConfig, load_model, read_config
from segsweep.reporting import Advance, Reporter

__all__ = ["run_prediction"]

_MAX_SIDE = 2**15  # bounds what somebody's model folder can make us allocate
_WRITERS = 4


def run_prediction(
    model: Path,
    project: Path,
    result: Path,
    settings: InferenceSettings,
    reporter: Reporter,
    provenance: Mapping[str, Any],
) -> PredictionResult:
    """What `segsweep.inference.predict` promises."""
    started = time.perf_counter()
    source = Project.open(project)
    config = read_config(model)
    names = name_classes(config, settings, source.meta, reporter)
    thresholds = read_thresholds(config, settings.threshold)
    if result.exists() and provenance.get("fingerprint"):
        there = Project.open(result)
        if there.provenance.get("fingerprint") == provenance["fingerprint"]:
            reporter.message(f"predict: {result.name} is there already and is used again")
            return PredictionResult(result, len(there.items), names.predicted, reused=True)
    if isinstance(settings.place, Roi):
        _check_bounds(source.items, settings.place)

    device = choose_device(settings.device, reporter)
    how = How(
        size=_input_size(model, config) if _is_squeezed(settings, config) else None,
        dtype=choose_precision(settings.precision, device),
        flip_average=settings.flip_average,
        divisor=config.divisor,
        batch_size=None if settings.batch_size == "auto" else settings.batch_size,
    )
    network = load_model(model)[0].to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
    with ProjectWriter(result, names.meta, provenance) as writer:
        writing = Writing(writer, names, settings, thresholds, config.outputs)
        skipped = _Prediction(network, config, how, writing, reporter).of_all(source)
        if len(skipped) == len(source.items):
            raise DataError(
                "\n".join([f"{project}: no image can be predicted:", *(f"  - {why}" for _, why in skipped)])
            )
    images = len(source.items) - len(skipped)
    return PredictionResult(result, images, names.predicted, time.perf_counter() - started, tuple(skipped))


def _is_squeezed(settings: InferenceSettings, config: ModelConfig) -> bool:
    """Whether the network sees parts in the training's input size: as it was trained, unless something else is said."""
    if settings.resolution == "auto":
        return config.settings.get("sampling") != "crop"
    return settings.resolution == "input_size"


def _input_size(model: Path, config: ModelConfig) -> tuple[int, int]:
    size = config.settings.get("input_size")
    sides: list[Any] = [size.get(side) for side in ("width", "height")] if isinstance(size, dict) else []
    divisor = config.divisor
    if not sides or not all(type(side) is int and 0 < side <= _MAX_SIDE and side % divisor == 0 for side in sides):
        raise DataError(
            f"{model / 'config.json'}: settings.input_size: must hold width and height, multiples of {divisor} "
            f"up to {_MAX_SIDE}, not {size!r}"
        )
    return sides[0], sides[1]


def _check_bounds(items: Sequence[Item], roi: Roi) -> None:
    """Makes sure, by the headers of images, that something is left of each; those without one are left out later."""
    wrong: list[str] = []
    for item in items:
        try:
            size = image_size(item.image_path)
        except DataError:
            continue
        try:
            roi_box(roi.bounds, *size)
        except DataError as error:
            wrong.append(f"{item.dataset}/{item.name}: {error}")
    if wrong:
        raise DataError("\n".join(wrong))


@dataclass
class _Prediction:
    """A network on its way through a project."""

    network: nn.Module
    config: ModelConfig
    how: How
    writing: Writing
    reporter: Reporter
    padded: set[tuple[int, int]] = field(default_factory=set)
    """Sizes of images that are smaller than a window; each is told once."""

    def of_all(self, source: Project) -> list[tuple[str, str]]:
        """Predicts all images; returns those that had to be left out, with the reason.

        While the network is at one image, the next is read and others are written. Large ones are written as their
        rows come, and alone: of them nothing else should be in memory.
        """
        skipped: list[tuple[str, str]] = []
        threads = min(_WRITERS, os.cpu_count() or 1)
        with (
            closing(pictures(source.items, source.meta, standardised=self.config.standardised)) as coming,
            ThreadPoolExecutor(threads, thread_name_prefix="segsweep-writing") as pool,
            self.reporter.progress("Predicting", len(source.items), "img") as advance,
        ):
            written: deque[Future[None]] = deque()
            for item, take in coming:
                try:
                    picture = take()
                    target = self._target(item, picture.annotation)
                except DataError as error:
                    skipped.append((f"{item.dataset}/{item.name}", str(error)))
                    self.reporter.message(f"{item.dataset}/{item.name} is left out: {error}", "warning")
                    advance(1)
                    continue
                parts = self._parts(picture.image, target)
                del picture  # from here on the image lives as long as `parts` needs it
                if _values(target.regions) * self.config.outputs > MOST_AT_ONCE:
                    _finish(written, 0, advance)
                    self._write_large(target, parts)
                    advance(1)
                else:
                    written.append(pool.submit(self.writing.write, target, list(parts)))
                    _finish(written, threads, advance)
            _finish(written, 0, advance)
        return skipped

    def _write_large(self, target: Target, parts: Iterable[Part]) -> None:
        rows = sum(region.box.height for region in target.regions)
        with self.reporter.progress(target.item.name, rows, "rows") as advance, closing(ahead(parts)) as coming:

            def counted() -> Iterator[Part]:
                for part in coming:
                    yield part
                    advance(part[2].shape[1])

            self.writing.write(target, counted())

    def _target(self, item: Item, annotation: Annotation) -> Target:
        """What to predict of an image.

        Raises:
            DataError: The network would need more memory than this machine has.
        """
        place, width, height = self.writing.settings.place, annotation.width, annotation.height
        saved: tuple[Box, ...] = ()
        if isinstance(place, Boxes):
            regions = tuple(_around_objects(annotation, self.writing.names.boxed, place))
        else:
            box = roi_box(place.bounds, width, height) if isinstance(place, Roi) else Box(0, 0, width, height)
            regions = (Region(box),)
            if isinstance(place, Roi) and place.saved_as is not None:
                saved = (box,)
        seen = [region.box for region in regions]
        if isinstance(place, Windows):
            self._tell_padding(place, width, height)
            seen = _windows(place, width, height)
            if place.saved_as is not None:
                saved = tuple(window.within(width, height) for window in seen)
        self._check_room(seen)
        return Target(item, annotation, regions, saved)

    def _tell_padding(self, windows: Windows, width: int, height: int) -> None:
        if (width < windows.width or height < windows.height) and (width, height) not in self.padded:
            self.padded.add((width, height))
            self.reporter.message(
                f"windows of {windows.width}x{windows.height} pixels are larger than images of {width}x{height}: "
                "these are mirrored at their right and lower edges",
                "warning",
            )

    def _check_room(self, boxes: Sequence[Box]) -> None:
        """Refuses what would end in the system killing the process; a GPU's memory tells by itself."""
        if not boxes or next(self.network.parameters()).device.type != "cpu":
            return
        width, height = max((shown_size(box, self.how) for box in boxes), key=lambda size: size[0] * size[1])
        numbers = 4 if self.how.dtype == torch.float32 else 2
        # measured with both architectures: six maps as wide as the first block, and what does not depend on it
        needed = width * height * (100 + 6 * numbers * int(self.config.model["width"]))
        there = psutil.virtual_memory().total
        if needed > there:
            raise DataError(
                f"the network would need about {needed / 2**30:.0f} GiB for {width}x{height} pixels at once, and this "
                f"machine has {there / 2**30:.0f}; inference=sliding_window needs far less"
            )

    def _parts(self, image: NDArray[np.uint8], target: Target) -> Iterator[Part]:
        """The probabilities of all regions, row after row."""
        settings = self.writing.settings
        height, width = image.shape[:2]
        try:
            if isinstance(settings.place, Windows):
                place = settings.place
                across, down = _grid(place, width, height)
                found = maps(self.network, image, _windows(place, width, height), self.how)
                windows = (resized(one, place.width, place.height) for one in found)
                for top, rows in merged(windows, across, down, settings.blend):
                    yield 0, top, rows[:, : height - top, :width]
                return
            boxes = [region.box for region in target.regions]
            for number, one in enumerate(maps(self.network, image, boxes, self.how)):
                for top, rows in enlarged(one, boxes[number].width, boxes[number].height):
                    yield number, top, rows
        except torch.OutOfMemoryError as error:
            hint = "lower inference.batch_size, or use smaller windows (inference=sliding_window)"
            raise DataError(f"the GPU's memory is too small: {hint}") from error


def _values(regions: Iterable[Region]) -> int:
    return sum(region.box.width * region.box.height for region in regions)


def _finish(written: deque[Future[None]], most: int, advance: Advance) -> None:
    """Waits until at most `most` images are still being written."""
    while len(written) > most:
        written.popleft().result()
        advance(1)


def _around_objects(annotation: Annotation, boxed: frozenset[str], place: Boxes) -> Iterator[Region]:
    for number, item in enumerate(annotation.objects):
        box = box_of(item.geometry) if item.class_title in boxed else None
        if box is not None:
            box = grown(box, place.padding, annotation.width, annotation.height)
        if box is not None:
            yield Region(box, number)


def _grid(place: Windows, width: int, height: int) -> tuple[list[int], list[int]]:
    """Left and upper edges of windows; an image that is smaller than one has one, which reaches beyond it."""
    across = offsets(max(width, place.width), place.width, place.overlap_x)
    return across, offsets(max(height, place.height), place.height, place.overlap_y)


def _windows(place: Windows, width: int, height: int) -> list[Box]:
    across, down = _grid(place, width, height)
    return [Box(left, top, left + place.width, top + place.height) for top in down for left in across]
