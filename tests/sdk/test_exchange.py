"""Projects pass between Segsweep and the official SDK, and both find the same in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    Graph,
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
from segsweep.annotation.geometry import trim
from segsweep.datasets import make_projects
from segsweep.dtl import LAYERS, TransformSummary, read_layers, transform
from segsweep.files import encode_image, read_json
from tests.sdk.conftest import Sdk
from tests.sdk.ours import describe, differences

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "dtl.json"
GOLDEN = ROOT / ".." / "shared" / "golden" / "dtl"
RECORDED = sorted(GOLDEN.glob("cases/*/graph.json"))
WIDTH, HEIGHT = 70, 52

GRAPHS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "flips": {"flip": {"axis": "vertical"}, "flip_2": {"axis": "horizontal"}},
    "there and back": {f"flip_{turn}": {"axis": axis} for turn, axis in enumerate(2 * ("vertical", "horizontal"))},
    "crop": {"crop": {"sides": {"left": "7px", "top": "13%"}}},
    "resize": {"resize": {"width": 33, "height": 80, "aspect_ratio": {"keep": False}}},
    "rotate": {"rotate": {"rotate_angles": {"min_degrees": 5, "max_degrees": 85}, "black_regions": {"mode": "keep"}}},
    "windows": {"sliding_window": {"window": {"width": 30, "height": 20}, "min_overlap": {"x": 5, "y": 0}}},
    "tags": {"tag": {"tag": {"name": "site", "value": "north"}, "action": "add"}, "background": {"class": "bg"}},
    "masks": {"rasterize": {"classes_mapping": {"field": "field mask", "box": "box mask", "wire": "wire mask"}}},
    "contours": {"find_contours": {"classes_mapping": {"mask": "outline"}}},
    "boxes": {"bbox": {"classes_mapping": {"mask": "mask box", "field": "field box", "wire": "wire box"}}},
    "renamed": {"rename": {"classes_mapping": {"mask": "Ø mask", "field": "__ignore__"}}},
    "save": {"save": {"visualize": True}},
    "save_masks": {
        "save_masks": {
            "masks_machine": True,
            "masks_human": True,
            "gt_machine_color": {"mask": [1, 1, 1], "field": [2, 2, 2]},
            "gt_human_color": {"mask": [255, 0, 0]},
        }
    },
}
"""Settings of layers by action, one after the other; a number tells equal actions apart."""


def chain(steps: dict[str, Any]) -> dict[str, Any]:
    """The layers of a graph from the project `p` through the steps to a result."""
    layers: dict[str, Any] = {"sample": {"action": "data", "src": ["p/*"], "settings": {"classes_mapping": "default"}}}
    for name, settings in steps.items():
        layers[name] = {"action": re.sub(r"_[0-9]$", "", name), "src": [f"${list(layers)[-1]}"], "settings": settings}
    if not any(name.startswith("save") for name in steps):
        layers["out"] = {"action": "supervisely", "src": [f"${list(layers)[-1]}"], "settings": {}}
    layers[list(layers)[-1]]["dst"] = "result"
    return layers


def run(graph: Any, projects: dict[str, Path], result: Path) -> TransformSummary:
    return transform(read_layers(graph), projects, result, seed=1)


def same(sdk: Sdk, project: Path) -> dict[str, Any]:
    """What both find in a project, which is the same."""
    ours = describe(Project.open(project))
    different = differences(sdk.ask("describe", project), ours)
    assert not different, "\n".join(different)
    return ours


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every shape, coordinates between pixels, tags of every type on images and objects, side files."""
    square = np.array([[30.0, 5], [50, 5], [50, 25], [30, 25]])
    inner = (np.array([[35.0, 10], [45, 10], [45, 20]]), np.array([[31.0, 6], [33, 6], [33, 8]]))
    ring = np.ones((12, 15), np.bool_)
    ring[4:9, 3:14] = False
    wire = Line(np.array([[0.0, 38.5], [59, 30.25], [0, 0]]))
    skeleton = {
        "nodes": {key: {"label": label, "loc": [0, 0]} for key, label in (("a", "head"), ("b", "tail"), ("c", "fin"))},
        "edges": [{"src": "a", "dst": "b"}],
    }
    pose = Graph({"a": {"loc": [10, 11]}, "b": {"loc": [20, 9]}, "c": {"loc": [0, 0], "disabled": True}})
    meta = ProjectMeta(
        (
            ClassMeta("mask", "bitmap", "#ff0000", {"hotkey": "m"}),
            ClassMeta("field", "polygon", "#00FF00"),
            ClassMeta("box", "rectangle"),
            ClassMeta("wire", "line", "#0000ff"),
            ClassMeta("spot", "point", "#00ffff"),
            ClassMeta("pose", "graph", "#ff00ff", {"geometry_config": skeleton}),
            ClassMeta("anything", "any", "#ffff00"),
            ClassMeta("unused", "bitmap"),
        ),
        (
            TagMeta("plain", plain=True),
            TagMeta("seen"),
            TagMeta("count", "any_number"),
            TagMeta("note", "any_string"),
            TagMeta("weather", "oneof_string", {"values": ["sun", "rain"]}),
            TagMeta("taken", "date"),
        ),
    )
    tags = (
        Tag("plain", plain=True),
        Tag("seen"),
        Tag("count", 0),
        Tag("count", 1.5),
        Tag("note", "Größe „5“"),
        Tag("weather", "rain"),
        Tag("taken", "2026-11-22T10:00:00+00:00"),
    )
    shapes = (
        ("field", Polygon(square, inner)),
        ("field", Polygon(np.array([[2.5, 3], [20.25, 4], [9, 25.5]]))),
        ("mask", Bitmap(ring, 5, 20)),
        ("box", Rectangle(12.5, 22, 30, 33)),
        ("box", Rectangle(0, 0, WIDTH, HEIGHT)),
        ("wire", wire),
        ("spot", Point(WIDTH - 1, HEIGHT - 1)),
        ("pose", pose),
        ("anything", Bitmap(ring, WIDTH - 15, 0)),
        ("anything", Polygon(square)),
        ("anything", wire),
        ("anything", Point(0, 0)),
        ("anything", Rectangle(3, 4, 5, 6)),
    )
    objects = tuple(LabeledObject(title, shape) for title, shape in shapes)
    tagged = LabeledObject("mask", Bitmap(ring, 0, 0), tags, "the left one", {"instance": "pair"})
    path = tmp_path_factory.mktemp("ours") / "everything"
    photo = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with ProjectWriter(path, meta, {"made": "for a test"}) as writer:
        writer.add("day", "a.png", Annotation(WIDTH, HEIGHT, objects, tags, "two\nlines"), photo)
        writer.add("day", "leer – 空.jpg", Annotation(WIDTH, HEIGHT), photo)
        writer.add("night", "a.png", Annotation(WIDTH, HEIGHT, (tagged,)), photo)
        writer.add("night", "b.webp", Annotation(WIDTH, HEIGHT, (tagged,), (Tag("plain", plain=True),)), photo)
        for name in ("a.png", "leer – 空.jpg"):
            writer.add_side("day", "field_of_view", name, encode_image(photo, ".png"))
    return path


