"""Every registered network keeps the same promises, and UNet V2 is the original's."""

from __future__ import annotations

import pytest
import torch

from segsweep.errors import DataError
from segsweep.models import MODELS, build_model


@pytest.mark.parametrize("classes", [1, 2, 3, 5])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_logits_of_the_size_of_its_input(name: str, classes: int) -> None:
    model = build_model(name, classes, width=4)
    images = torch.randn(2, 3, 64, 64)
    logits = model(images)
    assert logits.shape == (2, classes, 64, 64)
    assert logits.dtype == torch.float32
    logits.square().mean().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters()), "dead weights"
    with torch.inference_mode():
        assert model.eval()(torch.randn(1, 3, 32, 48)).shape == (1, classes, 32, 48)
    assert any(key.startswith("last_conv.") for key in model.state_dict())


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_determined_by_torchs_generator(name: str) -> None:
    def build(seed: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return torch.cat([value.flatten() for value in build_model(name, 2, width=4).parameters()])

    assert torch.equal(build(1), build(1))
    assert not torch.equal(build(1), build(2))


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


def test_unet_v2_sees_far_and_keeps_detail() -> None:
    """One changed pixel changes logits near it, and far from it through bottleneck and decoder."""
    model = build_model("unet_v2", 2, width=4).eval()
    images = torch.randn(1, 3, 128, 128)
    changed = images.clone()
    changed[0, :, 64, 64] += 5.0
    with torch.inference_mode():
        difference = (model(images) - model(changed)).abs().amax(dim=1)[0]
    assert difference[64, 64] > 0
    assert difference[64, 100:].max() > 0


def test_sides_that_cannot_be_halved_four_times_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 16, not 72x64"):
        build_model("unet_v2", 2, width=2)(torch.randn(1, 3, 64, 72))


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
    import subprocess
    import sys

    code = "import sys, segsweep.models, segsweep.models.folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
