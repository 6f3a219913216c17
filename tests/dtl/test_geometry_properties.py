"""What holds for every image and every shape, whatever layers move them: nothing is lost, nothing is invented."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    Geometry,
    Graph,
    LabeledObject,
    Line,
    Point,
    Polygon,
    ProjectMeta,
    Rectangle,
    Tag,
    annotation_from_json,
    annotation_to_json,
    object_mask,
)
from segsweep.annotation.geometry import area, normalise, trim
from segsweep.dtl.element import Element, Picture

from .one_layer import apply, element

WIDTH, HEIGHT = 31, 22
KINDS = (Bitmap, Rectangle, Polygon, Line, Point, Graph)
META = ProjectMeta(tuple(ClassMeta(kind.__name__, kind.shape) for kind in KINDS))

pairs = st.tuples(
    st.integers(0, 8 * WIDTH).map(lambda eighths: eighths / 8),
    st.integers(0, 8 * HEIGHT).map(lambda eighths: eighths / 8),
)


def rings(least: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(pairs, min_size=least, max_size=6).map(lambda some: np.array(some, dtype=np.float64))


@st.composite
def bitmaps(draw: st.DrawFn) -> Bitmap:
    """A mask somewhere in the image, with something in it."""
    x, y = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    shape = draw(st.tuples(st.integers(1, HEIGHT - y), st.integers(1, WIDTH - x)))
    mask = draw(arrays.arrays(np.bool_, shape))
    return Bitmap(mask | ~mask.any(), x, y)


def between(pair: tuple[tuple[float, float], tuple[float, float]]) -> Rectangle:
    (x0, y0), (x1, y1) = pair
    return Rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


rectangles = st.tuples(pairs, pairs).map(between).filter(lambda shape: area(shape) > 0)
polygons = st.builds(Polygon, rings(3), st.lists(rings(3), max_size=1).map(tuple))
simple_polygons = polygons.filter(lambda shape: shapely.Polygon(shape.exterior, shape.interior).is_valid)
lines = st.builds(Line, rings(2)).filter(lambda line: normalise(line, WIDTH, HEIGHT) == (line,))
graphs = st.dictionaries(st.text("ab", max_size=2), pairs.map(lambda pair: {"loc": list(pair)}), min_size=1).map(Graph)
shapes: st.SearchStrategy[Geometry] = st.one_of(
    bitmaps(),
    rectangles,
    polygons,
    lines,
    pairs.map(lambda pair: Point(*pair)),
    graphs,
)


def image_of(found: Sequence[Geometry], width: int = WIDTH, height: int = HEIGHT) -> Element:
    """An image with a picture of noise, tags, and an object of every shape that tells its place in the list."""
    pixels = np.random.default_rng(0).integers(1, 256, (height, width, 3)).astype(np.uint8)
    objects = [
        LabeledObject(type(shape).__name__, shape, (Tag("kept", str(place)),), f"object {place}", {"id": place})
        for place, shape in enumerate(found)
    ]
    return element(*objects, size=(width, height), tags=[Tag("image", 5)], picture=Picture(lambda: pixels))


def one(action: str, settings: Mapping[str, Any], before: Element) -> Element:
    (after,) = apply(action, settings, before)
    assert after.picture.pixels.shape[1::-1] == after.size
    return after


def drawn(image: Element) -> np.ndarray:
    """All that objects cover: bool, HxW."""
    whole = np.zeros(image.size[::-1], dtype=np.bool_)
    for item in image.annotation.objects:
        whole |= object_mask(item, *image.size)
    return whole


def nearly(first: Geometry, second: Geometry, tolerance: float = 1e-5) -> bool:
    """Whether shapes are equal but for rounding, and for empty margins of bitmaps."""
    match first, second:
        case Bitmap(), Bitmap():
            return trim(first) == trim(second)
        case Polygon(), Polygon():
            rings = zip((first.exterior, *first.interior), (second.exterior, *second.interior), strict=True)
            return all(np.allclose(a, b, rtol=0, atol=tolerance) for a, b in rings)
        case Line(a), Line(b):
            return np.allclose(a, b, rtol=0, atol=tolerance)
        case (Rectangle(), Rectangle()) | (Point(), Point()):
            return np.allclose(list(vars(first).values()), list(vars(second).values()), rtol=0, atol=tolerance)
        case Graph(a), Graph(b):
            return list(a) == list(b) and all(np.allclose(a[key]["loc"], b[key]["loc"], atol=tolerance) for key in a)
        case _:
            return first == second


def turn(degrees: float) -> dict[str, Any]:
    angles = {"min_degrees": degrees, "max_degrees": degrees}
    return {"rotate_angles": angles, "black_regions": {"mode": "keep"}}


def cut(left: int, top: int, right: int, bottom: int) -> dict[str, Any]:
    return {"sides": {"left": f"{left}px", "top": f"{top}px", "right": f"{right}px", "bottom": f"{bottom}px"}}


axes = st.sampled_from(["vertical", "horizontal"])
sides = st.tuples(st.integers(0, 14), st.integers(0, 9), st.integers(0, 14), st.integers(0, 9))


# What comes back


@given(st.lists(shapes, max_size=5), axes)
def test_flipping_twice_changes_nothing(found: list[Geometry], axis: str) -> None:
    before = image_of(found)
    after = one("flip", {"axis": axis}, one("flip", {"axis": axis}, before))
    assert np.array_equal(after.picture.pixels, before.picture.pixels)
    found_again = [item.geometry for item in after.annotation.objects]
    assert len(found_again) == len(found) and all(map(nearly, found_again, found))


@given(st.lists(shapes, max_size=5), st.sampled_from([90.0, 180.0, 270.0, -90.0]))
def test_turning_there_and_back_changes_nothing(found: list[Geometry], degrees: float) -> None:
    before = image_of(found)
    after = one("rotate", turn(-degrees), one("rotate", turn(degrees), before))
    assert np.array_equal(after.picture.pixels, before.picture.pixels)
    found_again = [item.geometry for item in after.annotation.objects]
    assert len(found_again) == len(found) and all(map(nearly, found_again, found))


@given(st.lists(shapes, max_size=4))
def test_both_flips_are_half_a_turn(found: list[Geometry]) -> None:
    before = image_of(found)
    flipped = one("flip", {"axis": "vertical"}, one("flip", {"axis": "horizontal"}, before))
    turned = one("rotate", turn(180), before)
    assert np.array_equal(flipped.picture.pixels, turned.picture.pixels)
    pairs_of_objects = zip(flipped.annotation.objects, turned.annotation.objects, strict=True)
    assert all(nearly(a.geometry, b.geometry) for a, b in pairs_of_objects)


@given(st.lists(shapes, max_size=5))
def test_annotations_come_back_from_json(found: list[Geometry]) -> None:
    before = replace(image_of(found).annotation, extra={"ann_size_wh": [3, 4], "name": "a"})
    text = json.dumps(annotation_to_json(before, META))
    assert annotation_from_json(json.loads(text), META, "a.json") == before


@given(bitmaps(), st.integers(1, 4), st.integers(1, 3))
def test_objects_that_were_scaled_up_can_be_scaled_back(shape: Bitmap, across: int, down: int) -> None:
    before = image_of([shape, Rectangle(1, 2, 5, 9), Point(3, 4)])
    settings = {"width": WIDTH * across, "height": HEIGHT * down, "aspect_ratio": {"keep": False}}
    scaled = one("resize_annotation", settings, before)
    back = one("restore_annotation_scale", {}, scaled)
    assert scaled.picture is before.picture and back.annotation.extra == before.annotation.extra
    assert np.array_equal(drawn(back), drawn(before))
    assert [item.geometry for item in back.annotation.objects[1:]] == [Rectangle(1, 2, 5, 9), Point(3, 4)]


# Pixels and masks move alike


@given(st.lists(bitmaps(), max_size=3), axes)
def test_a_flip_mirrors_pixels_and_masks(found: list[Bitmap], axis: str) -> None:
    before = image_of(found)
    after = one("flip", {"axis": axis}, before)
    mirrored = np.s_[:, ::-1] if axis == "vertical" else np.s_[::-1]
    assert np.array_equal(after.picture.pixels, before.picture.pixels[mirrored])
    assert np.array_equal(drawn(after), drawn(before)[mirrored])


@given(st.lists(bitmaps(), max_size=3), st.integers(-4, 4))
def test_a_quarter_turn_turns_pixels_and_masks(found: list[Bitmap], quarters: int) -> None:
    before = image_of(found)
    after = one("rotate", turn(90 * quarters), before)
    assert np.array_equal(after.picture.pixels, np.rot90(before.picture.pixels, quarters))
    assert np.array_equal(drawn(after), np.rot90(drawn(before), quarters))


@given(st.lists(bitmaps(), max_size=3), sides)
def test_crop_then_mask_is_mask_then_crop(found: list[Bitmap], four: tuple[int, int, int, int]) -> None:
    before, (left, top, right, bottom) = image_of(found), four
    after = one("crop", cut(*four), before)
    window = np.s_[top : HEIGHT - bottom, left : WIDTH - right]
    assert np.array_equal(after.picture.pixels, before.picture.pixels[window])
    assert np.array_equal(drawn(after), drawn(before)[window])
    stays = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    stays[window] = drawn(before)[window]
    assert np.array_equal(drawn(one("crop_annotation", cut(*four), before)), stays)


@given(rectangles | simple_polygons | lines, sides)
def test_crop_then_mask_is_mask_then_crop_but_for_borders(shape: Geometry, four: tuple[int, int, int, int]) -> None:
    before, (left, top, right, bottom) = image_of([shape]), four
    after = one("crop", cut(*four), before)
    differing = drawn(after) ^ drawn(before)[top : HEIGHT - bottom, left : WIDTH - right]
    borders = shapely.union_all([outline(shape), shapely.box(left, top, WIDTH - right, HEIGHT - bottom).exterior])
    for row, column in np.argwhere(differing):
        assert borders.distance(shapely.Point(column + left, row + top)) < 2


def outline(shape: Polygon | Rectangle | Line) -> shapely.Geometry:
    match shape:
        case Polygon(exterior, interior):
            return shapely.union_all([shapely.LinearRing(ring) for ring in (exterior, *interior)])
        case Rectangle():
            return shapely.box(shape.left, shape.top, shape.right, shape.bottom).exterior
        case Line(points):
            return shapely.LineString(points)


@given(st.lists(bitmaps(), min_size=1, max_size=3), st.integers(1, 70), st.integers(1, 70))
def test_resize_then_mask_is_mask_then_resize(found: list[Bitmap], width: int, height: int) -> None:
    before = image_of(found)
    after = one("resize", {"width": width, "height": height, "aspect_ratio": {"keep": False}}, before)
    # every pixel shows the one that its centre falls on
    rows = [math.floor(Fraction(2 * row + 1, 2 * height) * HEIGHT) for row in range(height)]
    columns = [math.floor(Fraction(2 * column + 1, 2 * width) * WIDTH) for column in range(width)]
    assert np.array_equal(drawn(after), drawn(before)[np.ix_(rows, columns)])


@given(bitmaps(), sides, sides)
def test_cropping_twice_is_cropping_once(shape: Bitmap, first: tuple[int, ...], second: tuple[int, ...]) -> None:
    half = [value // 2 for value in first], [value // 2 for value in second]
    before = image_of([shape])
    twice = one("crop", cut(*half[1]), one("crop", cut(*half[0]), before))
    once = one("crop", cut(*map(sum, zip(*half, strict=True))), before)
    assert np.array_equal(twice.picture.pixels, once.picture.pixels)
    assert twice.annotation == once.annotation


@given(
    st.lists(bitmaps(), max_size=3),
    st.tuples(st.integers(1, 40), st.integers(1, 30)),
    st.tuples(st.integers(0, 39), st.integers(0, 29)),
)
def test_windows_cover_every_pixel_and_every_mask(
    found: list[Bitmap], window: tuple[int, int], overlap: tuple[int, int]
) -> None:
    (width, height), before = window, image_of(found)
    x, y = min(overlap[0], width - 1), min(overlap[1], height - 1)
    settings = {"window": {"width": width, "height": height}, "min_overlap": {"x": x, "y": y}, "pad": True}
    canvas = np.zeros((max(height, HEIGHT), max(width, WIDTH), 3), dtype=np.uint8)
    mask, reached = np.zeros(canvas.shape[:2], dtype=np.bool_), np.zeros(canvas.shape[:2], dtype=np.bool_)
    columns, rows = (places(*side) for side in ((canvas.shape[1], width, x), (canvas.shape[0], height, y)))
    parts = [np.s_[top : top + height, left : left + width] for top in rows for left in columns]
    for image, part in zip(apply("sliding_window", settings, before), parts, strict=True):
        assert image.size == window
        canvas[part], reached[part] = image.picture.pixels, True
        mask[part] |= drawn(image)
    assert reached.all()
    assert np.array_equal(canvas[:HEIGHT, :WIDTH], before.picture.pixels)
    assert not canvas[HEIGHT:].any() and not canvas[:, WIDTH:].any()
    assert np.array_equal(mask[:HEIGHT, :WIDTH], drawn(before)) and mask.sum() == drawn(before).sum()


def places(whole: int, window: int, overlap: int) -> list[int]:
    count = 1 + math.ceil((whole - window) / (window - overlap))
    return [min(index * (window - overlap), whole - window) for index in range(count)]


# Areas


@given(shapes, axes, st.integers(-3, 3))
def test_flips_and_quarter_turns_keep_areas(shape: Geometry, axis: str, quarters: int) -> None:
    for after in (
        one("flip", {"axis": axis}, image_of([shape])),
        one("rotate", turn(90 * quarters), image_of([shape])),
    ):
        assert [area(item.geometry) for item in after.annotation.objects] == [pytest.approx(area(shape), abs=1e-3)]


@given(shapes, st.integers(1, 4), st.integers(1, 3))
def test_areas_grow_with_the_image(shape: Geometry, across: int, down: int) -> None:
    settings = {"width": WIDTH * across, "height": HEIGHT * down, "aspect_ratio": {"keep": False}}
    after = one("resize", settings, image_of([shape]))
    assert [area(item.geometry) for item in after.annotation.objects] == [pytest.approx(area(shape) * across * down)]


@given(bitmaps() | rectangles, st.integers(1, WIDTH), st.integers(1, HEIGHT))
def test_tiles_share_an_area_out(shape: Geometry, width: int, height: int) -> None:
    width, height = math.gcd(width, WIDTH), math.gcd(height, HEIGHT)
    settings = {"window": {"width": width, "height": height}, "min_overlap": {"x": 0, "y": 0}}
    tiles = apply("sliding_window", settings, image_of([shape]))
    total = sum(area(item.geometry) for tile in tiles for item in tile.annotation.objects)
    assert total == pytest.approx(area(shape))


@given(st.lists(simple_polygons, max_size=4), st.floats(-180, 180), st.sampled_from(["keep", "crop", "preserve_size"]))
def test_no_turn_makes_polygons_larger(found: list[Polygon], degrees: float, mode: str) -> None:
    for image in apply("rotate", {**turn(degrees), "black_regions": {"mode": mode}}, image_of(found)):
        for place, old in enumerate(found):
            pieces = [area(item.geometry) for item in image.annotation.objects if item.extra["id"] == place]
            assert sum(pieces) <= area(old) + 1e-3
            if mode == "keep":
                assert pieces == [pytest.approx(area(old), abs=1e-3)]


# Tags

MOVES: list[tuple[str, dict[str, Any]]] = [
    ("flip", {"axis": "vertical"}),
    ("crop", cut(3, 2, 4, 1)),
    ("crop_annotation", cut(3, 2, 4, 1)),
    ("resize", {"width": 20, "height": 40, "aspect_ratio": {"keep": True}}),
    ("resize_annotation", {"width": 20, "height": 40, "aspect_ratio": {"keep": False}}),
    ("rotate", turn(25)),
    ("sliding_window", {"window": {"width": 12, "height": 12}, "min_overlap": {"x": 2, "y": 2}}),
    ("instances_crop", {"classes": ["Bitmap"], "save_classes": ["Polygon", "Line"], "pad": {"sides": {"left": "4px"}}}),
    ("elastic_transformation", {"alpha": {"min": 20, "max": 20}, "sigma": {"min": 4, "max": 4}}),
    ("perspective_transform", {"scale": {"min": 0.05, "max": 0.05}}),
    ("blur", {"name": "median", "kernel": 3}),
]


@pytest.mark.parametrize(("action", "settings"), MOVES, ids=[action for action, _ in MOVES])
@given(found=st.lists(shapes, max_size=5))
def test_tags_and_other_keys_survive(action: str, settings: dict[str, Any], found: list[Geometry]) -> None:
    before = image_of(found).annotation
    for after in apply(action, settings, image_of(found)):
        kept: Annotation = after.annotation
        assert (kept.tags, kept.description) == (before.tags, before.description)
        assert before.extra.items() <= kept.extra.items()
        order = [item.extra["id"] for item in kept.objects]
        assert order == sorted(order)  # the order in which they are drawn
        for item in kept.objects:
            old = before.objects[item.extra["id"]]
            assert type(item.geometry) is type(old.geometry)
            assert (item.class_title, item.tags, item.description) == (old.class_title, old.tags, old.description)
