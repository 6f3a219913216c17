"""Turning an image and its shapes about its centre.

Angles are in degrees, counter-clockwise as one sees it. The canvas is the smallest one that holds the turned image;
quarter turns are exact, pixel by pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.annotation.geometry import Bitmap, Geometry, Points, map_points, trim

__all__ = ["Turn", "inner_rectangle"]

Size = tuple[int, int]


@dataclass(frozen=True)
class Turn:
    """A turn of an image of `size` (width, height) by `degrees`."""

    size: Size
    degrees: float

    @property
    def quarters(self) -> int | None:
        """How many quarter turns it is, 0 to 3; None for any other angle."""
        turns, rest = divmod(self.degrees, 90)
        return int(turns) % 4 if rest == 0 else None

    @property
    def canvas(self) -> Size:
        """(width, height) of the smallest canvas that holds the turned image."""
        width, height = self.size
        cos, sin = self._cos_sin()
        # a hair less, so that 29.000000000000004 needs 29 pixels and not 30
        sides = (width * abs(cos) + height * abs(sin), width * abs(sin) + height * abs(cos))
        return math.ceil(sides[0] - 1e-6), math.ceil(sides[1] - 1e-6)

    def pixels(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The turned image on its canvas, by Lanczos' kernel; black where nothing was."""
        return np.asarray(self._warped(image, (0, 0), cv2.INTER_LANCZOS4), dtype=np.uint8)

    def shape(self, geometry: Geometry) -> tuple[Geometry, ...]:
        """A turned shape; a mask takes the nearest pixels, and may vanish."""
        if isinstance(geometry, Bitmap):
            turned = self._warped(geometry.mask.astype(np.uint8), (geometry.x, geometry.y), cv2.INTER_NEAREST)
            return trim(Bitmap(turned.astype(np.bool_), 0, 0))
        return (map_points(geometry, self._points),)

    def _cos_sin(self) -> tuple[float, float]:
        if self.quarters is not None:
            return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[self.quarters]
        angle = math.radians(self.degrees)
        return math.cos(angle), math.sin(angle)

    def _matrix(self) -> NDArray[np.float64]:
        """2x3, for continuous coordinates: the centre of the image goes to that of the canvas."""
        cos, sin = self._cos_sin()
        turn = np.array([[cos, sin], [-sin, cos]])  # y points down, so this is counter-clockwise
        before, after = np.array(self.size) / 2, np.array(self.canvas) / 2
        return np.column_stack([turn, after - turn @ before])

    def _points(self, points: Points) -> Points:
        matrix = self._matrix()
        return points @ matrix[:, :2].T + matrix[:, 2]

    def _warped(self, part: NDArray[Any], origin: Size, interpolation: int) -> NDArray[Any]:
        """A part of the image (HxW or HxWx3) whose corner lies at `origin`, on the canvas."""
        width, height = self.canvas
        matrix = self._matrix()
        if self.quarters is not None:
            turned = np.rot90(part, self.quarters)
            corners = self._points(np.array([origin, (origin[0] + part.shape[1], origin[1] + part.shape[0])], float))
            left, top = (round(float(low)) for low in corners.min(axis=0))
            whole = np.zeros((height, width, *part.shape[2:]), dtype=part.dtype)
            whole[top : top + turned.shape[0], left : left + turned.shape[1]] = turned
            return whole
        # As in the original, whole coordinates name pixels here, so that pictures, masks and points stay together.
        offset = matrix[:, :2] @ np.array(origin) + matrix[:, 2]
        warped = cv2.warpAffine(
            np.ascontiguousarray(part),
            np.column_stack([matrix[:, :2], offset]),
            (width, height),
            flags=interpolation,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        return np.asarray(warped)


def inner_rectangle(size: Size, degrees: float) -> tuple[float, float]:
    """(width, height) of the largest upright rectangle inside a turned one; both are about the same centre.

    Either it touches two long sides of the turned rectangle, when that one is narrow, or all four of its sides.

    Args:
        size: (width, height) of the turned rectangle before it was turned.
        degrees: The angle, either way round.
    """
    width, height = size
    angle = math.radians(degrees)
    sin, cos = abs(math.sin(angle)), abs(math.cos(angle))
    long, short = max(width, height), min(width, height)
    if short <= 2 * sin * cos * long or abs(sin - cos) < 1e-9:
        half = short / 2
        return (half / sin, half / cos) if width >= height else (half / cos, half / sin)
    double = cos * cos - sin * sin
    return (width * cos - height * sin) / double, (height * cos - width * sin) / double
