"""Layers that scale the objects of an image, but not the image: `resize_annotation`, `restore_annotation_scale`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from segsweep.annotation import Annotation
from segsweep.annotation import geometry as shapes
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Layer
from segsweep.dtl.layers.geometry import ResizeSettings, fit_size
from segsweep.errors import DataError
from segsweep.files import MAX_IMAGE_PIXELS

__all__ = ["LAYERS"]

_SCALED_TO = "ann_size_wh"
"""The annotation's key for the size (width, height) that its objects were scaled to."""


class ResizeAnnotationSettings(ResizeSettings):
    """Settings of `resize_annotation`; masks that vanish are dropped.

    The annotation keeps the size, under `ann_size_wh`, for `restore_annotation_scale`.
    """

    classes: list[str] | None = Field(None, description="classes whose objects are scaled; all by default")


class RestoreSettings(BaseModel):
    """Settings of `restore_annotation_scale`; other keys mean nothing, as in the original."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    classes: list[str] | None = Field(None, description="classes whose objects are scaled back; all by default")


def _change(
    annotation: Annotation,
    classes: list[str] | None,
    change: Callable[[shapes.Geometry], Iterable[shapes.Geometry]],
) -> Annotation:
    """Changes the shapes of objects of some classes."""
    objects = tuple(
        replace(item, geometry=piece) if meant else item
        for item in annotation.objects
        for meant in [classes is None or item.class_title in classes]
        for piece in (change(item.geometry) if meant else (item.geometry,))
    )
    return replace(annotation, objects=objects)


def _resize(element: Element, settings: ResizeAnnotationSettings, call: Call) -> Iterable[Element]:
    old, fit = element.size, fit_size(settings, element.size)
    left, top = ((whole - part) // 2 for whole, part in zip(fit.canvas, fit.scaled, strict=True))

    def scale(shape: shapes.Geometry) -> Iterable[shapes.Geometry]:
        return (shapes.shift(piece, left, top) for piece in shapes.resize(shape, old, fit.scaled, fit.factors))

    annotation = _change(element.annotation, settings.classes, scale)
    yield replace(element, annotation=replace(annotation, extra={**annotation.extra, _SCALED_TO: list(fit.canvas)}))


def _restore(element: Element, settings: RestoreSettings, call: Call) -> Iterable[Element]:
    extra = dict(element.annotation.extra)
    scaled_to = extra.pop(_SCALED_TO, None)
    if scaled_to is None:
        yield element
        return
    size = tuple(scaled_to) if isinstance(scaled_to, list) else ()
    if len(size) != 2 or not all(type(side) is int and side > 0 for side in size) or math.prod(size) > MAX_IMAGE_PIXELS:
        raise DataError(f"{_SCALED_TO} of the annotation should be [width, height], not {scaled_to!r}")
    annotation = _change(
        element.annotation, settings.classes, lambda shape: shapes.resize(shape, (size[0], size[1]), element.size)
    )
    yield replace(element, annotation=replace(annotation, extra=extra))


LAYERS = (
    Layer(
        "resize_annotation",
        ResizeAnnotationSettings,
        "scales the objects to a size, but not the image",
        frozenset({"objects"}),
        _resize,
        mentions=lambda settings: settings.classes or (),
    ),
    Layer(
        "restore_annotation_scale",
        RestoreSettings,
        "scales objects back from the size that resize_annotation gave them",
        frozenset({"objects"}),
        _restore,
        mentions=lambda settings: settings.classes or (),
    ),
)
