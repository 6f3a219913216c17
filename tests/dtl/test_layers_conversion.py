"""Layers that turn shapes into shapes of another kind."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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
    object_mask,
)
from segsweep.annotation.geometry import bounds
from segsweep.dtl.mapping import MetaError
from segsweep.dtl.skeletons import longest_paths
from segsweep.errors import DataError
from tests.dtl.one_layer import element, mask, meta_after, objects_after, problems_of, warnings_of

META = ProjectMeta(
    (ClassMeta("v", "bitmap"), ClassMeta("other", "point"), ClassMeta("p", "polygon"), ClassMeta("w", "bitmap"))
)
SIZE = (16, 10)
MASKS = arrays(np.bool_, (10, 16))
OTHER = LabeledObject("other", Point(1, 1), (Tag("t"),), "x", {"id": 7})
TO_V = {"classes_mapping": {"v": "new"}}
SHAPES: list[Geometry] = [
    Bitmap(mask("##", ".#"), 3, 4),
    Polygon(np.array([[1.0, 1], [9, 1], [9, 7]])),
    Rectangle(2, 3, 6, 8),
    Line(np.array([[1.0, 1], [6, 4]])),
    Point(3, 4),
    Graph({"a": {"loc": [2, 3]}, "b": {"loc": [9, 8]}}),
]
CONVERSIONS: list[tuple[str, dict[str, Any], str]] = [
    ("bbox", {}, "rectangle"),
    ("bbox2poly", {}, "polygon"),
    ("poly2bitmap", {}, "bitmap"),
    ("rasterize", {}, "bitmap"),
    ("line2bitmap", {"width": 2}, "bitmap"),
    ("find_contours", {}, "polygon"),
    ("bitmap2lines", {"min_points_cnt": 2}, "line"),
]


def item(shape: Geometry, title: str = "v") -> LabeledObject:
    return LabeledObject(title, shape, (Tag("t"),), "x", {"id": 7})


def made(action: str, *objects: LabeledObject, **settings: Any) -> list[LabeledObject]:
    return objects_after(action, {**TO_V, **settings}, element(*objects, size=SIZE))


def whole(one: LabeledObject) -> np.ndarray:
    return object_mask(one, *SIZE)


# Classes


@pytest.mark.parametrize(("action", "settings", "shape"), CONVERSIONS)
def test_new_classes_come_last_in_place_of_the_old(action: str, settings: dict[str, Any], shape: str) -> None:
    after = meta_after(action, {"classes_mapping": {"w": "n", "v": "m"}, **settings}, META)
    assert [(one.title, one.shape) for one in after.classes] == [
        ("other", "point"),
        ("p", "polygon"),
        ("n", shape),
        ("m", shape),
    ]


@pytest.mark.parametrize(("action", "settings", "shape"), CONVERSIONS)
def test_several_classes_may_become_one(action: str, settings: dict[str, Any], shape: str) -> None:
    after = meta_after(action, {"classes_mapping": {"v": "n", "w": "n", "p": "n"}, **settings}, META)
    assert [(one.title, one.shape) for one in after.classes] == [("other", "point"), ("n", shape)]


@pytest.mark.parametrize(("action", "settings", "shape"), CONVERSIONS)
def test_a_class_of_another_shape_is_in_the_way(action: str, settings: dict[str, Any], shape: str) -> None:
    with pytest.raises(MetaError, match=f"class 'other' would be a {shape} but is a point already"):
        meta_after(action, {"classes_mapping": {"v": "other"}, **settings}, META)
    with pytest.raises(MetaError, match=f"class 'other' would be both a point and a {shape}"):
        meta_after(action, {"classes_mapping": {"other": "other"}, **settings}, META)


def test_a_class_that_keeps_its_shape_may_keep_its_name() -> None:
    after = meta_after("rasterize", {"classes_mapping": {"v": "v"}}, META)
    assert after.titles == ("other", "p", "w", "v")


@pytest.mark.parametrize(("action", "settings", "shape"), CONVERSIONS)
def test_unknown_classes_are_told_with_the_nearest(action: str, settings: dict[str, Any], shape: str) -> None:
    (problem,) = problems_of(action, {"classes_mapping": {"othr": "n"}, **settings}, META)
    assert (
        problem
        == f"layer 2 ({action}).settings.classes_mapping.othr: there is no class 'othr' here; did you mean 'other'?"
    )


@pytest.mark.parametrize(
    ("action", "settings", "told"),
    [
        ("bbox", {}, "settings.classes_mapping: must be given"),
        ("bbox", {"classes_mapping": "default"}, "classes_mapping: 'default' is not possible; must be a mapping of"),
        ("bbox", {"classes_mapping": {"v": 1}}, "classes_mapping.v: 1 is not possible; must be a text"),
        ("bbox", {**TO_V, "width": 1}, "settings.width: unknown key 'width'"),
        ("line2bitmap", {**TO_V, "width": 0}, "settings.width: 0 is not possible; must be at least 1"),
        ("line2bitmap", {**TO_V, "width": 1.5}, "settings.width: 1.5 is not possible; must be a whole number"),
        ("find_contours", {**TO_V, "approx_epsilon": -1}, "approx_epsilon: -1 is not possible; must be at least 0"),
        ("bitmap2lines", TO_V, "settings.min_points_cnt: must be given"),
        ("bitmap2lines", {**TO_V, "min_points_cnt": 1}, "min_points_cnt: 1 is not possible; must be at least 2"),
        ("approx_vector", {"classes": ["p"], "epsilon": 0}, "epsilon: 0 is not possible; must be greater than 0"),
        ("approx_vector", {"classes": "p", "epsilon": 1}, "classes: 'p' is not possible; must be a list"),
    ],
)
def test_wrong_settings_are_told(action: str, settings: dict[str, Any], told: str) -> None:
    assert told in "\n".join(problems_of(action, settings, META))


def test_classes_that_are_only_simplified_where_they_are_may_be_missing() -> None:
    told = warnings_of("approx_vector", {"classes": ["pp"], "epsilon": 1}, META)
    assert told == ["layer 2 (approx_vector).settings.classes: there is no class 'pp' here; did you mean 'p'?"]


# Objects


@pytest.mark.parametrize(("action", "settings", "shape"), CONVERSIONS)
def test_other_objects_stay_as_they_are(action: str, settings: dict[str, Any], shape: str) -> None:
    assert made(action, OTHER, **settings) == [OTHER]
    assert made(action, **settings) == []


@pytest.mark.parametrize("action", ["bbox", "poly2bitmap", "rasterize", "line2bitmap"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.shape))
def test_objects_of_every_shape_are_made_anew_without_tags(action: str, shape: Geometry) -> None:
    settings = {"width": 1} if action == "line2bitmap" else {}
    new, other = sorted(made(action, item(shape), OTHER, **settings), key=lambda one: one.class_title)
    assert other is OTHER
    assert (new.class_title, new.tags, new.description, new.extra) == ("new", (), "", {})
    assert new.geometry.shape == ("rectangle" if action == "bbox" else "bitmap")


@pytest.mark.parametrize(
    ("action", "settings", "shape", "wanted"),
    [
        ("bbox2poly", {}, SHAPES[1], "rectangles"),
        ("find_contours", {}, SHAPES[1], "bitmaps"),
        ("bitmap2lines", {"min_points_cnt": 2}, SHAPES[3], "bitmaps"),
    ],
)
def test_objects_of_another_shape_are_refused_image_by_image(
    action: str, settings: dict[str, Any], shape: Geometry, wanted: str
) -> None:
    with pytest.raises(DataError, match=f"class 'v' is a {shape.shape}, but this layer works on {wanted}"):
        made(action, item(shape), **settings)


def test_bounds_of_a_bitmap_reach_to_the_far_side_of_its_last_pixel() -> None:
    (box,) = made("bbox", item(SHAPES[0]))
    assert box.geometry == Rectangle(3, 4, 5, 6)


def test_an_object_without_extent_has_no_bounds() -> None:
    assert made("bbox", item(Graph({}))) == []


def test_polygons_of_rectangles_start_left_above_and_go_down() -> None:
    (polygon,) = made("bbox2poly", item(Rectangle(6, 8, 2, 3)))
    assert polygon.geometry == Polygon(np.array([[2.0, 3], [2, 8], [6, 8], [6, 3]]))


@given(st.lists(MASKS, max_size=4))
def test_single_masks_are_those_of_the_objects(masks: list[np.ndarray]) -> None:
    objects = [item(Bitmap(pixels, 0, 0)) for pixels in masks]
    result = made("poly2bitmap", *objects)
    assert [whole(one).tolist() for one in result] == [pixels.tolist() for pixels in masks if pixels.any()]


@given(st.lists(MASKS, max_size=4), st.booleans())
def test_rasterized_objects_are_disjoint_and_show_what_can_be_seen(masks: list[np.ndarray], full: bool) -> None:
    pixels = [np.ones((10, 16), dtype=np.bool_), *masks] if full else masks
    result = made("rasterize", *(item(Bitmap(one, 0, 0)) for one in pixels))
    seen = [one & ~np.any(pixels[place + 1 :], axis=0) for place, one in enumerate(pixels)]
    assert [whole(one).tolist() for one in result] == [one.tolist() for one in seen if one.any()]


def test_a_background_is_rasterized_to_what_nothing_covers() -> None:
    objects = [LabeledObject("bg", Rectangle(0, 0, 15, 9)), item(SHAPES[0])]
    settings = {"classes_mapping": {"bg": "bg_r", "v": "v_r"}}
    below, above = objects_after("rasterize", settings, element(*objects, size=SIZE))
    assert (below.class_title, above.class_title) == ("bg_r", "v_r")
    assert np.array_equal(whole(below), ~whole(above)) and whole(above).sum() == 3


def test_rasterized_objects_lie_above_all_others() -> None:
    assert [one.class_title for one in made("rasterize", item(SHAPES[0]), OTHER)] == ["other", "new"]


@pytest.mark.parametrize(("width", "rows"), [(1, [5]), (2, [4, 5, 6]), (3, [3, 4, 5, 6, 7]), (10**9, range(10))])
def test_outlines_are_as_thick_as_opencv_draws_them(width: int, rows: list[int]) -> None:
    (new,) = made("line2bitmap", item(Line(np.array([[0.0, 5], [15, 5]]))), width=width)
    assert np.flatnonzero(whole(new)[:, 8]).tolist() == list(rows)


def test_outlines_of_areas_leave_their_inside_free() -> None:
    ring = mask("####", "#..#", "#..#", "####")
    for shape in (
        Rectangle(2, 3, 5, 6),
        Polygon(np.array([[2.0, 3], [5, 3], [5, 6], [2, 6]])),
        Bitmap(np.ones_like(ring), 2, 3),
    ):
        (new,) = made("line2bitmap", item(shape), width=1)
        assert new.geometry == Bitmap(ring, 2, 3)


@pytest.mark.parametrize("action", ["poly2bitmap", "rasterize", "line2bitmap"])
@pytest.mark.parametrize(
    "shape", [Point(40, 4), Rectangle(1e300, 1, 1e301, 3), Polygon(np.array([[1e18, 0], [2e18, 0], [2e18, 9.0]]))]
)
def test_what_lies_outside_the_image_makes_no_bitmap(action: str, shape: Geometry) -> None:
    assert made(action, item(shape), **({"width": 1} if action == "line2bitmap" else {})) == []


# Contours


@given(MASKS)
def test_contours_are_filled_to_the_mask_they_come_from(pixels: np.ndarray) -> None:
    """Contours run through the centres of pixels, so the outline's own pixels belong to them."""
    blocks = pixels[:-1, :-1] & pixels[1:, :-1] & pixels[:-1, 1:] & pixels[1:, 1:]
    opened = np.zeros_like(pixels)  # what consists of squares of 2 x 2 pixels
    for dy, dx in np.ndindex(2, 2):
        opened[dy : 9 + dy, dx : 15 + dx] |= blocks
    found = made("find_contours", item(Bitmap(opened, 0, 0)))
    again = np.zeros_like(opened)
    for one in found:
        assert isinstance(one.geometry, Polygon)
        rings = [ring - 0.5 for ring in (one.geometry.exterior, *one.geometry.interior)]
        assert all(np.array_equal(ring, np.rint(ring)) and len(ring) >= 3 for ring in rings)
        again |= whole(LabeledObject("a", Polygon(rings[0], tuple(rings[1:]))))
    assert np.array_equal(again, opened)


