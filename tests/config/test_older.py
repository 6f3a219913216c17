"""Inference configurations of the first generation, pasted as they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segsweep.config.compose import compose
from segsweep.config.older import modern_inference
from segsweep.config.schema import PredictConfig
from segsweep.errors import Problems

OLDER: dict[str, Any] = {
    "gpu_devices": [1],
    "model_classes": {"save_classes": ["road"], "add_suffix": "_u"},
    "existing_objects": {"save_classes": [], "add_suffix": "_old"},
    "mode": {"source": "roi", "bounds": {"left": "1px", "top": "0px", "right": "0px", "bottom": "0px"}},
}


def composed(path: Path, content: dict[str, Any], *overrides: str) -> tuple[Any, Problems, tuple[str, ...]]:
    path.write_text(json.dumps(content))
    problems = Problems()
    arguments = ["model.source=x", "data=vessels_synthetic", f"inference.file='{path}'", *overrides]
    composition = compose("predict", arguments, problems)
    return composition.config, problems, tuple(map(str, composition.warnings))


def test_a_first_generation_file_is_understood_and_told(tmp_path: Path) -> None:
    config, problems, warnings = composed(tmp_path / "old.json", OLDER)
    assert not problems.found
    assert isinstance(config, PredictConfig)
    inference = config.inference
    assert inference.model.gpu_device == 1
    assert inference.mode == {
        "name": "roi",
        "bounds": OLDER["mode"]["bounds"],
        "model_classes": {"save_classes": ["road"], "add_suffix": "_u"},
    }
    assert (inference.existing_objects.save_classes, inference.existing_objects.add_suffix) == ([], "_old")
    assert warnings == (
        "inference: is of the older form, which is understood; mode.source is mode.name now; "
        "model_classes belongs to mode now; gpu_devices is model.gpu_device now",
    )


def test_the_command_line_beats_an_older_file(tmp_path: Path) -> None:
    config, problems, _ = composed(tmp_path / "old.json", OLDER, "inference.mode.name=full_image")
    assert not problems.found
    assert config.inference.mode["name"] == "full_image"


def test_todays_form_is_left_alone() -> None:
    problems = Problems()
    section = {"model": {"gpu_device": 0}, "mode": {"name": "full_image"}, "existing_objects": {}}
    assert modern_inference(section, problems) == section
    assert not problems.warnings


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"mode": {"source": "roi", "name": "roi"}}, "inference.mode.name: is given beside source, its older form"),
        (
            {"model_classes": {}, "mode": {"model_classes": {}}},
            "inference.mode.model_classes: is given beside model_classes, its older form",
        ),
        ({"gpu_devices": [0], "model": {"gpu_device": 0}}, "inference.model.gpu_device: is given beside gpu_devices"),
    ],
)
def test_what_is_given_in_both_forms_is_a_problem(section: dict[str, Any], told: str) -> None:
    problems = Problems()
    modern_inference(section, problems)
    [found] = problems.found
    assert str(found).startswith(told)


@pytest.mark.parametrize("devices", [[], "0", [-1], ["a"]])
def test_devices_that_are_none_are_told(tmp_path: Path, devices: object) -> None:
    _, problems, _ = composed(tmp_path / "old.json", {**OLDER, "gpu_devices": devices})
    assert any("gpu_device" in str(item) for item in problems.found)
