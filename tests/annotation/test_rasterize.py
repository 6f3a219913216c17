"""Objects as pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segsweep.annotation import (
    Annotation,
    Bitmap,
    Geometry,
    Graph,
    LabeledObject,
    Line,
    Point,
    Polygon,
    Project,
    Rectangle,
    class_indices,
    normalise,
    object_mask,
)
from segsweep.annotation.rasterize import geometry_outline
from segsweep.errors import DataError


def draw(*rows: str) -> np.ndarray:
    return np.array([[sign != "." for sign in row] for row in rows])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Rectangle(1, 0, 2.4, 1.5), draw(".xx..", ".xx..", ".xx..")),
        (Rectangle(3, 1, -9, 9), draw(".....", "xxxx.", "xxxx.")),
        (Line(np.array([[0.0, 2], [2, 0]])), draw("..x..", ".x...", "x....")),
        (Point(4, 2), draw(".....", ".....", "....x")),
        (Point(5, 2), draw(".....", ".....", ".....")),
        (Polygon(np.array([[0.0, 0], [4, 0], [4, 2], [0, 2]])), draw("xxxxx", "xxxxx", "xxxxx")),
        (Bitmap(draw("xx", ".x"), -1, 2), draw(".....", ".....", "x....")),
    ],
)
def test_mask(shape: Rectangle, expected: np.ndarray) -> None:
    assert np.array_equal(object_mask(LabeledObject("a", shape), 5, 3), expected)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Rectangle(1, 0, 3, 2), draw(".xxx.", ".x.x.", ".xxx.")),
        (Polygon(np.array([[1.0, 0], [3, 0], [3, 2], [1, 2]])), draw(".xxx.", ".x.x.", ".xxx.")),
        (Bitmap(draw("xxx", "xxx", "xxx"), 1, 0), draw(".xxx.", ".x.x.", ".xxx.")),
        (Rectangle(-9, -9, 3, 1), draw("...x.", "xxxx.", ".....")),
        (Line(np.array([[0.0, 2], [2, 0]])), draw("..x..", ".x...", "x....")),
        (Point(4, 2), draw(".....", ".....", "....x")),
        (Graph({"a": {"loc": [0, 0]}, "b": {"loc": [2, 1]}}), draw("x....", "..x..", ".....")),
    ],
)
def test_outline(shape: Geometry, expected: np.ndarray) -> None:
    drawn = geometry_outline(shape, 1, 5, 3)
    assert drawn is not None
    assert np.array_equal(object_mask(LabeledObject("a", drawn), 5, 3), expected)


@pytest.mark.parametrize("shape", [Point(9, 9), Graph(), Bitmap(draw(".."), 1, 1), Rectangle(7, 1, 1e300, 2)])
def test_what_is_not_there_has_no_outline(shape: Geometry) -> None:
    drawn = geometry_outline(shape, 1, 5, 3)
    assert drawn is None or not drawn.mask.any()


def test_the_border_of_a_hole_belongs_to_the_polygon() -> None:
    outer = np.array([[0.0, 0], [6, 0], [6, 6], [0, 6]])
    hole = np.array([[1.0, 1], [5, 1], [5, 5], [1, 5]])
    mask = object_mask(LabeledObject("a", Polygon(outer, (hole,))), 7, 7)
    assert not mask[2:5, 2:5].any()
    assert mask.sum() == 49 - 9


def box(title: str, left: int, right: int) -> LabeledObject:
    return LabeledObject(title, Rectangle(left, 0, right, 1))


def test_later_objects_cover_earlier_ones_and_the_background_covers_nothing() -> None:
    annotation = Annotation(6, 2, (box("a", 0, 3), box("b", 2, 4), box("bg", 0, 5)))
    index = {"bg": 0, "a": 1, "b": 2}
    assert class_indices(annotation, index, background_title="bg")[0].tolist() == [1, 1, 2, 2, 2, 0]
    assert class_indices(annotation, index)[0].tolist() == [0] * 6
    assert class_indices(Annotation(2, 1), index, background=255).tolist() == [[255, 255]]
    assert class_indices(annotation, index).dtype == np.int32


def test_a_class_without_an_index_is_named() -> None:
    with pytest.raises(DataError, match="'vesel', which has no index here; did you mean 'vessel'"):
        class_indices(Annotation(2, 2, (box("vesel", 0, 1),)), {"vessel": 1})


@pytest.mark.parametrize("case", ["poly2bitmap__all", "poly2bitmap__lines"])
def test_masks_are_as_recorded(shared: Path, case: str) -> None:
    folder = shared / "golden" / "dtl" / "cases" / case
    name = json.loads((folder / "case.json").read_text())["inputs"][0]
    source, expected = Project.open(shared / "golden" / "dtl" / "projects" / name), Project.open(folder / "expected")
    for before, after in zip(source.items, expected.items, strict=True):
        annotation, recorded = normalise(before.annotation(source.meta)), after.annotation(expected.meta)
        drawn = [object_mask(item, annotation.width, annotation.height) for item in annotation.objects]
        visible = [(item, mask) for item, mask in zip(annotation.objects, drawn, strict=True) if mask.any()]
        assert len(visible) == len(recorded.objects)
        for (_, mask), other in zip(visible, recorded.objects, strict=True):
            assert np.array_equal(mask, object_mask(other, annotation.width, annotation.height))
