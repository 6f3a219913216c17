"""Layers that change an image and its objects together: `flip`, `crop`, `resize`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, field_validator, model_validator

from segsweep.annotation import geometry as shapes
from segsweep.annotation import map_geometry
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Change, Layer, Strict
from segsweep.errors import DataError
from segsweep.files import MAX_IMAGE_PIXELS

__all__ = [
    "LAYERS",
    "CropSettings",
    "Fit",
    "Length",
    "ResizeSettings",
    "Sides",
    "crop_window",
    "cropped",
    "fit_size",
    "in_pixels",
]


class FlipSettings(Strict):
    """Settings of `flip`; the language's successor gives the two words each other's meaning."""

    axis: Literal["vertical", "horizontal"] = Field(
        description="the mirror line: 'vertical' exchanges left and right, 'horizontal' top and bottom"
    )


def _flip(element: Element, settings: FlipSettings, call: Call) -> Iterable[Element]:
    axis = settings.axis
    code = 1 if axis == "vertical" else 0
    annotation = map_geometry(
        element.annotation, lambda shape: (shapes.flip(shape, axis, element.size),), *element.size
    )
    picture = element.picture.changed(lambda pixels: np.asarray(cv2.flip(pixels, code), dtype=np.uint8))
    yield replace(element, annotation=annotation, picture=picture)


def _length(value: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?%|\d+px", value):
        raise ValueError("should be like '10px' or '12.5%'")
    return value


Length = Annotated[str, AfterValidator(_length)]
"""`"10px"` or `"12.5%"`."""


def in_pixels(length: str, whole: int) -> int:
    """A length in pixels; a percentage is of `whole`, cut down to an integer."""
    return int(float(length[:-1]) * whole / 100) if length.endswith("%") else int(length.removesuffix("px"))


class Sides(Strict):
    """How much is taken from each side."""

    left: Length = Field("0px", description="pixels, or per cent of the width")
    top: Length = Field("0px", description="pixels, or per cent of the height")
    right: Length = Field("0px", description="pixels, or per cent of the width")
    bottom: Length = Field("0px", description="pixels, or per cent of the height")


class PercentRange(Strict):
    """A range of percentages, drawn from uniformly."""

    min_percent: float = Field(ge=0, le=100, description="the least")
    max_percent: float = Field(ge=0, le=100, description="the most")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_percent > self.max_percent:
            raise ValueError(f"min_percent {self.min_percent:g} is more than max_percent {self.max_percent:g}")
        return self


class RandomPart(Strict):
    """A window of random size and place."""

    width: PercentRange = Field(description="per cent of the image's width, drawn from a range")
    height: PercentRange = Field(description="per cent of the image's height, drawn from a range")
    keep_aspect_ratio: bool = Field(False, description="one percentage for both sides; their ranges must be equal")

    @model_validator(mode="after")
    def _same_ranges(self) -> Self:
        if self.keep_aspect_ratio and self.width != self.height:
            raise ValueError("keep_aspect_ratio needs equal ranges for width and height")
        return self


class CropSettings(Strict):
    """Settings of `crop`: either a fixed amount from each side, or a random window.

    Where nothing is left of an image, it is dropped.
    """

    sides: Sides | None = Field(None, description="what is cut off each side: '10px' or '12.5%'")
    random_part: RandomPart | None = Field(None, description="a part of random size and place")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.sides is None) == (self.random_part is None):
            raise ValueError("needs exactly one of 'sides' and 'random_part'")
        return self


def crop_window(
    settings: CropSettings, size: tuple[int, int], random: np.random.Generator
) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), half-open; it may be empty."""
    width, height = size
    if settings.sides is not None:
        sides = settings.sides
        left, top = in_pixels(sides.left, width), in_pixels(sides.top, height)
        return left, top, width - in_pixels(sides.right, width), height - in_pixels(sides.bottom, height)
    part = settings.random_part
    assert part is not None
    percent_w = random.uniform(part.width.min_percent, part.width.max_percent)
    percent_h = random.uniform(part.height.min_percent, part.height.max_percent)
    if part.keep_aspect_ratio:
        percent_h = percent_w
    new_w, new_h = int(width * percent_w / 100), int(height * percent_h / 100)
    left, top = int(random.integers(width - new_w + 1)), int(random.integers(height - new_h + 1))
    return left, top, left + new_w, top + new_h


def _crop(element: Element, settings: CropSettings, call: Call) -> Iterable[Element]:
    window = crop_window(settings, element.size, call.random(element))
    if window[0] < window[2] and window[1] < window[3]:
        yield cropped(element, *window)


