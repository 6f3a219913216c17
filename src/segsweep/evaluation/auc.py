"""What probabilities in 16 bits are worth, exactly, from two histograms: areas under curves, and calibration.

A probability map has 65536 possible values, so positives and negatives per value hold all that the curves need: memory
does not grow with the number of pixels, images add up, and ties are treated as ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BINS",
    "LEVELS",
    "Calibration",
    "RocCounts",
    "average_precision",
    "calibration_error",
    "roc_area",
]

LEVELS = 2**16
BINS = 15
"""Of calibration; the number that Guo et al. 2017 and those after them use."""
_STRIP = 2**22
"""Pixels that are counted at once: memory stays small however large an image is."""

Values = NDArray[np.float64]


def roc_area(positives: NDArray[Any], negatives: NDArray[Any]) -> Values:
    """The area under the ROC curve: the chance that a positive pixel ranks above a negative one, ties counting half.

    Source: Mann and Whitney 1947; Hanley and McNeil 1982.

    Args:
        positives: Positive pixels by their probability's rank, ascending; (..., L).
        negatives: All others.

    Returns:
        (...) in 0..1; NaN where there are no positives or no negatives.
    """
    above = np.cumsum(negatives, axis=-1) - negatives / 2
    total = positives.sum(axis=-1, dtype=np.float64), negatives.sum(axis=-1, dtype=np.float64)
    known = (total[0] > 0) & (total[1] > 0)
    shares = positives / np.where(known, total[0], 1)[..., None], above / np.where(known, total[1], 1)[..., None]
    return np.where(known, np.einsum("...l,...l->...", *shares), np.nan)


def average_precision(positives: NDArray[Any], negatives: NDArray[Any]) -> Values:
    """The mean of precision over recall, without interpolation: the sum of (R_n - R_{n-1}) P_n over all thresholds.

    Args:
        positives: Positive pixels by their probability's rank, ascending; (..., L).
        negatives: All others.

    Returns:
        (...) in 0..1; NaN where there are no positives.
    """
    called_right = np.cumsum(positives[..., ::-1], axis=-1)
    called = called_right + np.cumsum(negatives[..., ::-1], axis=-1)
    total = called_right[..., -1]
    area = np.einsum("...l,...l->...", positives[..., ::-1], called_right / np.maximum(called, 1))
    return np.where(total > 0, area / np.maximum(total, 1), np.nan)


def calibration_error(parts: NDArray[Any]) -> Values:
    """The expected calibration error (Naeini et al. 2015): the mean distance of frequency from probability.

    Args:
        parts: By range of probability: pixels, the sum of their probabilities, positives; (..., bins, 3).

    Returns:
        (...) in 0..1; NaN where there is no pixel.
    """
    pixels, sums, positives = np.moveaxis(parts, -1, 0)
    total = pixels.sum(axis=-1)
    return np.where(total > 0, np.abs(positives - sums).sum(axis=-1) / np.maximum(total, 1), np.nan)


@dataclass(frozen=True)
class Calibration:
    """How often pixels are of the class, by the probability that they are said to have; arrays of (bins,).

    Attributes:
        pixels: How many fall into each range of probability; the ranges are of equal width.
        probability: Their mean probability; NaN where there are none.
        frequency: The share of them that is of the class; NaN where there are none.
    """

    pixels: NDArray[np.int64]
    probability: Values
    frequency: Values


@dataclass(frozen=True)
class RocCounts:
    """How many pixels have each probability; int64 arrays of `LEVELS` items.

    Attributes:
        positives: Pixels of the class, by their probability.
        negatives: All other pixels, by their probability.
    """

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]

    @classmethod
    def of(
        cls, probability: NDArray[np.uint16], positive: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None
    ) -> RocCounts:
        """Counts one image.

        Args:
            probability: Of the class, uint16 HxW; 65535 is certainty.
            positive: Pixels that are of the class, bool HxW.
            valid: Pixels to count, bool HxW; all when missing.
        """
        histograms = np.zeros((2, LEVELS), dtype=np.int64)
        rows = max(1, _STRIP // max(1, probability.shape[-1]))
        for start in range(0, len(probability), rows):
            strip = slice(start, start + rows)
            levels, found = probability[strip], positive[strip]
            if valid is not None:
                levels, found = levels[valid[strip]], found[valid[strip]]
            cells = levels.ravel() + np.left_shift(found.ravel(), 16, dtype=np.int32)
            histograms += np.bincount(cells, minlength=2 * LEVELS).reshape(2, LEVELS)
        return cls(histograms[1], histograms[0])

    def __add__(self, other: RocCounts) -> RocCounts:
        return RocCounts(self.positives + other.positives, self.negatives + other.negatives)

    @property
    def auc(self) -> float:
        """The area under the ROC curve (`roc_area`); NaN when there are no positives or no negatives."""
        return float(roc_area(self.positives, self.negatives))

    @property
    def average_precision(self) -> float:
        """The area under the curve of precision over recall (`average_precision`); NaN when there are no positives."""
        return float(average_precision(self.positives, self.negatives))

    @property
    def calibration_error(self) -> float:
        """The expected calibration error over `BINS` ranges of equal width; NaN when there is no pixel."""
        return float(calibration_error(self.calibration_parts()))

    @property
    def best_threshold(self) -> float:
        """The probability from which on pixels are called positive to get the highest Dice of all pixels pooled.

        Of equally good ones the middle of the longest range (the lower of two); 0.5 when there are no positives.
        """
        if not self.positives.any():
            return 0.5
        called_right = np.cumsum(self.positives[::-1])[::-1]
        called = called_right + np.cumsum(self.negatives[::-1])[::-1]
        dice = 2 * called_right / (called + self.positives.sum())
        best = np.flatnonzero(dice == dice.max())
        ranges = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
        widest = max(ranges, key=len)
        return float((widest[0] + widest[-1]) / 2 / (LEVELS - 1))

    def coarse(self, levels: int) -> NDArray[np.uint32]:
        """The two histograms (positives, negatives) with fewer levels, a divisor of `LEVELS`; uint32 2xlevels."""
        both = np.stack([self.positives, self.negatives]).reshape(2, levels, -1)
        return np.asarray(both.sum(axis=-1), dtype=np.uint32)

    def calibration_parts(self, bins: int = BINS) -> Values:
        """What `calibration_error` is made of and images add up: (bins, 3)."""
        pixels = self.positives + self.negatives
        weights = np.stack([pixels, pixels * np.linspace(0, 1, LEVELS), self.positives], axis=1)
        starts = -(-np.arange(bins) * (LEVELS - 1) // bins)  # the last range holds certainty too
        return np.add.reduceat(weights, starts, axis=0)

    def calibration(self, bins: int = BINS) -> Calibration:
        """How often pixels are of the class, by the probability that they are said to have."""
        pixels, sums, positives = self.calibration_parts(bins).T
        some = np.where(pixels > 0, pixels, np.nan)
        return Calibration(pixels.astype(np.int64), sums / some, positives / some)

    def curve(self) -> tuple[Values, Values]:
        """False positive rates and true positive rates from (0, 0) to (1, 1), without points that change nothing."""
        used = np.flatnonzero(self.positives + self.negatives)[::-1]
        false = np.concatenate([[0], np.cumsum(self.negatives[used])])
        true = np.concatenate([[0], np.cumsum(self.positives[used])])
        return false / max(false[-1], 1), true / max(true[-1], 1)

    def precision_recall(self) -> tuple[Values, Values]:
        """Precision and recall at each threshold from the highest on, without points that change nothing.

        Recall ends at 1; precision is that of the pixels called positive. Empty when there is no pixel.
        """
        used = np.flatnonzero(self.positives + self.negatives)[::-1]
        true = np.cumsum(self.positives[used])
        called = true + np.cumsum(self.negatives[used])
        return true / np.maximum(called, 1), true / max(int(self.positives.sum()), 1)
