"""Shapes under flips, crops and resizing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segsweep.annotation import (
    Annotation,
    Bitmap,
    Geometry,
    Graph,
    LabeledObject,
    Line,
    Point,
    Polygon,
    Rectangle,
    Tag,
    geometry_mask,
    map_geometry,
    normalise,
    object_mask,
)
from segsweep.annotation import geometry as shapes

WIDTH, HEIGHT = 23, 17
SIZE = (WIDTH, HEIGHT)

coordinates = st.integers(-5, 28) | st.floats(-5, 28, allow_nan=False, width=16)
pairs = st.tuples(coordinates, coordinates)


def points(least: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(pairs, min_size=least, max_size=6).map(lambda found: np.array(found, dtype=np.float64))


bitmaps = st.builds(
    Bitmap,
    arrays.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))),
    st.integers(-8, 28),
    st.integers(-8, 20),
)
rectangles = st.builds(Rectangle, coordinates, coordinates, coordinates, coordinates)
vectors: st.SearchStrategy[Geometry] = st.one_of(
    rectangles,
    st.builds(Line, points(2)),
    st.builds(Point, coordinates, coordinates),
    st.builds(Polygon, points(3), st.lists(points(3), max_size=1).map(tuple)),
    st.dictionaries(st.text(max_size=2), pairs.map(lambda pair: {"loc": list(pair)}), min_size=1).map(Graph),
)
geometries: st.SearchStrategy[Geometry] = bitmaps | vectors
axes = st.sampled_from(["vertical", "horizontal"])
windows = st.tuples(
    st.integers(0, WIDTH - 2), st.integers(0, HEIGHT - 2), st.integers(2, WIDTH), st.integers(2, HEIGHT)
).filter(lambda window: window[0] < window[2] and window[1] < window[3])


def mask_of(pieces: tuple[Geometry, ...], width: int, height: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=np.bool_)
    for piece in pieces:
        mask |= object_mask(LabeledObject("a", piece), width, height)
    return mask


@given(geometries, axes)
def test_flipping_twice_changes_nothing(shape: Geometry, axis: shapes.Axis) -> None:
    once = shapes.flip(shape, axis, SIZE)
    twice = shapes.flip(once, axis, SIZE)
    assert np.allclose(shapes.bounds(twice), shapes.bounds(shape))
    if isinstance(shape, Bitmap):
        assert twice == shape
    assert shapes.area(once) == pytest.approx(shapes.area(shape))


@given(bitmaps, axes)
def test_flip_of_a_bitmap_mirrors_pixels_exactly(shape: Bitmap, axis: shapes.Axis) -> None:
    mirrored = mask_of((shape,), *SIZE)[::-1] if axis == "horizontal" else mask_of((shape,), *SIZE)[:, ::-1]
    assert np.array_equal(mask_of((shapes.flip(shape, axis, SIZE),), *SIZE), mirrored)


@given(bitmaps, windows)
def test_cropping_a_bitmap_is_cropping_its_mask(shape: Bitmap, window: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = window
    pieces = shapes.crop(shape, *window)
    cropped = mask_of(pieces, right - left, bottom - top)
    assert np.array_equal(cropped, mask_of((shape,), *SIZE)[top:bottom, left:right])
    assert len(pieces) == bool(cropped.any())


@given(rectangles.map(lambda r: Rectangle(*(float(round(v)) for v in (r.left, r.top, r.right, r.bottom)))), windows)
def test_cropping_a_rectangle_keeps_its_area_inside(shape: Rectangle, window: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = window
    x0, y0, x1, y1 = shapes.bounds(shape)
    inside = max(0, min(right, x1) - max(left, x0)) * max(0, min(bottom, y1) - max(top, y0))
    assert sum(shapes.area(piece) for piece in shapes.crop(shape, *window)) == inside


@given(vectors, windows)
def test_every_piece_lies_in_its_window(shape: Geometry, window: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = window
    for piece in shapes.crop(shape, *window):
        x0, y0, x1, y1 = shapes.bounds(piece)
        assert x0 >= -1e-9 and y0 >= -1e-9 and x1 <= right - left + 1e-9 and y1 <= bottom - top + 1e-9


@given(geometries)
def test_normalising_twice_is_normalising_once(shape: Geometry) -> None:
    once = shapes.normalise(shape, *SIZE)
    twice = tuple(again for piece in once for again in shapes.normalise(piece, *SIZE))
    assert len(once) == len(twice)
    assert all(np.allclose(shapes.bounds(a), shapes.bounds(b)) for a, b in zip(once, twice, strict=True))


@given(points(2))
def test_clipped_line_has_the_length_that_shapely_finds(line: np.ndarray) -> None:
    import shapely

    pieces = shapes.normalise(Line(line), *SIZE)
    length = sum(shapely.LineString(piece.points).length for piece in pieces if isinstance(piece, Line))
    truth = sum(
        shapely.LineString(segment).intersection(shapely.box(0, 0, *SIZE)).length
        for segment in itertools.pairwise(line)
        if not np.array_equal(*segment)
    )
    assert length == pytest.approx(truth, abs=1e-6)


@given(bitmaps, st.integers(1, 4))
def test_doubling_repeats_pixels(shape: Bitmap, factor: int) -> None:
    new = (WIDTH * factor, HEIGHT * factor)
    expected = mask_of((shape,), *SIZE).repeat(factor, axis=0).repeat(factor, axis=1)
    assert np.array_equal(mask_of(shapes.resize(shape, SIZE, new), *new), expected)


def test_shrinking_may_lose_a_mask() -> None:
    assert shapes.resize(Bitmap(np.ones((1, 1), dtype=np.bool_), 0, 0), (10, 10), (5, 5)) == ()


def test_polygon_cut_in_two_gives_two_polygons() -> None:
    u_shape = Polygon(np.array([[0, 0], [2, 0], [2, 8], [8, 8], [8, 0], [10, 0], [10, 10], [0, 10]], dtype=np.float64))
    pieces = shapes.crop(u_shape, 0, 0, 10, 5)
    assert len(pieces) == 2
    assert sum(shapes.area(piece) for piece in pieces) == 20


def test_polygon_inside_the_window_is_left_as_it_is() -> None:
    polygon = Polygon(np.array([[2, 2], [5, 2], [4, 6]], dtype=np.float64))
    assert shapes.crop(polygon, 0, 0, 10, 10) == (polygon,)


def test_point_on_the_far_edge_is_inside() -> None:
    assert shapes.normalise(Point(WIDTH, HEIGHT), *SIZE) == (Point(WIDTH, HEIGHT),)
    assert shapes.normalise(Point(WIDTH + 0.1, HEIGHT), *SIZE) == ()


def test_graph_keeps_its_other_keys_and_is_dropped_when_it_loses_a_node() -> None:
    graph = Graph({"a": {"loc": [1, 2], "disabled": True}, "b": {"loc": [6, 7]}})
    flipped = shapes.flip(graph, "vertical", SIZE)
    assert flipped.nodes == {"a": {"loc": [22, 2], "disabled": True}, "b": {"loc": [17, 7]}}
    assert shapes.crop(graph, 0, 0, 5, 5) == ()


def test_area_ignores_holes_of_polygons_and_counts_pixels_of_bitmaps() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], dtype=np.float64)
    assert shapes.area(Polygon(square, (square / 2,))) == 16
    assert shapes.area(Bitmap(np.eye(3, dtype=np.bool_), 5, 5)) == 3
    assert shapes.area(Rectangle(4, 4, 1, 0)) == 12
    assert shapes.area(Line(square)) == 0


@given(st.lists(geometries, max_size=4), windows)
def test_tags_and_extra_keys_ride_along(found: list[Geometry], window: tuple[int, int, int, int]) -> None:
    objects = tuple(LabeledObject(str(i), shape, (Tag("t"),), "d", {"id": i}) for i, shape in enumerate(found))
    annotation = Annotation(WIDTH, HEIGHT, objects, (Tag("image"),), extra={"k": 1})
    cropped = map_geometry(annotation, lambda shape: shapes.crop(shape, *window), 1, 1)
    assert cropped.tags == annotation.tags and cropped.extra == annotation.extra
    assert all(item.tags == (Tag("t"),) and item.extra == {"id": int(item.class_title)} for item in cropped.objects)
    assert len(normalise(annotation).objects) >= sum(isinstance(shape, Graph) for shape in found)


@given(geometries)
def test_drawn_pixels_lie_in_the_image_and_near_the_shape(shape: Geometry) -> None:
    drawn = geometry_mask(shape, WIDTH, HEIGHT)
    if drawn is None:
        return
    rows, columns = drawn.mask.shape
    assert drawn.x >= 0 and drawn.y >= 0 and drawn.x + columns <= WIDTH and drawn.y + rows <= HEIGHT
    if not isinstance(shape, Polygon):  # holes may be anywhere
        x0, y0, x1, y1 = shapes.bounds(shape)
        assert x0 - 1 <= drawn.x and y0 - 1 <= drawn.y
        assert drawn.x + columns <= x1 + 2 and drawn.y + rows <= y1 + 2
