"""What is minimised. Neutral pixels take no part, neither in the value nor in the gradient."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["binary_loss", "cross_entropy", "soft_dice"]

_SMOOTHING = 1.0


def binary_loss(logits: Tensor, targets: Tensor, ignore_index: int, bce_weight: float, dice_weight: float) -> Tensor:
    """Weighted mean of binary cross-entropy and 1 - Dice, both on the probability of class 1.

    The probability is the softmax's, which for two channels is the sigmoid of the difference of the logits.

    Args:
        logits: float32, N×2×H×W.
        targets: int64, N×H×W, values 0, 1 and `ignore_index`.
        ignore_index: Value of neutral pixels.
        bce_weight: Weight of the cross-entropy, not negative.
        dice_weight: Weight of the Dice part, not negative; the sum of both is positive.

    Returns:
        A scalar; 0 where every pixel is neutral.
    """
    valid = (targets != ignore_index).to(logits.dtype)
    truth = (targets == 1).to(logits.dtype)
    difference = logits[:, 1] - logits[:, 0]
    pixelwise = functional.binary_cross_entropy_with_logits(difference, truth, weight=valid, reduction="sum")
    cross = pixelwise / valid.sum().clamp(min=1)
    overlap = soft_dice(difference.sigmoid() * valid, truth).mean().clamp(0, 1)
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


def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int) -> Tensor:
    """Mean cross-entropy over the pixels that are not neutral; 0 where every pixel is.

    Args:
        logits: float32, N×C×H×W.
        targets: int64, N×H×W.
        ignore_index: Value of neutral pixels.
    """
    total = functional.cross_entropy(logits, targets, ignore_index=ignore_index, reduction="sum")
    return total / (targets != ignore_index).sum().clamp(min=1)
