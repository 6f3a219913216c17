"""What probabilities of a class are worth at every threshold: curves and counts, for plots and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.auc import Calibration, RocCounts
from segsweep.evaluation.counts import Counts

__all__ = ["THRESHOLDS", "ClassCurves", "class_curves"]

THRESHOLDS = 256
"""Steps of `ClassCurves.called`: threshold k is k x 256 / 65535, so that 128 stands for 0.5."""

Values = NDArray[np.float64]
Line = tuple[Values, Values]


@dataclass(frozen=True)
class ClassCurves:
    """The curves of a class as points (x, y), thinned out to those that can be told apart in a plot.

    Attributes:
        title: Of the class.
        roc: False and true positive rates.
        precision_recall: Recall and precision.
        calibration: How often pixels are of the class, by their probability.
        area: Under the ROC curve; NaN where there are no positives or no negatives.
        average_precision: Under the curve of precision over recall; NaN where there are no positives.
        calibration_error: The expected calibration error; NaN where there is no pixel.
        mask: Where the predicted mask lies: false positive rate, recall, precision; None without positives, negatives,
            or predicted pixels.
        called: True and false positives when pixels are called positive from each threshold on; int64
            (THRESHOLDS + 1)x2.
        positives: Pixels of the class.
        negatives: All other pixels.
    """

    title: str
    roc: Line
    precision_recall: Line
    calibration: Calibration
    area: float
    average_precision: float
    calibration_error: float
    mask: tuple[float, float, float] | None
    called: NDArray[np.int64]
    positives: int
    negatives: int


def class_curves(
    roc: Mapping[str, RocCounts], confusion: NDArray[np.int64], classes: Sequence[str]
) -> list[ClassCurves]:
    """The curves of every class that has probabilities.

    Args:
        roc: By class, the pixels of each probability.
        confusion: Pixels of (true class, predicted class), int64 CxC.
        classes: Titles of the rows and columns of `confusion`.
    """
    pooled = Counts.of(confusion)
    return [_curves(title, counts, pooled, classes.index(title)) for title, counts in roc.items()]


def _curves(title: str, counts: RocCounts, pooled: Counts, place: int) -> ClassCurves:
    true, false, missed, rest = (int(getattr(pooled, key)[place]) for key in ("tp", "fp", "fn", "tn"))
    known = true + false and true + missed and false + rest
    precision, recall = counts.precision_recall()
    histograms = np.stack([counts.positives, counts.negatives], axis=1).reshape(THRESHOLDS, -1, 2).sum(axis=1)
    return ClassCurves(
        title=title,
        roc=_thinned(*counts.curve()),
        precision_recall=_thinned(recall, precision),
        calibration=counts.calibration(),
        area=counts.auc,
        average_precision=counts.average_precision,
        calibration_error=counts.calibration_error,
        mask=(false / (false + rest), true / (true + missed), true / (true + false)) if known else None,
        called=np.concatenate([np.cumsum(histograms[::-1], axis=0)[::-1], [[0, 0]]]),
        positives=int(counts.positives.sum()),
        negatives=int(counts.negatives.sum()),
    )


def _thinned(x: Values, y: Values, steps: int = 400) -> Line:
    """A curve without the points that fall on a place already drawn."""
    if not len(x):
        return x, y
    cells = np.rint(np.stack([x, y]) * steps)
    kept = np.concatenate([[True], (np.diff(cells) != 0).any(axis=0)])
    kept[-1] = True
    return x[kept], y[kept]
