"""The threshold with the highest pooled Dice, against trying all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsweep.evaluation.auc import LEVELS, RocCounts


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.95), noise=st.floats(0.01, 0.6))
def test_no_other_threshold_is_better(seed: int, share: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((20, 30)) < share
    if not truth.any():
        return
    levels = np.clip((truth * 0.4 + 0.3 + rng.normal(0, noise, truth.shape)) * (LEVELS - 1), 0, LEVELS - 1)
    levels = levels.astype(np.uint16)
    threshold = RocCounts.of(levels, truth).best_threshold

    def dice(limit: float) -> float:
        called = levels / (LEVELS - 1) >= limit
        return float(2 * (called & truth).sum() / (called.sum() + truth.sum()))

    assert dice(threshold) == pytest.approx(max(dice(limit) for limit in np.unique(levels) / (LEVELS - 1)))


def test_without_positives_it_is_a_half() -> None:
    assert RocCounts.of(np.zeros((3, 3), np.uint16), np.zeros((3, 3), bool)).best_threshold == 0.5
