"""Turning an image and its shapes about its centre.

Angles are in degrees, counter-clockwise as one sees it. Quarter turns are exact, pixel by pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.annotation.geometry import Bitmap, Geometry, Points, bounds, crop, map_points, trim

__all__ = ["Canvas", "Turn", "canvas_size", "inner_rectangle", "turn"]

Size: TypeAlias = tuple[int, int]

Canvas = Literal["keep", "crop", "preserve_size"]
"""What of a turned image is shown: all of it, the largest part without corners, or its middle at the size it had."""


@dataclass(frozen=True)
class Turn:
    """A turn, and what is shown of it.

    Attributes:
        size: (width, height) of what is shown.
        points: 2x3, for continuous coordinates.
        of_pixels: 2x3, for pixels by their indices.
        interpolation: OpenCV's, of pictures.
        border: OpenCV's, of pictures: what is beyond the image.
    """

    size: Size
    points: NDArray[np.float64]
    of_pixels: NDArray[np.float64]
    interpolation: int
    border: int

    def picture(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The turned pixels (uint8, HxWx3)."""
        turned = cv2.warpAffine(
            pixels, self.of_pixels, self.size, flags=self.interpolation, borderMode=self.border, borderValue=0
        )
        return np.asarray(turned, dtype=np.uint8)

    def shape(self, geometry: Geometry) -> tuple[Geometry, ...]:
        """What is shown of a turned shape: no, one or several pieces. A mask takes the nearest pixels."""
        if isinstance(geometry, Bitmap):
            return self._bitmap(geometry)
        return crop(map_points(geometry, self._moved), 0, 0, *self.size)

    def _moved(self, points: Points) -> Points:
        # To a millionth of a pixel, so that what lay on an edge does so afterwards.
        return np.asarray(np.round(points @ self.points[:, :2].T + self.points[:, 2], 6), dtype=np.float64)

    def _bitmap(self, bitmap: Bitmap) -> tuple[Geometry, ...]:
        """Only the part of the result is painted that the mask can reach."""
        left, top, right, bottom = bounds(bitmap)
        corners = self._moved(np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64))
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, self.size)
        width, height = (int(side) for side in high - low)
        if width <= 0 or height <= 0:
            return ()
        matrix = self.of_pixels.copy()
        matrix[:, 2] += matrix[:, :2] @ (bitmap.x, bitmap.y) - low
        mask = np.ascontiguousarray(bitmap.mask).view(np.uint8)
        turned: NDArray[Any] = np.asarray(cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_NEAREST))
        return trim(Bitmap(turned.view(np.bool_), int(low[0]), int(low[1])))


def turn(size: Size, degrees: float, canvas: Canvas) -> Turn | None:
    """The turn of an image of `size` (width, height); None if nothing of it would be shown.

    Whole coordinates name pixels in the original, also where points are turned, so that its pictures lie up to 0.7
    pixels off their points; and a window that cannot be in the middle lies half a pixel before it. It is the same
    here, except where it could not be exact: in quarter turns and in `crop`.
    """
    whole = canvas_size(size, degrees)
    middle = np.array(whole) / 2
    shown = whole
    if canvas == "preserve_size":
        shown = size
        middle -= [-(-(wide - side) // 2) for wide, side in zip(whole, size, strict=True)]
    elif canvas == "crop":
        width, height = inner_rectangle(size, degrees)
        shown = math.floor(width + 1e-6), math.floor(height + 1e-6)
        middle = np.array(shown) / 2
    if not all(shown):
        return None
    cos, sin = _cos_sin(degrees)
    matrix = np.array([[cos, sin], [-sin, cos]])  # y points down, so this is counter-clockwise
    points = np.column_stack([matrix, middle - matrix @ np.array(size) / 2])
    of_pixels = points.copy()
    is_exact = _is_quarter(degrees)
    if is_exact or canvas == "crop":
        of_pixels[:, 2] += matrix @ (0.5, 0.5) - 0.5  # the centre of pixel (0, 0) is at (1/2, 1/2)
    return Turn(
        shown,
        points,
        of_pixels,
        cv2.INTER_NEAREST if is_exact else cv2.INTER_LANCZOS4,
        # The kernel reaches beyond the edge, which would darken what is shown up to there.
        cv2.BORDER_REPLICATE if canvas == "crop" else cv2.BORDER_CONSTANT,
    )


def canvas_size(size: Size, degrees: float) -> Size:
    """(width, height) of the smallest canvas that holds a turned image of `size`."""
    width, height = size
    cos, sin = (abs(value) for value in _cos_sin(degrees))
    # a hair less, so that 29.000000000000004 needs 29 pixels and not 30
    return math.ceil(width * cos + height * sin - 1e-6), math.ceil(width * sin + height * cos - 1e-6)


def inner_rectangle(size: Size, degrees: float) -> tuple[float, float]:
    """(width, height) of the largest upright rectangle inside a turned one; both are about the same centre.

    Either it touches two long sides of the turned rectangle, when that one is narrow, or all four of its sides.

    Args:
        size: (width, height) of the turned rectangle before it was turned.
        degrees: The angle, either way round.
    """
    width, height = size
    cos, sin = (abs(value) for value in _cos_sin(degrees))
    long, short = max(width, height), min(width, height)
    if short <= 2 * sin * cos * long or abs(sin - cos) < 1e-9:
        half = short / 2
        return (half / sin, half / cos) if width >= height else (half / cos, half / sin)
    double = cos * cos - sin * sin
    return (width * cos - height * sin) / double, (height * cos - width * sin) / double


def _is_quarter(degrees: float) -> bool:
    return degrees % 90 == 0


def _cos_sin(degrees: float) -> tuple[float, float]:
    if _is_quarter(degrees):
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(degrees // 90 % 4)]
    angle = math.radians(degrees)
    return math.cos(angle), math.sin(angle)
