"""How far a score would scatter with other images: the bootstrap (Efron 1979), all samples at once.

As many images as there are get drawn with replacement, again and again; each sample is a row of how often each image
was drawn. Scores are functions of sums (or means) over images, so all samples of a score are one matrix product.

With few images the plain percentile interval is too narrow. It is widened as Hesterberg ("What Teachers Should Know
About the Bootstrap", 2015, section 5.3) proposes: the quantile alpha/2 is replaced by the normal probability of
-sqrt(n / (n - 1)) times Student's t at n - 1 degrees of freedom, which makes it as wide as the t interval.

The draws depend on nothing but the number of images, so two evaluations of the same images share them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.randomness import generator

__all__ = ["LEVEL", "draws", "interval", "mean_samples", "sum_samples"]

LEVEL = 0.95
"""How often such an interval should hold the value."""
_MOST_CELLS = 4_000_000
"""Of samples times images; beyond it fewer samples are drawn."""
_LEAST_DRAWS = 200
_CHUNK = 8_000_000
"""Numbers that are held at once while sums are scored."""

Values = NDArray[np.float64]


@functools.lru_cache(maxsize=8)
def draws(images: int, resamples: int) -> Values:
    """How often each image is drawn in each sample; float64, samples x images."""
    count = max(min(resamples, _LEAST_DRAWS), min(resamples, _MOST_CELLS // images))
    drawn = generator("bootstrap", images).multinomial(images, np.full(images, 1 / images), size=count)
    return drawn.astype(np.float64)


def mean_samples(weights: Values, values: Values) -> Values:
    """Means over the images of each sample; images without a value (NaN) are left out.

    Args:
        weights: Samples x images (S, N).
        values: By image (N, K).

    Returns:
        (S, K).
    """
    known = np.isfinite(values)
    counted = weights @ known
    sums = weights @ np.where(known, values, 0.0)
    return np.where(counted > 0, sums / np.maximum(counted, 1), np.nan)


def sum_samples(weights: Values, parts: NDArray[Any], score: Callable[[Values], Values]) -> Values:
    """Scores of the parts summed over the images of each sample.

    Args:
        weights: Samples x images (S, N).
        parts: By image (N, K, P).
        score: From parts (..., P) to scores (...).

    Returns:
        (S, K).
    """
    columns, width = parts.shape[1:]
    samples = np.empty((len(weights), columns))
    rows = max(1, _CHUNK // max(1, width))
    for column in range(columns):
        part = parts[:, column].astype(np.float64)
        for start in range(0, len(weights), rows):
            strip = slice(start, start + rows)
            samples[strip, column] = score(weights[strip] @ part)
    return samples


def interval(samples: Values, images: int) -> Values:
    """The ends of the interval in which a score lies with a confidence of `LEVEL`.

    Args:
        samples: (S, ...); samples without a value (NaN) are left out.
        images: The number of images.

    Returns:
        (2, ...), low and high; NaN with fewer than two images, or when no sample has a value.
    """
    known = np.isfinite(samples).any(axis=0)
    if images < 2:
        return np.full((2, *samples.shape[1:]), np.nan)
    tail = _tail(images)
    ends = np.nanquantile(np.where(known, samples, 0.0), [tail, 1 - tail], axis=0)
    return np.where(known, ends, np.nan)


@functools.lru_cache(maxsize=64)
def _tail(images: int) -> float:
    from scipy import stats

    wide = np.sqrt(images / (images - 1)) * stats.t.ppf((1 + LEVEL) / 2, images - 1)
    return float(stats.norm.cdf(-wide))
