"""How much each setting matters for the score, as far as the runs can tell.

A random forest (Breiman 2001) learns the score from the settings; what it says is only worth something if it predicts
runs that it has not seen, which its out-of-bag R² measures. From the forest, as in functional ANOVA (Hutter, Hoos and
Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", 2014): the share of the forest's variance
that one setting explains by itself, when the values of all others are drawn independently of each other. What the
single shares leave to 1 comes from combinations of settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segsweep.comparison.settings import Setting, told
from segsweep.randomness import generator

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEAST_R2", "LEAST_RUNS", "Importance", "importance"]

LEAST_RUNS = 12
LEAST_SETTINGS = 2
LEAST_R2 = 0.3
"""Below it the forest knows too little for its opinion to be shown."""

_TREES = 200
_POINTS = 1000
_MOST_VALUES = 24


@dataclass(frozen=True)
class Importance:
    """What the forest says.

    Attributes:
        r2: Its out-of-bag R²: 1 is a perfect prediction of unseen runs, 0 no better than their mean.
        shares: By the setting's key, the share of the variance that it explains by itself, largest first.
        runs: How many runs it learnt from.
    """

    r2: float
    shares: dict[str, float]
    runs: int

    @property
    def combined(self) -> float:
        """The share that only combinations of settings explain."""
        return max(0.0, 1.0 - sum(self.shares.values()))


def importance(frame: pd.DataFrame, settings: Sequence[Setting], score: str) -> Importance | None:
    """The importance of settings; None with fewer than 12 scored runs or 2 settings.

    Args:
        frame: A row a run with a score.
        settings: The settings that differ.
        score: The column of the score.
    """
    rows = frame[frame[score].notna()]
    varied = [item for item in settings if rows[item.key].map(told).nunique() > 1]
    if len(rows) < LEAST_RUNS or len(varied) < LEAST_SETTINGS:
        return None
    target = rows[score].to_numpy(dtype=float)
    if np.ptp(target) == 0:
        return None
    from sklearn.ensemble import RandomForestRegressor

    features = np.column_stack([_numbers(rows[item.key], item) for item in varied])
    forest = RandomForestRegressor(_TREES, oob_score=True, random_state=0, min_samples_leaf=2, max_features=0.7)
    forest.fit(features, target)
    shares = _main_effects(forest, features)
    found = {item.key: share for item, share in zip(varied, shares, strict=True)}
    ordered = dict(sorted(found.items(), key=lambda pair: -pair[1]))
    return Importance(float(forest.oob_score_), ordered, len(rows))


def _numbers(column: pd.Series, setting: Setting) -> NDArray[np.float64]:
    """Numbers as they are; categories numbered in the order of their names, which trees can cut apart again."""
    if setting.kind == "number":
        return column.to_numpy(dtype=float)
    names = column.map(told)
    order = {name: place for place, name in enumerate(sorted(set(names)))}
    return names.map(order).to_numpy(dtype=float)


def _main_effects(forest: Any, features: NDArray[np.float64]) -> list[float]:
    """The share of each column in the variance of the forest over independently drawn values."""
    draws = generator("importance", *features.shape)
    drawn = np.column_stack([draws.choice(column, _POINTS) for column in features.T])
    total = float(np.var(forest.predict(drawn)))
    if total == 0:
        return [0.0] * features.shape[1]
    shares = []
    for place, column in enumerate(features.T):
        values, counts = np.unique(column, return_counts=True)
        if len(values) > _MOST_VALUES:
            values = np.quantile(column, (np.arange(_MOST_VALUES) + 0.5) / _MOST_VALUES)
            counts = np.ones(_MOST_VALUES, dtype=counts.dtype)
        means = []
        for value in values:
            fixed = drawn.copy()
            fixed[:, place] = value
            means.append(float(forest.predict(fixed).mean()))
        centre = np.average(means, weights=counts)
        shares.append(float(np.average((np.array(means) - centre) ** 2, weights=counts)) / total)
    whole = sum(shares)
    return [share / max(1.0, whole) for share in shares]
