"""Networks by name, their folders on disk, and the transfer of weights.

Importing this package imports no torch: `MODELS` names what can be built, and `build_model` imports what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from segsweep.errors import DataError, nearest

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MAX_CLASSES", "MAX_WIDTH", "MODELS", "build_model"]

MAX_CLASSES = 4096
MAX_WIDTH = 512
"""Bounds against absurd numbers in a config or in somebody's model folder."""


def _unet_v2(classes: int, width: int) -> nn.Module:
    from segsweep.models.unet_v2 import UNetV2

    return UNetV2(classes, width)


MODELS: dict[str, Callable[[int, int], nn.Module]] = {"unet_v2": _unet_v2}
"""Name -> builder taking (classes, width). A network maps normalised RGB N×3×H×W to logits N×classes×H×W, H and W
multiples of 16, and calls its head `last_conv`."""


def build_model(name: str, classes: int, width: int = 64) -> nn.Module:
    """A freshly initialised network (from torch's default generator).

    Args:
        name: A key of `MODELS`.
        classes: Number of output channels, the background included; 1..`MAX_CLASSES`.
        width: Base width, 1..`MAX_WIDTH`.

    Raises:
        DataError: Unknown name, or a number outside its range.
    """
    if name not in MODELS:
        raise DataError(f"unknown model {name!r}; {nearest(name, MODELS)}")
    if not 1 <= classes <= MAX_CLASSES:
        raise DataError(f"a model of {classes} classes cannot be built; allowed are 1 to {MAX_CLASSES}")
    if not 1 <= width <= MAX_WIDTH:
        raise DataError(f"a model of base width {width} cannot be built; allowed are 1 to {MAX_WIDTH}")
    return MODELS[name](classes, width)