def test_every_shape_and_tag_that_our_writer_writes_opens_in_the_sdk(sdk: Sdk, everything: Path) -> None:
    found = same(sdk, everything)
    assert found["counts"] == {
        "mask": 3, "field": 2, "box": 2, "wire": 1, "spot": 1, "pose": 1, "anything": 5, "unused": 0
    }  # fmt: skip
    assert len(found["items"]) == 4
    assert ["count", 1.5] in found["items"]["night/a.png"]["objects"][0]["tags"]


def test_masks_of_every_width_open_in_the_sdk(sdk: Sdk, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    masks = [random.random((random.integers(1, 30), width)) < random.random() for width in range(1, 70)]
    objects = [LabeledObject("m", shape) for mask in masks for shape in trim(Bitmap(mask, 70 - mask.shape[1], 1))]
    assert len(objects) > 60
    with ProjectWriter(tmp_path / "masks", ProjectMeta((ClassMeta("m", "bitmap"),))) as writer:
        writer.add("d", "a.png", Annotation(70, 40, tuple(objects)), np.zeros((40, 70, 3), np.uint8))
    same(sdk, tmp_path / "masks")


@pytest.mark.parametrize("name", GRAPHS)
def test_result_of_a_graph_opens_in_the_sdk(sdk: Sdk, name: str, everything: Path, tmp_path: Path) -> None:
    summary = run(chain(GRAPHS[name]), {"p": everything}, tmp_path / "result")
    assert not summary.skipped
    assert len(same(sdk, tmp_path / "result")["items"]) == summary.outputs > 0


def test_tutorials_result_opens_in_the_sdk(sdk: Sdk, tmp_path: Path) -> None:
    settings = {"project": "vessels", "width": 256, "height": 256, "images": 2, "val_images": 0, "test_images": 0}
    made = make_projects("vessels_synthetic", settings, lambda name, _: tmp_path / name)
    run(json.loads(TUTORIAL.read_text()), made.paths, tmp_path / "result")
    found = same(sdk, tmp_path / "result")
    assert len(found["items"]) == 88
    assert found["counts"]["bg"] == 88
    assert found["counts"]["vessel"] > 80
    assert found["classes"][0][:2] == ["vessel", "bitmap"]
    assert found["tags"] == [["train", "none"], ["val", "none"]]


@pytest.mark.parametrize("steps", ["nothing", "flips", "crop"])
@pytest.mark.parametrize("name", ["sly_cookbook_tagged", "sly_tutorial_legacy_format"])
def test_results_from_real_projects_open_in_the_sdk(
    sdk: Sdk, shared: Path, name: str, steps: str, tmp_path: Path
) -> None:
    source = shared / "data" / "supervisely_projects" / name
    run(chain(GRAPHS[steps]), {"p": source}, tmp_path / "result")
    before, after = same(sdk, source), same(sdk, tmp_path / "result")
    assert len(before["items"]) == len(after["items"]) == 5
    if steps != "crop":
        assert before["counts"] == after["counts"] == {"person": 6, "dog": 1, "car": 5, "bike": 3}
        assert [item["tags"] for item in before["items"].values()] == [item["tags"] for item in after["items"].values()]


@pytest.mark.skipif(not RECORDED, reason="needs the golden vectors in shared/ beside the project")
def test_results_of_all_recorded_graphs_open_in_the_sdk(sdk: Sdk, tmp_path: Path) -> None:
    seen, problems = 0, {}
    for path in RECORDED:
        graph, name = read_json(path), path.parent.name
        if not {layer["action"] for layer in graph} <= set(LAYERS):
            continue
        inputs = {
            project: GOLDEN / "projects" / project for project in read_json(path.with_name("case.json"))["inputs"]
        }
        if run(graph, inputs, tmp_path / name).outputs:
            seen += 1
            try:
                same(sdk, tmp_path / name)
            except (AssertionError, RuntimeError) as error:
                problems[name] = str(error)
    assert not problems
    assert seen > 120


@pytest.fixture(scope="module")
def theirs(sdk: Sdk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the SDK wrote: every shape, every type of tag, nested data sets, the platform's own keys."""
    path = tmp_path_factory.mktemp("theirs") / "p"
    sdk.ask("write", path)
    return path


def test_what_the_sdk_writes_opens_here(sdk: Sdk, theirs: Path) -> None:
    found = same(sdk, theirs)
    assert sorted(found["items"]) == [
        "street/all shapes.png",
        "street/nichts ist da – 空.png",
        "street__night/all shapes.png",
        "street__night__deep/x.png",
    ]
    assert found["counts"] == {
        "mask": 3, "field": 1, "box": 2, "wire": 1, "spot": 1, "pose": 1, "anything": 5, "never used": 0
    }  # fmt: skip
    assert ["field", "polygon", "#008007"] in found["classes"]
    tagged = found["items"]["street__night/all shapes.png"]
    assert tagged["tags"] == [
        ["count", -2.5],
        ["count", 0],
        ["note", ""],
        ["seen", None],
        ["taken", "2026-11-22T10:00:00Z"],
        ["weather", "rain"],
    ]
    assert tagged["objects"][0]["tags"] == [["note", "日本"], ["seen", None], ["sure", 0.75]]
    assert not Project.open(theirs).warnings


@pytest.mark.parametrize("steps", [GRAPHS["nothing"], GRAPHS["there and back"]], ids=["nothing", "there and back"])
def test_what_the_sdk_writes_is_the_same_after_the_identity_graph(
    sdk: Sdk, steps: dict[str, Any], theirs: Path, tmp_path: Path
) -> None:
    run(chain(steps), {"p": theirs}, tmp_path / "result")
    assert not differences(same(sdk, theirs), same(sdk, tmp_path / "result"))
    before, after = sdk.ask("annotations", theirs), sdk.ask("annotations", tmp_path / "result")
    assert not differences(before, after)
