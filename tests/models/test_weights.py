"""Weights move by exact name and exact shape, and whoever asks is told what happened to each."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segsweep.errors import DataError, TrainingError
from segsweep.models import MODELS, build_model
from segsweep.models.folder import load_model
from segsweep.models.weights import Transfer, read_weights, recognise, transfer_weights


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


def test_numbers_that_are_not_finite_are_refused_by_name() -> None:
    state = _state()
    state["bottle.conv.bias"][3] = float("nan")
    with pytest.raises(TrainingError, match=r"bottle\.conv\.bias: numbers that are not finite"):
        transfer_weights(build_model("unet_v2", 2, 2), state, "transfer_learning")


def test_a_file_of_another_network_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"no weight that the network knows.*layer1.0.conv1.weight"):
        transfer_weights(build_model("unet_v2", 2, 2), {"layer1.0.conv1.weight": torch.rand(3)}, "transfer_learning")


def test_a_folder_of_the_original_gives_the_very_same_outputs(tmp_path: Path) -> None:
    """Names behind `module.`, the dead block, no word about the architecture: base width 64."""
    model = build_model("unet_v2", 2, 64).eval()
    _original_file(tmp_path / "model.pt", model.state_dict())
    classes = [{"title": "bg", "shape": "bitmap", "color": "#222222"}, {"title": "vessel", "shape": "bitmap"}]
    config = {"settings": {}, "out_classes": classes, "class_title_to_idx": {"bg": 0, "vessel": 1}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded, _ = load_model(tmp_path)
    images = torch.randn(1, 3, 64, 48)
    with torch.inference_mode():
        assert torch.equal(loaded(images), model(images))


def test_files_of_old_torch_lack_counters_and_are_whole(tmp_path: Path) -> None:
    state = _state()
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    torch.save(old, tmp_path / "old.pt")
    done = transfer_weights(build_model("unet_v2", 2, 2), read_weights(tmp_path / "old.pt"), "continue_training")
    assert len(done.copied) == len(state)
    assert recognise(read_weights(tmp_path / "old.pt")) == ("unet_v2", 2, 2)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_weights_may_be_a_part_of_a_checkpoint(tmp_path: Path, key: str) -> None:
    state = _state()
    torch.save({key: {f"module.{name}": value for name, value in state.items()}, "epoch": 3}, tmp_path / "c.pt")
    read = read_weights(tmp_path / "c.pt")
    assert set(read) == set(state)
    assert all(torch.equal(read[name], value) for name, value in state.items())


def test_a_file_that_would_inflate_is_refused(tmp_path: Path) -> None:
    torch.save({"bomb": torch.zeros(1 << 20)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in plain.infolist():
            bomb.writestr(member.filename, plain.read(member))
    assert (tmp_path / "bomb.pt").stat().st_size < (tmp_path / "plain.pt").stat().st_size / 100
    with pytest.raises(DataError, match="compressed, or its parts overlap"):
        read_weights(tmp_path / "bomb.pt")


@pytest.mark.parametrize(
    "tensor",
    [torch.eye(2).to_sparse(), torch.zeros(2, dtype=torch.complex64), torch.empty(2, device="meta")],
    ids=["sparse", "complex", "meta"],
)
def test_tensors_that_hold_no_plain_numbers_are_refused_by_name(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save(_state() | {"last_conv.bias": tensor}, tmp_path / "odd.pt")
    with pytest.raises(DataError, match=r"odd\.pt: holds tensors that are sparse.*: last_conv\.bias"):
        read_weights(tmp_path / "odd.pt")


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_no_file_of_weights_is_told_so(tmp_path: Path, seed: int) -> None:
    (tmp_path / "noise.pt").write_bytes(random.Random(seed).randbytes(2000))
    with pytest.raises(DataError, match=r"noise\.pt: (is no file of weights|holds something else)"):
        read_weights(tmp_path / "noise.pt")


@pytest.mark.parametrize("name", MODELS)
def test_weights_say_what_network_they_are_of(name: str) -> None:
    assert recognise(build_model(name, 3, 5).state_dict()) == (name, 3, 5)


def test_weights_that_are_no_whole_network_are_told_name_by_name() -> None:
    state = _state(classes=3)
    del state["bottle.bn.bias"]
    state["ups.0.conv.weight"] = torch.rand(1)
    with pytest.raises(DataError) as caught:
        recognise(state)
    for text in (
        "most like unet_v2 of width 2 with 3 classes",
        "bottle.bn.bias: not in the file",
        "ups.0.conv.weight: 1 in the file, 16×32×1×1 in the network",
    ):
        assert text in str(caught.value)
    with pytest.raises(DataError, match=r"there is no last_conv.weight"):
        recognise({"features.0.weight": torch.rand(1)})
    with pytest.raises(DataError, match="a model of 100000 classes cannot be built"):
        recognise({"last_conv.weight": torch.empty(1).expand(100_000, 4, 1, 1)})


def test_a_transfer_is_told_as_a_table_and_kept_by_name() -> None:
    done = Transfer(
        copied=("encoder.a", "encoder.b", "decoder.a"),
        fresh=("last_conv.weight",),
        missing=("decoder.b",),
        unused=("_fc.weight",),
    )
    assert done.table().splitlines() == [
        "part       copied  fresh  missing  unused",
        "encoder         2      –        –       –",
        "decoder         1      –        1       –",
        "last_conv       –      1        –       –",
        "_fc             –      –        –       1",
        "all             3      1        1       1",
    ]
    assert done.to_json() == {
        "copied": ["encoder.a", "encoder.b", "decoder.a"],
        "fresh": ["last_conv.weight"],
        "missing": ["decoder.b"],
        "unused": ["_fc.weight"],
    }