def test_contours_of_holes_belong_to_the_polygon_around_them() -> None:
    pixels = np.zeros((10, 16), dtype=np.bool_)
    pixels[1:9, 1:9] = True
    pixels[3:7, 3:7] = False
    pixels[4:6, 4:6] = True  # an island
    outer, island = sorted(made("find_contours", item(Bitmap(pixels, 0, 0))), key=lambda one: bounds(one.geometry)[0])
    assert bounds(outer.geometry) == (1.5, 1.5, 8.5, 8.5) and bounds(island.geometry) == (4.5, 4.5, 5.5, 5.5)
    assert len(outer.geometry.interior) == 1 and not island.geometry.interior  # type: ignore[union-attr]


def test_contours_of_single_pixels_and_pairs_are_no_polygons() -> None:
    assert made("find_contours", item(Bitmap(mask("#....", "...##"), 2, 2))) == []
    assert made("find_contours", item(Bitmap(mask("...", "..."), 2, 2))) == []


def test_simplified_contours_have_whole_coordinates_and_at_least_three_points() -> None:
    disk = np.hypot(*(np.mgrid[:10, :16] - np.array([5, 8])[:, None, None])) < 4.5
    (exact,) = made("find_contours", item(Bitmap(disk, 0, 0)))
    (simple,) = made("find_contours", item(Bitmap(disk, 0, 0)), approx_epsilon=1.5)
    (square,) = made("find_contours", item(Bitmap(mask("##", "##"), 2, 2)), approx_epsilon=100)
    counts = [len(one.geometry.exterior) for one in (exact, simple, square)]  # type: ignore[union-attr]
    assert counts[0] > counts[1] >= 3 and counts[2] == 4
    assert bounds(square.geometry) == (2, 2, 3, 3)


