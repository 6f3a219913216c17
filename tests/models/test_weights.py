"""Weights move by exact name and exact shape, and whoever asks is told what happened to each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from segsweep.errors import TrainingError
from segsweep.models import build_model
from segsweep.models.weights import read_weights, transfer_weights


def _state(classes: int = 2, width: int = 2) -> dict[str, Tensor]:
    own = build_model("unet_v2", classes, width).state_dict()
    return {name: (10 * torch.rand(value.shape)).to(value.dtype) for name, value in own.items()}


def _original_file(path: Path, state: dict[str, Tensor]) -> Path:
    """As the original wrote it: `module.` before every name, and the block that was never executed."""
    dead = {f"blocks.0.seq{i}.seq.{k}.weight": torch.rand(3) for i in (1, 2, 3) for k in (0, 1)}
    torch.save({f"module.{name}": value for name, value in (state | dead).items()}, path)
    return path


def test_transfer_learning_copies_all_but_the_head(tmp_path: Path) -> None:
    state = _state(classes=5)
    model = build_model("unet_v2", 2, 2)
    head = model.state_dict()["last_conv.weight"].clone()
    done = transfer_weights(model, read_weights(_original_file(tmp_path / "model.pt", state)), "transfer_learning")
    own = model.state_dict()
    assert torch.equal(own["last_conv.weight"], head)
    assert done.fresh == ("last_conv.weight", "last_conv.bias")
    assert set(done.copied) == set(own) - set(done.fresh)
    assert (done.missing, done.unused) == ((), ())
    for name in (
        "encoder_blocks.0.0.weight",
        "bottle.bn2.running_var",
        "blocks.4.seq3.seq.0.bias",
        "ups.3.conv.weight",
    ):
        assert torch.equal(own[name], state[name]), name


def test_continue_training_copies_the_head_too(tmp_path: Path) -> None:
    state = _state()
    model = build_model("unet_v2", 2, 2)
    done = transfer_weights(model, read_weights(_original_file(tmp_path / "model.pt", state)), "continue_training")
    assert torch.equal(model.state_dict()["last_conv.weight"], state["last_conv.weight"])
    assert len(done.copied) == len(state)


def test_vgg16_bn_of_torchvision_fills_the_encoder(tmp_path: Path) -> None:
    ours = {name: value for name, value in _state().items() if name.startswith("encoder_blocks.")}
    theirs = {f"features.{name.split('.', 2)[2]}": value for name, value in ours.items()}
    assert {"features.0.weight", "features.41.running_mean"} <= set(theirs)
    torch.save(theirs | {"classifier.0.weight": torch.rand(4, 4)}, tmp_path / "vgg16_bn.pth")
    model = build_model("unet_v2", 2, 2)
    done = transfer_weights(model, read_weights(tmp_path / "vgg16_bn.pth"), "transfer_learning")
    own = model.state_dict()
    assert set(done.copied) == set(ours)
    assert all(torch.equal(own[name], value) for name, value in ours.items())
    assert done.unused == ("classifier.0.weight",)
    assert "classifier.0.weight" in str(done)
    assert all(not name.startswith("encoder_blocks.") for name in done.missing)


def test_other_shapes_are_refused_by_name_and_nothing_is_copied() -> None:
    state = _state()
    state["bottle.conv.bias"] = torch.rand(1)  # would broadcast
    state["ups.0.conv.weight"] = torch.rand(7, 7, 1, 1)
    model = build_model("unet_v2", 2, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TrainingError) as caught:
        transfer_weights(model, state, "transfer_learning")
    assert "bottle.conv.bias: 1 in the file, 16 in the network" in str(caught.value)
    assert "ups.0.conv.weight: 7×7×1×1 in the file" in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_continue_training_names_what_is_missing_and_what_is_too_much() -> None:
    state = _state()
    del state["bottle.bn.bias"]
    state["extra.weight"] = torch.rand(1)
    with pytest.raises(TrainingError) as caught:
        transfer_weights(build_model("unet_v2", 2, 2), state, "continue_training")
    assert "bottle.bn.bias: not in the file" in str(caught.value)
    assert "extra.weight: not in the network" in str(caught.value)


def test_a_file_of_another_network_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"no weight that the network knows.*layer1.0.conv1.weight"):
        transfer_weights(build_model("unet_v2", 2, 2), {"layer1.0.conv1.weight": torch.rand(3)}, "transfer_learning")
