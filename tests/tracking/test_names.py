from __future__ import annotations

import json
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.uri import validate_path_is_safe
from mlflow.utils.validation import _validate_metric_name, _validate_param

from segsweep.tracking.names import MAX_PARAM, artifact_path, entity_key, flatten, series_key, shorten

TEXTS = st.text(min_size=1, max_size=400)
ALIKE = st.text(alphabet="a_#?/.", min_size=1, max_size=5)


@pytest.mark.parametrize("name", ["train/loss", "test/dice/vessel", "dtl.layers.crop.settings", "класс 1", "a:b"])
def test_names_that_mlflow_takes_stay_as_they_are(name: str) -> None:
    assert entity_key(name) == name
    assert artifact_path("predictions/05L.png") == "predictions/05L.png"


@given(TEXTS)
def test_any_text_becomes_a_key_that_mlflow_takes(text: str) -> None:
    key = entity_key(text)
    _validate_metric_name(key)
    _validate_param(key, "1")
    assert len(key) <= 250
    assert entity_key(key) == key


@given(TEXTS)
def test_any_text_becomes_a_path_that_mlflow_can_open_again(text: str) -> None:
    path = artifact_path(text)
    assert validate_path_is_safe(path) == path
    assert posixpath.normpath(path) == path
    assert all(len(part.encode()) <= 255 for part in path.split("/"))


@given(ALIKE, ALIKE)
def test_different_names_stay_different(one: str, other: str) -> None:
    for change in (entity_key, artifact_path, series_key):
        assert (change(one) == change(other)) == (one == other)


def test_a_changed_file_name_keeps_its_extension() -> None:
    assert artifact_path("predictions/a#1.png").startswith("predictions/a_1-")
    assert artifact_path("predictions/a#1.png").endswith(".png")


def test_settings_become_flat_params() -> None:
    config = {
        "training": {"lr": 0.001, "input_size": {"width": 256}, "gpu_devices": [0, 1], "file": None, "fast": True},
        "name": "first",
        "augmentation": {},
        "dtl": {"layers": [{"action": "flip", "src": ["$a"]}]},
    }
    assert flatten(config) == {
        "training.lr": "0.001",
        "training.input_size.width": "256",
        "training.gpu_devices": "[0, 1]",
        "training.file": "null",
        "training.fast": "true",
        "name": "first",
        "augmentation": "{}",
        "dtl.layers": json.dumps([{"action": "flip", "src": ["$a"]}]),
    }


def test_long_values_are_cut_with_a_mark() -> None:
    cut = flatten({"text": "x" * 7000})["text"]
    assert len(cut) == MAX_PARAM
    assert cut.endswith("… [7000 characters]")
    assert shorten("short", 100) == "short"
