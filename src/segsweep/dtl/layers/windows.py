"""Layers that cut windows: `sliding_window`, `instances_crop`, `crop_annotation`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import ceil, floor
from typing import Self

import cv2
import numpy as np
from pydantic import Field, model_validator

from segsweep.annotation import ProjectMeta, map_geometry
from segsweep.annotation import geometry as shapes
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Change, Layer, Strict
from segsweep.dtl.layers.geometry import CropSettings, Sides, crop_window, cropped, in_pixels
from segsweep.errors import DataError

__all__ = ["LAYERS", "window_starts"]

_MOVES: frozenset[Change] = frozenset({"objects", "geometry", "pixels"})


class Window(Strict):
    """The size of a window."""

    width: int = Field(ge=1, description="pixels")
    height: int = Field(ge=1, description="pixels")


class Overlap(Strict):
    """The least overlap of neighbours."""

    x: int = Field(ge=0, description="pixels, less than the window's width")
    y: int = Field(ge=0, description="pixels, less than the window's height")


class SlidingWindowSettings(Strict):
    """Settings of `sliding_window`; windows come row by row, the last ones of a row and a column lie at the border.

    An image that is smaller than the window is left out with a message, unless it is padded.
    """

    window: Window = Field(description="size of the windows")
    min_overlap: Overlap = Field(description="the least overlap of neighbours; at the border it may be more")
    pad: bool = Field(False, description="ours: black pixels to the right and below make a small image large enough")

    @model_validator(mode="after")
    def _moves_on(self) -> Self:
        if self.min_overlap.x >= self.window.width or self.min_overlap.y >= self.window.height:
            raise ValueError("min_overlap must be less than the window, or it would not move on")
        return self


def window_starts(whole: int, window: int, overlap: int) -> list[int]:
    """Where windows begin along one side: by strides of `window - overlap`, the last one at the end."""
    last = whole - window
    starts = list(range(0, last, window - overlap))
    return [*starts, last]


def _sliding_window(element: Element, settings: SlidingWindowSettings, call: Call) -> Iterable[Element]:
    window, overlap = settings.window, settings.min_overlap
    width, height = element.size
    if width < window.width or height < window.height:
        if not settings.pad:
            raise DataError(
                f"the image of {width}x{height} pixels is smaller than the window of {window.width}x{window.height}; "
                "choose a smaller window, or pad: true"
            )
        element = _padded(element, max(width, window.width), max(height, window.height))
        width, height = element.size
    near = _finder(element)
    for top in window_starts(height, window.height, overlap.y):
        for left in window_starts(width, window.width, overlap.x):
            place = left, top, left + window.width, top + window.height
            yield cropped(near(*place), *place)


def _finder(element: Element) -> Callable[[int, int, int, int], Element]:
    """A function from windows to the element with only those objects whose bounds touch them.

    It saves looking at every object in every window.
    """
    objects = element.annotation.objects
    left, top, right, bottom = np.array([shapes.bounds(item.geometry) for item in objects]).reshape(-1, 4).T

    def near(x0: int, y0: int, x1: int, y1: int) -> Element:
        touched = np.flatnonzero((left <= x1) & (right >= x0) & (top <= y1) & (bottom >= y0))
        some = tuple(objects[index] for index in touched)
        return replace(element, annotation=replace(element.annotation, objects=some))

    return near


def _padded(element: Element, width: int, height: int) -> Element:
    right, below = width - element.size[0], height - element.size[1]
    picture = element.picture.changed(
        lambda pixels: np.asarray(
            cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0)), dtype=np.uint8
        )
    )
    return replace(element, annotation=replace(element.annotation, width=width, height=height), picture=picture)


class Pad(Strict):
    """How far a window reaches beyond an object."""

    sides: Sides = Field(description="pixels, or per cent of the object's bounding box")


class InstancesCropSettings(Strict):
    """Settings of `instances_crop`: an image for every object of some classes, with that object alone of them.

    Objects without an area, such as points, give none.
    """

    classes: list[str] = Field(min_length=1, description="classes whose objects get an image each")
    pad: Pad = Field(description="how far the image reaches beyond the object")
    save_classes: list[str] = Field(default=[], description="other classes whose objects are kept")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        both = [title for title in self.classes if title in self.save_classes]
        if both:
            raise ValueError(f"classes and save_classes both name {', '.join(both)}; name each once")
        return self


def _instances_crop(element: Element, settings: InstancesCropSettings, call: Call) -> Iterable[Element]:
    annotation, (width, height) = element.annotation, element.size
    sides = settings.pad.sides
    for instance in annotation.objects:
        if instance.class_title not in settings.classes:
            continue
        left, top, right, bottom = shapes.bounds(instance.geometry)
        if not (left < right and top < bottom):
            continue
        x0, y0, x1, y1 = floor(left), floor(top), ceil(right), ceil(bottom)
        x0, x1 = x0 - in_pixels(sides.left, x1 - x0), x1 + in_pixels(sides.right, x1 - x0)
        y0, y1 = y0 - in_pixels(sides.top, y1 - y0), y1 + in_pixels(sides.bottom, y1 - y0)
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
        if x0 >= x1 or y0 >= y1:
            continue
        kept = tuple(
            item for item in annotation.objects if item is instance or item.class_title in settings.save_classes
        )
        yield cropped(replace(element, annotation=replace(annotation, objects=kept)), x0, y0, x1, y1)


def _instances_meta(meta: ProjectMeta, settings: InstancesCropSettings) -> ProjectMeta:
    wanted = {*settings.classes, *settings.save_classes}
    return replace(meta, classes=tuple(item for item in meta.classes if item.title in wanted))


def _crop_annotation(element: Element, settings: CropSettings, call: Call) -> Iterable[Element]:
    left, top, right, bottom = crop_window(settings, element.size, call.random(element))
    if left >= right or top >= bottom:
        return

    def cut(shape: shapes.Geometry) -> Iterable[shapes.Geometry]:
        return (shapes.shift(piece, left, top) for piece in shapes.crop(shape, left, top, right, bottom))

    yield replace(element, annotation=map_geometry(element.annotation, cut, *element.size))


LAYERS = (
    Layer(
        "sliding_window",
        SlidingWindowSettings,
        "cuts an image into overlapping windows",
        _MOVES,
        _sliding_window,
    ),
    Layer(
        "instances_crop",
        InstancesCropSettings,
        "cuts out every object of some classes",
        _MOVES | {"classes"},
        _instances_crop,
        _instances_meta,
        mentions=lambda settings: (*settings.classes, *settings.save_classes),
    ),
    Layer(
        "crop_annotation",
        CropSettings,
        "crops the objects, but not the image",
        frozenset({"objects"}),
        _crop_annotation,
    ),
)
