"""What kind of error a wrong pixel is: at the boundary, of extent, or a segment that should not be or was not found.

Source: Bernhard et al., "What's Outside the Intersection? Fine-Grained Error Analysis for Semantic Segmentation Beyond
IoU", WACV 2024. Every wrong pixel is of one kind, so IoU and the three shares of the union add up to 1.

Pixels that do not count are neither right nor wrong, and nothing is said to be near them.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.cases import Case, near

__all__ = ["Decomposition", "decompose"]

Mask = NDArray[np.bool_]


class Decomposition(NamedTuple):
    """Masks of one shape; every pixel of the union of truth and prediction is in one of them.

    Attributes:
        right: Pixels of the class that were predicted as it.
        boundary: Wrong pixels in a band along right ones, of a piece that touches right pixels inside and outside.
        extent: Other wrong pixels of a predicted segment that meets the truth, or of a true one that was met.
        segment: Wrong pixels of a predicted segment that meets nothing, or of a true one that was missed whole.
    """

    right: Mask
    boundary: Mask
    extent: Mask
    segment: Mask


def decompose(case: Case) -> Decomposition:
    """Sorts the wrong pixels of a case; masks are of its cut shape."""
    right = case.truth & case.prediction
    extra, missing = case.prediction & ~case.truth, case.truth & ~case.prediction
    width = case.error_width
    between = (extra | missing) & near(right, width) & near(case.rest, width)
    boundary = np.zeros_like(right)
    extent = np.zeros_like(right)
    inside, outside = _touching(right), _touching(case.rest)
    for wrong, whole in ((extra, case.prediction), (missing, case.truth)):
        band = wrong & near(wrong & between, width)
        labels, count = _segments(band)
        found = band & (_having(labels, count, inside) & _having(labels, count, outside))[labels]
        boundary |= found
        labels, count = _segments(whole)
        extent |= wrong & ~found & _having(labels, count, right)[labels]
    return Decomposition(right, boundary, extent, (extra | missing) & ~boundary & ~extent)


def _touching(mask: Mask) -> Mask:
    """A mask and its eight neighbours everywhere."""
    return np.asarray(cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)), dtype=np.bool_)


def _segments(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Pieces connected over sides and corners, numbered from 1; 0 is no piece."""
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return labels, count


def _having(labels: NDArray[np.int32], count: int, mask: Mask) -> Mask:
    """Which segments have a pixel in a mask; bool of (count,). Segment 0, the rest, has none."""
    having = np.zeros(count, dtype=np.bool_)
    having[labels[mask]] = True
    having[0] = False
    return having
