"""What is minimised. Neutral pixels take no part, neither in the value nor in the gradient.

Where several devices share a batch, each computes its part of the whole batch's loss: `share` turns a count into its
mean over the devices, so that the mean of the parts is the loss of the whole batch, whoever has how many pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Share", "binary_loss", "cross_entropy", "own", "soft_dice"]

Share = Callable[[Tensor], Tensor]
"""A scalar to its mean over the devices that share the batch."""


def own(value: Tensor) -> Tensor:
    """The share of who has the whole batch."""
    return value


_SMOOTHING = 1.0


def binary_loss(
    logits: Tensor,
    targets: Tensor,
    ignore_index: int,
    bce_weight: float,
    dice_weight: float,
    share: Share = own,
) -> Tensor:
    """Weighted mean of binary cross-entropy and 1 - Dice, both on the probability of class 1.

    The probability is the softmax's, which for two channels is the sigmoid of the difference of the logits.

    Args:
        logits: float32, N×2×H×W.
        targets: int64, N×H×W, values 0, 1 and `ignore_index`.
        ignore_index: Value of neutral pixels.
        bce_weight: Weight of the cross-entropy, not negative.
        dice_weight: Weight of the Dice part, not negative; the sum of both is positive.
        share: See the module.

    Returns:
        A scalar; 0 where every pixel is neutral.
    """
    valid = (targets != ignore_index).to(logits.dtype)
    truth = (targets == 1).to(logits.dtype)
    difference = logits[:, 1] - logits[:, 0]
    pixelwise = functional.binary_cross_entropy_with_logits(difference, truth, weight=valid, reduction="sum")
    cross = pixelwise / share(valid.sum()).clamp(min=1)
    each = soft_dice(difference.sigmoid() * valid, truth)
    mean = each.sum() / share(each.new_tensor(float(len(each))))
    overlap = torch.where(share(mean.detach()) <= 1, mean, torch.ones_like(mean))  # empty images count 2
    return (bce_weight * cross + dice_weight * (1 - overlap)) / (bce_weight + dice_weight)


def soft_dice(probabilities: Tensor, truth: Tensor) -> Tensor:
    """`2 (Σpt + 1) / (Σp + Σt + 1)` of every image over its pixels; 2 for an empty truth predicted empty.

    Args:
        probabilities: float, N×H×W in 0..1; neutral pixels are 0 here and in `truth`.
        truth: float, N×H×W, 0 or 1.

    Returns:
        float, N.
    """
    both = (probabilities * truth).sum(dim=(1, 2))
    each = probabilities.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return 2 * (both + _SMOOTHING) / (each + _SMOOTHING)


def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int, share: Share = own) -> Tensor:
    """Mean cross-entropy over the pixels that are not neutral; 0 where every pixel is.

    Args:
        logits: float32, N×C×H×W.
        targets: int64, N×H×W.
        ignore_index: Value of neutral pixels.
        share: See the module.
    """
    total = functional.cross_entropy(logits, targets, ignore_index=ignore_index, reduction="sum")
    return total / share((targets != ignore_index).sum().to(total.dtype)).clamp(min=1)
