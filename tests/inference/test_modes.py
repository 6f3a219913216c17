from __future__ import annotations

from typing import Any

import pytest

from segsweep.errors import InvalidRequestError, Problems
from segsweep.inference import InferenceSettings, check_mode, settings_from_mode
from segsweep.inference.placement import Whole

BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "full_imag"}, "inference.mode.name: unknown mode 'full_imag'; did you mean 'full_image'?"),
    ({"name": 3}, "inference.mode.name: 3 is not possible; must be one of full_image, native, roi, bboxes, objects, sliding_window"),
    (
        {"name": "sliding_window_det"},
        "inference.mode.name: sliding_window_det is for networks that detect rectangles, and those here label pixels; "
        "sliding_window takes the same windows",
    ),
    (
        {"name": "bboxes_ocr"},
        "inference.mode.name: bboxes_ocr is for networks that read text, and those here label pixels; "
        "bboxes takes the same boxes",
    ),
    (
        {"name": "full_image", "save_probabilites": True},
        "inference.mode.save_probabilites: unknown key 'save_probabilites'; did you mean 'save_probabilities'?",
    ),
    (
        {"model_classes": {"save_classes": "all"}},
        "inference.mode.model_classes.save_classes: 'all' is not possible; must be __all__ or a list of names",
    ),
    (
        {"model_classes": {"add_sufix": "_x"}},
        "inference.mode.model_classes.add_sufix: unknown key 'add_sufix'; did you mean 'add_suffix'?",
    ),
]


@pytest.mark.parametrize(("mode", "message"), BAD)
def test_a_wrong_mode_is_told_with_the_fix(mode: dict[str, Any], message: str) -> None:
    problems = Problems()
    check_mode(mode, problems)
    assert [str(item) for item in problems.found] == [message]
    with pytest.raises(InvalidRequestError):
        settings_from_mode(mode)


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
