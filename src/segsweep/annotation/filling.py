"""The inside of polygons, as OpenCV up to 4.10 filled it.

OpenCV 4.11 moved the edges of filled polygons by up to a pixel (its issue 26130). The masks that people have were
drawn by earlier versions, so polygons are filled here, the same under every version. OpenCV still draws their
outlines, which never changed.

Checked against `cv2.fillPoly` of 4.10 together with `cv2.polylines`: equal for every polygon tried, 3,000 random ones,
a third of which lie across the borders of the image and another third far beyond them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["inside"]

_BITS = 16
"""Positions on edges are fixed-point numbers with this many bits behind the point."""

_MOST = 2**22
"""More crossings of edges with rows than this are not held in memory at once."""


def inside(
    rings: Sequence[NDArray[np.int32]], size: tuple[int, int], window: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """What rings enclose by the even-odd rule, without their outlines.

    Args:
        rings: Their points, Nx2 each, of at most 25 bits.
        size: Width and height of the image; edges that leave it are taken from where they do, rounded.
        window: The part of the image that is asked for: left, top, right, bottom, half-open.

    Returns:
        0 or 1 for each pixel of the window, HxW.
    """
    left, top, right, bottom = window
    width, height = right - left, bottom - top
    x, y, slope, reach = _edges(rings, size)
    first = np.maximum(reach[:, 0], top)
    counts = np.maximum(np.minimum(reach[:, 1], bottom) - first, 0)
    total = int(counts.sum())
    if total > _MOST and height > 1:
        middle = (top + bottom) // 2
        halves = (left, top, right, middle), (left, middle, right, bottom)
        return np.concatenate([inside(rings, size, half) for half in halves])
    edge = np.repeat(np.arange(len(x)), counts)
    rows = np.arange(total) + (first - np.cumsum(counts) + counts)[edge]
    columns = (x[edge] + (rows - y[edge]) * slope[edge]) >> _BITS
    # Crossings in the order of reading; those beside the window lie in a column of their own left and right of it.
    stride = width + 2
    crossings = np.sort((rows - top) * stride + np.clip(columns - left, -1, width) + 1)
    begun, passed = crossings[0::2], crossings[1::2]  # a closed ring crosses every row an even number of times
    spans = np.empty(total, dtype=np.int64)
    spans[0::2] = begun // stride * width + np.maximum(begun % stride - 1, 0)
    spans[1::2] = passed // stride * width + np.minimum(passed % stride, width)
    turns = np.diff(np.maximum.accumulate(spans), prepend=0, append=width * height)
    return np.repeat((np.arange(total + 1) % 2).astype(np.uint8), turns).reshape(height, width)


def _edges(
    rings: Sequence[NDArray[np.int32]], size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The edges that cross rows.

    Edges inside the image are rounded to the nearest column. OpenCV cut the others to the image, and then forgot to
    round.

    Returns:
        A point (fixed-point x, whole y) of each edge; how far x goes from row to row (fixed-point); the first row that
        the edge crosses, and the one behind its last (Nx2).
    """
    ends = np.concatenate([np.stack([np.roll(ring, 1, axis=0), ring], axis=1) for ring in rings]).astype(np.int64)
    ends = ends[ends[:, 0, 1] != ends[:, 1, 1]]
    upper = np.argmin(ends[:, :, 1], axis=1)
    reach = np.sort(ends[:, :, 1], axis=1)
    rounding = np.full(len(ends), 1 << (_BITS - 1), dtype=np.int64)
    leaving = np.flatnonzero(((ends < 0) | (ends >= size)).any(axis=(1, 2)))
    rounding[leaving] = 0
    for index in leaving:
        _, start, end = cv2.clipLine((0, 0, *size), *ends[index].tolist())
        if start[1] != end[1]:
            ends[index] = start, end
    x, y = ends[np.arange(len(ends)), upper].T
    dx, dy = (ends[:, 1] - ends[:, 0]).T
    slope = np.sign(dx) * np.sign(dy) * ((np.abs(dx) << _BITS) // np.abs(dy))  # towards zero
    return (x << _BITS) + rounding, y, slope, reach
