from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsweep.evaluation.auc import RocCounts
from segsweep.evaluation.counts import confusion_matrix
from segsweep.evaluation.curves import THRESHOLDS, ClassCurves, class_curves
from segsweep.evaluation.svg import Line, unit_plot


def curves_of(levels: np.ndarray, positive: np.ndarray, predicted: np.ndarray) -> ClassCurves:
    counts = RocCounts.of(levels[None].astype(np.uint16), positive[None])
    confusion = confusion_matrix(positive[None].astype(int), predicted[None].astype(int), 2)
    [found] = class_curves({"vessel": counts}, confusion, ["bg", "vessel"])
    return found


@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.integers(0, THRESHOLDS))
@settings(deadline=None, max_examples=30)
def test_counts_at_a_threshold_are_those_of_the_mask_that_it_gives(seed: int, pixels: int, step: int) -> None:
    generator = np.random.default_rng(seed)
    levels, positive = generator.integers(0, 65536, pixels), generator.random(pixels) < 0.3
    found = curves_of(levels, positive, levels >= 32768)
    called = levels >= step * 256
    assert found.called[step].tolist() == [int((called & positive).sum()), int((called & ~positive).sum())]
    assert (found.positives, found.negatives) == (int(positive.sum()), int((~positive).sum()))


def test_the_mask_lies_on_the_curves_at_its_threshold() -> None:
    generator = np.random.default_rng(3)
    positive = generator.random(20_000) < 0.2
    levels = np.clip(generator.normal(22_000 + 20_000 * positive, 9_000), 0, 65535).astype(np.uint16)
    found = curves_of(levels, positive, levels >= 32768)
    assert found.mask is not None
    false_rate, recall, precision = found.mask
    assert np.abs(np.array(found.roc).T - (false_rate, recall)).max(axis=1).min() < 0.005
    assert np.abs(np.array(found.precision_recall).T - (recall, precision)).max(axis=1).min() < 0.005


def test_thinned_curves_keep_their_ends_and_their_area() -> None:
    generator = np.random.default_rng(4)
    positive = generator.random(50_000) < 0.5
    levels = np.clip(generator.normal(28_000 + 9_000 * positive, 9_000), 0, 65535).astype(np.uint16)
    found = curves_of(levels, positive, levels >= 32768)
    x, y = found.roc
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert len(x) < 1000
    assert np.trapezoid(y, x) == pytest.approx(found.area, abs=0.003)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_class_that_is_nowhere_or_everywhere_has_no_mask_on_the_curves(share: float) -> None:
    found = curves_of(np.arange(50) * 1000, np.full(50, share > 0), np.arange(50) > 20)
    assert found.mask is None
    assert np.isnan(found.area)


def test_a_plot_places_points_and_leaves_out_what_is_no_number() -> None:
    svg = unit_plot(
        [Line([0.0, float("nan"), 1.0], [0.0, 0.5, 1.0], 9, dots=True)],
        title='"<script>"',
        x_label="a < b",
        y_label="y",
        moving=range(2),
    )
    points = re.search(r'<polyline class="s1" points="([^"]*)"', svg)
    assert points is not None
    assert points[1] == "54.0,308.0 354.0,8.0", "the origin is below on the left; colour 9 is colour 1 again"
    assert svg.count('class="at ') == 2
    assert "<script>" not in svg and "a &lt; b" in svg