# Lines


def test_lines_of_a_cross_are_its_longest_path_and_what_branches_off() -> None:
    pixels = np.zeros((10, 16), dtype=np.bool_)
    pixels[5, 1:14] = True
    pixels[1:5, 7] = True
    first, second = (one.geometry for one in made("bitmap2lines", item(Bitmap(pixels, 0, 0)), min_points_cnt=2))
    assert isinstance(first, Line) and isinstance(second, Line)
    assert np.array_equal(first.points, [[x, 5] for x in range(1, 14)]) or np.array_equal(
        first.points, [[x, 5] for x in range(13, 0, -1)]
    )
    assert sorted(second.points[[0, -1]].tolist()) == [[7, 1], [7, 5]]
    assert len(made("bitmap2lines", item(Bitmap(pixels, 0, 0)), min_points_cnt=6)) == 1


def test_lines_start_where_the_bitmap_lies_and_may_be_simplified() -> None:
    (line,) = made("bitmap2lines", item(Bitmap(mask("#####"), 3, 4)), min_points_cnt=2, approx_epsilon=1)
    assert sorted(line.geometry.points.tolist()) == [[3, 4], [7, 4]]  # type: ignore[union-attr]


def test_a_closed_loop_is_opened_once() -> None:
    ring = np.pad(np.zeros((4, 4), dtype=np.bool_), 1, constant_values=True)
    (path,) = longest_paths(ring)
    assert len(path) == 20


