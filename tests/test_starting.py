"""Where a training may start, and what is refused before anything is fetched or trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segsweep.checks import CHECKS
from segsweep.config.compose import compose
from segsweep.errors import DataError, Problems, TrackingError
from segsweep.models import build_model
from segsweep.models.folder import ModelConfig, save_model
from segsweep.starting import starting_model

CONFIG = ModelConfig({}, [{"title": "bg"}, {"title": "road"}], {"bg": 0, "road": 1}, {"name": "unet_v2", "width": 1})


def test_a_folder_its_file_and_a_file_alone(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(folder, CONFIG, CONFIG.build().state_dict())
    assert starting_model(tmp_path, str(folder)) == folder
    assert starting_model(tmp_path, str(folder / "model.pt")) == folder, "its classes are known there"
    alone = tmp_path / "model.pt"
    torch.save(build_model("unet_v2", 2, 1).state_dict(), alone)
    assert starting_model(tmp_path, str(alone)) == alone


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="no such folder"):
        starting_model(tmp_path, "nothing/here")
    with pytest.raises(TrackingError, match="no MLflow store"):
        starting_model(tmp_path, "runs:/0123")


def test_published_weights_are_looked_for_where_torch_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "vgg16_bn-6c64b313.pth").write_bytes(b"not it")
    with pytest.raises(DataError, match="is not the published file"):
        starting_model(tmp_path, "vgg16_bn")


def problems_of(tmp_path: Path, *overrides: str) -> list[str]:
    problems = Problems()
    compose("run", [f"workspace={tmp_path}", *overrides], problems, check=CHECKS["run"])
    return [str(item) for item in problems.found]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model=unet_v2_vgg"], []),
        (
            ["model.weights=vgg16_bn", "model.width=8"],
            ["model.weights: the weights vgg16_bn do not fit unet_v2 of width 8; set model.width=64"],
        ),
        (
            ["model.weights=vgg16bn"],
            ["model.weights: no such file or folder: vgg16bn; published weights: did you mean 'vgg16_bn'?"],
        ),
        (["model.weights=runs:/0123@best"], []),
        (["model.weights='models:/UNet Trained@best'"], []),
        (
            ["model=unet_v2_vgg", "training.weights_init_type=continue_training"],
            [
                "training.weights_init_type: continue_training needs a whole model, and vgg16_bn is an encoder; "
                "use transfer_learning"
            ],
        ),
        (
            ["model=unet_efficientnet_lite0", "model.weights=null", "training.input_size.width=48"],
            ["training.input_size: 48x48 will not do: unet_efficientnet_lite0 needs multiples of 32; use 64x64"],
        ),
        (
            [
                "model=unet_efficientnet_lite0",
                "model.weights=null",
                "training.input_size.width=64",
                "training.input_size.height=16",
            ],
            ["training.input_size: 64x16 will not do: unet_efficientnet_lite0 needs multiples of 32; use 64x32"],
        ),
        (
            ["model.registered_name=my/net"],
            [
                "model.registered_name: 'my/net' is not possible; must be a name without / : @, which MLflow and "
                "models:/name@alias need for themselves"
            ],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_requests_that_cannot_start_are_told(tmp_path: Path, overrides: list[str], expected: list[str]) -> None:
    assert problems_of(tmp_path, *overrides) == expected
