from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from segsweep.inference import deciding
from segsweep.inference.deciding import winners, without_specks


def pixel(*probabilities: float, thresholds: dict[int, float] | None = None) -> int:
    return int(winners(np.array(probabilities, np.float32).reshape(-1, 1, 1), thresholds or {})[0, 0])


@given(st.integers(1, 6), st.integers(0, 99))
def test_without_thresholds_the_likeliest_class_wins_and_the_first_of_equals(classes: int, seed: int) -> None:
    found = np.random.default_rng(seed).integers(0, 4, (classes, 7, 9)).astype(np.float32)
    np.testing.assert_array_equal(winners(found, {}), found.argmax(axis=0))


def test_with_two_classes_a_threshold_is_the_usual_one() -> None:
    assert pixel(0.65, 0.35, thresholds={1: 0.3}) == 1
    assert pixel(0.65, 0.35, thresholds={1: 0.35}) == 1
    assert pixel(0.35, 0.65, thresholds={1: 0.7}) == 0
    assert pixel(1.0, 0.0, thresholds={1: 0.0}) == 1


def test_a_class_claims_what_reaches_its_threshold_and_the_likeliest_of_several_wins() -> None:
    assert pixel(0.1, 0.35, 0.55, thresholds={1: 0.3}) == 1, "though class 2 is likelier: it claims nothing"
    assert pixel(0.1, 0.25, 0.65, thresholds={1: 0.3}) == 2
    assert pixel(0.1, 0.35, 0.55, thresholds={1: 0.3, 2: 0.5}) == 2
    assert pixel(0.2, 0.35, 0.45, thresholds={1: 0.5, 2: 0.5}) == 0, "nobody claims it"
    assert pixel(0.1, 0.45, 0.45, thresholds={1: 0.4, 2: 0.4}) == 1


def test_many_classes_have_room() -> None:
    found = np.zeros((300, 1, 1), np.float32)
    found[299] = 1
    assert winners(found, {})[0, 0] == 299


def cleaned(chosen: NDArray[np.uint8], smallest: int) -> NDArray[np.uint8]:
    expected = chosen.copy()
    for index in (1, 2):
        labels, count = ndimage.label(chosen == index, np.ones((3, 3)))
        for number in range(1, count + 1):
            if (labels == number).sum() < smallest:
                expected[labels == number] = 0
    return expected


@given(st.integers(0, 999), st.integers(0, 40), st.integers(1, 30), st.floats(0.1, 0.7))
def test_small_parts_become_background_whatever_the_bands(seed: int, smallest: int, rows: int, share: float) -> None:
    random = np.random.default_rng(seed)
    chosen = (random.integers(1, 3, (120, 9)) * (random.random((120, 9)) < share)).astype(np.uint8)
    expected = cleaned(chosen, smallest)
    before, deciding._ROWS = deciding._ROWS, rows
    try:
        without_specks(chosen, (0, 1, 2), smallest)
    finally:
        deciding._ROWS = before
    np.testing.assert_array_equal(chosen, expected)


def test_the_background_and_classes_that_are_not_saved_stay() -> None:
    chosen = np.full((5, 5), 1, np.uint8)
    chosen[2, 2] = 0
    chosen[0, 0] = 2
    before = chosen.copy()
    without_specks(chosen, (0, 1), 10)
    np.testing.assert_array_equal(chosen, before)
