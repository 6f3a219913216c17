from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segsweep.errors import InvalidRequestError, Problems
from segsweep.inference import MODES, InferenceSettings, check_mode, settings_from_mode
from segsweep.inference.placement import Amount, Boxes, Roi, Sides, Whole, Windows

LABELS = "and those here label pixels"
UNIT = "must be a whole number and its unit, such as 10px or 5%"
BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "full_imag"}, "name: unknown mode 'full_imag'; did you mean 'full_image'?"),
    ({"name": "window"}, "name: unknown mode 'window'; did you mean 'sliding_window'?"),
    ({"name": 3}, f"name: 3 is not possible; must be one of {', '.join(MODES)}"),
    (
        {"name": "sliding_window_det"},
        f"name: sliding_window_det is for networks that detect rectangles, {LABELS}; "
        "sliding_window takes the same windows",
    ),
    (
        {"name": "bboxes_ocr"},
        f"name: bboxes_ocr is for networks that read text, {LABELS}; bboxes takes the same boxes",
    ),
    (
        {"name": "full_image", "save_probabilites": True},
        "save_probabilites: unknown key 'save_probabilites'; did you mean 'save_probabilities'?",
    ),
    ({"name": "native", "bounds": {}}, "bounds: unknown key 'bounds'; known: model_classes, model_tags, name, "),
    (
        {"model_classes": {"save_classes": "all"}},
        "model_classes.save_classes: 'all' is not possible; must be __all__ or a list of names",
    ),
    (
        {"model_classes": {"add_sufix": "_x"}},
        "model_classes.add_sufix: unknown key 'add_sufix'; did you mean 'add_suffix'?",
    ),
    ({"name": "roi", "bounds": {"left": "10"}}, f"bounds.left: '10' is not possible; {UNIT}"),
    ({"name": "roi", "bounds": {"lef": "1px"}}, "bounds.lef: unknown key 'lef'; did you mean 'left'?"),
    (
        {"name": "roi", "bounds": {"top": "-1%"}},
        "bounds.top: '-1%' is not possible; must not be negative: a region of interest lies inside the image",
    ),
    (
        {"name": "roi", "bounds": {"left": "60%", "right": "40%"}},
        "bounds: left and right cut off 100 %; nothing would be left",
    ),
    ({"name": "roi", "class_name": ""}, "class_name: '' is not possible; must not be empty"),
    ({"name": "bboxes", "padding": {"left": "1.5%"}}, f"padding.left: '1.5%' is not possible; {UNIT}"),
    (
        {"name": "bboxes", "from_classes": "cell"},
        "from_classes: 'cell' is not possible; must be __all__ or a list of names",
    ),
    (
        {"name": "sliding_window", "window": {"width": 0}},
        "window.width: 0 is not possible; must be at least 1",
    ),
    (
        {"name": "sliding_window", "min_overlap": {"x": 128}},
        "min_overlap.x: 128 leaves no step between windows of width 128; must be less than 128",
    ),
    (
        {"name": "sliding_window", "window": {"width": 9, "height": 9}, "min_overlap": {"y": 10}},
        "min_overlap.y: 10 leaves no step between windows of height 9; must be less than 9",
    ),
]


@pytest.mark.parametrize(("mode", "message"), BAD)
def test_a_wrong_mode_is_told_with_the_fix(mode: dict[str, Any], message: str) -> None:
    problems = Problems()
    check_mode(mode, problems)
    [found] = [str(item) for item in problems.found]
    assert found.startswith(f"inference.mode.{message}")
    with pytest.raises(InvalidRequestError):
        settings_from_mode(mode)


def test_native_cannot_be_squeezed() -> None:
    problems = Problems()
    check_mode({"name": "native"}, problems, resolution="input_size")
    assert [str(item) for item in problems.found] == [
        "inference.resolution: input_size contradicts mode native; use full_image, or resolution=auto"
    ]


def test_the_tutorials_mode_saves_all_classes_under_its_suffix() -> None:
    settings = settings_from_mode(
        {"name": "full_image", "model_classes": {"save_classes": "__all__", "add_suffix": "_unet"}}
    )
    assert settings == InferenceSettings(place=Whole(), resolution="input_size", add_suffix="_unet")


def test_without_a_name_it_is_full_image_with_the_networks_own_suffix() -> None:
    assert settings_from_mode({}) == settings_from_mode({"name": "full_image"})
    assert settings_from_mode({}).add_suffix == "_unet"
    assert settings_from_mode({"model_classes": {"add_suffix": ""}}).add_suffix == ""


def test_the_newer_spelling_wins() -> None:
    mode = {"model_classes": {"save_classes": ["a"], "save_names": ["b"]}}
    assert settings_from_mode(mode).save_classes == ("b",)
    assert settings_from_mode({"model_classes": {"save_names": "__all__"}}).save_classes is None


NONE = Amount(0, "px")


def test_what_is_left_out_of_a_mode_is_as_documented() -> None:
    assert settings_from_mode({"name": "roi"}) == InferenceSettings(
        place=Roi(Sides(NONE, NONE, NONE, NONE)), resolution="auto", add_suffix=""
    )
    assert settings_from_mode({"name": "roi", "save": True}).place == Roi(Sides(), "inference_roi")
    assert settings_from_mode({"name": "bboxes"}).place == Boxes(None, Sides())
    assert settings_from_mode({"name": "objects", "save": True}).place == Boxes(None, Sides(), "_input_bbox")
    assert settings_from_mode({"name": "sliding_window"}).place == Windows(128, 128, 0, 0)
    assert settings_from_mode({"name": "sliding_window", "save": True}).place == Windows(
        128, 128, 0, 0, "sliding_window"
    )


DOCUMENTED = """[
  {"name": "full_image", "model_classes": {"save_classes": ["road"], "add_suffix": "_unet"}},
  {"name": "roi", "save": true, "class_name": "inference_roi", "save_probabilities": true,
   "bounds": {"left": "100px", "top": "50px", "right": "25%", "bottom": "0px"},
   "model_classes": {"save_classes": "__all__", "add_suffix": "_unet"}, "model_tags": {"save_names": "__all__"}},
  {"name": "bboxes", "save": true, "add_suffix": "_bbox", "from_classes": ["person"],
   "padding": {"left": "20%", "top": "-20px", "right": "20%", "bottom": "20px"},
   "model_classes": {"save_classes": "__all__", "add_suffix": "_unet"}},
  {"name": "sliding_window", "window": {"width": 128, "height": 128}, "min_overlap": {"x": 10, "y": 10},
   "save": true, "class_name": "sl_window", "model_classes": {"save_classes": "__all__", "add_suffix": "_unet"}}
]"""


def test_documented_objects_are_understood_as_they_stand() -> None:
    places = [settings_from_mode(mode).place for mode in json.loads(DOCUMENTED)]
    assert places == [
        Whole(),
        Roi(Sides(Amount(100), Amount(50), Amount(25, "%"), Amount(0)), "inference_roi"),
        Boxes(("person",), Sides(Amount(20, "%"), Amount(-20), Amount(20, "%"), Amount(20)), "_bbox"),
        Windows(128, 128, 10, 10, "sl_window"),
    ]


def test_modes_are_checked_without_heavy_imports() -> None:
    import subprocess
    import sys

    code = (
        "import sys, segsweep.inference as i; from segsweep.errors import Problems;"
        "i.check_mode({'name': 'sliding_window'}, Problems());"
        "assert not {'torch', 'mlflow', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
