from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import auc as area
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from segsweep.evaluation.auc import LEVELS, RocCounts, average_precision, calibration_error, roc_area


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


FEW_LEVELS = st.sampled_from([0, 1, 2, 30_000, 65_534, 65_535])


@given(
    st.integers(1, 40).flatmap(lambda size: st.tuples(arrays(np.uint16, size, elements=FEW_LEVELS), arrays(bool, size)))
)
def test_average_precision_and_its_curve_agree_with_sklearn(case) -> None:
    probability, positive = case
    counts = RocCounts.of(probability[None], positive[None])
    if not positive.any():
        assert np.isnan(counts.average_precision)
        return
    assert counts.average_precision == pytest.approx(average_precision_score(positive, probability), abs=1e-12)
    precision, recall = counts.precision_recall()
    expected_precision, expected_recall, _ = precision_recall_curve(positive, probability)
    assert np.allclose(precision[::-1], expected_precision[:-1])  # sklearn appends the point (1, 0)
    assert np.allclose(recall[::-1], expected_recall[:-1])


def test_the_calibration_error_agrees_with_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    random = np.random.default_rng(2)
    positive = random.random((50, 60)) < 0.3
    probability = np.clip(random.normal(15_000 + 30_000 * positive, 12_000), 1, 65_534).astype(np.uint16)
    counts = RocCounts.of(probability, positive)
    share = torch.from_numpy(probability.astype(np.float64) / (LEVELS - 1)).ravel()
    expected = binary_calibration_error(share, torch.from_numpy(positive.astype(int)).ravel(), n_bins=15, norm="l1")
    assert counts.calibration_error == pytest.approx(float(expected), abs=1e-6)


def test_calibration_tells_frequency_by_probability() -> None:
    probability = np.array([[0, 0, 13_107, 65_535, 65_535]], np.uint16)  # 13107 is 0.2
    calibration = RocCounts.of(probability, np.array([[False, True, True, True, False]])).calibration(bins=5)
    assert calibration.pixels.tolist() == [2, 1, 0, 0, 2]
    assert calibration.frequency[[0, 1, 4]].tolist() == [0.5, 1, 0.5]
    assert calibration.probability[[0, 1, 4]].tolist() == pytest.approx([0, 0.2, 1])
    assert np.isnan(calibration.frequency[2])


def test_a_forecast_that_keeps_its_word_has_no_calibration_error() -> None:
    always = np.full((10, 10), 13_107, np.uint16)
    positive = np.arange(100).reshape(10, 10) % 5 == 0
    assert RocCounts.of(always, positive).calibration_error == pytest.approx(0, abs=1e-12)
    assert RocCounts.of(always, ~positive).calibration_error == pytest.approx(0.6)


def test_many_histograms_are_scored_at_once() -> None:
    random = np.random.default_rng(4)
    positives, negatives = random.integers(0, 5, (2, 3, 2, 16))
    for function in (roc_area, average_precision):
        together = function(positives, negatives)
        assert together.shape == (3, 2)
        assert together[1, 1] == pytest.approx(float(function(positives[1, 1], negatives[1, 1])))
    assert np.isnan(calibration_error(np.zeros((2, 15, 3)))).all()


def test_images_larger_than_a_strip_are_counted_whole() -> None:
    random = np.random.default_rng(6)
    probability = random.integers(0, 2**16, (3, 2**21)).astype(np.uint16)
    positive, valid = random.random((2, 3, 2**21)) < 0.5
    counts = RocCounts.of(probability, positive, valid)
    assert (counts.positives == np.bincount(probability[positive & valid], minlength=LEVELS)).all()
    assert (counts.negatives == np.bincount(probability[~positive & valid], minlength=LEVELS)).all()
