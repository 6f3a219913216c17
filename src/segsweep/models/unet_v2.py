"""UNet V2: a VGG16 encoder with batch normalisation, a dilated bottleneck, and a decoder with skip connections.

Parameter names are those of the original's files (`encoder_blocks.B.K`, `bottle.*`, `ups.I.conv`,
`blocks.I.seqJ.seq.K`, `last_conv`), so its weights load as they are, and `K` in the encoder is the layer's number in
torchvision's `vgg16_bn().features`. The original also carried a decoder block 0 that was never executed
(28 of its 61 million parameters); it is left out, hence decoder blocks count from 1.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from segsweep.models.blocks import ConvBNReLU, Up, check_sides, conv_bn_relu

__all__ = ["DIVISOR", "UNetV2"]

DIVISOR = 16
"""Height and width of the input must be multiples of this: the encoder halves them four times."""

_ENCODER = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Output channels of the encoder's convolutions, block by block, in base widths: VGG16's configuration D."""


class UNetV2(nn.Module):
    """UNet V2 for RGB pictures.

    Args:
        classes: Number of output channels, the background included.
        width: Channels of the first block; 64 is the original (32,684,610 parameters for 2 classes), and the number of
            parameters grows with the square of the width.

    Input is float N×3×H×W with H and W multiples of 16; output are logits N×classes×H×W.
    """

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        channels = [block[-1] * width for block in _ENCODER]
        self.encoder_blocks = nn.ModuleList(_encoder_blocks(width))
        self.bottle = _DilatedBottleneck(channels[-1])
        below = 2 * channels[-1]  # the bottleneck's result beside its input
        self.ups = nn.ModuleList()
        self.blocks = nn.ModuleDict()
        for number, skip in enumerate(reversed(channels[:-1]), start=1):
            self.ups.append(Up(below, skip))
            self.blocks[str(number)] = _DecoderBlock(2 * skip, skip)
            below = skip
        self.decoder_channels = tuple(reversed(channels[:-1]))
        self.last_conv = nn.Conv2d(channels[0], classes, kernel_size=1)
        self.encoder_blocks.apply(_initialise_as_vgg)

    def forward(self, images: Tensor) -> Tensor:
        """Logits for every pixel.

        Raises:
            ValueError: Height or width is no multiple of 16.
        """
        logits: Tensor = self.last_conv(self.decode(images)[-1])
        return logits

    def decode(self, images: Tensor) -> list[Tensor]:
        """What each block of the decoder makes, from 1/8 of the sides to full resolution, of `decoder_channels`."""
        check_sides(images, DIVISOR)
        features, skips = images, []
        for block in self.encoder_blocks:
            features = block(features)
            skips.append(features)
        features = self.bottle(skips.pop())
        stages = []
        for up, block in zip(self.ups, self.blocks.values(), strict=True):
            features = block(torch.cat([skips.pop(), up(features)], dim=1))
            stages.append(features)
        return stages


def _encoder_blocks(width: int) -> list[nn.Sequential]:
    """The layers of VGG16-BN up to its last ReLU, cut behind the last ReLU of each resolution, with VGG's numbers."""
    blocks: list[nn.Sequential] = []
    number, channels = 0, 3
    for depth, multiples in enumerate(_ENCODER):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if depth else []
        for multiple in multiples:
            layers += conv_bn_relu(channels, multiple * width)
            channels = multiple * width
        blocks.append(nn.Sequential(OrderedDict((str(number + i), layer) for i, layer in enumerate(layers))))
        number += len(layers)
    return blocks


def _initialise_as_vgg(module: nn.Module) -> None:
    """As VGG is initialised: Kaiming normal over the fan-out, biases 0 (batch normalisation starts at 1 and 0)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        assert module.bias is not None
        nn.init.zeros_(module.bias)


class _DilatedBottleneck(nn.Module):
    """Two 3x3 convolutions of dilation 2; the result is concatenated to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, dilation=2, padding=2)
        self.bn = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, dilation=2, padding=2)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        inner = functional.relu(self.bn(self.conv(features)), inplace=True)
        inner = functional.relu(self.bn2(self.conv2(inner)), inplace=True)
        return torch.cat([features, inner], dim=1)


class _DecoderBlock(nn.Sequential):
    """Three convolutions; the first takes the skip connection and the upsampled features together."""

    def __init__(self, inputs: int, outputs: int) -> None:
        sizes = [(inputs, outputs), (outputs, outputs), (outputs, outputs)]
        super().__init__(OrderedDict((f"seq{i}", ConvBNReLU(*size)) for i, size in enumerate(sizes, start=1)))
