"""Layers that add, change or drop objects by their class: `background`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pydantic import Field

from segsweep.annotation import ClassMeta, LabeledObject, ProjectMeta, Rectangle
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Layer, Strict
from segsweep.dtl.mapping import add_class
from segsweep.errors import DataError

__all__ = ["LAYERS"]


class BackgroundSettings(Strict):
    """Settings of `background`: the class of a rectangle below everything."""

    class_: str = Field(alias="class", min_length=1)


def _background(element: Element, settings: BackgroundSettings, call: Call) -> Iterable[Element]:
    width, height = element.size
    if min(width, height) < 2:
        raise DataError(f"an image of {width}x{height} pixels is too small for a background rectangle")
    below = LabeledObject(settings.class_, Rectangle(0, 0, width - 1, height - 1))
    yield replace(element, annotation=replace(element.annotation, objects=(below, *element.annotation.objects)))


def _background_meta(meta: ProjectMeta, settings: BackgroundSettings) -> ProjectMeta:
    return add_class(meta, ClassMeta(settings.class_, "rectangle"))


LAYERS = (
    Layer(
        "background",
        BackgroundSettings,
        "adds a rectangle of a class below everything",
        frozenset({"classes", "objects"}),
        _background,
        _background_meta,
    ),
)
