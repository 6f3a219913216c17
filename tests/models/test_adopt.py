"""A model that comes from anywhere is checked, and comes out under our names with nothing dead in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from segsweep.errors import DataError
from segsweep.models import MODELS, build_model
from segsweep.models.adopt import adopt
from segsweep.models.folder import load_model, save_model


def _weights(path: Path, name: str = "unet_v2", classes: int = 2, **changes: Any) -> Path:
    torch.save(build_model(name, classes, 2).state_dict() | changes, path)
    return path


def _folder(path: Path, **changes: Any) -> Path:
    """A folder as the original wrote it, but narrow."""
    path.mkdir()
    dead = {f"blocks.0.seq1.seq.{k}.weight": torch.rand(3) for k in (0, 1)}
    state = build_model("unet_v2", 2, 2).state_dict() | dead
    torch.save({f"module.{name}": value for name, value in state.items()}, path / "model.pt")
    config = {
        "settings": {"input_size": {"width": 256, "height": 128}, "lr": 0.001},
        "out_classes": [{"title": "vessel", "color": "#ff0000"}, {"title": "bg", "color": "#222222"}],
        "class_title_to_idx": {"bg": 0, "vessel": 1},
        "model": {"name": "unet_v2", "width": 2},
    }
    (path / "config.json").write_text(json.dumps(config | changes))
    return path


@pytest.mark.parametrize("name", MODELS)
def test_a_file_of_weights_becomes_a_model_folder(tmp_path: Path, name: str) -> None:
    path = _weights(tmp_path / "weights.pt", name, classes=3)
    config, weights = adopt(path, ["bg", "road", "roof"], (64, 96))
    assert config.model == {"name": name, "width": 2}
    assert config.class_title_to_idx == {"bg": 0, "road": 1, "roof": 2}
    assert config.settings == {"input_size": {"width": 64, "height": 96}}
    colors = [item["color"] for item in config.out_classes]
    assert colors[0] == "#222222"
    assert len(set(colors)) == 3
    save_model(tmp_path / "model", config, weights)
    images = torch.randn(1, 3, 64, 64)
    expected = build_model(name, 3, 2)
    expected.load_state_dict(torch.load(path, weights_only=True))
    with torch.inference_mode():
        assert torch.equal(load_model(tmp_path / "model")[0](images), expected.eval()(images))


def test_a_folder_of_the_original_loses_what_is_dead(tmp_path: Path) -> None:
    config, weights = adopt(_folder(tmp_path / "theirs"), None, None)
    assert set(weights) == set(build_model("unet_v2", 2, 2).state_dict())
    assert config.settings["lr"] == 0.001


@pytest.mark.parametrize(
    ("classes", "size", "message"),
    [
        (None, (64, 64), "tells neither its classes nor its input size"),
        (["bg", "road"], None, "tells neither its classes nor its input size"),
        (["bg", "road", "roof"], (64, 64), "has 2 outputs, the background's included, and classes are bg, road, roof"),
        (["bg", "bg"], (64, 64), "has 2 outputs"),
        (["bg", "road"], (64, 72), "input_size must hold width and height, multiples of 16 for unet_v2"),
    ],
)
def test_what_a_file_does_not_tell_must_be_right(
    tmp_path: Path, classes: list[str] | None, size: tuple[int, int] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        adopt(_weights(tmp_path / "weights.pt"), classes, size)


def test_sides_must_suit_the_architecture(tmp_path: Path) -> None:
    path = _weights(tmp_path / "weights.pt", "unet_efficientnet_lite0")
    with pytest.raises(DataError, match="multiples of 32 for unet_efficientnet_lite0"):
        adopt(path, ["bg", "road"], (48, 64))


def test_a_file_of_something_else_is_told_weight_by_weight(tmp_path: Path) -> None:
    path = _weights(tmp_path / "weights.pt", **{"bottle.bn.bias": torch.rand(3), "extra": torch.rand(1)})
    with pytest.raises(DataError) as caught:
        adopt(path, ["bg", "road"], (64, 64))
    assert "bottle.bn.bias: 3 in the file, 16 in the network" in str(caught.value)
    assert "extra: not in the network" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"class_title_to_idx": {"bg": 0, "road": 1}},
            r"only the former has \['vessel'\], only the latter has \['road'\]",
        ),
        (
            {"class_title_to_idx": {"bg": 0, "vessel": 2}},
            "last_conv.weight: 2×2×1×1 in the file, 3×2×1×1 in the network",
        ),
        ({"settings": {}}, "input_size must hold width and height"),
        ({"settings": {"input_size": {"width": 250, "height": 256}}}, "multiples of 16"),
        ({"model": {"name": "unet_v2", "width": 64}}, "in the network"),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        adopt(_folder(tmp_path / "theirs", **changes), None, None)


def test_a_folder_tells_its_classes_itself(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="do not give others"):
        adopt(_folder(tmp_path / "theirs"), ["bg", "vessel"], None)


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    path = _weights(tmp_path / "weights.pt", **{"bottle.bn.bias": torch.full((16,), torch.nan)})
    with pytest.raises(DataError, match=r"no finite numbers:\n  - bottle\.bn\.bias"):
        adopt(path, ["bg", "road"], (64, 64))
