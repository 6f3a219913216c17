"""Every score as one thing: by image, averaged in either way, of classes one by one or together, and resampled.

A statistic has values for each scored class and, in a last column, for all of them together ("micro": what they are
made of is added up over classes first). The mean over classes ("macro") is taken from the former.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.auc import average_precision, calibration_error, roc_area
from segsweep.evaluation.bootstrap import mean_samples, sum_samples
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.measures import MEASURES
from segsweep.evaluation.objects import interpolated_precision
from segsweep.evaluation.scores import SCORES, mean, share
from segsweep.evaluation.tally import PROBABILITY_SCORES, Tally, probability_scores

__all__ = ["Statistic", "accuracy", "statistics", "with_macro"]

Values = NDArray[np.float64]
Score = Callable[[Values], Values]


@dataclass(frozen=True)
class Statistic:
    """A score of a region's images.

    Attributes:
        parts: What it is made of and adds up over images, by image and column; (N, K, P). Without images (N = 0) it
            cannot be resampled.
        score: From (sums of) parts (..., P) to scores (...).
        by_image: The scores of the images, (N, K).
        pooled: The score of all images pooled, (K,).
        always_pooled: Whether the headline is the pooled score however others are averaged.
    """

    parts: NDArray[Any]
    score: Score
    by_image: Values
    pooled: Values
    always_pooled: bool = False

    @classmethod
    def of(cls, parts: Values, score: Score, *, always_pooled: bool = False) -> Statistic:
        """A statistic of parts that are exact; (N, C - 1, P)."""
        parts = np.concatenate([parts, parts.sum(axis=1, keepdims=True)], axis=1)
        return cls(parts, score, score(parts), score(parts.sum(axis=0)), always_pooled)

    def values(self, average: str) -> Values:
        """By column, the mean over images or the pooled score; (K,)."""
        return self.pooled if average == "pooled" else mean(self.by_image, axis=0)

    def samples(self, weights: Values, average: str) -> Values:
        """The same for samples of images (S, N); (S, K).

        Where the parts are coarser than what `pooled` was computed from, samples are shifted by the difference.
        """
        if average == "image":
            return mean_samples(weights, self.by_image)
        once = np.ones((1, len(self.parts)))
        shift = self.pooled - sum_samples(once, self.parts, self.score)
        return sum_samples(weights, self.parts, self.score) + shift


def with_macro(values: Values) -> Values:
    """Puts the mean over classes between the columns of (classes, together); (..., K) to (..., K + 1)."""
    classes = values[..., :-1]
    return np.concatenate([classes, mean(classes, axis=-1)[..., None], values[..., -1:]], axis=-1)


def statistics(tally: Tally, dataset: str | None = None) -> dict[str, Statistic]:
    """All scores of a region, or of one dataset in it, in the order in which they are shown.

    Those of probabilities and objects are there where they were counted.
    """
    rows = np.flatnonzero([dataset in (None, name) for name in tally.datasets])
    counts = Counts.of(np.stack(tally.confusions)[rows])
    pixels = np.stack([counts.tp, counts.fp, counts.fn, counts.tn], axis=-1)[:, 1:].astype(np.float64)
    found = {name: Statistic.of(pixels, _from_counts(score)) for name, score in SCORES.items()}
    for name, values in tally.parts.items():
        for score_name, score in MEASURES[name].scores.items():
            found[score_name] = Statistic.of(np.stack(values)[rows], score, always_pooled=MEASURES[name].pooled)
    return found | _of_probabilities(tally, rows, dataset) | _of_detections(tally, rows, dataset)


def accuracy(tally: Tally) -> Statistic:
    """The share of right pixels over all classes, the background among them; both columns are the same."""
    confusions = np.stack(tally.confusions)
    parts = np.stack([np.trace(confusions, axis1=1, axis2=2), confusions.sum(axis=(1, 2))], axis=-1)
    return Statistic.of(
        parts[:, None].astype(np.float64), lambda sums: share(sums[..., 0], sums[..., 1], 0, sums[..., 1])
    )


def _from_counts(score: Callable[[Counts], Values]) -> Score:
    return lambda parts: score(Counts(*np.moveaxis(parts, -1, 0)))


def _of_probabilities(tally: Tally, rows: NDArray[np.intp], dataset: str | None) -> dict[str, Statistic]:
    if not tally.roc:
        return {}
    pooled = probability_scores(tally.roc, tally.scored + 1) if dataset is None else tally.of_datasets[dataset]
    histograms = tally.histograms if dataset is None else []
    parts: dict[str, tuple[list[Any], Score]] = {
        "auc": (histograms, lambda sums: roc_area(*np.split(sums, 2, axis=-1))),
        "average_precision": (histograms, lambda sums: average_precision(*np.split(sums, 2, axis=-1))),
        "calibration_error": (
            tally.calibration if dataset is None else [],
            lambda sums: calibration_error(sums.reshape(*sums.shape[:-1], -1, 3)),
        ),
    }
    return {
        name: Statistic(
            _together(parts[name][0]), parts[name][1], np.stack(tally.probability)[rows, place], pooled[place], True
        )
        for place, name in enumerate(PROBABILITY_SCORES)
    }


def _together(images: list[NDArray[Any]]) -> NDArray[Any]:
    """Parts (C - 1, P) of images with a column for their sum over classes; (N, C, P)."""
    if not images:
        return np.zeros((0, 1, 1))
    parts = np.stack(images)
    return np.concatenate([parts, parts.sum(axis=1, keepdims=True, dtype=parts.dtype)], axis=1)


def _of_detections(tally: Tally, rows: NDArray[np.intp], dataset: str | None) -> dict[str, Statistic]:
    """Interpolated average precision of objects; it is pooled by its nature."""
    if not tally.rated:
        return {}
    found = [detections for name, detections in tally.detections if dataset in (None, name)]
    index, right, confidence = (
        np.concatenate([np.zeros(0), *(getattr(item, key) for item in found)])
        for key in ("index", "right", "confidence")
    )
    true = np.stack(tally.parts["objects"])[rows, :, 3].sum(axis=0)
    values = [
        interpolated_precision(right[kept].astype(np.bool_), confidence[kept], int(count))
        for kept, count in [*((index == place, count) for place, count in enumerate(true, 1)), (index > 0, true.sum())]
    ]
    nothing = np.full((len(rows), len(values)), np.nan)
    return {"object_ap": Statistic(_together([]), lambda sums: sums[..., 0], nothing, np.array(values), True)}
