"""Every registered network keeps the same promises; UNet V2 is the original's, EfficientNet-Lite0 the published one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segsweep.errors import DataError
from segsweep.models import MODELS, build_model
from segsweep.models.folder import ModelConfig, load_model, save_model
from tests.conftest import ROOT


def _promises(logits: Tensor, batch: int, classes: int, height: int, width: int) -> None:
    assert logits.shape == (batch, classes, height, width)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_logits_of_the_size_of_its_input_and_learns_with_every_weight(
    name: str, classes: int
) -> None:
    model = build_model(name, classes, width=4)
    logits = model(torch.randn(2, 3, 64, 64))
    _promises(logits, 2, classes, 64, 64)
    logits.square().mean().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters()), "dead weights"
    with torch.inference_mode():
        _promises(model.eval()(torch.randn(1, 3, 32, 96)), 1, classes, 32, 96)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_head_of_its_width(name: str) -> None:
    head = build_model(name, 3, width=4).state_dict()
    assert head["last_conv.weight"].shape == (3, 4, 1, 1)
    assert head["last_conv.bias"].shape == (3,)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_refuses_sides_that_it_cannot_halve_and_says_which_would_do(name: str) -> None:
    divisor = MODELS[name].divisor
    model = build_model(name, 2, width=1).eval()
    with torch.inference_mode():
        _promises(model(torch.randn(1, 3, divisor, 3 * divisor)), 1, 2, divisor, 3 * divisor)
    for height, width in [(64, 64 + divisor // 2), (65, 64), (divisor // 2, divisor)]:
        fitting = f"{-(-width // divisor) * divisor}x{-(-height // divisor) * divisor}"
        message = f"multiples of {divisor}, not {width}x{height}; {fitting} would do"
        with pytest.raises(ValueError, match=message):
            model(torch.randn(1, 3, height, width))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_reads_back_from_its_folder_as_it_was(name: str, tmp_path: Path) -> None:
    config = ModelConfig({}, [{"title": "bg"}, {"title": "road"}], {"bg": 0, "road": 1}, {"name": name, "width": 3})
    model = config.build().train()
    model(torch.randn(2, 3, 64, 64))  # moves the running statistics
    save_model(tmp_path / "m", config, model.state_dict())
    loaded, read = load_model(tmp_path / "m")
    assert read == config
    assert read.divisor == MODELS[name].divisor
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(images), model.eval()(images))
    loaded.train()(torch.randn(2, 3, 64, 64)).mean().backward()  # can be trained on


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_the_same_with_channels_last(name: str) -> None:
    model = build_model(name, 2, width=4).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        plain = model(images)
        model.to(memory_format=torch.channels_last)
        other = model(images.to(memory_format=torch.channels_last))
    assert torch.allclose(plain, other, atol=1e-4 * float(plain.abs().max()))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_determined_by_torchs_generator(name: str) -> None:
    def build(seed: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return torch.cat([value.flatten() for value in build_model(name, 2, width=4).parameters()])

    assert torch.equal(build(1), build(1))
    assert not torch.equal(build(1), build(2))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_sees_far_and_keeps_detail(name: str) -> None:
    """One changed pixel changes logits near it, and far from it through bottleneck and decoder."""
    model = build_model(name, 2, width=4).eval()
    images = torch.randn(1, 3, 128, 128)
    changed = images.clone()
    changed[0, :, 64, 64] += 5.0
    with torch.inference_mode():
        difference = (model(images) - model(changed)).abs().amax(dim=1)[0]
    assert difference[64, 64] > 0
    assert difference[64, 100:].max() > 0


@pytest.mark.parametrize("name", MODELS)
def test_the_number_of_weights_of_every_model_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    told = re.findall(rf"^\| `{name}` \| (\d+) \| ([\d,]+) \|", page, flags=re.MULTILINE)
    assert told
    for width, count in told:
        with torch.device("meta"):
            model = build_model(name, 2, int(width))
        assert sum(value.numel() for value in model.parameters()) == int(count.replace(",", ""))


def test_unet_v2_has_the_parameters_of_the_original_without_its_dead_block() -> None:
    with torch.device("meta"):
        model = build_model("unet_v2", 2, width=64)
    counts: dict[str, int] = {}
    for name, value in model.named_parameters():
        head, number, *_ = name.split(".")
        group = f"{head}.{number}" if number.isdecimal() else head
        counts[group] = counts.get(group, 0) + value.numel()
    assert counts == {
        "encoder_blocks.0": 38_976,
        "encoder_blocks.1": 221_952,
        "encoder_blocks.2": 1_476_864,
        "encoder_blocks.3": 5_902_848,
        "encoder_blocks.4": 7_082_496,
        "bottle": 4_721_664,
        "ups.0": 524_800,
        "ups.1": 131_328,
        "ups.2": 32_896,
        "ups.3": 8_256,
        "blocks.1": 9_441_792,
        "blocks.2": 2_361_600,
        "blocks.3": 590_976,
        "blocks.4": 148_032,
        "last_conv": 65 * 2,
    }
    assert sum(counts.values()) == 32_684_610
    # the original's 220 entries less the dead block's three convolutions of seven entries
    assert len(model.state_dict()) == 220 - 3 * 7


def test_unet_v2_keeps_the_numbers_of_vgg16_bn() -> None:
    model = build_model("unet_v2", 2, width=2)
    convolutions = [
        int(name.split(".")[2])
        for name, module in model.named_modules()
        if name.startswith("encoder_blocks.") and isinstance(module, torch.nn.Conv2d)
    ]
    assert convolutions == [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unet_v3", 2, 8), "unknown model 'unet_v3'; did you mean 'unet_v2'"),
        (("unet_v2", 0, 8), "a model of 0 classes"),
        (("unet_v2", 2, 100_000), "a model of base width 100000"),
    ],
)
def test_an_impossible_model_is_refused(arguments: tuple[str, int, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build_model(*arguments)


def test_importing_the_registry_imports_no_torch() -> None:
    modules = "segsweep.models, segsweep.models.folder, segsweep.models.pretrained"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