def test_masks_too_small_for_lines_have_none() -> None:
    for pixels in (mask("#"), mask("###"), mask("..."), np.zeros((0, 3), dtype=np.bool_), mask("#.#", "...", "#.#")):
        assert not list(longest_paths(pixels))


@given(MASKS)
def test_lines_go_from_pixel_to_neighbour_and_share_no_step(pixels: np.ndarray) -> None:
    steps = []
    for path in longest_paths(pixels):
        assert len(path) >= 3 and pixels[path[:, 1], path[:, 0]].all()
        assert np.abs(np.diff(path, axis=0)).max() == 1
        steps += [tuple(sorted(step)) for step in pairwise(map(tuple, path.tolist()))]
    assert len(steps) == len(set(steps))


@given(MASKS)
def test_the_first_line_of_every_part_is_the_longest_of_its_tree(pixels: np.ndarray) -> None:
    lengths = [len(path) for path in longest_paths(pixels)]
    count = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=8)[0] - 1
    assert not lengths or max(lengths) == max(lengths[:count])


# Simplifying


def test_simplified_objects_keep_their_tags() -> None:
    wave = np.stack([np.arange(16.0), 5 + 0.9 * np.sin(np.arange(16))], axis=1)
    settings = {"classes": ["v"], "epsilon": 3}
    (new,) = objects_after("approx_vector", settings, element(item(Line(wave)), size=SIZE))
    assert new == LabeledObject("v", Line(np.floor(wave[[0, -1]])), (Tag("t"),), "x", {"id": 7})


