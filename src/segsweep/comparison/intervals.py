"""How sure a score is, and whether two runs' scores differ by more than the choice of test images would explain.

A score is a statistic of the test images. The bootstrap (Efron 1979) draws as many images with replacement, again and
again, and looks how the statistic scatters. Runs that were tested on the same images share the draws, so that
differences are paired: what is hard about an image is hard for both and drops out.

With few images the plain percentile interval is too narrow. It is widened as Hesterberg ("What Teachers Should Know
About the Bootstrap", 2015, section 5.3) proposes: the quantile alpha/2 is replaced by the normal probability of
-sqrt(n / (n - 1)) times Student's t at n - 1 degrees of freedom, which makes it as wide as the t interval.

These intervals tell of chance in the choice of test images, and of nothing else: a training with another seed differs
too.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.counts import Counts
from segsweep.evaluation.scores import SCORES
from segsweep.files import digest_json
from segsweep.randomness import generator

__all__ = ["LEVEL", "Counted", "Interval", "interval", "statistic"]

Values = NDArray[np.float64]

LEVEL = 0.95
DRAWS = 2000
_MOST_CELLS = 4_000_000
"""Of draws times images; beyond it fewer draws are made."""


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
        region: Which pixels counted.
        average: How scores were averaged: `image` or `pooled`.
    """

    images: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]
    counts: Counts
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
        values = SCORES[score](self.counts)
        counted = np.isfinite(values).sum(axis=1)
        return np.where(counted > 0, np.nansum(values, axis=1) / np.maximum(counted, 1), np.nan)


def statistic(tested: Counted, score: str, *, drawn: bool = False) -> Values | None:
    """A score as the images give it, shape (1,), or as samples of them do, shape (draws,).

    Args:
        tested: What was counted.
        score: A metric's name such as `test/dice` or `test/dice/vessel`.
        drawn: Whether to resample.

    Returns:
        None where the counts by image do not determine the score (areas under curves, the accuracy of many classes).
    """
    _, _, rest = score.partition("/")
    name, _, title = rest.partition("/")
    if not score.startswith("test/") or name not in SCORES or (title and title not in tested.classes):
        return None
    classes = [tested.classes.index(title)] if title else list(range(len(tested.classes)))
    if name == "accuracy" and not title and len(classes) > 1:
        return None
    weights = _draws(len(tested.images)) if drawn else np.ones((1, len(tested.images)), dtype=np.int64)
    counts = {key: getattr(tested.counts, key)[:, classes] for key in ("tp", "fp", "fn", "tn")}
    if tested.average == "pooled":
        return _mean(SCORES[name](Counts(**{key: weights @ value for key, value in counts.items()})))
    values = SCORES[name](Counts(**counts))
    counted = np.isfinite(values)
    shares = weights @ counted
    sums = weights @ np.where(counted, values, 0.0)
    return _mean(np.where(shares > 0, sums / np.maximum(shares, 1), np.nan))


def interval(samples: Values, images: int) -> Interval | None:
    """The interval of a statistic, or of the difference of two, from its samples; None with fewer than two images."""
    finite = samples[np.isfinite(samples)]
    if images < 2 or not len(finite):
        return None
    tail = _tail(images)
    low, high = np.quantile(finite, [tail, 1 - tail])
    return Interval(float(low), float(high))


@functools.lru_cache(maxsize=64)
def _tail(images: int) -> float:
    from scipy import stats

    wide = np.sqrt(images / (images - 1)) * stats.t.ppf((1 + LEVEL) / 2, images - 1)
    return float(stats.norm.cdf(-wide))


@functools.lru_cache(maxsize=8)
def _draws(images: int) -> NDArray[np.int64]:
    """How often each image is drawn in each sample; int64, draws x images. The same for all runs of as many images."""
    draws = max(200, min(DRAWS, _MOST_CELLS // images))
    return generator("bootstrap", images).multinomial(images, np.full(images, 1 / images), size=draws)


def _mean(values: Values) -> Values:
    """The mean over classes, those without a score left out; NaN where none has one."""
    counted = np.isfinite(values).sum(axis=1)
    return np.where(counted > 0, np.nansum(values, axis=1) / np.maximum(counted, 1), np.nan)
