from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segsweep.inference.merging import enlarged, merged, resized
from segsweep.inference.placement import offsets

BLENDS = st.sampled_from(["uniform", "gaussian"])


def bell(side: int) -> NDArray[np.float64]:
    return np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (side / 8)) ** 2)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 25), st.integers(0, 25), BLENDS, st.data())
def test_windows_are_averaged_where_they_overlap(
    width: int, height: int, more_x: int, more_y: int, blend: Literal["uniform", "gaussian"], data: st.DataObject
) -> None:
    across = offsets(width + more_x, width, data.draw(st.integers(0, width - 1)))
    down = offsets(height + more_y, height, data.draw(st.integers(0, height - 1)))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    windows = random.random((len(down) * len(across), 2, height, width), np.float32)
    weight = np.outer(bell(height), bell(width)) if blend == "gaussian" else np.ones((height, width))
    total = np.zeros((2, height + more_y, width + more_x))
    weights = np.zeros(total.shape[1:])
    places = [(top, left) for top in down for left in across]
    for (top, left), window in zip(places, windows, strict=True):
        total[:, top : top + height, left : left + width] += window * weight
        weights[top : top + height, left : left + width] += weight

    bands = list(merged(iter(windows), across, down, blend, most=data.draw(st.integers(1, 500))))
    tops = [top for top, _ in bands]
    assert tops == [0, *np.cumsum([rows.shape[1] for _, rows in bands])[:-1]], "one band after the other, no gap"
    np.testing.assert_allclose(np.concatenate([rows for _, rows in bands], axis=1), total / weights, rtol=1e-4)


def test_rows_are_given_away_before_later_windows_are_asked_for() -> None:
    asked = 0

    def windows():  # type: ignore[no-untyped-def]
        nonlocal asked
        for _ in range(6):
            asked += 1
            yield np.ones((1, 4, 5), np.float32)

    bands = merged(windows(), [0, 5], [0, 3, 6])
    assert (next(bands)[1].shape, asked) == ((1, 3, 10), 2)
    assert (next(bands)[1].shape, asked) == ((1, 3, 10), 4)
    assert (next(bands)[1].shape, asked) == ((1, 4, 10), 6)


def test_one_window_is_left_as_it_is() -> None:
    window = np.random.default_rng(0).random((2, 5, 7), np.float32)
    [(top, rows)] = merged([window], [0], [0])
    assert top == 0
    np.testing.assert_array_equal(rows, window)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 70), st.integers(1, 70), st.integers(1, 400))
def test_rows_after_rows_are_what_the_whole_is(
    width: int, height: int, new_width: int, new_height: int, most: int
) -> None:
    found = np.random.default_rng(width).random((2, height, width), np.float32)
    bands = list(enlarged(found, new_width, new_height, most))
    assert all(rows.shape[1] == 1 or rows.size <= most for _, rows in bands)
    whole = np.concatenate([rows for _, rows in bands], axis=1)
    np.testing.assert_allclose(whole, resized(found, new_width, new_height), atol=2e-6)


@pytest.mark.parametrize("most", [1, 10**6])
def test_the_same_size_changes_nothing(most: int) -> None:
    found = np.random.default_rng(0).random((3, 8, 9), np.float32)
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in enlarged(found, 9, 8, most)], axis=1), found)
