"""What an image is annotated with: tags and labelled objects, lowest object first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from segsweep.annotation import geometry as shapes
from segsweep.annotation.geometry import Geometry

__all__ = ["Annotation", "LabeledObject", "Tag", "map_geometry", "normalise"]


@dataclass(frozen=True)
class Tag:
    """A tag of an image or object.

    Attributes:
        name: Its name.
        value: String, number or None.
        extra: Other keys, kept as they were read.
        plain: Whether it is written as a plain string, the form of the first generation.
    """

    name: str
    value: str | float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    plain: bool = False


@dataclass(frozen=True)
class LabeledObject:
    """One object: a class, a shape, tags, and whatever other keys its file held."""

    class_title: str
    geometry: Geometry
    tags: tuple[Tag, ...] = ()
    description: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Annotation:
    """Everything known about one image of `width` x `height` pixels. Objects are drawn in order, the first lowest."""

    width: int
    height: int
    objects: tuple[LabeledObject, ...] = ()
    tags: tuple[Tag, ...] = ()
    description: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def map_geometry(
    annotation: Annotation, change: Callable[[Geometry], Iterable[Geometry]], width: int, height: int
) -> Annotation:
    """Replaces every object by the pieces that `change` makes of its shape; tags and extra keys ride along."""
    objects = tuple(replace(item, geometry=piece) for item in annotation.objects for piece in change(item.geometry))
    return replace(annotation, width=width, height=height, objects=objects)


def normalise(annotation: Annotation) -> Annotation:
    """Cuts all objects to the image and drops what is empty (`geometry.normalise`)."""
    width, height = annotation.width, annotation.height
    return map_geometry(annotation, lambda shape: shapes.normalise(shape, width, height), width, height)
