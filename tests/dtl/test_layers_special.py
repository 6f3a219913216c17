"""Layers for special purposes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segsweep.annotation import (
    Bitmap,
    ClassMeta,
    Geometry,
    LabeledObject,
    Line,
    Point,
    Polygon,
    ProjectMeta,
    Rectangle,
    Tag,
)
from segsweep.annotation.geometry import area, bounds
from segsweep.dtl.layers import special as layer
from segsweep.dtl.mapping import MetaError
from segsweep.errors import DataError
from tests.dtl.one_layer import SOURCE, element, mask, meta_after, objects_after, problems_of, warnings_of

META = ProjectMeta((ClassMeta("cell", "bitmap"), ClassMeta("road", "polygon"), ClassMeta("crack", "line")))
SIZE = (100, 80)
BOXES = {"box": {"width": "10px", "height": "10%"}, "distance": "12px", "classes": ["road"], "box_class": "bx"}
HINTS = {"class": "cell", "positive_class": "pos", "negative_class": "neg", "min_points_number": 3}
ROADS = {"road_class": "road", "road_lines_class": "edge"}
NETS = {
    "crack_class": "crack",
    "cracknet_class": "net",
    "mask_resolution": 100,
    "loop_devide_eps": 2,
    "min_area_in_bbox_coef": 0.1,
    "min_poly_bbox_area_coef": 0.001,
    "enable_subclustering": False,
    "min_points_in_cluster": 3,
}
ALL: list[tuple[str, dict[str, Any], str, str]] = [
    ("contour_sliding_box", BOXES, "box_class", "rectangle"),
    ("generate_hints", HINTS, "positive_class", "point"),
    ("road_lines", ROADS, "road_lines_class", "line"),
    ("find_cracknets", NETS, "cracknet_class", "polygon"),
]
SQUARE = np.array([[20.0, 20], [60, 20], [60, 60], [20, 60]])


def item(title: str, shape: Geometry) -> LabeledObject:
    return LabeledObject(title, shape, (Tag("t"),), "x", {"id": 7})


def added(action: str, settings: dict[str, Any], *objects: LabeledObject, **given: Any) -> list[Geometry]:
    """The shapes that a layer adds; those that were there are still there, in the same order."""
    result = objects_after(action, settings, element(*objects, size=SIZE), **given)
    assert [one for one in result if one in objects] == list(objects)
    new = [one for one in result if one not in objects]
    assert all((one.tags, one.description, one.extra) == ((), "", {}) for one in new)
    return [one.geometry for one in new]


# What all have in common


@pytest.mark.parametrize(("action", "settings", "key", "shape"), ALL)
def test_classes_are_added_at_the_end(action: str, settings: dict[str, Any], key: str, shape: str) -> None:
    after = meta_after(action, settings, META)
    assert after.classes[:3] == META.classes
    assert {(one.title, one.shape) for one in after.classes[3:]} == (
        {("pos", "point"), ("neg", "point")} if shape == "point" else {(settings[key], shape)}
    )
    assert meta_after(action, settings, after) == after


def test_classes_have_the_colours_they_always_had() -> None:
    colors = [meta_after(*case[:2], META).classes[-1].color for case in (ALL[0], ALL[2])]
    assert colors == ["#00EE00", "#000088"]


@pytest.mark.parametrize(("action", "settings", "key", "shape"), ALL)
def test_a_class_of_another_shape_is_in_the_way(action: str, settings: dict[str, Any], key: str, shape: str) -> None:
    with pytest.raises(MetaError, match=f"class 'cell' would be a {shape} but is a bitmap already"):
        meta_after(action, {**settings, key: "cell"}, META)


@pytest.mark.parametrize(("action", "settings", "key", "shape"), ALL)
def test_images_without_such_objects_get_nothing(action: str, settings: dict[str, Any], key: str, shape: str) -> None:
    other = item("other", Point(3, 4))
    found = added(action, settings, other)
    assert all(isinstance(one, Point) for one in found) if shape == "point" else not found


@pytest.mark.parametrize(
    ("action", "settings", "key"),
    [
        ("contour_sliding_box", {**BOXES, "classes": ["raod"]}, "classes"),
        ("road_lines", {**ROADS, "road_class": "raod"}, "road_class"),
    ],
)
def test_missing_classes_are_told(action: str, settings: dict[str, Any], key: str) -> None:
    (warning,) = warnings_of(action, settings, META)
    assert warning.endswith(f"settings.{key}: there is no class 'raod' here; did you mean 'road'?")


@pytest.mark.parametrize(
    ("action", "settings", "title", "wanted"),
    [
        ("contour_sliding_box", BOXES, "road", "polygons"),
        ("road_lines", ROADS, "road", "polygons"),
        ("find_cracknets", NETS, "crack", "lines"),
    ],
)
def test_other_shapes_are_refused_image_by_image(
    action: str, settings: dict[str, Any], title: str, wanted: str
) -> None:
    with pytest.raises(DataError, match=f"class '{title}' is a rectangle, but this layer works on {wanted}"):
        added(action, settings, item(title, Rectangle(1, 1, 5, 5)))


@pytest.mark.parametrize(
    ("action", "settings", "told"),
    [
        ("contour_sliding_box", {**BOXES, "distance": "0px"}, "distance: '0px' is not possible; must be more than 0"),
        ("contour_sliding_box", {**BOXES, "distance": "5"}, "distance: '5' is not possible; should be like '10px'"),
        ("contour_sliding_box", {**BOXES, "box": {"width": "5px"}}, "settings.box.height: must be given"),
        ("generate_hints", {**HINTS, "min_points_number": -1}, "min_points_number: -1 is not possible; must be at lea"),
        ("generate_hints", {**HINTS, "positive_class": ""}, "positive_class: '' is not possible; must not be empty"),
        ("road_lines", {**ROADS, "min_road_area": 0}, "min_road_area: 0 is not possible; must be at least 1"),
        ("find_cracknets", {**NETS, "mask_resolution": 0}, "mask_resolution: 0 is not possible; must be at least 1"),
        (
            "find_cracknets",
            {**NETS, "loop_devide_eps": 0},
            "loop_devide_eps: 0 is not possible; must be at least 0.001",
        ),
        ("find_cracknets", {**NETS, "enable_subclustering": 1}, "enable_subclustering: 1 is not possible; must be tru"),
    ],
)
def test_wrong_settings_are_told(action: str, settings: dict[str, Any], told: str) -> None:
    assert told in "\n".join(problems_of(action, settings, META))


def test_a_box_may_have_other_keys() -> None:
    assert not problems_of("contour_sliding_box", {**BOXES, "box": {**BOXES["box"], "depth": 1}}, META)  # type: ignore[dict-item]


# Boxes along contours


def test_boxes_come_at_equal_distances_along_the_contour() -> None:
    boxes = added("contour_sliding_box", BOXES, item("road", Polygon(SQUARE)))
    assert len(boxes) == int(160 / 12.1)
    centres = np.array([[box.left + box.right, box.top + box.bottom] for box in boxes]) / 2  # type: ignore[union-attr]
    assert np.allclose(centres[:4], [[32.1, 20], [44.2, 20], [56.3, 20], [60, 28.4]])
    sides = np.array([[box.right - box.left, box.bottom - box.top] for box in boxes])  # type: ignore[union-attr]
    assert np.allclose(sides, [10, 8])


def test_boxes_lie_right_above_their_polygon() -> None:
    objects = item("road", Polygon(SQUARE)), item("crack", Line(SQUARE)), item("road", Polygon(SQUARE))
    titles = [one.class_title for one in objects_after("contour_sliding_box", BOXES, element(*objects, size=SIZE))]
    assert titles == ["road", *["bx"] * 13, "crack", "road", *["bx"] * 13]


@given(arrays(np.float64, (5, 2), elements=st.floats(-50, 150)), st.integers(1, 200), st.integers(1, 200))
def test_boxes_stay_in_the_image_where_they_fit(ring: np.ndarray, width: int, height: int) -> None:
    settings = {**BOXES, "box": {"width": f"{width}px", "height": f"{height}px"}}
    for box in added("contour_sliding_box", settings, item("road", Polygon(ring))):
        left, top, right, bottom = bounds(box)
        assert left >= 0 and top >= 0
        assert right <= max(width, 100) + 1e-9 and bottom <= max(height, 80) + 1e-9


def test_too_many_boxes_are_told() -> None:
    endless = Polygon(SQUARE * 1e12)
    with pytest.raises(DataError, match=r"a contour of .* pixels would get a box every 12.1 pixels: too many"):
        added("contour_sliding_box", BOXES, item("road", endless))


# Hints


@given(arrays(np.bool_, (8, 10)), st.integers(0, 90), st.integers(0, 5))
def test_hints_are_different_pixels_on_and_beside_the_objects(pixels: np.ndarray, least: int, seed: int) -> None:
    one = element(item("cell", Bitmap(pixels, 0, 0)), size=(10, 8))
    hints = objects_after("generate_hints", {**HINTS, "min_points_number": least}, one, seed=seed)[1:]
    for title, where in (("pos", pixels), ("neg", ~pixels)):
        points = [hint.geometry for hint in hints if hint.class_title == title]
        places = {(int(point.x), int(point.y)) for point in points}  # type: ignore[union-attr]
        assert len(places) == len(points)
        assert min(least, where.sum()) <= len(points) <= min(least + 60, where.sum())
        assert all(where[y, x] for x, y in places)


def test_hints_look_at_objects_of_all_shapes_together() -> None:
    objects = item("cell", Rectangle(0, 0, 9, 3)), item("cell", Bitmap(np.ones((4, 10), dtype=np.bool_), 0, 4))
    one = element(*objects, size=(10, 8))
    hints = objects_after("generate_hints", {**HINTS, "min_points_number": 1000}, one)[2:]
    assert [hint.class_title for hint in hints] == ["pos"] * 80


def test_hints_are_drawn_anew_for_every_image_and_the_same_every_time() -> None:
    def drawn(name: str, seed: int) -> list[LabeledObject]:
        source = type(SOURCE)("p", "d", name)
        one = element(item("cell", Bitmap(mask("##"), 3, 3)), size=SIZE, source=source)
        return objects_after("generate_hints", HINTS, one, seed=seed)

    assert drawn("a.png", 0) == drawn("a.png", 0)
    assert drawn("a.png", 0) != drawn("b.png", 0) and drawn("a.png", 0) != drawn("a.png", 1)


# Roads


def test_edges_of_a_road_lead_down_on_its_left_and_right() -> None:
    ring = np.array([[14.0, 76], [40, 10], [48, 9.5], [56, 10], [80, 76], [47, 50]])
    left, right = added("road_lines", ROADS, item("road", Polygon(ring)))
    assert left == Line(np.array([[40.0, 10], [14, 76]])) and right == Line(np.array([[56.0, 10], [80, 76]]))


@pytest.mark.parametrize(("tip", "base"), [(5.0, 70.0), (70.0, 5.0)])
def test_a_road_that_ends_in_a_point_has_two_edges_through_it(tip: float, base: float) -> None:
    left, right = added("road_lines", ROADS, item("road", Polygon(np.array([[50, tip], [80, base], [20, base]]))))
    down = tip < base
    assert left == Line(np.array([[50, tip], [20, base]][:: 1 if down else -1]))
    assert right == Line(np.array([[50, tip], [80, base]][:: 1 if down else -1]))


def test_roads_without_area_or_below_the_least_have_no_edges() -> None:
    flat = Polygon(np.array([[0.0, 0], [50, 50], [20, 20]]))
    assert not added("road_lines", ROADS, item("road", flat))
    assert not added("road_lines", {**ROADS, "min_road_area": 1601}, item("road", Polygon(SQUARE)))
    assert len(added("road_lines", {**ROADS, "min_road_area": 1600}, item("road", Polygon(SQUARE)))) == 2


@given(arrays(np.float64, st.tuples(st.integers(3, 12), st.just(2)), elements=st.floats(-1e3, 1e3)))
def test_edges_lie_on_the_hull_and_left_of_each_other(ring: np.ndarray) -> None:
    edges = added("road_lines", ROADS, item("road", Polygon(ring)))
    assert len(edges) in (0, 2)
    for edge in edges:
        assert isinstance(edge, Line)
        assert all(point in ring.tolist() for point in edge.points.tolist())
        assert edge.points[0, 1] <= edge.points[1, 1]
    if edges:
        left, right = (edge.points for edge in edges)  # type: ignore[union-attr]
        assert (left[:, 0] <= right[:, 0]).all()


# Nets of cracks


def net(x: float, y: float, side: float = 20) -> list[LabeledObject]:
    """Cracks that enclose a square, with gaps at its corners, and one that leads away."""
    corners = np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]])
    pieces = [corners[k : k + 2] + (corners[k + 1] - corners[k]) / side * [[1], [-1]] for k in range(4)]
    return [item("crack", Line(piece)) for piece in [*pieces, np.array([[x, y], [x - 10, y]])]]


def test_what_cracks_enclose_is_a_net_and_single_cracks_are_none() -> None:
    (found,) = added("find_cracknets", NETS, *net(30, 30))
    assert np.allclose(bounds(found), [30, 30, 51, 51], atol=1.5) and area(found) == pytest.approx(400, rel=0.15)
    assert not added("find_cracknets", NETS, item("crack", Line(np.array([[5.0, 5], [60, 40]]))))


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"min_area_in_bbox_coef": 1.01}, 0),
        ({"min_poly_bbox_area_coef": 0.06}, 0),  # the net covers 21 x 21 of 100 x 80 pixels
        ({"min_poly_bbox_area_coef": 0.04}, 1),
        ({"loop_devide_eps": 30}, 0),
        ({"mask_resolution": 10**9}, 1),
        ({"mask_resolution": 25}, 1),
        ({"mask_resolution": 1}, 0),
    ],
)
def test_nets_must_be_large_and_full_enough(settings: dict[str, Any], count: int) -> None:
    assert len(added("find_cracknets", {**NETS, **settings}, *net(30, 30))) == count


def test_narrow_nets_are_none() -> None:
    flat = np.array([[5.0, 20], [95, 20], [95, 27], [5, 27], [5, 20]])
    assert not added("find_cracknets", NETS, item("crack", Line(flat)))


def test_dense_groups_are_looked_at_one_by_one() -> None:
    """A crack between two nets would not be in either group, so both are found; lonely points are in none."""
    turn = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1) * 12
    objects = [item("crack", Line(circle + centre)) for centre in ([20, 20], [75, 60])]
    objects.append(item("crack", Line(np.array([[95.0, 5], [97, 9]]))))
    settings = {**NETS, "enable_subclustering": True, "min_points_in_cluster": 20}
    found = sorted(added("find_cracknets", settings, *objects), key=lambda one: bounds(one)[0])
    assert len(found) == 2
    assert np.allclose([bounds(one) for one in found], [[8, 8, 33, 33], [63, 48, 88, 73]], atol=1.5)
    assert not added("find_cracknets", {**settings, "min_points_in_cluster": 500}, *objects)


def test_a_line_that_leaves_a_group_and_comes_back_is_in_two_pieces() -> None:
    near = np.random.default_rng(0).normal(0, 1, (40, 2)) + 20
    far = near + 60
    wanderer = np.concatenate([near[:2], far[:3], near[2:4]])
    groups = list(layer._dense_groups([near[4:], wanderer, far[3:]], 10))
    ends = [[(len(piece), bool((piece < 50).all())) for piece in group] for group in groups]
    assert sorted(ends) == [[(3, False), (37, False)], [(36, True), (2, True), (2, True)]]


def test_points_far_away_do_no_harm() -> None:
    assert not added("find_cracknets", NETS, item("crack", Line(np.array([[-1e300, 5], [1e18, 9]]))))
