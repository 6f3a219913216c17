"""What layers that make shapes of shapes share."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Bitmap, Geometry, LabeledObject
from segsweep.annotation.geometry import Points
from segsweep.errors import DataError

__all__ = ["contours", "of_shape", "share", "simplified", "truncated"]

Shape = TypeVar("Shape", bound=Geometry)

_FAR = 2**24
"""Points are not taken to lie farther out than this, so that whole numbers of 32 bits can hold them."""


def of_shape(item: LabeledObject, *kinds: type[Shape]) -> Shape:
    """The shape of an object.

    Raises:
        DataError: It is of none of these kinds.
    """
    if not isinstance(item.geometry, kinds):
        wanted = " and ".join(f"{kind.shape}s" for kind in kinds)
        raise DataError(
            f"an object of class {item.class_title!r} is a {item.geometry.shape}, but this layer works on {wanted}"
        )
    return item.geometry


def share(length: str, whole: float) -> float:
    """A length like `6px` or `5%` in pixels; a percentage is of `whole`."""
    return float(length[:-1]) * whole / 100 if length.endswith("%") else float(length.removesuffix("px"))


def truncated(points: Points) -> NDArray[np.int32]:
    """Points without what stands behind the decimal point."""
    return np.clip(points, -_FAR, _FAR).astype(np.int32)


def simplified(points: Points, epsilon: float, closed: bool) -> Points:
    """A ring, or an open line, of fewer points, after Douglas and Peucker.

    Args:
        points: Nx2; they are truncated to whole numbers first.
        epsilon: How far the result may lie from them, in pixels.
        closed: Whether it is a ring. One of fewer than 3 points, or a line of fewer than 2, is not made: what was
            given comes back, truncated.
    """
    given = truncated(points)
    made = cv2.approxPolyDP(given.reshape(-1, 1, 2), epsilon, closed).reshape(-1, 2)
    if not closed and not np.array_equal(made[-1], given[-1]):  # OpenCV leaves the end out where it is the start too
        made = np.concatenate([made, given[-1:]])
    return np.asarray(made if len(made) >= (3 if closed else 2) else given, dtype=np.float64)


def contours(bitmap: Bitmap) -> list[tuple[Points, list[Points]]]:
    """The outer contours of a bitmap with those of their holes, through the centres of its border pixels.

    Points are whole pixels of the image, Nx2; straight runs are only given by their ends.
    """
    mask = np.ascontiguousarray(bitmap.mask).view(np.uint8)
    rings, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(bitmap.x, bitmap.y))
    found: dict[int, tuple[Points, list[Points]]] = {}
    parents = [] if tree is None else tree.reshape(-1, 4)[:, 3].tolist()
    points = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]
    for index, parent in enumerate(parents):
        if parent < 0:
            found[index] = (points[index], [])
    for index, parent in enumerate(parents):
        if parent >= 0:
            found[parent][1].append(points[index])
    return list(found.values())
