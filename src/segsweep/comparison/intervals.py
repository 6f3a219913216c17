"""How sure a score is, and whether two runs' scores differ by more than the choice of test images would explain.

A score is a statistic of the test images, and is resampled with them as `evaluation.bootstrap` tells. Runs that were
tested on the same images share the draws, so that differences are paired: what is hard about an image is hard for both
and drops out.

These intervals tell of chance in the choice of test images, and of nothing else: a training with another seed differs
too.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation import bootstrap
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.scores import SCORES
from segsweep.files import digest_json

__all__ = ["Counted", "Interval", "interval", "statistic"]

Values = NDArray[np.float64]

_DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """Where a value lies with a confidence of 95 %."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign of a difference is beyond chance."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Counted:
    """What a run's test counted.

    Attributes:
        images: (data set, image) of each tested image, sorted.
        classes: The scored classes, in the truth's words.
        counts: Pixels by image and class, arrays of shape (N, C).
        values: Scores by image and class, arrays of shape (N, C), NaN where there is none.
        region: Which pixels counted.
        average: How scores were averaged: `image` or `pooled`.
    """

    images: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]
    counts: Counts
    values: Mapping[str, Values]
    region: str
    average: str

    @functools.cached_property
    def key(self) -> str:
        """Equal for runs that were tested alike: the same images, true pixels, classes, region and average."""
        true = (self.counts.tp + self.counts.fn).tolist()
        total = self.counts.total.tolist()
        return digest_json([self.images, self.classes, self.region, self.average, true, total])

    def by_image(self, score: str) -> Values:
        """A score of each image, the mean over classes; shape (N,), NaN where no pixel counts."""
        return _mean(self.values[score])


def statistic(counted: Counted, score: str, *, drawn: bool = False) -> Values | None:
    """A score as the images give it, shape (1,), or as samples of them do, shape (draws,).

    Args:
        counted: What was counted.
        score: A metric's name such as `test/dice` or `test/dice/vessel`.
        drawn: Whether to resample.

    Returns:
        None where the table of images does not determine the score (areas under curves, the accuracy of many classes).
    """
    _, _, rest = score.partition("/")
    name, _, title = rest.partition("/")
    if not score.startswith("test/") or (title and title not in counted.classes):
        return None
    classes = [counted.classes.index(title)] if title else list(range(len(counted.classes)))
    if name == "accuracy" and len(classes) > 1:
        return None
    images = len(counted.images)
    weights = bootstrap.draws(images, _DRAWS) if drawn else np.ones((1, images))
    if counted.average == "pooled" and name in SCORES:
        counts = {key: weights @ getattr(counted.counts, key)[:, classes] for key in ("tp", "fp", "fn", "tn")}
        return _mean(SCORES[name](Counts(**counts)))
    if counted.average == "image" and name in counted.values:
        return _mean(bootstrap.mean_samples(weights, counted.values[name][:, classes]))
    return None


def interval(samples: Values, images: int) -> Interval | None:
    """The interval of a statistic, or of the difference of two, from its samples; None with fewer than two images."""
    low, high = (float(end) for end in bootstrap.interval(samples, images))
    return None if np.isnan(low) else Interval(low, high)


def _mean(values: Values) -> Values:
    """The mean over classes (the last axis), those without a score left out; NaN where none has one."""
    counted = np.isfinite(values).sum(axis=-1)
    return np.asarray(np.where(counted > 0, np.nansum(values, axis=-1) / np.maximum(counted, 1), np.nan))
