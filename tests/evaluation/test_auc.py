from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import auc as area
from sklearn.metrics import roc_auc_score, roc_curve

from segsweep.evaluation.auc import RocCounts


@given(
    st.integers(2, 40).flatmap(
        lambda size: st.tuples(
            arrays(np.uint16, size, elements=st.sampled_from([0, 1, 2, 30_000, 65_534, 65_535])), arrays(bool, size)
        )
    )
)
def test_auc_and_curve_agree_with_sklearn_with_many_ties(case) -> None:
    probability, positive = case
    counts = RocCounts.of(probability[None], positive[None])
    if positive.all() or not positive.any():
        assert np.isnan(counts.auc)
        return
    assert counts.auc == pytest.approx(roc_auc_score(positive, probability), abs=1e-12)
    false, true = counts.curve()
    expected_false, expected_true, _ = roc_curve(positive, probability, drop_intermediate=False)
    assert np.allclose(false, expected_false)
    assert np.allclose(true, expected_true)
    assert area(false, true) == pytest.approx(counts.auc, abs=1e-12)


def test_images_add_up_to_the_auc_of_all_their_pixels() -> None:
    random = np.random.default_rng(1)
    positive = random.random((2, 60, 50)) < 0.2
    probability = np.clip(random.normal(20_000 + 15_000 * positive, 9_000), 0, 65_535).astype(np.uint16)
    valid = random.random((2, 60, 50)) < 0.7
    first, second = (RocCounts.of(*maps) for maps in zip(probability, positive, valid, strict=True))
    expected = roc_auc_score(positive[valid], probability[valid])
    assert (first + second).auc == pytest.approx(expected, abs=1e-12)
