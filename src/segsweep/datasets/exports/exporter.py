"""What an exporter is, and what exporters share: reading items, copying pictures, telling what was lost."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Annotation, Item, Project, ProjectMeta, class_indices, normalise
from segsweep.errors import DataError
from segsweep.files import image_size
from segsweep.reporting import Reporter, track

__all__ = [
    "VOID",
    "ExportSettings",
    "Exporter",
    "Losses",
    "copy_image",
    "count_tags",
    "drawn_indices",
    "items",
    "value_of_classes",
]

VOID = 255
"""The index of neutral pixels in masks of indices."""


@dataclass(frozen=True)
class ExportSettings:
    """How masks of one value a pixel treat two special classes; formats that list objects keep both as they are.

    Attributes:
        background: Its objects are painted first, wherever they stand, and become 0, or black.
        neutral: Its pixels become `VOID` in masks of indices.
    """

    background: str = "bg"
    neutral: str = "neutral"


@dataclass
class Losses:
    """What a format could not hold -> how often, a line each."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, count: int = 1) -> None:
        """Counts something that was changed or left out (`tags of images, left out`)."""
        if count:
            self.counts[what] += count

    def note(self, text: str) -> None:
        """Notes something that holds for the whole project."""
        self.notes.append(text)

    def lines(self) -> list[str]:
        """Everything, a line each."""
        return [*self.notes, *(f"{count} {what}" for what, count in self.counts.items())]


@dataclass(frozen=True)
class Exporter:
    """A format.

    Attributes:
        about: One line about it.
        write: Writes the project into an empty folder and returns the settings of a data source that reads it again
            (paths relative to that folder). Raises `DataError` for what the format cannot hold at all.
        read_me: What a reader of the files should know, as Markdown.
    """

    about: str
    write: Callable[[Project, Path, ExportSettings, Losses, Reporter], dict[str, Any]]
    read_me: str


def items(project: Project, reporter: Reporter, title: str) -> Iterator[tuple[Item, Annotation]]:
    """The items of a project with their annotations, cut to their images.

    Raises:
        DataError: An annotation is wrong, or tells another size than its picture has.
    """
    for item in track(project.items, reporter, title, unit="image"):
        annotation = normalise(item.annotation(project.meta))
        width, height = image_size(item.image_path)
        if (width, height) != (annotation.width, annotation.height):
            told = f"{annotation.width}x{annotation.height}"
            raise DataError(f"{item.image_path}: has {width}x{height} pixels, its annotation says {told}")
        yield item, annotation


def copy_image(item: Item, target: Path) -> None:
    """Copies a picture as it is. It is no link, because people change what they were given."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(item.image_path, target)


def count_tags(
    annotation: Annotation, losses: Losses, *, of_images: Collection[str] = (), of_objects: Collection[str] = ()
) -> None:
    """Counts the tags that are lost: all but those of the given names."""
    losses.add("tags of images, left out", sum(tag.name not in of_images for tag in annotation.tags))
    tags = (tag for item in annotation.objects for tag in item.tags)
    losses.add("tags of objects, left out", sum(tag.name not in of_objects for tag in tags))


def value_of_classes(meta: ProjectMeta, settings: ExportSettings) -> dict[str, int]:
    """The value of each class in masks of indices: 0 for the background, `VOID` for the neutral one, else from 1 on.

    Raises:
        DataError: There are more classes than a byte can tell apart.
    """
    special = {settings.background: 0, settings.neutral: VOID}
    plain = [title for title in meta.titles if title not in special]
    if len(plain) >= VOID:
        raise DataError(
            f"masks of bytes hold {VOID - 1} classes, the project has {len(plain)}; drop some with DTL first"
        )
    return {title: index for index, title in enumerate(plain, 1)} | {
        title: value for title, value in special.items() if title in meta.titles
    }


def drawn_indices(
    annotation: Annotation, values: dict[str, int], settings: ExportSettings, losses: Losses
) -> NDArray[np.uint8]:
    """The value of every pixel (uint8, HxW): objects painted in order, the background's first."""
    shapes = Counter(item.geometry.shape for item in annotation.objects)
    losses.add("lines, drawn one pixel wide", shapes["line"])
    losses.add("points, drawn as one pixel", shapes["point"])
    losses.add("keypoint graphs, drawn as one pixel a node", shapes["graph"])
    indices = class_indices(annotation, values, background_title=settings.background)
    return indices.astype(np.uint8)
