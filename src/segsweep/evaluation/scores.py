"""Scores as reductions of pixel counts.

Conventions for 0/0, the same everywhere:

* A class that is neither in the truth nor in the prediction was handled without fault: Dice, IoU, precision and recall
  are 1. Precision with nothing predicted but something to find, and recall with nothing to find but something
  predicted, are 0. (The original scored a correctly empty image 0.)
* Specificity is the recall of "everything else", under the same rule.
* Where no pixel counts at all (an empty valid region) every score is NaN, and means leave it out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.counts import Counts

__all__ = ["SCORES", "mean", "pixel_accuracy", "share"]

Values = NDArray[np.float64]


def share(part: NDArray[Any], whole: NDArray[Any], wrong: NDArray[Any] | float, total: NDArray[Any]) -> Values:
    """Part by whole, under the conventions of this module.

    Args:
        part: What is counted.
        whole: What it is a share of.
        wrong: How much went wrong besides: where whole is 0, the value is 1 if this is 0 too, else 0.
        total: How much counted at all: where this is 0, the value is NaN.
    """
    empty = np.where(np.asarray(wrong) == 0, 1.0, 0.0)
    value = np.where(whole > 0, part / np.where(whole > 0, whole, 1), empty)
    return np.where(total > 0, value, np.nan)


def dice(counts: Counts) -> Values:
    """Dice coefficient, also known as F1 (Dice 1945): 2 tp / (2 tp + fp + fn)."""
    wrong = counts.fp + counts.fn
    return share(2 * counts.tp, 2 * counts.tp + wrong, wrong, counts.total)


def iou(counts: Counts) -> Values:
    """Intersection over union (Jaccard 1912): tp / (tp + fp + fn)."""
    wrong = counts.fp + counts.fn
    return share(counts.tp, counts.tp + wrong, wrong, counts.total)


def precision(counts: Counts) -> Values:
    """The share of the predicted pixels that is right: tp / (tp + fp)."""
    return share(counts.tp, counts.tp + counts.fp, counts.fn, counts.total)


def recall(counts: Counts) -> Values:
    """The share of the true pixels that was found, or sensitivity: tp / (tp + fn)."""
    return share(counts.tp, counts.tp + counts.fn, counts.fp, counts.total)


def specificity(counts: Counts) -> Values:
    """The share of the other pixels that was left alone: tn / (tn + fp)."""
    return share(counts.tn, counts.tn + counts.fp, counts.fn, counts.total)


def accuracy(counts: Counts) -> Values:
    """The share of right pixels, one class against all others: (tp + tn) / all."""
    return share(counts.tp + counts.tn, counts.total, counts.total, counts.total)


def mcc(counts: Counts) -> Values:
    """Matthews correlation coefficient (Matthews 1975), in -1..1: how far truth and prediction go together.

    (tp tn - fp fn) / sqrt((tp + fp) (tp + fn) (tn + fp) (tn + fn)). Where that is 0/0, one of truth and prediction is
    everywhere or nowhere: 1 if nothing is wrong, else 0 (Chicco and Jurman 2020).
    """
    tp, fp, fn, tn = (value.astype(np.float64) for value in (counts.tp, counts.fp, counts.fn, counts.tn))
    spread = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return share(tp * tn - fp * fn, spread, fp + fn, counts.total)


SCORES: dict[str, Callable[[Counts], Values]] = {
    "dice": dice,
    "iou": iou,
    "precision": precision,
    "recall": recall,
    "specificity": specificity,
    "accuracy": accuracy,
    "mcc": mcc,
}
"""Every score of a class: from counts (..., C) to values (..., C) in 0..1 (`mcc` in -1..1) or NaN."""


def pixel_accuracy(confusion: NDArray[np.int64]) -> Values:
    """The share of pixels whose class is right, over all classes; confusion (..., C, C) to (...)."""
    right = np.trace(confusion, axis1=-2, axis2=-1)
    total = confusion.sum(axis=(-2, -1))
    return share(np.asarray(right), np.asarray(total), np.asarray(total), np.asarray(total))


def mean(values: Values, axis: int | None = None) -> Values:
    """The mean without NaNs; NaN where there is nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as promised
        return np.asarray(np.nanmean(values, axis=axis))
