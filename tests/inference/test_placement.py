from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsweep.annotation import Bitmap, Point, Polygon, Rectangle
from segsweep.errors import DataError
from segsweep.inference.parts import windows_of
from segsweep.inference.placement import Amount, Box, Sides, Windows, box_of, grown, offsets, roi_box


def sides(left: str, top: str, right: str, bottom: str) -> Sides:
    return Sides(*map(Amount.parse, (left, top, right, bottom)))


def documented_offsets(side: int, window: int, overlap: int) -> list[int]:
    """The rule as it is documented: multiples of the stride below limit + stride, each clamped to the limit."""
    stride, limit = window - overlap, side - window
    found, place = [], 0
    while place < limit + stride:
        found.append(min(place, limit))
        place += stride
    return found


@given(st.integers(1, 80), st.data())
def test_offsets_cover_all_without_doubles_and_end_flush(window: int, data: st.DataObject) -> None:
    side = window + data.draw(st.integers(0, 300))
    overlap = data.draw(st.integers(0, window - 1))
    found = offsets(side, window, overlap)
    assert found == documented_offsets(side, window, overlap)
    assert found[0] == 0
    assert found[-1] == side - window
    assert sorted(set(found)) == found
    steps = np.diff(found)
    assert (steps <= window - overlap).all(), "neighbours share at least the overlap"
    assert (steps[:-1] == window - overlap).all(), "only the last one may share more"


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(1, 30), st.data())
def test_windows_cover_every_pixel_in_the_order_of_reading(
    width: int, height: int, across: int, down: int, data: st.DataObject
) -> None:
    overlap = (data.draw(st.integers(0, across - 1)), data.draw(st.integers(0, down - 1)))
    windows = windows_of(Windows(across, down, *overlap), width, height)
    assert len(set(windows)) == len(windows)
    assert sorted(windows, key=lambda box: (box.top, box.left)) == windows
    covered = np.zeros((max(height, down), max(width, across)), bool)
    for box in windows:
        assert (box.width, box.height) == (across, down)
        assert box.within(covered.shape[1], covered.shape[0]) == box
        covered[box.top : box.bottom, box.left : box.right] = True
    assert covered.all()


@pytest.mark.parametrize(
    ("text", "side", "pixels"),
    [("0px", 50, 0), ("7px", 50, 7), ("-3px", 50, -3), ("10%", 999, 99), ("-10%", 999, -99), ("100%", 33, 33)],
)
def test_an_amount_is_pixels_or_per_cents_cut_off_to_pixels(text: str, side: int, pixels: int) -> None:
    assert Amount.parse(text).of(side) == pixels


@pytest.mark.parametrize("text", ["", "10", "10 px", "1.5%", "%", "+3px", "10pt", "1px ", "10px\n", "9" * 5000 + "px"])
def test_other_texts_are_no_amounts(text: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number and its unit"):
        Amount.parse(text)


def test_a_region_is_what_is_left_of_the_image() -> None:
    assert roi_box(sides("10%", "3px", "25%", "0px"), 45, 20) == Box(4, 3, 45 - 11, 20)
    assert Box(4, 3, 34, 20).rectangle() == Rectangle(4, 3, 33, 19)
    assert roi_box(Sides(), 1, 1) == Box(0, 0, 1, 1)


def test_bounds_that_cross_leave_nothing() -> None:
    with pytest.raises(DataError, match=r"left 6px, top 0px, right 40%, bottom 0px\) leave nothing of 10x5 pixels"):
        roi_box(sides("6px", "0px", "40%", "0px"), 10, 5)


def test_the_box_of_a_shape_goes_from_its_first_to_its_last_pixel() -> None:
    assert box_of(Bitmap(np.ones((3, 4), bool), 5, 6)) == Box(5, 6, 9, 9)
    assert box_of(Rectangle(8, 9, 2, 3)) == Box(2, 3, 9, 10)
    assert box_of(Polygon(np.array([[1.4, 2.6], [7.5, 3.0], [4.0, 8.0]]))) == Box(1, 3, 9, 9)
    assert box_of(Point(3, 4)) == Box(3, 4, 4, 5)
    assert box_of(Polygon(np.zeros((0, 2)))) is None


def test_a_box_grows_by_its_own_sides_and_stays_in_the_image() -> None:
    box = Box(10, 10, 30, 20)
    assert grown(box, sides("50%", "50%", "1px", "0px"), 100, 100) == Box(0, 5, 31, 20)
    assert grown(box, sides("90%", "5px", "200px", "999%"), 100, 60) == Box(0, 5, 100, 60)
    assert grown(box, sides("-10%", "-10%", "-10%", "-10%"), 100, 100) == Box(12, 11, 28, 19)
    assert grown(box, sides("-50%", "0px", "-50%", "0px"), 100, 100) is None
    assert grown(Box(-9, -9, -2, -2), Sides(), 100, 100) is None