def cropped(element: Element, left: int, top: int, right: int, bottom: int) -> Element:
    """The part of an element in a half-open window that lies in the image."""
    annotation = map_geometry(
        element.annotation,
        lambda shape: shapes.crop(shape, left, top, right, bottom),
        right - left,
        bottom - top,
    )
    picture = element.picture.changed(lambda pixels: pixels[top:bottom, left:right])
    return replace(element, annotation=annotation, picture=picture)


class AspectRatio(Strict):
    """Whether `resize` keeps the ratio of the sides."""

    keep: bool = Field(description="whether width and height change in proportion")


class ResizeSettings(Strict):
    """Settings of `resize`.

    In proportion and with both sides given, the image is made as large as fits and centred on black. Masks that vanish
    are dropped.
    """

    width: int = Field(ge=-1, le=65535, description="pixels; -1 follows from the height")
    height: int = Field(ge=-1, le=65535, description="pixels; -1 follows from the width")
    aspect_ratio: AspectRatio = Field(description="whether the ratio of the sides is kept; a side of -1 needs it")

    @field_validator("width", "height")
    @classmethod
    def _not_nothing(cls, value: int) -> int:
        if value == 0:
            raise ValueError("must be at least 1, or -1")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.width == self.height == -1:
            raise ValueError("width and height cannot both be -1")
        if -1 in {self.width, self.height} and not self.aspect_ratio.keep:
            raise ValueError("a side of -1 needs aspect_ratio.keep: true")
        return self


@dataclass(frozen=True)
class Fit:
    """How an image is resized: its new size, the canvas it stands on, and the exact factors (x, y)."""

    scaled: tuple[int, int]
    canvas: tuple[int, int]
    factors: tuple[float, float]


def fit_size(settings: ResizeSettings, size: tuple[int, int]) -> Fit:
    """How an image of `size` (width, height) is resized.

    Raises:
        DataError: Nothing would be left of it, or it would be too large.
    """
    (width, height), (new_w, new_h) = size, (settings.width, settings.height)
    if settings.aspect_ratio.keep:
        factors = [new / old for new, old in ((new_w, width), (new_h, height)) if new != -1]
        factor = min(factors)
        scaled = round(width * factor), round(height * factor)
        fit = Fit(scaled, scaled if len(factors) == 1 else (new_w, new_h), (factor, factor))
    else:
        fit = Fit((new_w, new_h), (new_w, new_h), (new_w / width, new_h / height))
    if not all(fit.scaled) or fit.canvas[0] * fit.canvas[1] > MAX_IMAGE_PIXELS:
        raise DataError(f"an image of {width}x{height} pixels cannot be resized to {fit.scaled[0]}x{fit.scaled[1]}")
    return fit


def _resize(element: Element, settings: ResizeSettings, call: Call) -> Iterable[Element]:
    fit, old = fit_size(settings, element.size), element.size
    (width, height), (canvas_w, canvas_h) = fit.scaled, fit.canvas
    left, top = (canvas_w - width) // 2, (canvas_h - height) // 2

    def paint(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # By factors and not by size, which OpenCV would turn into slightly other factors.
        fx, fy = fit.factors
        small = cv2.resize(pixels, None, fx=fx, fy=fy, interpolation=cv2.INTER_LINEAR)
        if fit.canvas == fit.scaled:
            return np.asarray(small, dtype=np.uint8)
        whole = np.zeros((canvas_h, canvas_w, 3), dtype=np.uint8)
        whole[top : top + height, left : left + width] = small
        return whole

    def follow(shape: shapes.Geometry) -> tuple[shapes.Geometry, ...]:
        pieces = shapes.resize(shape, old, fit.scaled, fit.factors)
        return tuple(shapes.shift(piece, left, top) for piece in pieces)

    annotation = map_geometry(element.annotation, follow, canvas_w, canvas_h)
    yield replace(element, annotation=annotation, picture=element.picture.changed(paint))


_MOVES: frozenset[Change] = frozenset({"objects", "geometry", "pixels"})

LAYERS = (
    Layer("flip", FlipSettings, "mirrors at a vertical line (left and right) or a horizontal one", _MOVES, _flip),
    Layer("crop", CropSettings, "cuts off sides, or cuts out a random part", _MOVES, _crop),
    Layer("resize", ResizeSettings, "scales to a size, stretched, in proportion or letterboxed", _MOVES, _resize),
)
