"""A model folder is written whole, read back equal, and refused with a reason."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segsweep.errors import DataError
from segsweep.models.folder import ModelConfig, load_model, read_config, save_model

CONFIG = ModelConfig(
    settings={"lr": 0.001, "input_size": {"width": 64, "height": 64}},
    out_classes=[
        {"title": "vessel", "shape": "bitmap", "color": "#ff0000"},
        {"title": "bg", "shape": "bitmap", "color": "#222222"},
    ],
    class_title_to_idx={"bg": 0, "vessel": 1},
    model={"name": "unet_v2", "width": 2},
)


def test_a_model_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    model = CONFIG.build().train()
    model(torch.randn(2, 3, 32, 32))  # moves the running statistics
    save_model(tmp_path / "best", CONFIG, model.state_dict())
    loaded, config = load_model(tmp_path / "best")
    assert config == CONFIG
    assert not loaded.training
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded(images), model.eval()(images))
    loaded.train()(images).mean().backward()  # can be trained on


def test_loading_touches_no_random_state(tmp_path: Path) -> None:
    save_model(tmp_path / "m", CONFIG, CONFIG.build().state_dict())
    before = torch.get_rng_state()
    load_model(tmp_path / "m")
    assert torch.equal(before, torch.get_rng_state())


def test_saving_again_replaces_the_weights_and_only_them(tmp_path: Path) -> None:
    first, second = CONFIG.build(), CONFIG.build()
    save_model(tmp_path / "last", CONFIG, first.state_dict())
    save_model(tmp_path / "last", CONFIG, second.state_dict())
    loaded, _ = load_model(tmp_path / "last")
    assert torch.equal(loaded.state_dict()["last_conv.weight"], second.state_dict()["last_conv.weight"])
    assert sorted(path.name for path in (tmp_path / "last").iterdir()) == ["config.json", "model.pt"]


def test_another_model_is_never_overwritten(tmp_path: Path) -> None:
    save_model(tmp_path / "last", CONFIG, CONFIG.build().state_dict())
    other = replace(CONFIG, settings={"lr": 1.0})
    with pytest.raises(DataError, match="holds another model or other files"):
        save_model(tmp_path / "last", other, other.build().state_dict())
    assert read_config(tmp_path / "last") == CONFIG


def test_a_folder_of_the_original_is_unet_v2_at_width_64(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"settings": {}, "out_classes": CONFIG.out_classes, "class_title_to_idx": {"bg": 0, "vessel": 1}})
    )
    assert read_config(tmp_path).model == {"name": "unet_v2", "width": 64}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_title_to_idx": None}, "class_title_to_idx must map"),
        ({"class_title_to_idx": {"bg": 0, "vessel": 10**9}}, "class_title_to_idx must map"),
        ({"class_title_to_idx": {"bg": 0, "vessel": True}}, "class_title_to_idx must map"),
        ({"class_title_to_idx": {"bg": 0, "vessel": 0}}, "one index to several classes"),
        ({"out_classes": [1]}, "out_classes must be a list"),
        ({"settings": 3}, "settings must be an object"),
        ({"settings": {"image_scale": 1000}}, r"image_scale must be a number from 0\.05 to 4"),
        ({"settings": {"image_scale": "half"}}, r"image_scale must be a number from 0\.05 to 4"),
        ({"model": {"name": "unet_v2"}}, "model must have a name and a width"),
        ({"model": {"name": "unet_v2", "width": 10**9}}, "base width 1000000000"),
        ({"model": {"name": "unet2", "width": 2}}, "did you mean 'unet_v2'"),
        ({"model": {"name": "unet_v2", "width": 3}}, "last_conv.weight: 2×2×1×1 in the file, 2×3×1×1 in the network"),
    ],
)
def test_a_folder_that_makes_no_sense_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    save_model(tmp_path / "m", CONFIG, CONFIG.build().state_dict())
    path = tmp_path / "m" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message):
        load_model(tmp_path / "m")


def test_a_folder_without_config_or_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no model folder, it has no config.json"):
        load_model(tmp_path)
    save_model(tmp_path / "m", CONFIG, CONFIG.build().state_dict())
    (tmp_path / "m" / "model.pt").unlink()
    with pytest.raises(DataError, match=r"model.pt: no such file"):
        load_model(tmp_path / "m")


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("pwned",)


def test_weights_that_are_code_or_garbage_are_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(tmp_path / "m", CONFIG, CONFIG.build().state_dict())
    weights = tmp_path / "m" / "model.pt"
    good = weights.read_bytes()
    torch.save({"last_conv.weight": _Evil()}, weights)
    with pytest.raises(DataError, match="something else than tensors"):
        load_model(tmp_path / "m")
    for content in [pickle.dumps(_Evil(), protocol=2), b"", b"garbage", good[: len(good) // 2]]:
        weights.write_bytes(content)
        with pytest.raises(DataError, match=r"model\.pt"):
            load_model(tmp_path / "m")
    torch.save([torch.zeros(1)], weights)
    with pytest.raises(DataError, match="no state dict"):
        load_model(tmp_path / "m")
    assert "pwned" not in capsys.readouterr().out
