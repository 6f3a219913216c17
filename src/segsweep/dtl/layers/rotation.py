"""The layer that turns images by any angle: `rotate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Self

from pydantic import Field, model_validator

from segsweep.annotation import map_geometry
from segsweep.annotation.rotation import Canvas, canvas_size, turn
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Layer, Strict
from segsweep.errors import DataError
from segsweep.files import MAX_IMAGE_PIXELS

__all__ = ["LAYERS"]

_MAX_SIDE = 2**15 - 2
"""Of what OpenCV can interpolate."""


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

    mode: Canvas = Field(
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
    angles = settings.rotate_angles
    degrees = float(call.random(element).uniform(angles.min_degrees, angles.max_degrees))
    width, height = canvas_size(element.size, degrees)
    if width * height > MAX_IMAGE_PIXELS or (degrees % 90 and max(width, height) > _MAX_SIDE):
        raise DataError(f"turned by {degrees:g} degrees the image would have {width}x{height} pixels, too many to turn")
    turned = turn(element.size, degrees, settings.black_regions.mode)
    if turned is not None:
        annotation = map_geometry(element.annotation, turned.shape, *turned.size)
        yield replace(element, annotation=annotation, picture=element.picture.changed(turned.picture))


LAYERS = (
    Layer(
        "rotate",
        RotateSettings,
        "turns by a random angle",
        frozenset({"objects", "geometry", "pixels"}),
        _rotate,
    ),
)
