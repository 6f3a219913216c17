"""`copy_annotations`: a second observer's masks on the images of the first."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    LabeledObject,
    Project,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    Tag,
    TagMeta,
)
from segsweep.dtl import TransformSummary, read_layers, transform
from segsweep.dtl.element import Source
from segsweep.errors import InvalidRequestError
from tests.dtl.one_layer import call_of, problems_of

FIRST = ProjectMeta(
    (ClassMeta("vessel", "bitmap", "#FF0000"), ClassMeta("disc", "rectangle")), (TagMeta("grade", "any_string"),)
)
SECOND = ProjectMeta(
    (ClassMeta("vessel_2", "bitmap", "#00FF00"), ClassMeta("disc", "rectangle")),
    (TagMeta("grade", "any_string"), TagMeta("second")),
)


def vessels(seed: int, title: str, width: int = 30) -> Annotation:
    mask = np.random.default_rng(seed).random((20, width)) < 0.3
    tags = (Tag("grade", title), *([Tag("second")] if title == "vessel_2" else []))
    disc = LabeledObject("disc", Rectangle(seed, 2, 9, 9))
    return Annotation(width, 20, (LabeledObject(title, Bitmap(mask, 0, 0)), disc), tags)


def project(path: Path, meta: ProjectMeta, items: dict[str, Annotation]) -> Path:
    with ProjectWriter(path, meta) as writer:
        for name, annotation in items.items():
            dataset, file = name.split("/")
            image = np.full((annotation.height, annotation.width, 3), 90, dtype=np.uint8)
            writer.add(dataset, file, annotation, image)
    return path


@pytest.fixture
def observers(tmp_path: Path) -> dict[str, Path]:
    first = {f"d/{name}.png": vessels(index, "vessel") for index, name in enumerate("abc", start=1)}
    second = {f"d/{name}.png": vessels(index, "vessel_2") for index, name in enumerate("ab", start=5)}
    return {
        "first": project(tmp_path / "first", FIRST, first),
        "second": project(tmp_path / "second", SECOND, {**second, "e/c.png": vessels(9, "vessel_2")}),
    }


def graph(settings: dict[str, Any], **before: Any) -> list[Any]:
    data = {"action": "data", "src": ["first"], "settings": {"classes_mapping": "default"}}
    layers = {"sample": data, **before}
    copy = {"action": "copy_annotations", "src": [list(layers)[-1]], "settings": {"project": "second", **settings}}
    return read_layers({**layers, "copy": copy, "out": {"action": "supervisely", "src": ["copy"], "dst": "r"}})


def run(observers: dict[str, Path], settings: dict[str, Any], **options: Any) -> tuple[Project, TransformSummary]:
    result = observers["first"].parent / "result"
    summary = transform(graph(settings), observers, result, **options)
    return Project.open(result), summary


def titles(result: Project) -> dict[str, list[str]]:
    return {item.name: [one.class_title for one in item.annotation(result.meta).objects] for item in result.items}


@pytest.mark.parametrize("workers", [1, 2])
def test_both_observers_are_on_one_image(observers: dict[str, Path], workers: int) -> None:
    result, _ = run(observers, {}, workers=workers)
    both = ["vessel", "disc", "vessel_2", "disc"]
    assert titles(result) == {"a.png": both, "b.png": both, "c.png": ["vessel", "disc"]}
    assert result.meta.titles == ("vessel", "disc", "vessel_2")
    annotation = result.items[0].annotation(result.meta)
    second = Project.open(observers["second"])
    assert annotation.objects[2:] == second.items[0].annotation(second.meta).objects
    assert annotation.tags == (Tag("grade", "vessel"), Tag("second"))  # the own grade stays


def test_annotations_are_replaced(observers: dict[str, Path]) -> None:
    result, _ = run(observers, {"mode": "replace"})
    assert titles(result) == {"a.png": ["vessel_2", "disc"], "b.png": ["vessel_2", "disc"], "c.png": ["vessel", "disc"]}
    assert result.items[0].annotation(result.meta).tags == (Tag("grade", "vessel_2"), Tag("second"))


@pytest.mark.parametrize(("mode", "expected"), [("merge", ["vessel", "disc", "disc"]), ("replace", ["vessel", "disc"])])
def test_only_some_classes_are_copied_or_replaced(observers: dict[str, Path], mode: str, expected: list[str]) -> None:
    result, _ = run(observers, {"mode": mode, "classes": ["disc"]})
    assert titles(result)["a.png"] == expected
    annotation = result.items[0].annotation(result.meta)
    assert annotation.objects[-1].geometry == Rectangle(5, 2, 9, 9)
    assert annotation.tags == (Tag("grade", "vessel"),)


@pytest.mark.parametrize(
    ("missing", "kept", "skipped"), [("keep", "abc", []), ("drop", "ab", []), ("fail", "ab", ["first/d/c.png"])]
)
def test_images_that_the_other_project_lacks(
    observers: dict[str, Path], missing: str, kept: str, skipped: list[str]
) -> None:
    result, summary = run(observers, {"missing": missing})
    assert [item.name[0] for item in result.items] == list(kept)
    assert [source for source, _ in summary.skipped] == skipped
    if skipped:
        assert summary.skipped[0][1] == "layer copy: project 'second' has no image d/c.png"


def test_sizes_have_to_agree(tmp_path: Path, observers: dict[str, Path]) -> None:
    observers["second"] = project(tmp_path / "other", SECOND, {"d/a.png": vessels(1, "vessel_2", width=31)})
    _, summary = run(observers, {})
    assert summary.skipped == (
        ("first/d/a.png", "layer copy: the image has 30x20 pixels, but 31x20 in project 'second'"),
    )


def test_annotations_are_not_put_on_an_image_that_was_changed(tmp_path: Path, observers: dict[str, Path]) -> None:
    flip = {"action": "flip", "src": ["sample"], "settings": {"axis": "vertical"}}
    summary = transform(graph({}, flip=flip), observers, tmp_path / "result")
    reason = "layer copy: the image was changed before; copy annotations first"
    assert summary.skipped == (("first/d/a.png", reason), ("first/d/b.png", reason))


def test_a_damaged_annotation_is_told(observers: dict[str, Path]) -> None:
    (observers["second"] / "d" / "ann" / "a.png.json").write_text("{")
    _, summary = run(observers, {})
    assert [source for source, _ in summary.skipped] == ["first/d/a.png"]
    assert "a.png.json" in summary.skipped[0][1]


def test_what_is_sent_to_every_process_is_what_can_be_asked_for(observers: dict[str, Path]) -> None:
    _, call = call_of(
        "copy_annotations",
        {"project": "second"},
        sources=[Source("first", "d", "a.png"), Source("first", "d", "c.png")],
        projects={name: Project.open(path) for name, path in observers.items()},
    )
    assert list(pickle.loads(pickle.dumps(call.prepared)).items) == [("d", "a.png")]


def test_unknown_projects_and_classes_are_told(observers: dict[str, Path]) -> None:
    assert problems_of("copy_annotations", {"project": "secnd"}, FIRST, second=SECOND) == [
        "layer 2 (copy_annotations).settings.project: unknown project 'secnd'; did you mean 'second'?"
    ]
    assert problems_of("copy_annotations", {"project": "second", "classes": ["dsc"]}, FIRST, second=SECOND) == [
        "layer 2 (copy_annotations).settings.classes: there is no class 'dsc' here; did you mean 'disc'?"
    ]
    clash = ProjectMeta((ClassMeta("vessel", "polygon"),))
    assert problems_of("copy_annotations", {"project": "second"}, FIRST, second=clash) == [
        "layer 2 (copy_annotations).settings.project: class 'vessel' would be a polygon but is a bitmap already; "
        "rename or drop one of the two before they meet"
    ]
    with pytest.raises(InvalidRequestError, match=r"copy\.settings\.project: unknown project 'second'"):
        transform(graph({}), {"first": observers["first"]}, observers["first"].parent / "result")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "project: must be given"),
        ({"project": 3}, "project: 3 is not possible; must be a text"),
        ({"project": ""}, "project: '' is not possible; must not be empty"),
        ({"project": "second", "mode": "add"}, "mode: 'add' is not possible; must be 'merge' or 'replace'"),
        ({"project": "second", "missing": "skip"}, "missing: 'skip' is not possible; must be 'keep', 'drop' or 'fail'"),
        ({"project": "second", "classes": []}, "classes: [] is not possible; list should have at least 1 item"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], problem: str) -> None:
    (told,) = problems_of("copy_annotations", settings, FIRST, second=SECOND)
    assert told.startswith(f"layer 2 (copy_annotations).settings.{problem}")
