"""From probabilities to classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Classes", "no_classes", "winners", "without_specks"]

Classes = NDArray[np.uint8] | NDArray[np.uint16]

_ROWS = 2048


def no_classes(shape: tuple[int, ...], classes: int) -> Classes:
    """A map that is background all over, of a type that holds so many classes."""
    return np.zeros(shape, np.uint8) if classes <= 256 else np.zeros(shape, np.uint16)


def winners(found: NDArray[np.float32], thresholds: Mapping[int, float]) -> Classes:
    """The class of each pixel.

    A class with a threshold claims the pixels where its probability reaches it; where several do, the likeliest of
    them has the pixel, though a class without a threshold may be likelier still. What nobody claims goes to the
    likeliest of the classes without a threshold, among which the background always is. Of equals the first one wins.

    With two classes this is the usual threshold; without any, the likeliest class.

    Args:
        found: Probabilities, C×H×W.
        thresholds: By class index, never that of the background (0).

    Returns:
        Class indices, HxW; uint8 where they fit.
    """
    chosen = no_classes(found.shape[1:], len(found))
    free = [index for index in range(1, len(found)) if index not in thresholds]
    if free:
        _take_better(chosen, found, free, found[0].copy(), None)
    if thresholds:
        _take_better(chosen, found, sorted(thresholds), np.full(found.shape[1:], -1, np.float32), thresholds)
    return chosen


def _take_better(
    chosen: Classes,
    found: NDArray[np.float32],
    indices: Sequence[int],
    best: NDArray[np.float32],
    thresholds: Mapping[int, float] | None,
) -> None:
    """Writes each index where its probability is above `best`, which grows along, and reaches its threshold."""
    for index in indices:
        better = found[index] > best
        if thresholds is not None:
            better &= found[index] >= np.float32(thresholds[index])
        np.copyto(chosen, index, where=better, casting="unsafe")
        if index != indices[-1]:
            np.copyto(best, found[index], where=better)


def without_specks(chosen: Classes, indices: Sequence[int], smallest: int) -> None:
    """Gives pixels of small connected parts of some classes to the background (0), in place.

    Pixels that touch by a corner are connected, as thin slanting lines are. The work is done in bands of rows that
    look `smallest` rows further up and down: a part that reaches out of that is not small.

    Args:
        chosen: Class indices, HxW.
        indices: The classes to clean; the background is left out.
        smallest: The number of pixels from which on a part stays.
    """
    height = len(chosen)
    step = max(_ROWS, 4 * smallest)
    for top in range(0, height if smallest > 1 else 0, step):
        above, bottom = max(0, top - smallest), min(height, top + step)
        seen = chosen[above : min(height, bottom + smallest)]
        for index in indices:
            of_class = seen == index
            if index == 0 or not of_class.any():
                continue
            _, labels, stats, _ = cv2.connectedComponentsWithStats(of_class.view(np.uint8), connectivity=8)
            small = stats[:, cv2.CC_STAT_AREA] < smallest
            small[0] = False  # everything else
            if small.any():
                own = np.s_[top - above : bottom - above]
                seen[own][small[labels[own]]] = 0
