"""What happens to a picture before the network sees it: the same in training and in inference.

The original resized with cubic interpolation in training and linear interpolation in inference; one function for both
leaves no such gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "normalise",
    "resize_image",
    "resize_mask",
    "scale_image",
    "scale_mask",
    "scaled_size",
    "standardise",
    "standardise_batch",
    "to_tensor",
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB in 0..1 over ImageNet, as every VGG16-BN encoder expects."""

_DARK = 20
_SPREAD = 30.0
"""About half of ImageNet's 58: 3.4 deviations stay within 0..255, since what is cut off is missed (docs/recipes.md)."""


def to_tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    """A uint8 RGB picture HxWx3 as a normalised float32 tensor 3xHxW: (value / 255 - mean) / std."""
    import torch

    scale = 1.0 / (255.0 * np.asarray(IMAGENET_STD, dtype=np.float32))
    shift = np.asarray(IMAGENET_MEAN, dtype=np.float32) / np.asarray(IMAGENET_STD, dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray((image * scale - shift).transpose(2, 0, 1)))


def normalise(images: torch.Tensor) -> torch.Tensor:
    """A batch of uint8 RGB pictures N×H×W×3, on any device, as `to_tensor` gives them: float32, N×3×H×W.

    The result lies in memory as the pictures do (channels last), which is also what convolutions are fastest with.
    """
    import torch

    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=images.device).view(1, 3, 1, 1)
    return images.permute(0, 3, 1, 2).float().mul_(1 / (255 * std)).sub_(mean / std)


def standardise(image: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """A picture whose channels have the mean of ImageNet and a standard deviation of `_SPREAD`, whatever they had.

    It takes away differences of illumination and colour between pictures. Pixels that are dark in every channel, such
    as the frame around a fundus, have no part in the measuring. Values are cut to 0..255.

    Args:
        image: uint8 RGB HxWx3.
        out: Where the result goes, if not into a new array; may be `image` itself.
    """
    seen = cv2.bitwise_not(cv2.inRange(image, (0, 0, 0), (_DARK - 1,) * 3))
    if not seen.any():
        if out is None:
            return image
        np.copyto(out, image)
        return out
    mean, deviation = cv2.meanStdDev(image, mask=seen)
    levels = np.arange(256, dtype=np.float64)
    target = 255 * np.asarray(IMAGENET_MEAN)
    table = (levels[:, None] - mean.ravel()) * (_SPREAD / np.maximum(deviation.ravel(), 1.0)) + target
    table = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None], dst=out), dtype=np.uint8)


def standardise_batch(images: torch.Tensor) -> torch.Tensor:
    """`standardise` for a batch, each picture by itself, in torch: it becomes part of an exported network.

    Args:
        images: uint8 RGB N×3×H×W.

    Returns:
        float32 N×3×H×W, the whole numbers 0..255 that `standardise` gives: sums are exact and the rest is float64.
    """
    import torch

    seen = images.amax(dim=1, keepdim=True) >= _DARK
    values = images.long()
    count = seen.long().sum(dim=(2, 3), keepdim=True).clamp(min=1).double()
    mean = (values * seen).sum(dim=(2, 3), keepdim=True) / count
    variance = (values * values * seen).sum(dim=(2, 3), keepdim=True) / count - mean * mean
    deviation = variance.clamp(min=1).sqrt()
    target = 255 * torch.tensor(IMAGENET_MEAN, dtype=torch.float64).view(1, 3, 1, 1)
    made = ((values - mean) * (_SPREAD / deviation) + target).round().clamp(0, 255)
    return torch.where(seen.long().amax(dim=(2, 3), keepdim=True) > 0, made, values.double()).float()


def resize_image(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resizes a picture to width x height pixels with cubic interpolation; the aspect ratio is not kept."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def scaled_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """(width, height) of a picture that is shrunk or enlarged by a factor; at least one pixel each."""
    return max(1, round(width * scale)), max(1, round(height * scale))


def scale_image(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Shrinks a picture by averaging, so that nothing thin falls between pixels, or enlarges it by cubic interpolation.

    Args:
        image: uint8, HxWx3.
        scale: A factor for both sides, positive.
    """
    height, width = image.shape[:2]
    size = scaled_size(width, height, scale)
    if size == (width, height):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=_interpolation(scale, cv2.INTER_CUBIC)), dtype=np.uint8)


def scale_mask(mask: NDArray[Any], scale: float) -> NDArray[Any]:
    """A map of class indices (HxW, any integer type) scaled as `scale_image` does it: the largest share has the pixel.

    Of classes that share a pixel equally the one with the highest index has it, so that half a thin object is not lost
    to the background.
    """
    height, width = mask.shape
    size = scaled_size(width, height, scale)
    if size == (width, height):
        return mask
    found = np.zeros(size[::-1], mask.dtype)
    most = np.zeros(size[::-1], np.float32)
    for index in np.unique(mask):
        one = (mask == index).astype(np.float32)
        share = cv2.resize(one, size, interpolation=_interpolation(scale, cv2.INTER_LINEAR))
        wins = share >= most - 1e-6
        found[wins], most[wins] = index, share[wins]
    return found


def _interpolation(scale: float, enlarging: int) -> int:
    return cv2.INTER_AREA if scale < 1 else enlarging


def resize_mask(mask: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Resizes a map of class indices (HxW, any integer type) to width x height pixels by the nearest pixel.

    Nearest means nearest to the pixel's centre, so that masks and cubically resized pictures stay aligned.
    """
    if mask.shape == (height, width):
        return mask
    # gather by index: OpenCV knows no 64-bit integers
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.intp)
    return np.ascontiguousarray(mask[rows[:, None], columns])
