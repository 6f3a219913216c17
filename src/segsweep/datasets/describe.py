"""What is in a project: classes and how much of the pictures they cover, tags, sizes, and what looks wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segsweep.annotation import Annotation, Item, Project, class_indices, normalise
from segsweep.errors import DataError
from segsweep.files import image_size
from segsweep.reporting import SILENT, Reporter, track

__all__ = ["ClassUse", "Description", "describe_project"]

_MOST_WARNINGS = 20


@dataclass(frozen=True)
class ClassUse:
    """A class: how many objects, in how many images, and the share (0 to 1) of all pixels that show it."""

    title: str
    shape: str
    color: str
    objects: int
    images: int
    pixels: float


@dataclass(frozen=True)
class Description:
    """What a project holds.

    Attributes:
        datasets: Data set -> number of its images.
        classes: In the order of `meta.json`.
        uncovered: Share of the pixels that show no class.
        empty: How many images have no objects.
        image_tags: Tag -> how many images carry it.
        object_tags: Tag -> how many objects carry it.
        sizes: (width, height) -> how many images have it.
        warnings: What looks wrong, a line each.
    """

    datasets: Mapping[str, int]
    classes: tuple[ClassUse, ...]
    uncovered: float
    empty: int
    image_tags: Mapping[str, int]
    object_tags: Mapping[str, int]
    sizes: Mapping[tuple[int, int], int]
    warnings: tuple[str, ...]


def describe_project(project: Project, reporter: Reporter = SILENT) -> Description:
    """Reads every annotation of a project; what cannot be read is among the warnings.

    Where objects lie over each other, a pixel shows the upper one.
    """
    places = {title: place for place, title in enumerate(project.meta.titles, 1)}
    pixels = np.zeros(len(places) + 1, dtype=np.int64)
    objects, images = Counter[str](), Counter[str]()
    image_tags, object_tags = Counter[str](), Counter[str]()
    sizes = Counter[tuple[int, int]]()
    warnings: list[str] = []
    empty = 0
    for item in track(project.items, reporter, f"reading {project.name}", unit="image"):
        annotation = _annotation(item, project, warnings)
        if annotation is None:
            continue
        titles = [entry.class_title for entry in annotation.objects]
        objects.update(titles)
        images.update(set(titles))
        empty += not titles
        image_tags.update({tag.name for tag in annotation.tags})
        object_tags.update(tag.name for entry in annotation.objects for tag in entry.tags)
        sizes[annotation.width, annotation.height] += 1
        pixels += np.bincount(class_indices(annotation, places).ravel(), minlength=len(pixels))
    shares = pixels / max(1, int(pixels.sum()))
    left = len(warnings) - _MOST_WARNINGS
    more = [f"… and {left} more images"] if left > 0 else []
    return Description(
        {dataset.name: len(dataset.items) for dataset in project.datasets},
        tuple(
            ClassUse(
                item.title,
                item.shape,
                item.color,
                objects[item.title],
                images[item.title],
                float(shares[places[item.title]]),
            )
            for item in project.meta.classes
        ),
        float(shares[0]),
        empty,
        image_tags,
        object_tags,
        sizes,
        (*project.warnings, *warnings[:_MOST_WARNINGS], *more),
    )


def _annotation(item: Item, project: Project, warnings: list[str]) -> Annotation | None:
    """An item's annotation, cut to its image; None, with a warning, where it cannot be read."""
    try:
        annotation = normalise(item.annotation(project.meta))
        width, height = image_size(item.image_path)
    except DataError as error:
        warnings.append(str(error))
        return None
    if (width, height) != (annotation.width, annotation.height):
        told = f"{annotation.width}x{annotation.height}"
        warnings.append(f"{item.image_path}: has {width}x{height} pixels, its annotation says {told}")
    return annotation
