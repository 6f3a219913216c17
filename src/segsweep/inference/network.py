"""A network applied to parts of pictures: the probabilities of every class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segsweep.inference.merging import enlarged
from segsweep.inference.placement import Box
from segsweep.models.preprocess import normalise, resize_image, scale_image, scaled_size, standardise

__all__ = ["How", "Probabilities", "maps", "probabilities", "shown_size"]

Probabilities = NDArray[np.float32]

_PIXELS_AT_ONCE = {"cpu": 2**19, "cuda": 2**21}
"""What a batch holds when nobody says: from here on more pixels at once are not faster, on a CPU with 2 to 16 cores."""


@dataclass(frozen=True)
class How:
    """How a network is applied.

    Attributes:
        size: (width, height) that parts are squeezed to, by cubic interpolation; None leaves their resolution, times
            `scale`, and mirrors their right and lower edges outwards to full multiples of `divisor`.
        dtype: float32, or bfloat16 for autocast.
        flip_average: Average over a part, its two mirror images and its half turn: four times the work.
        divisor: What the sides of the network's input must be multiples of (`ModelConfig.divisor`).
        scale: What both sides of a part are multiplied by, without `size` (`ModelConfig.image_scale`).
        batch_size: How many parts at most go through the network at once; None looks at their size and the device.
    """

    size: tuple[int, int] | None
    dtype: torch.dtype = torch.float32
    flip_average: bool = False
    divisor: int = 16
    scale: float = 1.0
    batch_size: int | None = None


def maps(network: nn.Module, image: NDArray[np.uint8], boxes: Sequence[Box], how: How) -> Iterator[Probabilities]:
    """Probabilities of each box in turn, at the resolution that the network sees it in.

    Neighbouring boxes that the network sees in the same size go through it together.

    Args:
        network: Takes normalised RGB N×3×H×W, gives logits N×C×H×W; in eval mode, on its device.
        image: uint8 RGB, HxWx3.
        boxes: What to look at. What lies to the right of the image or below it is mirrored.
        how: Sizes and numbers.

    Yields:
        float32 C×h×w in 0..1 that sum to 1: of the box's own size times `how.scale`, or of `how.size`.
    """
    device = next(network.parameters()).device
    for batch in _batches(boxes, how, _PIXELS_AT_ONCE.get(device.type, 2**19)):
        tiles = np.stack([_tile(image, box, how) for box in batch])
        found = _softmax(network, torch.from_numpy(tiles).to(device), how)
        for box, one in zip(batch, found, strict=True):
            width, height = how.size or scaled_size(box.width, box.height, how.scale)
            yield one[:, :height, :width]


def probabilities(
    network: nn.Module,
    image: NDArray[np.uint8],
    size: tuple[int, int] | None,
    *,
    dtype: torch.dtype = torch.float32,
    flip_average: bool = False,
    standardised: bool = False,
    divisor: int = 16,
) -> Probabilities:
    """Probabilities of every class at every pixel of one picture.

    Args:
        network: Takes normalised RGB N×3×H×W, gives logits N×C×H×W; in eval mode, on its device.
        image: uint8 RGB, HxWx3.
        size: (width, height) that the picture is squeezed to, by cubic interpolation both ways; None leaves its
            resolution and mirrors its right and lower edges outwards to full multiples of `divisor`.
        dtype: float32, or bfloat16 for autocast.
        flip_average: Average over the picture, its two mirror images and its half turn: four times the work.
        standardised: Whether the network was trained on pictures made alike (`ModelConfig.standardised`).
        divisor: What the sides of the network's input must be multiples of (`ModelConfig.divisor`).

    Returns:
        float32 CxHxW in 0..1; after squeezing, the sum over classes may differ from 1 by the interpolation.
    """
    height, width = image.shape[:2]
    shown = standardise(image) if standardised else image
    [found] = maps(network, shown, [Box(0, 0, width, height)], How(size, dtype, flip_average, divisor))
    return np.concatenate([rows for _, rows in enlarged(found, width, height)], axis=1)


def shown_size(box: Box, how: How) -> tuple[int, int]:
    """(width, height) in which the network sees a box."""
    if how.size is not None:
        return how.size
    width, height = scaled_size(box.width, box.height, how.scale)
    return width + -width % how.divisor, height + -height % how.divisor


def _batches(boxes: Sequence[Box], how: How, pixels: int) -> Iterator[list[Box]]:
    batch: list[Box] = []
    for box in boxes:
        width, height = shown_size(box, how)
        most = how.batch_size or max(1, pixels // (width * height))
        if batch and (len(batch) >= most or shown_size(batch[0], how) != (width, height)):
            yield batch
            batch = []
        batch.append(box)
    if batch:
        yield batch


def _tile(image: NDArray[np.uint8], box: Box, how: How) -> NDArray[np.uint8]:
    part = image[box.top : box.bottom, box.left : box.right]
    if how.size is not None:
        return resize_image(_mirrored(part, box.width, box.height), *how.size)
    if how.scale != 1:
        part = scale_image(_mirrored(part, box.width, box.height), how.scale)
    return _mirrored(part, *shown_size(box, how))


def _mirrored(part: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """A picture that is mirrored at its right and lower edges until it is of a size."""
    below, right = height - part.shape[0], width - part.shape[1]
    if not (below or right):
        return part
    return np.asarray(cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REFLECT_101), dtype=np.uint8)


def _softmax(network: nn.Module, tiles: torch.Tensor, how: How) -> Probabilities:
    """uint8 N×H×W×3 to float32 N×C×H×W."""

    def apply(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(images.device.type, dtype=how.dtype, enabled=how.dtype != torch.float32):
            logits = network(images)
        return torch.softmax(logits.float(), dim=1)

    with torch.inference_mode():
        images = normalise(tiles)
        found = apply(images)
        if how.flip_average:
            for axes in ([2], [3], [2, 3]):
                found += apply(images.flip(axes)).flip(axes)
            found /= 4
        return np.asarray(found.contiguous().cpu().numpy())
