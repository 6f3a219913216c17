from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from segsweep.evaluation.counts import Counts, confusion_matrix
from segsweep.evaluation.scores import SCORES, mean, pixel_accuracy

CLASSES = 3


@st.composite
def labelled_images(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    index = arrays(draw(st.sampled_from([np.uint8, np.int32, np.int64])), shape, elements=st.integers(0, CLASSES - 1))
    return draw(index), draw(index), draw(arrays(bool, shape))


@given(labelled_images())
def test_confusion_matrix_agrees_with_sklearn_inside_the_valid_region(case) -> None:
    truth, prediction, valid = case
    found = confusion_matrix(truth, prediction, CLASSES, valid)
    if valid.any():
        expected = sklearn_metrics.confusion_matrix(truth[valid], prediction[valid], labels=range(CLASSES))
        assert (found == expected).all()
    assert found.sum() == valid.sum()


@given(labelled_images())
def test_counts_agree_with_counting_one_by_one(case) -> None:
    truth, prediction, valid = case
    counts = Counts.of(confusion_matrix(truth, prediction, CLASSES, valid))
    for index in range(CLASSES):
        pairs = [(t == index, p == index) for t, p, v in zip(truth.flat, prediction.flat, valid.flat, strict=True) if v]
        assert counts.tp[index] == pairs.count((True, True))
        assert counts.fp[index] == pairs.count((False, True))
        assert counts.fn[index] == pairs.count((True, False))
        assert counts.tn[index] == pairs.count((False, False))


@given(labelled_images())
def test_scores_agree_with_sklearn_where_it_defines_them(case) -> None:
    truth, prediction, _ = case
    counts = Counts.of(confusion_matrix(truth, prediction, CLASSES))
    scores = {name: function(counts) for name, function in SCORES.items()}
    for index in range(CLASSES):
        true, predicted = (truth == index).ravel(), (prediction == index).ravel()
        if true.any() or predicted.any():
            assert scores["dice"][index] == pytest.approx(sklearn_metrics.f1_score(true, predicted))
            assert scores["iou"][index] == pytest.approx(sklearn_metrics.jaccard_score(true, predicted))
            zero = {"zero_division": 0}
            assert scores["precision"][index] == pytest.approx(sklearn_metrics.precision_score(true, predicted, **zero))
            assert scores["recall"][index] == pytest.approx(sklearn_metrics.recall_score(true, predicted, **zero))
        if not (true.all() and predicted.all()):
            expected = sklearn_metrics.recall_score(~true, ~predicted, zero_division=0)
            assert scores["specificity"][index] == pytest.approx(expected)
        assert scores["accuracy"][index] == pytest.approx(sklearn_metrics.accuracy_score(true, predicted))
        if len({*true}) == len({*predicted}) == 2:
            assert scores["mcc"][index] == pytest.approx(sklearn_metrics.matthews_corrcoef(true, predicted))
    expected = sklearn_metrics.accuracy_score(truth.ravel(), prediction.ravel())
    assert pixel_accuracy(confusion_matrix(truth, prediction, CLASSES)) == pytest.approx(expected)


def scores_of(truth: list[int], prediction: list[int], valid: list[bool] | None = None) -> dict[str, float]:
    mask = None if valid is None else np.array([valid])
    counts = Counts.of(confusion_matrix(np.array([truth]), np.array([prediction]), 2, mask))
    return {name: float(function(counts)[1]) for name, function in SCORES.items()}


def test_a_class_that_is_nowhere_and_predicted_nowhere_scores_one() -> None:
    assert set(scores_of([0, 0], [0, 0]).values()) == {1.0}


def test_a_class_that_is_everywhere_and_predicted_everywhere_scores_one() -> None:
    assert set(scores_of([1, 1], [1, 1]).values()) == {1.0}


def test_the_correlation_is_minus_one_where_all_is_wrong_and_zero_where_one_side_says_nothing() -> None:
    assert scores_of([0, 0, 1], [1, 1, 0])["mcc"] == pytest.approx(-1)
    assert scores_of([0, 0, 1], [0, 0, 0])["mcc"] == 0
    assert scores_of([0, 0, 1], [1, 1, 1])["mcc"] == 0


def test_counts_of_huge_images_do_not_overflow() -> None:
    counts = Counts.of(np.array([[4 * 10**12, 10**12], [10**12, 4 * 10**12]]))
    assert SCORES["mcc"](counts) == pytest.approx([0.6, 0.6])


def test_a_missed_class_scores_zero() -> None:
    scores = scores_of([0, 1], [0, 0])
    assert (scores["dice"], scores["iou"], scores["precision"], scores["recall"]) == (0, 0, 0, 0)
    assert scores["specificity"] == 1
    assert scores["accuracy"] == 0.5


def test_an_invented_class_scores_zero() -> None:
    scores = scores_of([0, 0], [0, 1])
    assert (scores["dice"], scores["iou"], scores["precision"], scores["recall"]) == (0, 0, 0, 0)
    assert scores["specificity"] == 0.5


def test_without_a_valid_pixel_scores_are_nan_and_means_leave_them_out() -> None:
    nothing = scores_of([0, 1], [0, 1], [False, False])
    assert all(np.isnan(value) for value in nothing.values())
    assert mean(np.array([nothing["dice"], 0.5])) == 0.5
    assert np.isnan(mean(np.array([np.nan])))


def test_counts_of_many_images_are_the_counts_of_each() -> None:
    random = np.random.default_rng(0)
    matrices = random.integers(0, 50, (4, 3, 3))
    together = Counts.of(matrices)
    for index, matrix in enumerate(matrices):
        assert (together.tp[index] == Counts.of(matrix).tp).all()
        assert (together.tn[index] == Counts.of(matrix).tn).all()
    assert pixel_accuracy(matrices).shape == (4,)


def test_indices_out_of_range_are_refused_unless_they_do_not_count() -> None:
    truth, prediction = np.array([[0, 7]]), np.array([[0, 1]])
    with pytest.raises(ValueError, match=r"0\.\.1, found 0\.\.7"):
        confusion_matrix(truth, prediction, 2)
    assert confusion_matrix(truth, prediction, 2, np.array([[True, False]])).sum() == 1
    with pytest.raises(ValueError, match="different shapes"):
        confusion_matrix(truth, prediction.T, 2)
