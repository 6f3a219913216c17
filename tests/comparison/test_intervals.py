"""Intervals hold what they say, differences are paired, and the table of images gives the recorded score."""

from __future__ import annotations

import numpy as np
import pytest

from segsweep.comparison.intervals import Counted, interval, statistic
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.scores import SCORES
from segsweep.randomness import generator


def a_test(dice: np.ndarray, average: str = "image", size: int = 2000) -> Counted:
    """A test whose images have these Dice scores, shape (N, C); each image has a true class of half of `size`."""
    dice = dice.reshape(len(dice), -1)
    tp = np.round(dice * size / 2).astype(np.int64)
    wrong = size // 2 - tp
    counts = Counts(tp, wrong, wrong, 10 * size - tp - 2 * wrong)
    images = tuple(("ds", f"{number:04}") for number in range(len(dice)))
    values = {"dice": SCORES["dice"](counts), "hd95": 10 * (1 - dice)}
    return Counted(images, tuple(f"c{n}" for n in range(dice.shape[1])), counts, values, "whole_frame", average)


@pytest.mark.parametrize("images", [6, 12, 40])
def test_an_interval_holds_the_truth_about_as_often_as_it_says(images: int) -> None:
    draws = generator("coverage", images)
    hits = 0
    for _ in range(300):
        sample = a_test(draws.normal(0.8, 0.04, images).clip(0, 1))
        found = interval(statistic(sample, "test/dice", drawn=True), images)
        assert found is not None
        hits += found.low <= 0.8 <= found.high
    assert 0.90 <= hits / 300 <= 0.99


def test_the_plain_percentile_interval_would_be_too_narrow_for_few_images() -> None:
    sample = a_test(np.array([0.7, 0.75, 0.8, 0.82, 0.9]))
    drawn = statistic(sample, "test/dice", drawn=True)
    found = interval(drawn, 5)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found is not None and found.low < low and found.high > high


def test_a_paired_difference_is_seen_where_single_intervals_overlap() -> None:
    draws = generator("paired")
    hard = draws.normal(0.75, 0.08, 12)  # images differ much, runs little
    better, worse = a_test(hard), a_test(hard - 0.01 + draws.normal(0, 0.004, 12))
    samples = [statistic(item, "test/dice", drawn=True) for item in (better, worse)]
    own = [interval(item, 12) for item in samples]
    assert own[0].low < own[1].high, "each by itself they could be the same"
    difference = interval(samples[1] - samples[0], 12)
    assert difference.excludes_zero and -0.02 < difference.low < difference.high < 0


def test_equal_runs_differ_by_nothing() -> None:
    sample = statistic(a_test(np.array([0.5, 0.6, 0.9])), "test/dice", drawn=True)
    found = interval(sample - sample, 3)
    assert (found.low, found.high, found.excludes_zero) == (0, 0, False)


def test_statistics_follow_the_way_of_averaging() -> None:
    dice = np.array([[0.2, 0.8], [0.6, 1.0]])
    assert statistic(a_test(dice), "test/dice")[0] == pytest.approx(0.65)
    assert statistic(a_test(dice), "test/dice/c1")[0] == pytest.approx(0.9)
    uneven = a_test(dice)
    counts = Counts(*(getattr(uneven.counts, key) * np.array([[1], [9]]) for key in ("tp", "fp", "fn", "tn")))
    pooled = Counted(uneven.images, uneven.classes, counts, {}, "whole_frame", "pooled")
    assert statistic(pooled, "test/dice/c0")[0] == pytest.approx((0.2 + 9 * 0.6) / 10)


@pytest.mark.parametrize(
    "score", ["val/dice", "test/auc", "test/dice/unknown", "test/hd97", "time/total", "test/accuracy"]
)
def test_scores_that_images_do_not_determine_have_no_samples(score: str) -> None:
    assert statistic(a_test(np.array([[0.2, 0.8], [0.6, 1.0]])), score) is None


def test_any_measure_of_images_has_an_interval() -> None:
    dice = np.array([0.5, 0.6, 0.9, 0.8])
    assert statistic(a_test(dice), "test/hd95")[0] == pytest.approx(3.0)
    found = interval(statistic(a_test(dice), "test/hd95", drawn=True), 4)
    assert found.low < 3 < found.high


def test_one_image_has_no_interval() -> None:
    assert interval(statistic(a_test(np.array([0.5])), "test/dice", drawn=True), 1) is None


def test_an_image_in_which_no_pixel_counts_is_left_out() -> None:
    sample = a_test(np.array([0.5, 0.7, 0.9]))
    sample.values["dice"][2] = np.nan
    assert statistic(sample, "test/dice")[0] == pytest.approx(0.6)
    assert np.isnan(sample.by_image("dice")[2])


def test_tests_are_alike_when_images_truth_and_way_are() -> None:
    one, same = a_test(np.array([0.5, 0.7])), a_test(np.array([0.2, 0.9]))
    assert one.key == same.key, "the runs' own mistakes do not matter"
    assert one.key != a_test(np.array([0.5, 0.7]), "pooled").key
    assert one.key != a_test(np.array([0.5, 0.7]), size=4000).key, "another truth"
    assert one.key != a_test(np.array([0.5, 0.7, 0.1])).key
