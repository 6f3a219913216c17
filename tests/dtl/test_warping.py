"""Objects that follow a picture which is turned, bent or seen in perspective."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    object_mask,
)
from segsweep.dtl.warping import Displacement, Homography, corners_of, follow

SIZE = (64, 48)
RING = np.array([[10.0, 8.0], [50.0, 12.0], [44.0, 40.0], [14.0, 36.0]])
HOLE = np.array([[24.0, 18.0], [36.0, 18.0], [36.0, 28.0], [24.0, 28.0]])
MOVED = np.array([5, -3])
SHAPES: list[Geometry] = [
    Polygon(RING, (HOLE,)),
    Line(RING),
    Point(20.25, 30.5),
    Rectangle(12, 9, 40, 30),
    Graph({"a": {"loc": [12.0, 9.0], "label": "x"}, "b": {"loc": [40.0, 30.0]}}),
    Bitmap(np.random.default_rng(0).random((20, 30)) < 0.5, 7, 9),
]


def annotated(*geometries: Geometry) -> Annotation:
    objects = (
        LabeledObject(f"class {index}", shape, (Tag("t"),), "d", {"id": index})
        for index, shape in enumerate(geometries)
    )
    return Annotation(*SIZE, tuple(objects), (Tag("image"),))


def shifted(dx: float, dy: float) -> Displacement:
    """The picture moves by (dx, dy): every pixel shows what was at the opposite side."""
    return Displacement(*(np.full(SIZE[::-1], -value, dtype=np.float32) for value in (dx, dy)))


def smooth(seed: int, strength: float) -> Displacement:
    noise = np.random.default_rng(seed).standard_normal((2, *SIZE[::-1])).astype(np.float32)
    fields = [np.asarray(cv2.GaussianBlur(field, (0, 0), 6)) for field in noise]
    return Displacement(*(field / np.abs(field).max() * np.float32(strength) for field in fields))


def test_objects_keep_their_order_classes_tags_and_keys() -> None:
    before = annotated(*SHAPES)
    after = follow(before, shifted(3, 2).warp())
    assert [replace(item, geometry=None) for item in after.objects] == [  # type: ignore[arg-type]
        replace(item, geometry=None)
        for item in before.objects  # type: ignore[arg-type]
    ]
    assert (after.tags, after.width, after.height) == (before.tags, *SIZE)


def test_nothing_moves_where_nothing_is_displaced() -> None:
    before = annotated(*SHAPES)
    assert follow(before, shifted(0, 0).warp()).objects[:5] == before.objects[:5]
    assert follow(before, Homography(np.eye(3), SIZE).warp()).objects[:5] == before.objects[:5]
    for warp in (shifted(0, 0).warp(), Homography(np.eye(3), SIZE).warp()):
        item = follow(before, warp).objects[5]
        assert np.array_equal(object_mask(item, *SIZE), object_mask(before.objects[5], *SIZE))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.shape)
def test_both_kinds_of_warp_shift_all_shapes_alike(shape: Geometry) -> None:
    matrix = np.array([[1, 0, 5], [0, 1, -3], [0, 0, 1]], dtype=np.float64)
    (one,) = follow(annotated(shape), shifted(5, -3).warp()).objects
    (other,) = follow(annotated(shape), Homography(matrix, SIZE).warp()).objects
    if isinstance(shape, Bitmap):
        assert one == other
        assert one.geometry == Bitmap(shape.mask, shape.x + 5, shape.y - 3)
    elif isinstance(shape, Polygon):
        assert np.allclose(one.geometry.exterior, RING + MOVED, atol=1e-3)  # type: ignore[union-attr]
        assert np.allclose(other.geometry.interior[0], HOLE + MOVED)  # type: ignore[union-attr]
    assert (object_mask(one, *SIZE) == object_mask(other, *SIZE)).mean() > 0.99


@given(st.integers(0, 1000), st.floats(0, 4))
def test_a_point_goes_where_the_picture_shows_it(seed: int, strength: float) -> None:
    warp = smooth(seed, strength)
    points = np.random.default_rng(seed).uniform(0, SIZE, (200, 2))
    moved = warp.points(points)
    assert np.abs(moved + warp._at(moved) - points).max() < 2e-4


def test_where_a_warp_folds_points_stay_near_what_shows_them() -> None:
    warp = smooth(1, 40)
    moved = warp.points(np.random.default_rng(1).uniform(0, SIZE, (200, 2)))
    assert np.isfinite(moved).all()


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_a_polygon_bends_with_the_picture(seed: int) -> None:
    polygon = LabeledObject("p", Polygon(RING * 4))
    big = (256, 192)
    mask = object_mask(polygon, *big)
    field = smooth(seed, 4)
    warp = Displacement(*(np.asarray(cv2.resize(part, big)) * 3 for part in (field.dx, field.dy))).warp()
    annotation = Annotation(*big, (polygon, LabeledObject("b", Bitmap(mask, 0, 0))))
    bent, moved = (object_mask(item, *big) for item in follow(annotation, warp).objects)
    assert (bent & moved).sum() > 0.95 * (bent | moved).sum()


def test_straight_edges_get_points_only_where_they_bend() -> None:
    rows, columns = SIZE[::-1]
    dy = np.zeros((rows, columns), dtype=np.float32)
    dy[:20] = 3 * np.sin(np.arange(columns) / 5)
    box = Polygon(np.array([[8.0, 8.0], [56.0, 8.0], [56.0, 40.0], [8.0, 40.0]]))
    (item,) = follow(annotated(box), Displacement(np.zeros_like(dy), dy).warp()).objects
    ring = item.geometry.exterior  # type: ignore[union-attr]
    assert (ring[:, 1] < 20).sum() >= 12 and (ring[:, 1] > 30).sum() == 2


def test_a_bent_rectangle_is_the_bounds_of_its_bent_outline() -> None:
    dy = np.zeros(SIZE[::-1], dtype=np.float32)
    dy[:, 28:36] = 5  # up in the middle
    (item,) = follow(annotated(Rectangle(10, 20, 54, 40)), Displacement(np.zeros_like(dy), dy).warp()).objects
    shape = item.geometry
    assert isinstance(shape, Rectangle)
    assert (shape.left, shape.right, shape.bottom) == pytest.approx((10, 54, 40), abs=0.01)
    assert shape.top == pytest.approx(15, abs=0.01)


@given(
    st.lists(
        st.tuples(st.integers(-5, 60), st.integers(-5, 45), st.integers(1, 20), st.integers(1, 20), st.integers(0, 9)),
        max_size=12,
    )
)
def test_bitmaps_that_overlap_do_not_disturb_each_other(boxes: list[tuple[int, int, int, int, int]]) -> None:
    bitmaps = [Bitmap(np.random.default_rng(e).random((h, w)) < 0.6, x, y) for x, y, w, h, e in boxes]
    warp = smooth(3, 3).warp()
    together = follow(annotated(*bitmaps), warp).objects
    alone = [item for bitmap in bitmaps for item in follow(annotated(bitmap), warp).objects]
    assert [item.geometry for item in together] == [item.geometry for item in alone]
    for item in together:
        mask = item.geometry.mask  # type: ignore[union-attr]
        assert mask.any(axis=1)[[0, -1]].all() and mask.any(axis=0)[[0, -1]].all()


def test_more_bitmaps_than_labels_are_no_problem() -> None:
    cells = [Bitmap(np.ones((1, 1), dtype=np.bool_), index % 60, index // 60) for index in range(600)]
    assert (
        follow(annotated(*cells), shifted(2, 2).warp()).objects
        == annotated(*(Bitmap(cell.mask, cell.x + 2, cell.y + 2) for cell in cells)).objects
    )


def test_what_leaves_the_picture_is_cut_off() -> None:
    after = follow(annotated(*SHAPES), shifted(30, 0).warp())
    kinds = [item.geometry.shape for item in after.objects]
    assert kinds == ["polygon", "line", "line", "point", "rectangle", "bitmap"]  # the graph lost nodes
    for item in after.objects:
        assert object_mask(item, *SIZE).any()
    assert follow(annotated(*SHAPES), shifted(200, 0).warp()).objects == ()


def test_endless_shapes_do_not_take_endless_memory() -> None:
    far = [
        Polygon(np.array([[-1e9, 10.0], [1e9, 10.0], [1e9, 30.0], [-1e9, 30.0]])),
        Line(np.array([[-1e9, 20.0], [1e9, 20.0]])),
        Rectangle(0, 0, 1e9, 1e9),
    ]
    for warp in (smooth(0, 3).warp(), Homography(np.eye(3), SIZE).warp()):
        after = follow(annotated(*far), warp)
        assert [item.geometry.shape for item in after.objects] == ["polygon", "line", "rectangle"]
        assert all(len(item.geometry.exterior) < 200 for item in after.objects[:1])  # type: ignore[union-attr]


def test_what_lies_behind_the_horizon_is_not_seen() -> None:
    quad = np.array([[24.0, 10.0], [40.0, 10.0], [64.0, 48.0], [0.0, 48.0]])  # its sides meet above the picture
    view = Homography.of_corners(quad, corners_of(SIZE), SIZE)
    horizon = -view.matrix[2, 2] / view.matrix[2, 1]
    assert -20 < horizon < 0
    tall = [
        Polygon(np.array([[20.0, -200.0], [44.0, -200.0], [44.0, 40.0], [20.0, 40.0]])),
        Line(np.array([[32.0, -200.0], [32.0, 40.0]])),
        Rectangle(20, -200, 44, 40),
        Point(32, -200),
        Graph({"a": {"loc": [32.0, -200.0]}, "b": {"loc": [32.0, 30.0]}}),
    ]
    polygon, line, box = (item.geometry for item in follow(annotated(*tall), view.warp()).objects)
    (middle, end) = view.points(np.array([[32.0, 10.0], [32.0, 40.0]]))
    assert isinstance(line, Line) and np.allclose(line.points[[0, -1]], [middle, end], atol=1e-3)
    assert isinstance(polygon, Polygon) and isinstance(box, Rectangle)
    short = Polygon(np.array([[20.0, 5.0], [44.0, 5.0], [44.0, 40.0], [20.0, 40.0]]))
    (seen,) = follow(annotated(short), view.warp()).objects
    one, other = (object_mask(LabeledObject("", shape), *SIZE) for shape in (polygon, seen.geometry))
    assert (one & other).sum() > 0.99 * (one | other).sum()


def test_images_without_objects_only_change_their_size() -> None:
    after = follow(annotated(), Homography(np.diag([2.0, 0.5, 1.0]), (128, 24)).warp())
    assert after == Annotation(128, 24, (), (Tag("image"),))
