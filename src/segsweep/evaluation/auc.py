"""The exact area under the ROC curve for probabilities in 16 bits, from two histograms.

A probability map has 65536 possible values, so positives and negatives per value hold all that the curve needs: memory
does not grow with the number of pixels, images add up, and ties count half, as in the Mann-Whitney statistic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "RocCounts"]

LEVELS = 2**16


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
        if valid is not None:
            probability, positive = probability[valid], positive[valid]
        cells = probability.ravel().astype(np.intp) + LEVELS * positive.ravel()
        negatives, positives = np.bincount(cells, minlength=2 * LEVELS).reshape(2, LEVELS).astype(np.int64)
        return cls(positives, negatives)

    def __add__(self, other: RocCounts) -> RocCounts:
        return RocCounts(self.positives + other.positives, self.negatives + other.negatives)

    @property
    def auc(self) -> float:
        """The chance that a positive pixel has a higher probability than a negative one, ties counting half.

        NaN when there are no positives or no negatives. Source: Mann and Whitney 1947; Hanley and McNeil 1982.
        """
        positives, negatives = int(self.positives.sum()), int(self.negatives.sum())
        if not positives or not negatives:
            return float("nan")
        lower = np.cumsum(self.negatives) - self.negatives
        return float(np.dot(self.positives / positives, (lower + self.negatives / 2) / negatives))

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

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False positive rates and true positive rates from (0, 0) to (1, 1), without points that change nothing."""
        used = np.flatnonzero(self.positives + self.negatives)[::-1]
        false = np.concatenate([[0], np.cumsum(self.negatives[used])])
        true = np.concatenate([[0], np.cumsum(self.positives[used])])
        return false / max(false[-1], 1), true / max(true[-1], 1)
