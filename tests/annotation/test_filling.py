"""The inside of polygons."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from segsweep.annotation import LabeledObject, Polygon, filling, object_mask
from segsweep.annotation.filling import inside

SIDE = 30
DRAWN_BY_OPENCV_4_10 = "78e682996d26be682863966196c049c7793d50249c03bab91561d57c726d9412"
"""SHA-256 of the masks that `cv2.fillPoly` of OpenCV 4.10 draws of `random_rings(600)`, as uint8."""


def random_rings(count: int) -> Iterator[np.ndarray]:
    """Rings inside an image of `SIDE` pixels, across its border, and far beyond it."""
    numbers = random.Random(7)
    for index in range(count):
        low, high = ((0, 29), (-12, 41), (-150, 180))[index % 3]
        corners = [[numbers.randint(low, high), numbers.randint(low, high)] for _ in range(3 + index % 6)]
        yield np.array(corners, dtype=np.int32)


def drawn(exterior: np.ndarray, *holes: np.ndarray, side: int = SIDE) -> np.ndarray:
    return object_mask(LabeledObject("a", Polygon(exterior.astype(float), holes)), side, side)


def test_polygons_are_filled_as_by_opencv_4_10_under_every_version() -> None:
    state = hashlib.sha256()
    for ring in random_rings(600):
        state.update(drawn(ring).astype(np.uint8).tobytes())
    assert state.hexdigest() == DRAWN_BY_OPENCV_4_10


CORNERS = st.tuples(st.integers(-10, 40), st.integers(-10, 40))
CORNERS_INSIDE = st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))


@given(st.lists(CORNERS_INSIDE, min_size=3, max_size=8))
def test_pixels_that_lie_well_inside_are_filled_and_no_others(corners: list[tuple[int, int]]) -> None:
    """Unless the polygon leaves the image: OpenCV then rounded the points where it does."""
    ring = np.array(corners, dtype=np.int32)
    mask = drawn(ring)
    outline = shapely.LinearRing([*corners, corners[0]])
    y, x = np.mgrid[:SIDE, :SIDE]
    far = shapely.distance(outline, shapely.points(x, y)) > 1
    crossed = np.zeros_like(mask)  # to the right of how many edges; odd means inside
    for (x0, y0), (x1, y1) in zip(ring.tolist(), np.roll(ring, 1, axis=0).tolist(), strict=True):
        if y0 != y1:
            crossed ^= ((y0 <= y) != (y1 <= y)) & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) < x)
    assert np.array_equal(mask[far], crossed[far])


@given(st.lists(CORNERS, min_size=3, max_size=8), st.tuples(*[st.integers(0, SIDE)] * 4))
def test_a_window_shows_its_part_of_the_whole(corners: list[tuple[int, int]], sides: tuple[int, ...]) -> None:
    (left, right), (top, bottom) = sorted(sides[:2]), sorted(sides[2:])
    ring, size = np.array(corners, dtype=np.int32), (SIDE, SIDE)
    whole = inside([ring], size, (0, 0, SIDE, SIDE))
    assert np.array_equal(inside([ring], size, (left, top, right, bottom)), whole[top:bottom, left:right])


def test_polygons_of_very_many_crossings_are_filled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rings = list(random_rings(30))
    before = [drawn(ring) for ring in rings]
    monkeypatch.setattr(filling, "_MOST", 3)
    assert all(np.array_equal(drawn(ring), mask) for ring, mask in zip(rings, before, strict=True))


def test_large_polygons_are_filled_whole() -> None:
    """With far more crossings than a byte can count."""
    mask = drawn(np.array([[10, 5], [990, 5], [990, 995], [500, 700], [10, 995]]), side=1000)
    assert mask[5, 10:991].all() and mask[5:700, 10:991].all() and mask[:, 10].sum() == 991
    assert mask[850].sum() == pytest.approx(484, abs=4) and not mask[850, 300:700].any()


@pytest.mark.parametrize("far", [1e6, 1e9, 1e18, 1e300])
def test_points_may_lie_anywhere(far: float) -> None:
    around = np.array([[-far, -far], [far, -far], [far, far], [-far, far]])
    started = time.perf_counter()
    assert drawn(around).all()
    assert not drawn(around + 3 * far).any()
    assert not drawn(around, around).any()
    assert time.perf_counter() - started < 1
