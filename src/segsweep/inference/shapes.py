"""Predicted pixels as objects."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.annotation.geometry import Bitmap, Geometry, Points, Polygon, trim

__all__ = ["polygons", "shapes_of"]

_LEAST_POINTS = 3


def shapes_of(mask: NDArray[np.bool_], x: int, y: int, shape: Literal["bitmap", "polygon"]) -> tuple[Geometry, ...]:
    """A mask (bool, HxW) whose first pixel lies at (x, y), as one bitmap or as its polygons; none where it is empty."""
    if shape == "polygon":
        return polygons(mask, x, y)
    return trim(Bitmap(mask, x, y))


def polygons(mask: NDArray[np.bool_], x: int = 0, y: int = 0) -> tuple[Polygon, ...]:
    """A polygon with holes for each connected part of a mask, the topmost first.

    Pixels that touch by a corner are connected. Rings go through the middles of border pixels, which is what filling a
    polygon together with its outline turns into the same pixels again (`annotation.rasterize`); rings of one or two
    pixels repeat their points, since a ring has three.
    """
    cells = np.ascontiguousarray(mask).view(np.uint8)
    rings, family = cv2.findContours(cells, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))
    holes: dict[int, list[Points]] = {}
    outer: list[int] = []
    for number, parent in enumerate(family[0, :, 3] if len(rings) else ()):
        if parent < 0:
            outer.append(number)
        else:
            holes.setdefault(int(parent), []).append(_ring(rings[number]))
    found = [Polygon(_ring(rings[number]), tuple(holes.get(number, ()))) for number in outer]
    return tuple(sorted(found, key=lambda polygon: (polygon.exterior[:, 1].min(), polygon.exterior[:, 0].min())))


def _ring(points: NDArray[np.int32]) -> Points:
    ring = points.reshape(-1, 2).astype(np.float64)
    return ring if len(ring) >= _LEAST_POINTS else ring[np.arange(_LEAST_POINTS) % len(ring)]
