"""Deep supervision: coarse stages of the decoder learn from the truth directly, and not only through the finer ones.

Lee et al. (2015), "Deeply-supervised nets". The heads that this takes belong to the training alone: they are in its
state, and in no model that it keeps.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from segsweep.randomness import seed_of

__all__ = ["DeeplySupervised", "supervised"]


class _Network(Protocol):
    """What `models.MODELS` build, as far as it matters here."""

    decoder_channels: tuple[int, ...]
    last_conv: nn.Module

    def decode(self, images: Tensor) -> list[Tensor]: ...


class DeeplySupervised(nn.Module):
    """A network with heads on the two decoder stages before its last one, at 1/2 and 1/4 of the sides.

    Args:
        network: The network; its weights are shared, not copied.
        classes: Number of its outputs.

    Input is what the network takes; output are logits N×classes×H×W, of the network itself first, then of the head at
    1/2, then of that at 1/4 of the sides, both enlarged (bilinear, float32).
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        _, *coarser = reversed(cast(_Network, network).decoder_channels)
        self.heads = nn.ModuleList(nn.Conv2d(channels, classes, kernel_size=1) for channels in coarser[:2])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Logits of the network and of each head."""
        network = cast(_Network, self.network)
        finest, *coarser = reversed(network.decode(images))
        logits: Tensor = network.last_conv(finest)
        others = [head(features).float() for head, features in zip(self.heads, coarser, strict=False)]
        size = images.shape[-2:]
        return logits, *(functional.interpolate(each, size, mode="bilinear", align_corners=False) for each in others)


def supervised(model: nn.Module, classes: int, weight: float, seed: int) -> nn.Module:
    """What is trained of a network: itself, or with `weight` > 0 itself with the heads, initialised by the seed."""
    if weight == 0:
        return model
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_of(seed, "initial heads") % 2**63)
        return DeeplySupervised(model, classes)
