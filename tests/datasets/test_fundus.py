"""The synthetic pictures: same from the same seed, and like the real ones in what can be measured."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from segsweep.datasets.fundus import Fundus, make_fundus
from segsweep.datasets.vessel_trees import draw_eye, grow_vessels, vessel_mask
from segsweep.randomness import generator


@pytest.fixture(scope="module")
def pictures() -> list[Fundus]:
    return [make_fundus(generator(0, "vessels", index)) for index in range(4)]


def test_equal_addresses_give_equal_pictures_whatever_was_made_before(pictures: list[Fundus]) -> None:
    make_fundus(generator(7, "others", 0), 300, 300)
    again = make_fundus(generator(0, "vessels", 2))
    assert np.array_equal(again.image, pictures[2].image)
    assert np.array_equal(again.vessels, pictures[2].vessels)
    assert not np.array_equal(pictures[0].vessels, pictures[1].vessels)


def test_threads_do_not_change_a_picture(pictures: list[Fundus]) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1 if before != 1 else 3)
    try:
        assert np.array_equal(make_fundus(generator(0, "vessels", 1)).image, pictures[1].image)
    finally:
        cv2.setNumThreads(before)


def test_vessels_take_the_share_of_pixels_that_they_take_in_chase_db1(pictures: list[Fundus]) -> None:
    shares = [picture.vessels.mean() for picture in pictures]
    assert all(0.04 < share < 0.09 for share in shares), shares


def test_field_of_view_is_round_and_dark_outside(pictures: list[Fundus]) -> None:
    for picture in pictures:
        assert picture.image.shape == (960, 999, 3)
        assert picture.image.dtype == np.uint8
        assert picture.field.mean() == pytest.approx(0.667, abs=0.01)  # CHASE_DB1: 0.66 to 0.67
        assert picture.image[~picture.field].mean() < 8
        assert picture.image[picture.field].mean() > 40
        assert not (picture.vessels & ~picture.field).any()


def test_vessels_are_darker_than_their_surroundings_thin_ones_less(pictures: list[Fundus]) -> None:
    for picture in pictures:
        green = picture.image[..., 1].astype(np.float32)
        inner = cv2.erode(picture.field.astype(np.uint8), np.ones((31, 31))) > 0
        relative = green / cv2.GaussianBlur(green, (0, 0), 25)
        depth = cv2.distanceTransform(picture.vessels.astype(np.uint8), cv2.DIST_L2, 5)
        middle = cv2.dilate(depth, np.ones((3, 3))) == depth
        thin = relative[inner & picture.vessels & middle & (depth < 2)].mean()
        wide = relative[inner & picture.vessels & middle & (depth > 5)].mean()
        ground = relative[inner & ~picture.vessels].mean()
        assert wide < thin < ground
        assert 0.78 < relative[inner & picture.vessels].mean() < 0.93  # CHASE_DB1: 0.81 to 0.87


def test_vessels_have_many_widths_down_to_two_pixels() -> None:
    rng = generator(3, "widths")
    vessels = grow_vessels(rng, draw_eye(rng, 999, 960))
    widths = np.concatenate([vessel.widths for vessel in vessels])
    assert {vessel.kind for vessel in vessels} == {"artery", "vein"}
    assert len(vessels) > 30
    assert widths.min() == pytest.approx(2, abs=0.3)
    assert widths.max() > 10


def test_a_drawn_vessel_is_as_wide_as_it_says() -> None:
    from segsweep.datasets.vessel_trees import Vessel

    points = np.stack([np.arange(20.0, 80.0), np.full(60, 50.0)], 1)
    for width in (2.0, 3.0, 6.0, 11.0):
        mask = vessel_mask([Vessel("vein", points, np.full(60, width))], 100, 100)
        assert abs(int(mask[:, 50].sum()) - width) <= 1
        rows = np.flatnonzero(mask[:, 50])
        assert rows.mean() == pytest.approx(50, abs=0.5)


@pytest.mark.parametrize(("width", "height"), [(256, 256), (400, 300), (1280, 1024)])
def test_other_sizes_work(width: int, height: int) -> None:
    picture = make_fundus(generator(1, "size"), width, height)
    assert picture.image.shape == (height, width, 3)
    assert 0.02 < picture.vessels.mean() < 0.14


def test_a_picture_takes_about_a_second_at_most() -> None:
    began = time.process_time()
    make_fundus(generator(5, "time"))
    assert time.process_time() - began < 3  # 0.5 s on a quiet machine
