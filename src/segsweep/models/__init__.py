"""Networks by name, their folders on disk, and the transfer of weights.

Importing this package imports no torch: `MODELS` names what can be built, and `build_model` imports what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segsweep.errors import DataError, nearest

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MAX_CLASSES", "MAX_WIDTH", "MODELS", "Architecture", "architecture", "build_model"]

MAX_CLASSES = 4096
MAX_WIDTH = 512
"""Bounds against absurd numbers in a config or in somebody's model folder."""


@dataclass(frozen=True)
class Architecture:
    """A kind of network.

    Attributes:
        build: Takes (classes, width) and gives a network that maps normalised RGB N×3×H×W to logits N×classes×H×W and
            calls its head, a 1x1 convolution of `width` channels, `last_conv`. The head takes the last of what
            `decode(images)` gives: the features of every decoder stage, of `decoder_channels`.
        divisor: H and W must be multiples of it.
    """

    build: Callable[[int, int], nn.Module]
    divisor: int


def _unet_v2(classes: int, width: int) -> nn.Module:
    from segsweep.models.unet_v2 import UNetV2

    return UNetV2(classes, width)


def _unet_efficientnet_lite0(classes: int, width: int) -> nn.Module:
    from segsweep.models.unet_efficientnet_lite0 import UNetEfficientNetLite0

    return UNetEfficientNetLite0(classes, width)


MODELS = {
    "unet_v2": Architecture(_unet_v2, divisor=16),
    "unet_efficientnet_lite0": Architecture(_unet_efficientnet_lite0, divisor=32),
}
"""Every kind of network by its name."""


def architecture(name: str) -> Architecture:
    """The kind of network of that name.

    Raises:
        DataError: There is none.
    """
    if name not in MODELS:
        raise DataError(f"unknown model {name!r}; {nearest(name, MODELS)}")
    return MODELS[name]


def build_model(name: str, classes: int, width: int = 64) -> nn.Module:
    """A freshly initialised network (from torch's default generator).

    Args:
        name: A key of `MODELS`.
        classes: Number of output channels, the background included; 1..`MAX_CLASSES`.
        width: Base width, 1..`MAX_WIDTH`.

    Raises:
        DataError: Unknown name, or a number outside its range.
    """
    kind = architecture(name)
    if not 1 <= classes <= MAX_CLASSES:
        raise DataError(f"a model of {classes} classes cannot be built; allowed are 1 to {MAX_CLASSES}")
    if not 1 <= width <= MAX_WIDTH:
        raise DataError(f"a model of base width {width} cannot be built; allowed are 1 to {MAX_WIDTH}")
    return kind.build(classes, width)
