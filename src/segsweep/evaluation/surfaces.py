"""How far apart the outlines of two masks are, after Nikolov et al. 2021 ("Clinically applicable segmentation …").

An outline is made of elements at the corners of pixels: wherever the four pixels around a corner are not all alike. An
element's length follows from which of the four are covered, as in marching squares: 1 along a row or column, sqrt(1/2)
at the corner of one pixel or of its absence, sqrt(2) where two pixels touch by corners. So slanted outlines are not
overstated, and a share of an outline is one of its length. Beyond the image, and beyond the pixels that count, nothing
is covered: where a mask reaches there, that edge belongs to its outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Surfaces"]

Values = NDArray[np.float64]

_DIAGONAL = 0.5**0.5
_LENGTHS = np.array([0, *[_DIAGONAL] * 2, 1, _DIAGONAL, 1, 2 * _DIAGONAL, _DIAGONAL], dtype=np.float64)
_LENGTHS = np.concatenate([_LENGTHS, _LENGTHS[::-1]])
"""By the sum of 8, 4, 2, 1 for the covered pixels at the upper left, upper right, lower left and lower right."""


@dataclass(frozen=True)
class Surfaces:
    """The elements of both outlines: how far each lies from the other outline, in pixels, and how long it is.

    Attributes:
        from_truth: Distances of the true outline's elements from the predicted outline; infinite when there is none.
        truth_lengths: Their lengths.
        from_prediction: Distances of the predicted outline's elements from the true outline.
        prediction_lengths: Their lengths.
    """

    from_truth: Values
    truth_lengths: Values
    from_prediction: Values
    prediction_lengths: Values

    @classmethod
    def of(cls, truth: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> Surfaces:
        """The outlines of two masks, bool HxW."""
        true_codes, predicted_codes = _codes(truth), _codes(prediction)
        return cls(*_distances(true_codes, predicted_codes), *_distances(predicted_codes, true_codes))

    def hausdorff(self, share: float) -> float:
        """The larger of the two distances that a share of each outline's length does not exceed; needs both outlines.

        With a share of 1 it is the Hausdorff distance, with 0.95 the robust one of that name.
        """
        return max(
            _quantile(self.from_truth, self.truth_lengths, share),
            _quantile(self.from_prediction, self.prediction_lengths, share),
        )

    def agreeing(self, tolerance: float) -> tuple[float, float]:
        """The length of both outlines that lies within a tolerance of the other, and their whole length."""
        lengths = np.concatenate([self.truth_lengths, self.prediction_lengths])
        close = np.concatenate([self.from_truth, self.from_prediction]) <= tolerance
        return float(lengths[close].sum()), float(lengths.sum())


def _codes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Which of the four pixels around each corner are covered; uint8 (H+1)x(W+1)."""
    cells = np.pad(mask.view(np.uint8), 1)
    return np.asarray(8 * cells[:-1, :-1] + 4 * cells[:-1, 1:] + 2 * cells[1:, :-1] + cells[1:, 1:], dtype=np.uint8)


def _distances(codes: NDArray[np.uint8], others: NDArray[np.uint8]) -> tuple[Values, Values]:
    """Distances of an outline's elements from another outline, and their lengths."""
    elements = (codes != 0) & (codes != 15)
    lengths = _LENGTHS[codes[elements]]
    inside = (others == 0) | (others == 15)
    if inside.all():
        return np.full(len(lengths), np.inf), lengths
    distance = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance[elements], dtype=np.float64), lengths


def _quantile(distances: Values, lengths: Values, share: float) -> float:
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(lengths[order])
    place = int(np.searchsorted(reached, share * reached[-1]))
    return float(distances[order[min(place, len(order) - 1)]])
