"""Masks as COCO stores them: run lengths, their compressed text, and polygons as COCO's own tools fill them.

The pixels of a mask are taken column by column. The first run counts zeros (and may be empty), the second ones, and so
on. The text form packs each run into characters of six bits (`_pack`). The formats are those of the reference
implementation of the COCO data set, whose masks and texts come out equal, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Bitmap
from segsweep.annotation.geometry import Points
from segsweep.errors import DataError

__all__ = ["check_runs", "compress", "decompress", "fill_polygons", "mask_to_runs", "runs_to_mask"]

Runs = NDArray[np.int64]

_FIRST = 48  # the character that stands for 0
_MORE = 0x20  # set where more characters of the same number follow
_SIGN = 0x10  # set in the last one of a negative number
_MOST_CHARACTERS = 7  # of a number: 35 bits hold more pixels than an image may have
_FINE = 5  # polygons are filled on a grid so many times finer


def mask_to_runs(bitmap: Bitmap, width: int, height: int) -> Runs:
    """Run lengths of a bitmap that lies inside an image of `width` x `height` pixels."""
    columns, rows = np.nonzero(bitmap.mask.T)
    if not len(columns):
        return np.array([width * height], dtype=np.int64)
    cells = (columns.astype(np.int64) + bitmap.x) * height + rows + bitmap.y
    last = np.append(np.flatnonzero(np.diff(cells) != 1), len(cells) - 1)
    first = np.append(0, last[:-1] + 1)
    edges = np.stack([cells[first], cells[last] + 1], axis=1).ravel()
    runs = np.diff(edges, prepend=0, append=width * height)
    return runs if runs[-1] else runs[:-1]


def runs_to_mask(runs: Runs, width: int, height: int) -> NDArray[np.bool_]:
    """The mask (bool, HxW) of run lengths; `check_runs` of the same size has passed."""
    ones = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(ones, runs).reshape(width, height).T)


def check_runs(runs: Runs, width: int, height: int) -> None:
    """Refuses run lengths that do not cover an image exactly.

    Raises:
        DataError: One is negative, or they cover more or fewer pixels.
    """
    if (runs < 0).any() or (runs > width * height).any() or runs.sum() != width * height:
        raise DataError(f"the run lengths cover {runs.sum()} pixels, their image has {width}x{height}")


def compress(runs: Runs) -> str:
    """The text of run lengths. From the fourth on, runs are told by their difference to the one before the last."""
    numbers = runs.copy()
    numbers[3:] -= runs[1:-2]
    bits = numbers[:, None] >> (5 * np.arange(_MOST_CHARACTERS))
    # a number ends with the first five bits after which only copies of their sign bit follow
    ends = (bits >> 4 == 0) | (bits >> 4 == -1)
    length = ends.argmax(axis=1)
    place = np.arange(_MOST_CHARACTERS)
    codes = (bits & 0x1F) | np.where(place < length[:, None], _MORE, 0)
    return bytes((codes[place <= length[:, None]] + _FIRST).astype(np.uint8)).decode("ascii")


def decompress(text: str) -> Runs:
    """The run lengths of a text.

    Raises:
        DataError: It is none.
    """
    codes = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - _FIRST
    if not len(codes) or (codes < 0).any() or (codes > 0x3F).any():
        raise DataError("the compressed run lengths hold characters that do not belong there")
    last = np.flatnonzero((codes & _MORE) == 0)
    first = np.append(0, last[:-1] + 1)
    if not len(last) or last[-1] != len(codes) - 1 or (last - first >= _MOST_CHARACTERS).any():
        raise DataError("the compressed run lengths are cut short or damaged")
    place = np.arange(len(codes)) - np.repeat(first, last - first + 1)
    numbers = np.add.reduceat((codes & 0x1F) << (5 * place), first)
    numbers -= np.where(codes[last] & _SIGN, np.int64(1) << (5 * (last - first + 1)), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def fill_polygons(rings: Iterable[Points], width: int, height: int) -> NDArray[np.bool_]:
    """The pixels (bool, HxW) inside any of the rings (Nx2, continuous coordinates), as COCO's tools fill them.

    A ring is drawn on a grid five times finer. Where its outline passes the centre line of a column of pixels, the
    inside begins or ends in that column, at the pixel whose centre is the next one below.
    """
    mask = np.zeros((height, width), dtype=np.bool_)
    for ring in rings:
        columns, rows = _crossings(ring, width, height)
        if len(columns):
            left, right = int(columns.min()), int(columns.max()) + 1
            edges = np.bincount((columns - left) * (height + 1) + rows, minlength=(right - left) * (height + 1))
            inside = np.cumsum(edges.reshape(right - left, height + 1), axis=1) % 2 == 1
            mask[:, left:right] |= inside[:, :height].T
    return mask


def _crossings(ring: Points, width: int, height: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns (0 to width - 1) whose centre lines a ring passes, and the rows (0 to height) from which it counts."""
    fine = np.trunc(_FINE * ring + 0.5).astype(np.int64)
    outline = np.concatenate([_segment(*ends) for ends in zip(fine, np.roll(fine, -1, axis=0), strict=True)])
    passed = np.flatnonzero(outline[1:, 0] != outline[:-1, 0])
    x = np.minimum(outline[passed, 0], outline[passed + 1, 0])
    y = np.minimum(outline[passed, 1], outline[passed + 1, 1])
    columns = (x - _FINE // 2) // _FINE
    seen = ((x - _FINE // 2) % _FINE == 0) & (columns >= 0) & (columns < width)
    rows = np.ceil(np.clip((y[seen] + 0.5) / _FINE - 0.5, 0, height)).astype(np.int64)
    return columns[seen], rows


def _segment(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """The points of the fine grid from `start` to `end`: one for every step along the longer side."""
    along = 0 if abs(end[0] - start[0]) >= abs(end[1] - start[1]) else 1
    backwards = start[along] > end[along]
    low, high = (end, start) if backwards else (start, end)
    steps = np.arange(high[along] - low[along] + 1)
    slope = (high[1 - along] - low[1 - along]) / max(1, int(high[along] - low[along]))
    points = np.empty((len(steps), 2), dtype=np.int64)
    points[:, along] = low[along] + steps
    points[:, 1 - along] = np.trunc(low[1 - along] + slope * steps + 0.5)
    return points[::-1] if backwards else points
