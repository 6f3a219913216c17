"""Parts that several networks are made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ConvBNReLU", "Up", "check_sides", "conv_bn_relu"]


def check_sides(images: Tensor, divisor: int) -> None:
    """Makes sure that an encoder can halve the sides of its input as often as it does.

    Raises:
        ValueError: Height or width is no multiple of `divisor`; names the sides that would do.
    """
    height, width = images.shape[-2:]
    if height % divisor or width % divisor:
        fitting = f"{width + -width % divisor}x{height + -height % divisor}"
        raise ValueError(f"sides must be multiples of {divisor}, not {width}x{height}; {fitting} would do")


def conv_bn_relu(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3x3 convolution, batch normalisation, ReLU."""
    return [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class ConvBNReLU(nn.Module):
    """`conv_bn_relu` as one module, whose layers are called `seq.0` to `seq.2`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(*conv_bn_relu(inputs, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """N×inputs×H×W to N×outputs×H×W."""
        result: Tensor = self.seq(features)
        return result


class Up(nn.Module):
    """A 1x1 convolution, then doubling by the nearest pixel: the two commute, and this order costs a quarter."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """N×inputs×H×W to N×outputs×2H×2W."""
        return functional.interpolate(self.conv(features), scale_factor=2, mode="nearest")
