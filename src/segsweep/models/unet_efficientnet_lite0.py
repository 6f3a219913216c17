"""A U-Net whose encoder is EfficientNet-Lite0: few weights, and ImageNet's are to be had without a network.

The decoder doubles the resolution five times, each time with the encoder's features of that resolution beside it, and
at full resolution with the picture itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segsweep.models.blocks import ConvBNReLU, Up, check_sides
from segsweep.models.efficientnet_lite0 import CHANNELS, EfficientNetLite0

__all__ = ["DIVISOR", "UNetEfficientNetLite0"]

DIVISOR = 32
"""Height and width of the input must be multiples of this: the encoder halves them five times."""

_DECODER = (8, 4, 2, 2, 1)
"""Output channels of the decoder's blocks, in widths, from 1/16 of the sides to full resolution."""


class UNetEfficientNetLite0(nn.Module):
    """A U-Net for RGB pictures on an EfficientNet-Lite0.

    Args:
        classes: Number of output channels, the background included.
        width: Channels of the decoder's last block. The encoder is always the same.

    Input is float N×3×H×W with H and W multiples of 32; output are logits N×classes×H×W.
    """

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        self.encoder = EfficientNetLite0()
        self.decoder = nn.ModuleList()
        below = CHANNELS[-1]
        for multiple, skip in zip(_DECODER, (*reversed(CHANNELS[:-1]), 3), strict=True):
            self.decoder.append(_DecoderBlock(below, skip, multiple * width))
            below = multiple * width
        self.decoder_channels = tuple(multiple * width for multiple in _DECODER)
        self.last_conv = nn.Conv2d(below, classes, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits for every pixel.

        Raises:
            ValueError: Height or width is no multiple of 32.
        """
        logits: Tensor = self.last_conv(self.decode(images)[-1])
        return logits

    def decode(self, images: Tensor) -> list[Tensor]:
        """What each block of the decoder makes, from 1/16 of the sides to full resolution, of `decoder_channels`."""
        check_sides(images, DIVISOR)
        skips: list[Tensor] = [images, *self.encoder(images)]
        features, stages = skips.pop(), []
        for block in self.decoder:
            features = block(features, skips.pop())
            stages.append(features)
        return stages


class _DecoderBlock(nn.Module):
    """Doubles the sides, then two convolutions over the result and the skip connection together."""

    def __init__(self, below: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.up = Up(below, outputs)
        self.convs = nn.Sequential(ConvBNReLU(skip + outputs, outputs), ConvBNReLU(outputs, outputs))

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        result: Tensor = self.convs(torch.cat([skip, self.up(features)], dim=1))
        return result
