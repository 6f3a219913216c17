"""The network over the parts of one picture that a place asks for: sizes, room, probabilities row after row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import nn

from segsweep.errors import DataError
from segsweep.inference.merging import Probabilities, enlarged, merged, resized
from segsweep.inference.network import How, maps, shown_size
from segsweep.inference.placement import Box, Place, Windows, offsets
from segsweep.inference.settings import InferenceSettings
from segsweep.models.devices import choose_precision
from segsweep.models.folder import ModelConfig

__all__ = ["Part", "check_room", "how_to", "parts", "windows_of"]

Part = tuple[int, int, Probabilities]
"""The place of a box, the first row in it, and the probabilities of some rows: float32 C×h×w."""

_MAX_SIDE = 2**15  # bounds what somebody's model folder can make us allocate


def how_to(settings: InferenceSettings, config: ModelConfig, device: torch.device, name: str) -> How:
    """How the network of a model is applied.

    Args:
        settings: What is asked for.
        config: The model's.
        device: Where it will run.
        name: What the model is called in messages.

    Raises:
        DataError: Parts are to be squeezed to the training's input size, and the model does not tell a possible one.
    """
    squeezed = settings.resolution == "input_size" or (
        settings.resolution == "auto" and config.settings.get("sampling") != "crop"
    )
    return How(
        size=_input_size(config, name) if squeezed else None,
        dtype=choose_precision(settings.precision, device),
        flip_average=settings.flip_average,
        divisor=config.divisor,
        scale=config.image_scale,
        batch_size=None if settings.batch_size == "auto" else settings.batch_size,
    )


def _input_size(config: ModelConfig, name: str) -> tuple[int, int]:
    size = config.settings.get("input_size")
    sides: list[Any] = [size.get(side) for side in ("width", "height")] if isinstance(size, dict) else []
    divisor = config.divisor
    if not sides or not all(type(side) is int and 0 < side <= _MAX_SIDE and side % divisor == 0 for side in sides):
        raise DataError(
            f"{name}: settings.input_size: must hold width and height, multiples of {divisor} up to {_MAX_SIDE}, "
            f"not {size!r}"
        )
    return sides[0], sides[1]


def windows_of(place: Windows, width: int, height: int) -> list[Box]:
    """All windows over a picture, row by row; a picture smaller than one has one, which reaches beyond it."""
    across, down = _grid(place, width, height)
    return [Box(left, top, left + place.width, top + place.height) for top in down for left in across]


def _grid(place: Windows, width: int, height: int) -> tuple[list[int], list[int]]:
    """Left and upper edges of windows."""
    across = offsets(max(width, place.width), place.width, place.overlap_x)
    return across, offsets(max(height, place.height), place.height, place.overlap_y)


def check_room(network: nn.Module, config: ModelConfig, how: How, boxes: Sequence[Box]) -> None:
    """Refuses what would end in the system killing the process; a GPU's memory tells by itself.

    Raises:
        DataError: The network would need more memory than this machine has.
    """
    if not boxes or next(network.parameters()).device.type != "cpu":
        return
    width, height = max((shown_size(box, how) for box in boxes), key=lambda size: size[0] * size[1])
    numbers = 4 if how.dtype == torch.float32 else 2
    # measured with both architectures: six maps as wide as the first block, and what does not depend on it
    needed = width * height * (100 + 6 * numbers * int(config.model["width"]))
    there = psutil.virtual_memory().total
    if needed > there:
        raise DataError(
            f"the network would need about {needed / 2**30:.0f} GiB for {width}x{height} pixels at once, and this "
            f"machine has {there / 2**30:.0f}; inference=sliding_window needs far less"
        )


def parts(
    network: nn.Module,
    image: NDArray[np.uint8],
    place: Place,
    boxes: Sequence[Box],
    how: How,
    blend: Literal["uniform", "gaussian"] = "uniform",
) -> Iterator[Part]:
    """The probabilities of all boxes, row after row.

    Args:
        network: In eval mode, on its device.
        image: uint8 RGB HxWx3, made alike where the network was trained so.
        place: What is looked at; windows are put together to one box, which is the whole picture.
        boxes: What probabilities are asked for.
        how: Sizes and numbers.
        blend: How windows are put together.

    Raises:
        DataError: The GPU's memory is too small.
    """
    height, width = image.shape[:2]
    try:
        if isinstance(place, Windows):
            across, down = _grid(place, width, height)
            found = maps(network, image, windows_of(place, width, height), how)
            windows = (resized(one, place.width, place.height) for one in found)
            for top, rows in merged(windows, across, down, blend):
                yield 0, top, rows[:, : height - top, :width]
            return
        for number, one in enumerate(maps(network, image, boxes, how)):
            for top, rows in enlarged(one, boxes[number].width, boxes[number].height):
                yield number, top, rows
    except torch.OutOfMemoryError as error:
        hint = "lower inference.batch_size, or use smaller windows (inference=sliding_window)"
        raise DataError(f"the GPU's memory is too small: {hint}") from error
