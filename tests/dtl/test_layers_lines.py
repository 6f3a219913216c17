"""Layers that cut and join lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from segsweep.annotation import ClassMeta, LabeledObject, Line, Point, Polygon, ProjectMeta, Rectangle, Tag
from segsweep.dtl.layers import lines as layer
from segsweep.errors import DataError
from tests.dtl.one_layer import element, meta_after, objects_after, problems_of, warnings_of

META = ProjectMeta((ClassMeta("crack", "line"), ClassMeta("road", "polygon"), ClassMeta("lane", "line")))
SIZE = (100, 80)
CUT = {"lines_class": "crack", "polygons_class": "road"}
JOIN = {
    "lines_class": "crack",
    "maximal_angle": 20,
    "max_ends_distance": "6px",
    "max_ortho_distance_coefficient": 0.6,
}
ROAD = Polygon(np.array([[40.0, 0], [60, 0], [60, 80], [40, 80]]))
POINTS = st.tuples(st.integers(0, 100), st.integers(0, 80))
LINES = st.lists(POINTS, min_size=2, max_size=5)


def line(*points: tuple[float, float], title: str = "crack") -> LabeledObject:
    return LabeledObject(title, Line(np.array(points, dtype=np.float64)), (Tag("t"),), "x", {"id": 7})


def road(shape: Polygon = ROAD) -> LabeledObject:
    return LabeledObject("road", shape, (Tag("t"),))


def points_of(objects: list[LabeledObject]) -> list[list[list[float]]]:
    return [item.geometry.points.tolist() for item in objects if isinstance(item.geometry, Line)]


def cut(*objects: LabeledObject) -> list[LabeledObject]:
    return objects_after("drop_lines_under_polygon", CUT, element(*objects, size=SIZE))


def joined(*objects: LabeledObject, **settings: Any) -> list[list[list[float]]]:
    return points_of(objects_after("merge_lines", {**JOIN, **settings}, element(*objects, size=SIZE)))


@pytest.mark.parametrize(("action", "settings"), [("drop_lines_under_polygon", CUT), ("merge_lines", JOIN)])
def test_classes_stay_and_missing_ones_are_told(action: str, settings: dict[str, Any]) -> None:
    assert meta_after(action, settings, META) == META
    (warning,) = warnings_of(action, {**settings, "lines_class": "crak"}, META)
    assert warning.endswith("settings.lines_class: there is no class 'crak' here; did you mean 'crack'?")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"maximal_angle": 181}, "maximal_angle: 181 is not possible; must be at most 180"),
        ({"max_ends_distance": "6"}, "max_ends_distance: '6' is not possible; should be like '10px' or '12.5%'"),
        ({"max_ortho_distance_coefficient": -0.1}, "coefficient: -0.1 is not possible; must be at least 0"),
        ({"lines_clas": "crack"}, "unknown key 'lines_clas'; did you mean 'lines_class'?"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], told: str) -> None:
    assert told in "\n".join(problems_of("merge_lines", {**JOIN, **settings}, META))


@pytest.mark.parametrize(("action", "settings"), [("drop_lines_under_polygon", CUT), ("merge_lines", JOIN)])
def test_other_shapes_are_refused_image_by_image(action: str, settings: dict[str, Any]) -> None:
    wrong = LabeledObject("crack", Point(1, 1))
    with pytest.raises(DataError, match="class 'crack' is a point, but this layer works on lines"):
        objects_after(action, settings, element(wrong, road(), size=SIZE))


def test_polygons_must_be_polygons() -> None:
    with pytest.raises(DataError, match="class 'road' is a rectangle, but this layer works on polygons"):
        cut(line((0, 0), (9, 9)), LabeledObject("road", Rectangle(0, 0, 9, 9)))


# Cutting


def test_lines_lose_what_lies_under_polygons_and_their_tags() -> None:
    lane = line((0, 0), (99, 0), title="lane")
    left, right, *rest = cut(line((30, 10), (70, 10)), lane, road(), line((45, 20), (55, 30)))
    assert points_of([left, right]) == [[[30, 10], [40, 10]], [[60, 10], [70, 10]]]
    assert all((item.class_title, item.tags, item.extra) == ("crack", (), {}) for item in (left, right))
    assert rest == [lane, road()]


def test_lines_beside_all_polygons_keep_their_points() -> None:
    knot = ((0.1, 0.2), (30, 30), (30, 0), (0, 30))  # crosses itself
    (item, _) = cut(line(*knot), road())
    assert points_of([item]) == [[list(point) for point in knot]]


def test_an_image_without_polygons_stays_as_it_is() -> None:
    one = element(line((0, 0), (9, 9)), size=SIZE)
    assert objects_after("drop_lines_under_polygon", CUT, one) == [line((0, 0), (9, 9))]


def test_a_line_that_touches_a_polygon_stays_whole() -> None:
    (item, _) = cut(line((30, 10), (40, 10), (30, 20)), road())
    assert shapely.LineString(points_of([item])[0]).equals(shapely.LineString([(30, 10), (40, 10), (30, 20)]))


def test_polygons_that_cross_themselves_do_no_harm() -> None:
    bow = Polygon(np.array([[40.0, 0], [60, 80], [60, 0], [40, 80]]))
    assert cut(line((0, 10), (99, 10)), road(bow))


@given(LINES, st.lists(POINTS, min_size=3, max_size=6))
def test_what_is_left_lies_beside_the_polygon_and_nothing_else_is_gone(
    points: list[tuple[int, int]], corners: list[tuple[int, int]]
) -> None:
    area = shapely.Polygon(corners).buffer(0)
    left = shapely.MultiLineString(points_of(cut(line(*points), road(Polygon(np.array(corners, dtype=float))))))
    assert left.intersection(area.buffer(-1e-6)).length < 1e-6
    assert left.length == pytest.approx(shapely.LineString(points).difference(area).length, abs=1e-6) or not (
        shapely.LineString(points).is_simple
    )


# Joining


def test_ends_that_fit_are_joined_in_the_direction_of_the_first_line() -> None:
    assert joined(line((0, 10), (20, 10)), line((40, 11), (24, 11))) == [[[0, 10], [20, 10], [24, 11], [40, 11]]]
    assert joined(line((24, 11), (40, 11)), line((0, 10), (20, 10))) == [[[0, 10], [20, 10], [24, 11], [40, 11]]]
    assert joined(line((40, 11), (24, 11)), line((0, 10), (20, 10))) == [[[40, 11], [24, 11], [20, 10], [0, 10]]]


def test_joined_lines_take_the_place_of_the_first_and_lose_their_tags() -> None:
    lane = line((0, 0), (9, 0), title="lane")
    result = objects_after("merge_lines", JOIN, element(line((0, 9), (9, 9)), lane, line((10, 9), (20, 9)), size=SIZE))
    assert [(item.class_title, len(item.tags)) for item in result] == [("crack", 0), ("lane", 1)]


def test_a_point_that_both_have_comes_once_whatever_the_offset() -> None:
    ends = line((0, 10), (20, 10)), line((20, 10), (40, 12))
    assert joined(*ends, max_ortho_distance_coefficient=0) == [[[0, 10], [20, 10], [40, 12]]]


@pytest.mark.parametrize(
    ("settings", "joins"),
    [
        ({}, True),
        ({"max_ends_distance": "4px"}, False),  # the ends are 4.12 pixels apart
        ({"max_ends_distance": "4.5%"}, False),  # of (100 + 80) / 2: 4.05 pixels
        ({"max_ends_distance": "4.6%"}, True),
        ({"max_ortho_distance_coefficient": 0.24}, False),  # 1 pixel beside, of 4.12
        ({"max_ortho_distance_coefficient": 0.25}, True),
        ({"maximal_angle": 14.03}, False),  # atan(4 / 16)
        ({"maximal_angle": 14.04}, True),
    ],
)
def test_all_limits_hold(settings: dict[str, Any], joins: bool) -> None:
    lines = line((0, 10), (20, 10)), line((24, 11), (40, 15))
    assert len(joined(*lines, **settings)) == (1 if joins else 2)


def test_of_two_lines_the_nearer_is_joined_first() -> None:
    first, near, far = line((0, 10), (20, 10)), line((22, 10), (40, 10)), line((24, 10), (60, 10))
    assert joined(first, far, near) == [[[0, 10], [20, 10], [22, 10], [40, 10]], [[24, 10], [60, 10]]]


def test_many_pieces_become_one_line() -> None:
    pieces = [line((x, 10), (x + 4, 10)) for x in range(0, 90, 6)]
    (whole,) = joined(*reversed(pieces))
    assert sorted(whole) == [[float(x + d), 10] for x in range(0, 90, 6) for d in (0, 4)]


def test_a_line_is_never_joined_to_itself() -> None:
    loop = line((0, 10), (20, 10), (20, 30), (1, 11))
    closed = line((50, 50), (60, 50), (60, 60), (50, 50))
    assert joined(loop, closed) == points_of([loop, closed])


@given(st.lists(LINES, max_size=8), st.floats(0, 180), st.integers(0, 150), st.floats(0, 2))
def test_joining_loses_no_point_and_ends_where_nothing_fits(
    lines: list[list[tuple[int, int]]], angle: float, reach: int, offset: float
) -> None:
    settings = {
        "maximal_angle": angle,
        "max_ends_distance": f"{reach}px",
        "max_ortho_distance_coefficient": offset,
    }
    once = joined(*(line(*points) for points in lines), **settings)
    assert {tuple(p) for part in once for p in part} == {tuple(map(float, p)) for part in lines for p in part}
    assert joined(*(line(*map(tuple, points)) for points in once), **settings) == once  # type: ignore[arg-type]


def test_more_ends_than_can_be_compared_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "_MOST_PAIRS", 10)
    with pytest.raises(DataError, match="too many ends of lines lie near each other; lower max_ends_distance"):
        joined(*(line((x, 10), (x + 1, 11)) for x in range(6)))
