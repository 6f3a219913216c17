"""Layers that drop objects, and layers that sort images by what is on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    LabeledObject,
    Line,
    Point,
    Polygon,
    Project,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    Tag,
    TagMeta,
)
from segsweep.dtl import read_layers, transform
from segsweep.dtl.mapping import MetaError
from tests.dtl.one_layer import element, mask, meta_after, objects_after, problems_of, route, warnings_of

META = ProjectMeta(
    (
        ClassMeta("cell", "bitmap", "#112233"),
        ClassMeta("box", "rectangle", "#112233"),
        ClassMeta("crack", "line", "#112233"),
        ClassMeta("tile", "rectangle", "#112233"),
    ),
    (TagMeta("ok", plain=True), TagMeta("grade", "any_string"), TagMeta("n", "any_number")),
)
CELL = LabeledObject("cell", Bitmap(mask("##", "#."), 3, 3), (Tag("grade", "low"),))
BOX = LabeledObject("box", Rectangle(0, 0, 10, 6), (Tag("ok", plain=True),), "x", {"id": 7})
CRACK = LabeledObject("crack", Line(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 9.0]])))


def by_size(classes: list[str], comparator: str, action: Any = "delete", **size: float) -> dict[str, Any]:
    sizes = {"filtering_classes": classes, "area_size": size, "comparator": comparator, "action": action}
    return {"filter_by": {"polygon_sizes": sizes}}


def kept(action: str, settings: dict[str, Any], *objects: LabeledObject) -> list[str]:
    return [item.class_title for item in objects_after(action, settings, element(*objects, size=(20, 12)))]


def test_objects_of_named_classes_are_kept_and_classes_stay() -> None:
    settings = {"filter_by": {"names": ["box", "crack"]}}
    assert kept("objects_filter", settings, CELL, BOX, CRACK) == ["box", "crack"]
    assert kept("objects_filter", {"filter_by": {"names": []}}, CELL, BOX) == []
    assert meta_after("objects_filter", settings, META) == META


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (by_size(["box"], "less", percent=25), ["cell", "box", "crack"]),  # exactly a quarter: not less
        (by_size(["box"], "greater", percent=25), ["cell", "box", "crack"]),
        (by_size(["box"], "less", percent=25.1), ["cell", "crack"]),
        (by_size(["box"], "greater", percent=24.9), ["cell", "crack"]),
        (by_size(["cell", "crack"], "less", percent=1), ["cell", "box"]),  # a line has no area
        (by_size(["cell"], "less", width=2, height=2), ["cell", "box", "crack"]),
        (by_size(["cell"], "less", width=3, height=1), ["box", "crack"]),
        (by_size(["crack"], "greater", width=3, height=9), ["cell", "box", "crack"]),
        (by_size(["crack"], "greater", width=3, height=8), ["cell", "box"]),
    ],
)
def test_objects_below_or_above_a_size_are_deleted(settings: dict[str, Any], expected: list[str]) -> None:
    assert kept("objects_filter", settings, CELL, BOX, CRACK) == expected


def test_objects_may_get_another_class_instead() -> None:
    settings = by_size(["box", "tile"], "greater", {"remap_class": "big"}, percent=10)
    small = LabeledObject("tile", Rectangle(0, 0, 2, 2))
    result = objects_after("objects_filter", settings, element(CELL, BOX, small))
    assert result == [CELL, LabeledObject("big", BOX.geometry, BOX.tags, "x", {"id": 7}), small]
    meta = meta_after("objects_filter", settings, META)
    assert meta.titles == (*META.titles, "big") and meta.classes[-1].shape == "rectangle"
    with pytest.raises(MetaError, match="class 'big' would be a rectangle but is a bitmap already"):
        meta_after("objects_filter", by_size(["cell", "box"], "less", {"remap_class": "big"}, percent=1), META)


def area_settings(action: str, comparator: str = "lt", **rest: Any) -> dict[str, Any]:
    return {"classes": ["cell", "box"], "area": 3, "comparator": comparator, "action": action, **rest}


def test_objects_by_area_in_pixels() -> None:
    one = LabeledObject("cell", Bitmap(mask("#"), 0, 0))
    objects = one, CELL, BOX, CRACK  # 1, 3, 60 and 0 square pixels; cracks are not asked about
    assert kept("objects_filter_by_area", area_settings("delete"), *objects) == ["cell", "box", "crack"]
    assert kept("objects_filter_by_area", area_settings("keep"), *objects) == ["cell", "crack"]
    assert kept("objects_filter_by_area", area_settings("delete", "gt"), *objects) == ["cell", "cell", "crack"]


def test_objects_are_tagged_by_area_unless_they_have_the_tag() -> None:
    tags = [{"name": "grade", "value": "high"}, {"name": "seen", "value": None}, {"name": "n", "value": 2}]
    settings = area_settings("add_tags", "gt", tags_to_add=tags)
    small, box = objects_after("objects_filter_by_area", settings, element(CELL, BOX))
    assert small is CELL
    assert box.tags == (*BOX.tags, Tag("grade", "high"), Tag("seen"), Tag("n", 2))
    marked = LabeledObject("box", BOX.geometry, (Tag("grade", "low"),))
    (again,) = objects_after("objects_filter_by_area", settings, element(marked))
    assert again.tags == (Tag("grade", "low"), Tag("seen"), Tag("n", 2))
    assert meta_after("objects_filter_by_area", settings, META).tags == (*META.tags, TagMeta("seen"))


@pytest.mark.parametrize(
    ("settings", "is_kept"),
    [
        ({"min_length": 10}, True),  # its length is 5 + 5
        ({"max_length": 10}, True),
        ({"min_length": 10.01}, False),
        ({"max_length": 9.99}, False),
        ({"min_length": 10, "max_length": 10, "invert": True}, False),
        ({"min_length": 11, "invert": True}, True),
        ({"min_length": 500, "resolution_compensation": True}, True),  # 500 * 20 / 1000
        ({"min_length": 500.1, "resolution_compensation": True}, False),
    ],
)
def test_lines_are_dropped_by_length(settings: dict[str, Any], is_kept: bool) -> None:
    other = LabeledObject("lane", CRACK.geometry)
    expected = ["lane", *(["crack"] if is_kept else []), "crack"]
    polygon = LabeledObject("crack", Polygon(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])))
    settings = {"lines_class": "crack", **settings}
    assert kept("drop_lines_by_length", settings, other, CRACK, polygon) == expected


@pytest.mark.parametrize(
    ("settings", "output"),
    [
        ({"include": ["cell"]}, 0),
        ({"include": ["cell", "crack"]}, 1),
        ({"include": ["cell", "crack"], "match": "any"}, 0),
        ({"include": ["tile", "crack"], "match": "any"}, 1),
        ({"exclude": ["crack"]}, 0),
        ({"exclude": ["crack", "box"]}, 1),
        ({"include": ["cell"], "exclude": ["box"]}, 1),
        ({"include": ["cell"], "exclude": ["tile"]}, 0),
    ],
)
def test_images_are_sorted_by_their_objects(settings: dict[str, Any], output: int) -> None:
    assert route("filter_images_by_object", settings, element(CELL, BOX)) == output


def test_an_image_without_objects_includes_nothing_and_needs_to_exclude_nothing() -> None:
    assert route("filter_images_by_object", {"include": ["cell"]}, element()) == 1
    assert route("filter_images_by_object", {"exclude": ["cell"]}, element()) == 0


@pytest.mark.parametrize(
    ("settings", "output"),
    [
        ({"tags": ["ok"]}, 0),
        ({"tags": ["ok", "n"]}, 1),
        ({"tags": ["ok", "n"], "match": "any"}, 0),
        ({"tags": [{"name": "grade", "value": "high"}]}, 0),
        ({"tags": [{"name": "grade", "value": "low"}]}, 1),
        ({"tags": [{"name": "grade", "value": None}]}, 0),
        ({"tags": ["n"], "condition": "without_img"}, 0),
        ({"tags": ["n", "ok"], "condition": "without_img"}, 1),
        ({"tags": ["n", "ok"], "condition": "without_img", "match": "any"}, 0),
        ({"tags": [{"name": "grade", "value": "low"}], "condition": "with_obj"}, 0),
        ({"tags": [{"name": "grade", "value": "high"}], "condition": "with_obj"}, 1),
        ({"tags": [{"name": "grade", "value": "high"}], "condition": "without_obj"}, 0),
        ({"tags": ["ok"], "condition": "without_obj"}, 1),
    ],
)
def test_images_are_sorted_by_their_tags(settings: dict[str, Any], output: int) -> None:
    one = element(CELL, BOX, tags=[Tag("ok", plain=True), Tag("grade", "high")])
    assert route("filter_images_by_tag", settings, one) == output


def test_numbers_of_tags_are_compared_as_numbers() -> None:
    assert route("filter_images_by_tag", {"tags": [{"name": "n", "value": 2.0}]}, element(tags=[Tag("n", 2)])) == 0


@pytest.mark.parametrize(
    ("settings", "output"), [({}, 1), ({"exclude_classes": ["cell", "tile"]}, 1), ({"exclude_classes": ["crack"]}, 0)]
)
def test_images_without_objects_pass(settings: dict[str, Any], output: int) -> None:
    assert route("filter_images_without_objects", settings, element(CELL, BOX)) == output
    assert route("filter_images_without_objects", settings, element()) == 0


def project(path: Path) -> Path:
    with ProjectWriter(path, META) as writer:
        for name, objects in (("a.png", (CELL,)), ("b.png", (BOX,)), ("c.png", ())):
            writer.add("d", name, Annotation(20, 12, objects), np.zeros((12, 20, 3), dtype=np.uint8))
    return path


@pytest.mark.parametrize(("with_rest", "expected"), [(False, ["a.png"]), (True, ["a.png", "b.png", "c.png"])])
def test_the_rest_is_dropped_unless_it_has_a_connection(tmp_path: Path, with_rest: bool, expected: list[str]) -> None:
    layers = read_layers(
        [
            {"action": "data", "src": ["p"], "dst": "$d", "settings": {"classes_mapping": "default"}},
            {
                "action": "filter_images_by_object",
                "src": ["$d"],
                "dst": ["$with", "$without"] if with_rest else "$with",
                "settings": {"include": ["cell"]},
            },
            {
                "action": "supervisely",
                "src": ["$with", "$without"] if with_rest else ["$with"],
                "dst": "r",
                "settings": {},
            },
        ]
    )
    transform(layers, {"p": project(tmp_path / "p")}, tmp_path / "r")
    assert [item.name for item in Project.open(tmp_path / "r").items] == expected


@pytest.mark.parametrize(
    ("action", "settings", "problem"),
    [
        (
            "objects_filter",
            {"filter_by": {}},
            ".settings.filter_by: {} is not possible; needs either 'names' or 'polyg",
        ),
        (
            "objects_filter",
            by_size(["cell"], "less", percent=1, width=3),
            ".settings.filter_by.polygon_sizes.area_size: {'percent': 1, 'width': 3} is not possible; needs either",
        ),
        ("objects_filter", by_size(["cell"], "less", width=3), ".settings.filter_by.polygon_sizes.area_size: {'width'"),
        (
            "objects_filter",
            by_size(["cell"], "less", percent=101),
            ".settings.filter_by.polygon_sizes.area_size.percent: 101 is not possible; must be at most 100",
        ),
        (
            "objects_filter",
            by_size(["cell"], "smaller", percent=1),
            ".settings.filter_by.polygon_sizes.comparator: 'smaller' is not possible; must be 'less' or 'greater'",
        ),
        (
            "objects_filter",
            by_size(["cell"], "less", "drop", percent=1),
            ".settings.filter_by.polygon_sizes.action: 'drop' is not possible; should be 'delete', or {'remap_class'",
        ),
        ("objects_filter_by_area", area_settings("add_tags"), ".settings: 'tags_to_add' and the action 'add_tags' bel"),
        (
            "objects_filter_by_area",
            area_settings("hide"),
            ".settings.action: 'hide' is not possible; must be 'delete',",
        ),
        (
            "objects_filter_by_area",
            area_settings("add_tags", tags_to_add=[{"name": "n", "value": "x"}]),
            ".settings.tags_to_add.0.name: tag 'n' would hold 'any_string' but holds 'any_number' already",
        ),
        ("drop_lines_by_length", {"lines_class": "crack"}, ".settings: needs 'min_length', 'max_length' or both"),
        (
            "drop_lines_by_length",
            {"lines_class": "crack", "min_length": -1},
            ".settings.min_length: -1 is not possible; must be at least 0",
        ),
        ("filter_images_by_object", {}, ".settings: needs classes in 'include', 'exclude' or both"),
        (
            "filter_images_by_object",
            {"include": ["box"], "exclude": ["box"]},
            ".settings: class 'box' is in 'include' and in 'exclude'",
        ),
        (
            "filter_images_by_object",
            {"include": ["bx"]},
            ".settings.include: there is no class 'bx' here; did you mean",
        ),
        ("filter_images_by_tag", {"tags": []}, ".settings.tags: [] is not possible; list should have at least 1 item"),
        (
            "filter_images_by_tag",
            {"tags": ["grad"]},
            ".settings.tags: there is no tag 'grad' here; did you mean 'grade'?",
        ),
        (
            "filter_images_by_tag",
            {"tags": ["ok"], "condition": "with"},
            ".settings.condition: 'with' is not possible; must be 'with_img'",
        ),
        (
            "filter_images_without_objects",
            {"exclude_classes": ["bx"]},
            ".settings.exclude_classes: there is no class 'bx' here; did",
        ),
    ],
)
def test_wrong_settings_are_told(action: str, settings: Any, problem: str) -> None:
    assert problems_of(action, settings, META)[0].startswith(f"layer 2 ({action}){problem}")


def test_a_point_has_no_area_and_no_sides() -> None:
    dot = LabeledObject("dot", Point(3, 3))
    assert kept("objects_filter", by_size(["dot"], "less", percent=0), dot) == ["dot"]
    assert kept("objects_filter", by_size(["dot"], "less", width=1, height=1), dot) == []


@pytest.mark.parametrize(
    ("action", "settings", "key", "missing"),
    [
        (
            "objects_filter",
            {"filter_by": {"names": ["cel", "box"]}},
            "filter_by.names",
            "'cel' here; did you mean 'cell'?",
        ),
        (
            "objects_filter",
            by_size(["cel"], "less", percent=100),
            "filter_by.polygon_sizes.filtering_classes",
            "'cel' here; did you mean 'cell'?",
        ),
        (
            "drop_lines_by_length",
            {"lines_class": "crak", "min_length": 99},
            "lines_class",
            "'crak' here; did you mean 'crack'?",
        ),
    ],
)
def test_classes_that_are_not_there_are_told_and_filter_nothing(
    action: str, settings: dict[str, Any], key: str, missing: str
) -> None:
    assert warnings_of(action, settings, META) == [f"layer 2 ({action}).settings.{key}: there is no class {missing}"]
    assert kept(action, settings, BOX, CRACK)[0] == "box"
    assert meta_after(action, settings, META) == META
