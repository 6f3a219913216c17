"""Layers that change classes: `rename`, `drop_obj_by_class`, `color_class`, `duplicate_objects`."""

from __future__ import annotations

from typing import Any

import pytest

from segsweep.annotation import ClassMeta, LabeledObject, Point, ProjectMeta, Rectangle, Tag
from segsweep.dtl.mapping import MetaError
from tests.dtl.one_layer import element, meta_after, objects_after, problems_of, warnings_of

META = ProjectMeta(
    (
        ClassMeta("cell", "rectangle", "#010203", {"hotkey": "c"}),
        ClassMeta("nucleus", "rectangle", "#040506"),
        ClassMeta("mark", "point", "#070809"),
    )
)
CELL = LabeledObject("cell", Rectangle(1, 1, 5, 5), (Tag("t"),), "x", {"id": 7})
MARK = LabeledObject("mark", Point(2, 2))


def after(action: str, settings: Any, *objects: LabeledObject) -> tuple[list[str], list[LabeledObject]]:
    """Titles after a layer, and its objects."""
    return list(meta_after(action, settings, META).titles), objects_after(
        action, settings, element(*objects), meta=META
    )


def test_rename_keeps_what_is_not_listed_and_everything_but_the_class_of_what_is() -> None:
    titles, objects = after("rename", {"classes_mapping": {"cell": "blob"}}, CELL, MARK)
    assert titles == ["nucleus", "mark", "blob"]
    assert objects == [LabeledObject("blob", CELL.geometry, CELL.tags, "x", {"id": 7}), MARK]
    renamed = meta_after("rename", {"classes_mapping": {"cell": "blob"}}, META).get("blob")
    assert renamed == ClassMeta("blob", "rectangle", "#010203", {"hotkey": "c"})


def test_rename_follows_an_other_that_is_written() -> None:
    titles, objects = after("rename", {"classes_mapping": {"mark": "dot", "__other__": "__ignore__"}}, CELL, MARK)
    assert titles == ["dot"]
    assert objects == [LabeledObject("dot", Point(2, 2))]
    assert after("rename", {"classes_mapping": {"mark": "__ignore__", "__other__": "x"}}, CELL)[0] == ["x"]


def test_rename_with_nothing_to_rename_changes_nothing() -> None:
    assert after("rename", {"classes_mapping": {}}, CELL, MARK) == (["cell", "nucleus", "mark"], [CELL, MARK])


def test_drop_drops_classes_with_their_objects() -> None:
    settings = {"classes": ["cell", "nucleus", "cell"]}
    assert after("drop_obj_by_class", settings, CELL, MARK, CELL) == (["mark"], [MARK])


def test_colors_change_and_nothing_else() -> None:
    settings = {"classes_color_mapping": {"cell": "#ABCDEF"}}
    meta = meta_after("color_class", settings, META)
    assert meta.classes[0] == ClassMeta("cell", "rectangle", "#ABCDEF", {"hotkey": "c"})
    assert meta.classes[1:] == META.classes[1:]
    assert objects_after("color_class", settings, element(CELL)) == [CELL]


def test_copies_stand_right_above_their_originals_with_all_they_have() -> None:
    titles, objects = after("duplicate_objects", {"classes_mapping": {"cell": "copy"}}, CELL, MARK, CELL)
    copy = LabeledObject("copy", CELL.geometry, CELL.tags, "x", {"id": 7})
    assert titles == ["cell", "nucleus", "mark", "copy"]
    assert objects == [CELL, copy, MARK, CELL, copy]
    new = meta_after("duplicate_objects", {"classes_mapping": {"cell": "copy"}}, META).get("copy")
    assert new == ClassMeta("copy", "rectangle", "#010203", {"hotkey": "c"})


def test_copies_may_go_to_a_class_of_the_same_shape() -> None:
    titles, objects = after("duplicate_objects", {"classes_mapping": {"cell": "nucleus"}}, CELL)
    assert titles == ["cell", "nucleus", "mark"]
    assert [item.class_title for item in objects] == ["cell", "nucleus"]
    with pytest.raises(MetaError, match="class 'mark' would be a rectangle but is a point already"):
        meta_after("duplicate_objects", {"classes_mapping": {"cell": "mark"}}, META)


@pytest.mark.parametrize(
    ("action", "settings", "problem"),
    [
        (
            "rename",
            {"classes_mapping": {"cel": "x"}},
            ".settings.classes_mapping.cel: names 'cel', which the data does not have; did you mean 'cell'?",
        ),
        (
            "rename",
            {"classes_mapping": {"__other__": "x"}},
            ".settings.classes_mapping.__other__: class 'x' would be a point but is a rectangle already; choose",
        ),
        ("rename", {"classes_mapping": "default"}, ".settings.classes_mapping: 'default' is not possible; must be a"),
        (
            "drop_obj_by_class",
            {"classes": ["cel"]},
            ".settings.classes: there is no class 'cel' here; did you mean 'cell'?",
        ),
        (
            "color_class",
            {"classes_color_mapping": {"zz": "#000000"}},
            ".settings.classes_color_mapping.zz: there is no class 'zz' here",
        ),
        (
            "color_class",
            {"classes_color_mapping": {"cell": "red"}},
            ".settings.classes_color_mapping.cell: 'red' is not possible; must match ^#[0-9a-fA-F]{6}$",
        ),
        (
            "duplicate_objects",
            {"classes_mapping": {"mrk": "x"}},
            ".settings.classes_mapping.mrk: there is no class 'mrk' here; did",
        ),
    ],
)
def test_wrong_settings_are_told(action: str, settings: Any, problem: str) -> None:
    (told,) = problems_of(action, settings, META)
    assert told.startswith(f"layer 2 ({action}){problem}")


def test_a_class_to_keep_need_not_be_there_but_is_told() -> None:
    settings = {"classes_mapping": {"cel": "__default__", "__other__": "__default__"}}
    told = "layer 2 (rename).settings.classes_mapping.cel: there is no class 'cel' here; did you mean 'cell'?"
    assert warnings_of("rename", settings, META) == [told]
    assert meta_after("rename", settings, META) == META


@pytest.mark.parametrize(
    "alias", ["rename_classes", "drop_object_by_class", "change_class_color", "merge_masks", "filter_image_by_tag"]
)
def test_names_of_the_successor_are_understood(alias: str) -> None:
    told = problems_of(alias, {"wrong": 1}, META)
    assert told and all(".settings" in problem or ".dst" in problem for problem in told)