def test_rings_keep_three_points_and_lines_both_ends() -> None:
    shapes = [
        Polygon(np.array([[1.2, 1.7], [9.9, 1], [9, 7]]), (np.array([[5.5, 3], [8, 3], [8, 4.0]]),)),
        Line(np.array([[5.1, 5.2], [5.3, 5.4], [5.9, 5.9]])),
    ]
    settings = {"classes": ["v"], "epsilon": 500}
    ring, line = (one.geometry for one in objects_after("approx_vector", settings, element(*map(item, shapes))))
    assert ring == Polygon(np.array([[1.0, 1], [9, 1], [9, 7]]), (np.array([[5.0, 3], [8, 3], [8, 4]]),))
    assert line == Line(np.full((3, 2), 5.0))


def test_only_polygons_and_lines_are_simplified() -> None:
    with pytest.raises(DataError, match="class 'v' is a rectangle, but this layer works on polygons and lines"):
        objects_after("approx_vector", {"classes": ["v"], "epsilon": 1}, element(item(SHAPES[2])))


POINTS = st.tuples(st.floats(-50, 50), st.floats(-50, 50))


@given(st.lists(POINTS, min_size=2, max_size=12), st.floats(0.1, 20))
def test_a_simplified_line_is_made_of_truncated_points_in_order(
    points: list[tuple[float, float]], epsilon: float
) -> None:
    settings = {"classes": ["v"], "epsilon": epsilon}
    (new,) = objects_after("approx_vector", settings, element(item(Line(np.array(points)))))
    left = iter(np.trunc(points).tolist())
    kept = new.geometry.points.tolist()  # type: ignore[union-attr]
    assert all(point in left for point in kept)  # each behind the one before
    assert kept[0] == np.trunc(points[0]).tolist() and kept[-1] == np.trunc(points[-1]).tolist()


def test_points_far_away_do_no_harm() -> None:
    far = Line(np.array([[-1e300, 0], [0, 0], [1e300, 1e18]]))
    (new,) = objects_after("approx_vector", {"classes": ["v"], "epsilon": 1}, element(item(far)))
    assert np.isfinite(new.geometry.points).all()  # type: ignore[union-attr]


@given(st.sampled_from(CONVERSIONS), MASKS)
def test_arrays_are_never_changed_in_place(case: tuple[str, dict[str, Any], str], pixels: np.ndarray) -> None:
    action, settings, _ = case
    if action == "bbox2poly":
        return
    one = element(item(Bitmap(pixels.copy(), 0, 0)), item(Bitmap(pixels[::-1].copy(), 0, 0)), size=SIZE)
    objects_after(action, {**TO_V, **settings}, one)
    assert one.annotation == Annotation(
        *SIZE, (item(Bitmap(pixels, 0, 0)), item(Bitmap(pixels[::-1], 0, 0))), one.annotation.tags
    )
