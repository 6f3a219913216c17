"""Turning, windows and scaled annotations, beyond what is recorded of the original."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Polygon as Area
from shapely import affinity, box

from segsweep.annotation import Bitmap, ClassMeta, LabeledObject, Point, ProjectMeta, Rectangle, object_mask
from segsweep.annotation.geometry import area, bounds
from segsweep.annotation.rotation import canvas_size, inner_rectangle, turn
from segsweep.dtl.element import Element, Picture
from segsweep.dtl.layers.windows import window_starts
from segsweep.errors import DataError

from .one_layer import apply, element, problems_of

sizes = st.tuples(st.integers(2, 60), st.integers(2, 60))


def noise(width: int, height: int, *objects: LabeledObject) -> Element:
    return shown(np.random.default_rng(0).integers(1, 255, (height, width, 3)).astype(np.uint8), *objects)


def shown(pixels: np.ndarray, *objects: LabeledObject) -> Element:
    return element(*objects, size=(pixels.shape[1], pixels.shape[0]), picture=Picture(lambda: pixels))


def rotate(degrees: float, mode: str) -> dict[str, object]:
    return {
        "rotate_angles": {"min_degrees": degrees, "max_degrees": degrees},
        "black_regions": {"mode": mode},
    }


@given(size=sizes, quarters=st.integers(-5, 5), mode=st.sampled_from(["keep", "crop"]))
def test_quarter_turns_are_exact(size: tuple[int, int], quarters: int, mode: str) -> None:
    width, height = size
    mask = np.random.default_rng(1).random((height, width)) < 0.4
    mask[0, 0] = True
    before = noise(width, height, LabeledObject("m", Bitmap(mask, 0, 0)), LabeledObject("p", Point(0, 0)))
    (after,) = apply("rotate", rotate(90.0 * quarters, mode), before)
    assert np.array_equal(after.picture.pixels, np.rot90(before.picture.pixels, quarters))
    turned, point = after.annotation.objects
    assert np.array_equal(object_mask(turned, *after.size), np.rot90(mask, quarters))
    corners = [(0, 0), (0, width), (width, height), (height, 0)]  # counter-clockwise, on the turned image
    assert bounds(point.geometry)[:2] == pytest.approx(corners[quarters % 4])


@given(size=sizes, degrees=st.floats(-400, 400))
def test_the_canvas_holds_the_turned_image_and_no_more(size: tuple[int, int], degrees: float) -> None:
    turned = affinity.rotate(box(0, 0, *size), degrees, origin="center")
    left, top, right, bottom = turned.bounds
    width, height = canvas_size(size, degrees)
    assert width - 1 < right - left + 1e-5 and right - left <= width + 1e-5
    assert height - 1 < bottom - top + 1e-5 and bottom - top <= height + 1e-5


@given(size=sizes, degrees=st.floats(0, 360))
def test_the_inner_rectangle_is_inside_and_cannot_grow(size: tuple[int, int], degrees: float) -> None:
    if degrees % 90 == 0:
        return
    turned = affinity.rotate(box(0, 0, *size), degrees, origin="center")
    width, height = inner_rectangle(size, degrees)
    x, y = turned.centroid.x, turned.centroid.y

    def inside(wide: float, high: float) -> bool:
        part = box(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
        return bool(turned.buffer(1e-6).contains(part))

    assert inside(width, height)
    best = max(
        (wide * high for wide in np.linspace(0.05, 1, 20) * max(size) * 1.5 for high in [tallest(turned, wide)]),
        default=0.0,
    )
    assert width * height >= best - 1e-6


def tallest(turned: Area, wide: float) -> float:
    """How high a centred rectangle of a width may be."""
    x, y = turned.centroid.x, turned.centroid.y
    low, high = 0.0, 200.0
    for _ in range(40):
        middle = (low + high) / 2
        part = box(x - wide / 2, y - middle / 2, x + wide / 2, y + middle / 2)
        low, high = (middle, high) if turned.contains(part) else (low, middle)
    return low


@given(size=sizes, degrees=st.floats(-400, 400))
def test_a_cropped_turn_shows_nothing_but_the_image(size: tuple[int, int], degrees: float) -> None:
    white = np.full((size[1], size[0], 3), 200, dtype=np.uint8)
    whole = LabeledObject("m", Bitmap(np.ones(white.shape[:2], dtype=bool), 0, 0))
    made = apply("rotate", rotate(degrees, "crop"), shown(white, whole))
    wide, high = inner_rectangle(size, degrees)
    assert bool(made) == (min(wide, high) > 1 - 1e-6)
    for after in made:
        assert after.size == (int(wide + 1e-6), int(high + 1e-6)) == after.picture.pixels.shape[1::-1]
        assert (after.picture.pixels == 200).all()
        assert object_mask(after.annotation.objects[0], *after.size).all()


@given(size=sizes, degrees=st.floats(-400, 400), mode=st.sampled_from(["keep", "crop", "preserve_size"]))
def test_every_pixel_of_a_turned_mask_is_the_nearest_one(
    size: tuple[int, int], degrees: float, mode: Literal["keep", "crop", "preserve_size"]
) -> None:
    width, height = size
    part = Bitmap(np.random.default_rng(3).random((height // 2, width // 2)) < 0.7, width // 3, height // 4)
    made = turn(size, degrees, mode)
    if made is None:
        return
    shown = np.zeros(made.size[::-1], dtype=bool)
    for piece in made.shape(part):
        shown |= object_mask(LabeledObject("m", piece), *made.size)
    back = cv2.invertAffineTransform(made.of_pixels)
    across, down = np.meshgrid(np.arange(made.size[0]), np.arange(made.size[1]))
    x, y = (row[0] * across + row[1] * down + row[2] for row in back)
    before = np.pad(object_mask(LabeledObject("m", part), width, height), 1)
    possible = [
        before[
            np.clip(np.rint(y + dy) + 1, 0, height + 1).astype(int),
            np.clip(np.rint(x + dx) + 1, 0, width + 1).astype(int),
        ]
        for dx in (-0.01, 0.01)  # half way between two, it may be either
        for dy in (-0.01, 0.01)
    ]
    assert np.any([shown == one for one in possible], axis=0).all()


def test_an_image_that_is_too_long_is_turned_by_quarters_only() -> None:
    long = noise(1, 40_000)
    (after,) = apply("rotate", rotate(90, "keep"), long)
    assert np.array_equal(after.picture.pixels, np.rot90(long.picture.pixels))
    with pytest.raises(DataError, match="turned by 3 degrees the image would have 2095x39946 pixels, too many to turn"):
        apply("rotate", rotate(3, "keep"), long)


def test_preserving_the_size_frames_a_canvas_that_is_too_small() -> None:
    (after,) = apply("rotate", rotate(90, "preserve_size"), noise(40, 20, LabeledObject("p", Point(0, 0))))
    assert after.size == (40, 20) and after.picture.pixels.shape == (20, 40, 3)
    assert not after.picture.pixels[:, :10].any() and after.picture.pixels[:, 10:30].all()


@pytest.mark.parametrize("degrees", range(0, 93, 3))
def test_a_single_pixel_stays_or_vanishes_but_never_breaks_the_image(degrees: int) -> None:
    mask = np.zeros((20, 31), dtype=bool)
    mask[7, 11] = True
    (after,) = apply("rotate", rotate(degrees, "keep"), noise(31, 20, LabeledObject("m", Bitmap(mask, 0, 0))))
    assert all(area(item.geometry) >= 1 for item in after.annotation.objects)


def test_a_mask_turns_with_its_picture() -> None:
    disc = np.zeros((80, 100), dtype=np.uint8)
    cv2.ellipse(disc, (35, 30), (25, 12), 20, 0, 360, 1, -1)
    before = shown(np.repeat(disc[..., None] * 255, 3, axis=2), LabeledObject("m", Bitmap(disc.astype(bool), 0, 0)))
    for degrees in (5, 33, 71, 140):
        (after,) = apply("rotate", rotate(degrees, "keep"), before)
        drawn, seen = object_mask(after.annotation.objects[0], *after.size), after.picture.pixels[..., 0] > 127
        assert (drawn & seen).sum() / (drawn | seen).sum() > 0.97


@given(whole=st.integers(1, 300), window=st.integers(1, 300), overlap=st.integers(0, 299))
def test_windows_cover_everything_and_overlap_enough(whole: int, window: int, overlap: int) -> None:
    if window > whole or overlap >= window:
        return
    starts = window_starts(whole, window, overlap)
    assert starts == sorted(set(starts)) and starts[0] == 0 and starts[-1] == whole - window
    for before, after in itertools.pairwise(starts):
        assert after - before <= window - overlap
    assert starts[:-1] == [index * (window - overlap) for index in range(len(starts) - 1)]


WINDOW = {"window": {"width": 16, "height": 16}, "min_overlap": {"x": 4, "y": 4}}


@given(width=st.integers(16, 50), height=st.integers(16, 50))
def test_windows_together_are_the_image_and_its_mask(width: int, height: int) -> None:
    mask = np.random.default_rng(2).random((height, width)) < 0.5
    before = noise(width, height, LabeledObject("m", Bitmap(mask, 0, 0)))
    windows = list(apply("sliding_window", WINDOW, before))
    tops, lefts = window_starts(height, 16, 4), window_starts(width, 16, 4)
    places = [(top, left) for top in tops for left in lefts]
    assert len(windows) == len(places)
    for window, (top, left) in zip(windows, places, strict=True):
        part = np.s_[top : top + 16, left : left + 16]
        assert np.array_equal(window.picture.pixels, before.picture.pixels[part])
        drawn = [object_mask(item, 16, 16) for item in window.annotation.objects]
        assert np.array_equal(np.any(drawn, axis=0) if drawn else np.zeros((16, 16), bool), mask[part])


def test_an_image_smaller_than_the_window_is_refused_or_padded() -> None:
    small = noise(10, 30, LabeledObject("r", Rectangle(2, 3, 8, 9)))
    with pytest.raises(DataError, match=r"image of 10x30 pixels is smaller than the window of 16x16; .*pad: true"):
        list(apply("sliding_window", WINDOW, small))
    first, second = apply("sliding_window", {**WINDOW, "pad": True}, small)[:2]
    assert first.size == (16, 16) and not first.picture.pixels[:, 10:].any() and second.size == (16, 16)
    assert first.annotation.objects[0].geometry == Rectangle(2, 3, 8, 9)


@pytest.mark.parametrize(
    ("action", "settings", "text"),
    [
        (
            "rotate",
            {**rotate(5, "keep"), "black_regions": {"mode": "cut"}},
            "must be 'keep', 'crop' or 'preserve_size'",
        ),
        ("sliding_window", {**WINDOW, "min_overlap": {"x": 16, "y": 0}}, "min_overlap must be less than the window"),
        ("sliding_window", {**WINDOW, "window": {"width": 0, "height": 1}}, "must be at least 1"),
        (
            "instances_crop",
            {"classes": ["a"], "save_classes": ["a"], "pad": {"sides": {}}},
            "classes and save_classes both name a",
        ),
    ],
)
def test_wrong_settings_are_told(action: str, settings: dict[str, object], text: str) -> None:
    found = problems_of(action, settings, ProjectMeta((ClassMeta("a", "bitmap"),)))
    assert any(text in problem for problem in found), found


def test_restoring_takes_scaled_objects_back() -> None:
    mask = np.zeros((48, 64), dtype=bool)
    mask[8:24, 16:40] = True
    before = noise(64, 48, LabeledObject("m", Bitmap(mask, 0, 0)), LabeledObject("r", Rectangle(4, 6, 20, 30)))
    scaled = {"width": 32, "height": 24, "aspect_ratio": {"keep": False}}
    (small,) = apply("resize_annotation", scaled, before)
    assert small.annotation.extra["ann_size_wh"] == [32, 24] and small.size == (64, 48)
    assert small.picture is before.picture
    assert small.annotation.objects[1].geometry == Rectangle(2, 3, 10, 15)
    (back,) = apply("restore_annotation_scale", {}, small)
    assert "ann_size_wh" not in back.annotation.extra
    assert back.annotation.objects[1].geometry == Rectangle(4, 6, 20, 30)
    assert np.array_equal(object_mask(back.annotation.objects[0], 64, 48), mask)


@pytest.mark.parametrize("size", ["32x24", [32], [0, 5], [True, 5], [1.5, 2], [2**16, 2**16]])
def test_a_damaged_size_is_told(size: object) -> None:
    before = noise(20, 20)
    damaged = replace(before, annotation=replace(before.annotation, extra={"ann_size_wh": size}))
    with pytest.raises(DataError, match="ann_size_wh of the annotation should be"):
        list(apply("restore_annotation_scale", {}, damaged))


def test_objects_of_a_long_image_are_not_scaled_beyond_measure() -> None:
    scaled = {"width": -1, "height": 60_000, "aspect_ratio": {"keep": True}}
    for action in ("resize", "resize_annotation"):
        with pytest.raises(DataError, match="an image of 100x2 pixels cannot be resized to 3000000x60000"):
            list(apply(action, scaled, noise(100, 2)))
