"""The layer that turns images by any angle: `rotate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import floor
from typing import Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segsweep.annotation import map_geometry
from segsweep.annotation.geometry import shift
from segsweep.annotation.rotation import Turn, inner_rectangle
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Layer, Strict
from segsweep.dtl.layers.geometry import cropped
from segsweep.errors import DataError
from segsweep.files import MAX_IMAGE_PIXELS

__all__ = ["LAYERS"]


class Angles(Strict):
    """A range of angles, drawn from uniformly."""

    min_degrees: float = Field(description="the least angle, counter-clockwise")
    max_degrees: float = Field(description="the greatest")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_degrees > self.max_degrees:
            raise ValueError(f"min_degrees {self.min_degrees:g} is more than max_degrees {self.max_degrees:g}")
        return self


class BlackRegions(Strict):
    """What becomes of the corners that a turn leaves black."""

    mode: Literal["keep", "crop", "preserve_size"] = Field(
        description="'keep': the whole turned image; 'preserve_size': the middle of it, as large as the image was; "
        "'crop': the largest part without black"
    )


class RotateSettings(Strict):
    """Settings of `rotate`; angles are in degrees, counter-clockwise.

    With `crop` the result is the largest upright rectangle inside the turned image, where the original took a smaller
    one. A quarter turn is exact. Masks take the nearest pixels; those that vanish are dropped.
    """

    rotate_angles: Angles = Field(description="range of angles")
    black_regions: BlackRegions = Field(description="what becomes of the black corners")


def _rotate(element: Element, settings: RotateSettings, call: Call) -> Iterable[Element]:
    angles, mode = settings.rotate_angles, settings.black_regions.mode
    degrees = float(call.random(element).uniform(angles.min_degrees, angles.max_degrees))
    turn = Turn(element.size, degrees)
    width, height = turn.canvas
    if width * height > MAX_IMAGE_PIXELS:
        raise DataError(
            f"turned by {degrees:g} degrees the image would have {width}x{height} pixels, which are too many"
        )
    annotation = map_geometry(element.annotation, turn.shape, width, height)
    turned = replace(element, annotation=annotation, picture=element.picture.changed(turn.pixels))
    if mode == "keep":
        yield turned
    elif mode == "preserve_size":
        yield _centred(turned, *element.size)
    else:
        inner = inner_rectangle(element.size, degrees) if turn.quarters is None else (width, height)
        # An even difference keeps the window in the middle; half a pixel off would show black.
        sides = [floor(side + 1e-6) for side in inner]
        part_w, part_h = (side - (whole - side) % 2 for side, whole in zip(sides, (width, height), strict=True))
        if part_w > 0 and part_h > 0:
            yield _centred(turned, part_w, part_h)


def _centred(element: Element, width: int, height: int) -> Element:
    """The middle of an element; where it is too small, black is added."""
    old_w, old_h = element.size
    left, top = max(0, (old_w - width + 1) // 2), max(0, (old_h - height + 1) // 2)
    part = cropped(element, left, top, left + min(width, old_w), top + min(height, old_h))
    right, below = max(0, width - old_w), max(0, height - old_h)
    if not right and not below:
        return part

    def framed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        border = (below // 2, below - below // 2, right // 2, right - right // 2)
        return np.asarray(cv2.copyMakeBorder(pixels, *border, cv2.BORDER_CONSTANT, value=(0, 0, 0)), dtype=np.uint8)

    moved = map_geometry(part.annotation, lambda shape: (shift(shape, right // 2, below // 2),), width, height)
    return replace(part, annotation=moved, picture=part.picture.changed(framed))


LAYERS = (
    Layer(
        "rotate",
        RotateSettings,
        "turns by a random angle",
        frozenset({"objects", "geometry", "pixels"}),
        _rotate,
    ),
)
