"""Saving layers: what they take, and the pictures they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    LabeledObject,
    Line,
    Point,
    Polygon,
    Project,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    object_mask,
)
from segsweep.dtl import LAYERS, check_graph, read_layers, transform
from segsweep.dtl.element import Picture
from segsweep.dtl.painting import class_colors, machine_mask, overlay
from segsweep.errors import Problems
from segsweep.files import read_image
from tests.dtl.one_layer import call_of, element, mask

META = ProjectMeta((ClassMeta("v", "bitmap", "#FF8001"), ClassMeta("box", "rectangle", "#000000")))
SIZE = (16, 10)
IMAGE = np.random.default_rng(0).integers(0, 256, (10, 16, 3), dtype=np.uint8)
V = LabeledObject("v", Bitmap(mask("##", ".#"), 3, 4))
BOX = LabeledObject("box", Rectangle(2, 3, 8, 8))
MACHINE = {"masks_machine": True, "masks_human": False, "gt_machine_color": {"v": [1, 2, 3]}}
HUMAN = {"masks_machine": False, "masks_human": True, "gt_human_color": {"v": [255, 0, 0]}}


def pictures(action: str, settings: dict[str, Any], *objects: LabeledObject, meta: ProjectMeta = META) -> Any:
    one = element(*objects, size=SIZE, picture=Picture(lambda: IMAGE))
    typed, call = call_of(action, settings, meta=meta)
    make = LAYERS[action].pictures
    assert make is not None
    return make(one, typed, call)


def told(action: str, settings: Any) -> str:
    graph = [
        {"action": "data", "src": ["p"], "dst": "$d", "settings": {"classes_mapping": "default"}},
        {"action": action, "src": ["$d"], "dst": "r", "settings": settings},
    ]
    problems = Problems()
    check_graph(read_layers(graph), {"p": META}, problems)
    return "\n".join(map(str, [*problems.found, *problems.warnings]))


# Settings


@pytest.mark.parametrize(
    ("action", "settings", "problem"),
    [
        ("save", {"visualize": 1}, "visualize: 1 is not possible; must be true or false"),
        ("save", {"image_format": "tiff"}, "image_format: 'tiff' is not possible; must be 'png' or 'jpg'"),
        ("save_masks", {**MACHINE, "untouched": "move"}, "untouched: 'move' is not possible; must be 'link' or 'copy'"),
        ("save_masks", {**MACHINE, "visualize": True}, "unknown key 'visualize'"),
        ("save_masks", {"masks_machine": True}, "settings.masks_human: must be given"),
        ("save_masks", {**MACHINE, "masks_machine": False}, "masks_machine or masks_human must be true"),
        ("save_masks", {**MACHINE, "masks_human": True}, "masks_human needs gt_human_color: class -> [red, green"),
        ("save_masks", {**MACHINE, "gt_machine_color": {"v": [1, 2]}}, "gt_machine_color.v: [1, 2] is not possible"),
        ("save_masks", {**MACHINE, "gt_machine_color": {"v": [1, 2, 256]}}, "256 is not possible; must be at most 255"),
        ("save_masks", {**MACHINE, "gt_machine_color": {"w": [1, 2, 3]}}, "there is no class 'w' here"),
    ],
)
def test_wrong_settings_are_told(action: str, settings: dict[str, Any], problem: str) -> None:
    assert problem in told(action, settings)


@pytest.mark.parametrize(
    ("action", "settings"),
    [
        ("save", {}),
        ("save", {"images": True, "annotations": False, "visualise": True}),
        ("supervisely", {"anything": {"goes": 1}}),
        ("save_masks", MACHINE),
        ("save_masks", {**MACHINE, **HUMAN, "masks_machine": True, "image_format": "png", "untouched": "copy"}),
    ],
)
def test_right_settings_are_taken(action: str, settings: dict[str, Any]) -> None:
    assert not told(action, settings)


# Pictures


def test_colours_of_classes_are_those_of_the_project() -> None:
    assert class_colors(META) == {"v": (255, 128, 1), "box": (0, 0, 0)}


def test_machine_masks_show_the_topmost_class_in_its_colour() -> None:
    unlisted = LabeledObject("other", Rectangle(0, 0, 15, 9))
    colors = {"v": (1, 2, 3), "box": (200, 100, 50)}
    picture = machine_mask(Annotation(*SIZE, (BOX, V, unlisted)), colors)
    expected = np.zeros((10, 16, 3), dtype=np.uint8)
    expected[3:9, 2:9] = (200, 100, 50)
    expected[object_mask(V, *SIZE)] = (1, 2, 3)
    assert picture.dtype == np.uint8 and np.array_equal(picture, expected)


def test_black_covers_in_machine_masks() -> None:
    picture = machine_mask(Annotation(*SIZE, (V, BOX)), {"v": (1, 2, 3), "box": (0, 0, 0)})
    assert not picture.any()


@given(st.lists(arrays(np.bool_, (10, 16)), max_size=3), arrays(np.uint8, (10, 16, 3)))
def test_people_see_the_image_twice_and_half_of_each_colour(masks: list[np.ndarray], image: np.ndarray) -> None:
    colors = {"0": (255, 255, 255), "1": (0, 0, 0), "2": (10, 201, 30)}
    objects = tuple(LabeledObject(str(place), Bitmap(pixels, 0, 0)) for place, pixels in enumerate(masks))
    both = overlay(image, Annotation(*SIZE, objects), colors)
    expected = image.astype(float)
    for place, pixels in enumerate(masks):
        color = np.maximum(colors[str(place)], int(not any(colors[str(place)])))
        expected[pixels] = (image[pixels] + color.astype(float)) / 2
    assert both.shape == (10, 33, 3) and both.dtype == np.uint8
    assert np.array_equal(both[:, :16], image)
    assert (both[:, 16] == (0, 255, 0)).all()
    assert np.array_equal(both[:, 17:], np.floor(expected).astype(np.uint8))


@pytest.mark.parametrize(
    ("shape", "filled"),
    [
        (Bitmap(np.ones((6, 6), dtype=np.bool_), 2, 2), True),
        (Polygon(np.array([[2.0, 2], [7, 2], [7, 7], [2, 7]])), True),
        (Rectangle(2, 2, 7, 7), False),
    ],
)
def test_areas_are_filled_and_boxes_only_outlined(shape: Geometry, filled: bool) -> None:
    black = np.zeros((10, 16, 3), dtype=np.uint8)
    under = overlay(black, Annotation(*SIZE, (LabeledObject("a", shape),)), {"a": (200, 200, 200)})[:, 17:]
    assert (under[2, 2:8] == 100).all() and (under[4, 4] == (100 if filled else 0)).all()


@pytest.mark.parametrize(("side", "thick"), [(298, 1), (599, 3), (899, 5)])  # 1, 2 and 3 in OpenCV's counting
def test_outlines_get_thicker_with_the_image(side: int, thick: int) -> None:
    line = LabeledObject("a", Line(np.array([[0.0, 9], [side, 9]])))
    black = np.zeros((20, side, 3), dtype=np.uint8)
    under = overlay(black, Annotation(side, 20, (line,)), {"a": (200, 200, 200)})[:, side + 1 :]
    assert np.count_nonzero(under[:, side // 2, 0]) == thick


def test_points_can_be_seen() -> None:
    black = np.zeros((10, 16, 3), dtype=np.uint8)
    under = overlay(black, Annotation(*SIZE, (LabeledObject("a", Point(3, 4)),)), {"a": (200, 0, 0)})[:, 17:]
    assert np.argwhere(under[..., 0]).tolist() == [[4, 3]]


# Saving


def test_save_makes_pictures_only_if_wanted() -> None:
    assert pictures("save", {}, V) == {}
    made = pictures("save", {"visualize": True}, V, BOX)
    assert list(made) == ["visualize"]
    assert np.array_equal(made["visualize"], overlay(IMAGE, Annotation(*SIZE, (V, BOX)), class_colors(META)))


def test_save_masks_makes_what_is_asked_for() -> None:
    annotation = Annotation(*SIZE, (V,))
    machine, human = pictures("save_masks", MACHINE, V), pictures("save_masks", HUMAN, V)
    assert list(machine) == ["masks_machine"] and list(human) == ["masks_human"]
    assert np.array_equal(machine["masks_machine"], machine_mask(annotation, {"v": (1, 2, 3)}))
    assert np.array_equal(human["masks_human"], overlay(IMAGE, annotation, {"v": (255, 0, 0)}))
    both = pictures("save_masks", {**MACHINE, **HUMAN, "masks_machine": True}, V)
    assert sorted(both) == ["masks_human", "masks_machine"]


def test_machine_masks_need_no_pixels() -> None:
    typed, call = call_of("save_masks", MACHINE, meta=META)
    make = LAYERS["save_masks"].pictures
    assert make is not None and make(element(V), typed, call)  # its picture must not be looked at


@pytest.mark.parametrize(
    ("action", "settings", "folders"),
    [
        ("supervisely", {}, set()),
        ("save", {"visualize": True}, {"visualize"}),
        ("save_masks", {**MACHINE, **HUMAN, "masks_machine": True}, {"masks_machine", "masks_human"}),
    ],
)
@pytest.mark.parametrize("image_format", ["png", "jpg", None])
@pytest.mark.parametrize("untouched", ["link", "copy"])
def test_results_hold_images_annotations_and_pictures_of_the_same_names(
    tmp_path: Path, action: str, settings: dict[str, Any], folders: set[str], image_format: str | None, untouched: str
) -> None:
    source = tmp_path / "source"
    with ProjectWriter(source, META) as writer:
        writer.add("d", "a.png", Annotation(*SIZE, (BOX, V)), IMAGE)
    graph = [
        {"action": "data", "src": ["p"], "dst": "$d", "settings": {"classes_mapping": "default"}},
        {"action": "multiply", "src": ["$d"], "dst": "$m", "settings": {"multiply": 2}},
        {
            "action": action,
            "src": ["$m"],
            "dst": "r",
            "settings": {**settings, "image_format": image_format, "untouched": untouched},
        },
    ]
    result = tmp_path / "result"
    assert transform(read_layers(graph), {"p": source}, result).outputs == 2
    items = Project.open(result).items
    assert {path.suffix for path in (result / "d" / "img").iterdir()} == {f".{image_format or 'png'}"}
    assert {path.name for path in (result / "d").iterdir()} == {"img", "ann", *folders}
    for folder in folders:
        files = list((result / "d" / folder).iterdir())
        assert {path.name for path in files} == {f"{item.image_path.stem}.png" for item in items}
        assert all(read_image(path).shape[0] == 10 for path in files)
    linked = (source / "d" / "img" / "a.png").stat().st_nlink
    assert linked == (3 if untouched == "link" and image_format != "jpg" else 1)
