"""A network applied to one picture: probabilities at the picture's own size."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segsweep.models.preprocess import resize_image, standardise, to_tensor

__all__ = ["probabilities"]

Probabilities = NDArray[np.float32]


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
    image = standardise(image) if standardised else image
    if size is None:
        shown = np.asarray(cv2.copyMakeBorder(image, 0, -height % divisor, 0, -width % divisor, cv2.BORDER_REFLECT_101))
        found = _averaged(lambda part: _softmax(network, part, dtype), shown, flip_average)
        return np.ascontiguousarray(found[:, :height, :width])
    found = _averaged(lambda part: _softmax(network, part, dtype), resize_image(image, *size), flip_average)
    layers = [cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) for layer in found]
    clipped: Probabilities = np.clip(np.stack(layers), 0, 1, dtype=np.float32)
    return clipped


def _softmax(network: nn.Module, image: NDArray[np.uint8], dtype: torch.dtype) -> Probabilities:
    device = next(network.parameters()).device
    batch = to_tensor(image)[None].to(device, memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        logits = network(batch)
    return np.asarray(torch.softmax(logits.float(), dim=1)[0].cpu().numpy())


def _averaged(
    apply: Callable[[NDArray[np.uint8]], Probabilities], image: NDArray[np.uint8], flip_average: bool
) -> Probabilities:
    if not flip_average:
        return apply(image)
    flips = [(down, right) for down in (1, -1) for right in (1, -1)]
    parts = (apply(np.ascontiguousarray(image[::down, ::right]))[:, ::down, ::right] for down, right in flips)
    total = sum(parts, start=np.float32(0))
    return np.asarray(total / np.float32(len(flips)), np.float32)
