"""Probabilities of parts put together: at the picture's size, rows after rows, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_AT_ONCE", "Rows", "enlarged", "merged", "resized"]

Probabilities = NDArray[np.float32]
Rows = tuple[int, Probabilities]
"""A number of rows of a picture, float32 C×h×W, and the first one's place."""

MOST_AT_ONCE = 2**24
"""Values (rows × columns × classes) that are given away at once where a picture has more; 64 MiB."""

_BLEND_SPREAD = 8
"""A window's side in standard deviations of its Gaussian weights: at the middle of an edge they are 1/3000."""

_CUBIC = -0.75
"""OpenCV's coefficient of cubic interpolation."""


def resized(found: Probabilities, width: int, height: int) -> Probabilities:
    """Probabilities C×h×w at another size by cubic interpolation, kept in 0..1."""
    if found.shape[1:] == (height, width):
        return found
    layers = [cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) for layer in found]
    clipped: Probabilities = np.clip(np.stack(layers), 0, 1, dtype=np.float32)
    return clipped


def enlarged(found: Probabilities, width: int, height: int, most: int = MOST_AT_ONCE) -> Iterator[Rows]:
    """`resized`, in as many bands of rows as it takes to give away at most `most` values at once."""
    rows = max(1, most // (found.shape[0] * width))
    if found.shape[1:] == (height, width):
        yield from ((top, found[:, top : top + rows]) for top in range(0, height, rows))
        return
    if rows >= height:
        yield 0, resized(found, width, height)
        return
    small = found.shape[1]
    wide = np.stack([cv2.resize(layer, (width, small), interpolation=cv2.INTER_CUBIC) for layer in found])
    for top in range(0, height, rows):
        first, weights = _row_weights(top, min(top + rows, height), small, height)
        yield top, np.clip(weights @ wide[:, first : first + weights.shape[1]], 0, 1, dtype=np.float32)


def _row_weights(top: int, bottom: int, small: int, large: int) -> tuple[int, NDArray[np.float32]]:
    """How rows `top` to `bottom` of `large` ones are made of `small` ones, by cubic interpolation as OpenCV does it.

    Returns:
        The first of the small rows that are needed, and a weight for each pair of a row and such a row.
    """
    centres = (np.arange(top, bottom) + 0.5) * small / large - 0.5
    below = np.floor(centres).astype(np.int64)
    t = centres - below
    a = _CUBIC
    taps = [
        ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a,
        ((a + 2) * t - (a + 3)) * t * t + 1,
        ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1,
    ]
    taps.append(1 - taps[0] - taps[1] - taps[2])
    sources = [np.clip(below + step, 0, small - 1) for step in (-1, 0, 1, 2)]
    first, last = int(sources[0].min()), int(sources[3].max())
    weights = np.zeros((bottom - top, last - first + 1), np.float32)
    for source, tap in zip(sources, taps, strict=True):
        np.add.at(weights, (np.arange(bottom - top), source - first), tap.astype(np.float32))
    return first, weights


def merged(
    windows: Iterable[Probabilities],
    across: Sequence[int],
    down: Sequence[int],
    blend: Literal["uniform", "gaussian"] = "uniform",
    most: int = MOST_AT_ONCE,
) -> Iterator[Rows]:
    """The average of overlapping windows; rows are given away as soon as no further window reaches them.

    Args:
        windows: float32 C×h×w, all of one size, for each place in `down` one for each in `across`.
        across: Left edges of the windows, increasing.
        down: Upper edges of the windows, increasing.
        blend: Whether all pixels of a window weigh alike, or those towards its middle more.
        most: How many values are given away at once.

    Yields:
        Rows as wide as the windows reach, from 0 on without gaps.
    """
    coming = iter(windows)
    first = next(coming)
    classes, height, width = first.shape
    of_rows, of_columns = _weights(height, blend), _weights(width, blend)
    weight = of_rows[:, None] * of_columns
    row_sums, column_sums = _sums(down, of_rows), _sums(across, of_columns)
    total = np.zeros((classes, height, across[-1] + width), np.float32)
    rows = max(1, most // (classes * total.shape[2]))
    window: Probabilities | None = first
    for number, top in enumerate(down):
        for left in across:
            part = next(coming) if window is None else window
            total[:, :, left : left + width] += part if blend == "uniform" else part * weight
            window = None
        below = down[number + 1] if number + 1 < len(down) else top + height
        done = below - top
        for start in range(0, done, rows):
            some = slice(start, min(start + rows, done))
            yield top + start, total[:, some] / (row_sums[top:below][some, None] * column_sums)
        total[:, : height - done] = total[:, done:]
        total[:, height - done :] = 0


def _weights(side: int, blend: Literal["uniform", "gaussian"]) -> NDArray[np.float32]:
    if blend == "uniform":
        return np.ones(side, np.float32)
    distance = (np.arange(side) - (side - 1) / 2) * (_BLEND_SPREAD / side)
    weights: NDArray[np.float32] = np.exp(-0.5 * distance**2).astype(np.float32)
    return weights


def _sums(places: Sequence[int], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weights of all windows along one side, added up; those of a picture are the product of both sides'."""
    sums = np.zeros(places[-1] + len(weights), np.float32)
    for place in places:
        sums[place : place + len(weights)] += weights
    return sums
