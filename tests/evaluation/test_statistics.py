"""Averages and intervals against doing it by hand, image by image and sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from segsweep.comparison.intervals import interval as compared_interval
from segsweep.evaluation.auc import RocCounts
from segsweep.evaluation.bootstrap import draws, interval
from segsweep.evaluation.counts import Counts, confusion_matrix
from segsweep.evaluation.measures import MEASURES
from segsweep.evaluation.scores import SCORES
from segsweep.evaluation.statistics import accuracy, statistics
from segsweep.evaluation.tables import headline, summarise
from segsweep.evaluation.tally import Plan, RegionCounts, Tally, probability_scores

CLASSES = 3
TITLES = ("cat", "dog")
IMAGES = 7
SHAPE = (12, 14)


class Example:
    """Seven images of two datasets; the first class has probabilities too."""

    def __init__(self, resamples: int = 0) -> None:
        random = np.random.default_rng(11)
        self.truth = random.choice(CLASSES, (IMAGES, *SHAPE), p=[0.6, 0.3, 0.1])
        self.truth[2] = np.where(self.truth[2] == 2, 0, self.truth[2])  # no dog
        wrong = random.random(self.truth.shape) < np.linspace(0.1, 0.5, IMAGES)[:, None, None]
        self.prediction = np.where(wrong, random.integers(0, CLASSES, self.truth.shape), self.truth)
        noise = random.normal(20_000 + 20_000 * (self.truth == 1), 9_000)
        self.levels = np.clip(noise, 0, 65_535).astype(np.uint16)
        self.parts = random.integers(0, 50, (IMAGES, CLASSES - 1, 5)).astype(float)
        self.parts[..., 0] = 1
        self.datasets = ["a"] * 3 + ["b"] * 4
        self.tally = Tally(CLASSES, IMAGES, True, Plan(("errors",), resamples=resamples))
        for place in range(IMAGES):
            confusion = confusion_matrix(self.truth[place], self.prediction[place], CLASSES)
            roc = {1: RocCounts.of(self.levels[place], self.truth[place] == 1)}
            parts = {"errors": self.parts[place]}
            self.tally.add(
                self.datasets[place], RegionCounts(confusion, parts, roc, probability_scores(roc, CLASSES), None)
            )
        self.tally.finish()

    def dice(self, images: list[int], average: str) -> float:
        """Of all pixels of some images, over the classes without the background."""
        true, predicted = self.truth[images].ravel(), self.prediction[images].ravel()
        return float(sklearn_metrics.f1_score(true, predicted, labels=[1, 2], average=average, zero_division=1))


def test_macro_and_micro_are_those_of_sklearn() -> None:
    example = Example()
    everything = list(range(IMAGES))
    summary = summarise(example.tally, 0)
    cat, dog, macro, micro = summary.values["dice", "pooled"]
    assert macro == pytest.approx(example.dice(everything, "macro"))
    assert micro == pytest.approx(example.dice(everything, "micro"))
    assert macro == pytest.approx((cat + dog) / 2)
    by_image = [example.dice([place], "micro") for place in everything]
    assert summary.values["dice", "image"][-1] == pytest.approx(np.mean(by_image))


def test_a_dataset_is_scored_as_if_it_were_alone() -> None:
    example = Example()
    found = statistics(example.tally, "b")
    images = [3, 4, 5, 6]
    assert found["dice"].values("pooled")[-1] == pytest.approx(example.dice(images, "micro"))
    positive = (example.truth[images] == 1).ravel()
    expected = sklearn_metrics.roc_auc_score(positive, example.levels[images].ravel())
    assert found["auc"].values("pooled")[0] == pytest.approx(expected)
    each = [sklearn_metrics.roc_auc_score((example.truth[n] == 1).ravel(), example.levels[n].ravel()) for n in images]
    assert found["auc"].values("image")[0] == pytest.approx(np.mean(each))
    boundary = MEASURES["errors"].scores["error_boundary"]
    assert found["error_boundary"].values("pooled")[1] == pytest.approx(
        float(boundary(example.parts[3:, 1].sum(axis=0)))
    )


def resampled(example: Example, weights: np.ndarray) -> list[list[int]]:
    return [np.repeat(np.arange(IMAGES), counts.astype(int)).tolist() for counts in weights]


def test_samples_are_scores_of_images_drawn_with_replacement() -> None:
    example = Example(resamples=25)
    weights = draws(IMAGES, 25)
    assert (weights.sum(axis=1) == IMAGES).all()
    found = statistics(example.tally)
    for place, images in enumerate(resampled(example, weights)):
        pooled = found["dice"].samples(weights, "pooled")[place]
        assert pooled[-1] == pytest.approx(example.dice(images, "micro"))
        assert pooled[:-1].mean() == pytest.approx(example.dice(images, "macro"))
        counts = Counts.of(np.stack(example.tally.confusions)[images])
        expected = np.nanmean(SCORES["recall"](counts)[:, 1:], axis=0)
        assert found["recall"].samples(weights, "image")[place, :-1] == pytest.approx(expected)
        total = np.mean(example.truth[images] == example.prediction[images])
        assert accuracy(example.tally).samples(weights, "pooled")[place, 0] == pytest.approx(total)
        positive, levels = (example.truth[images] == 1).ravel(), example.levels[images].ravel()
        exact = sklearn_metrics.roc_auc_score(positive, levels)
        assert found["auc"].samples(weights, "pooled")[place, 0] == pytest.approx(exact, abs=2e-3)  # 512 levels
        precision = sklearn_metrics.average_precision_score(positive, levels)
        assert found["average_precision"].samples(weights, "pooled")[place, 0] == pytest.approx(precision, abs=5e-3)
        error = RocCounts.of(
            example.levels[images].reshape(-1, SHAPE[1]), (example.truth[images] == 1).reshape(-1, SHAPE[1])
        )
        assert found["calibration_error"].samples(weights, "pooled")[place, 0] == pytest.approx(error.calibration_error)


@pytest.mark.parametrize("average", ["image", "pooled"])
def test_intervals_are_those_that_a_comparison_of_runs_shows(average: str) -> None:
    example = Example(resamples=2000)
    samples = statistics(example.tally)["dice"].samples(draws(IMAGES, 2000), average)
    expected = compared_interval(samples[:, 0], IMAGES)
    assert expected is not None
    low, high = summarise(example.tally, 2000).intervals["dice", average][:, 0]
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_intervals_hold_the_value_and_shrink_with_more_images() -> None:
    random = np.random.default_rng(0)
    few, many = (interval(draws(n, 2000) @ random.normal(0.7, 0.1, n) / n, n) for n in (8, 800))
    assert few[0] < 0.75 and few[1] > 0.65
    assert few[1] - few[0] > 5 * (many[1] - many[0])


def test_the_interval_of_a_mean_is_as_wide_as_students() -> None:
    from scipy import stats

    values = np.random.default_rng(3).normal(0, 1, 6)
    low, high = interval(draws(6, 20_000) @ values / 6, 6)
    expected = stats.t.interval(0.95, 5, values.mean(), stats.sem(values))
    assert high - low == pytest.approx(expected[1] - expected[0], rel=0.12)


def test_one_image_or_no_resamples_give_no_interval() -> None:
    assert np.isnan(interval(np.ones((10, 2)), 1)).all()
    example = Example()
    assert headline(summarise(example.tally, 0), TITLES, "image").intervals == {}


def test_samples_without_a_value_are_left_out() -> None:
    samples = np.stack([np.linspace(0, 1, 101), np.full(101, np.nan)], axis=1)
    samples[::2, 0] = np.nan
    ends = interval(samples, 50)
    assert 0 < ends[0, 0] < 0.05 < 0.95 < ends[1, 0] < 1
    assert np.isnan(ends[:, 1]).all()


def test_headlines_are_named_for_tracking() -> None:
    example = Example(resamples=200)
    found = headline(summarise(example.tally, 200), TITLES, "image")
    assert {"dice", "dice/cat", "dice/dog", "auc", "auc/cat", "error_extent/dog"} <= found.metrics.keys()
    assert "auc/dog" not in found.metrics, "only the cat has probabilities"
    assert found.metrics["accuracy"] == pytest.approx((example.truth == example.prediction).mean())
    assert set(found.micro) == {name for name in found.metrics if "/" not in name}
    assert found.intervals.keys() == found.metrics.keys()
    for name, (low, high) in found.intervals.items():
        assert low <= found.metrics[name] <= high, name
