"""How good a batch of predictions is, while training. Neutral pixels do not count. `share`: see `losses`."""

from __future__ import annotations

from torch import Tensor

from segsweep.training.losses import Share, own

__all__ = ["accuracy", "dice"]


def accuracy(predicted: Tensor, targets: Tensor, ignore_index: int, share: Share = own) -> Tensor:
    """Share of the pixels that are predicted right; 1 where there is none to judge.

    Args:
        predicted: int64, N×H×W.
        targets: int64, N×H×W.
        ignore_index: Value of neutral pixels in `targets`.
        share: See `losses`.
    """
    judged = targets != ignore_index
    wrong = ((predicted != targets) & judged).sum()
    return 1 - wrong / share(judged.sum().float()).clamp(min=1)


def dice(predicted: Tensor, targets: Tensor, ignore_index: int, share: Share = own) -> Tensor:
    """Mean over the images of the Dice coefficient of class 1, `2|P∩T| / (|P| + |T|)`; 1 for empty predicted empty.

    Args: as `accuracy`.
    """
    positive = (predicted == 1) & (targets != ignore_index)
    truth = targets == 1
    both = (positive & truth).sum(dim=(1, 2))
    each = positive.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    scores = (2 * both / each.clamp(min=1)).where(each > 0, 1.0)
    return scores.sum() / share(scores.new_tensor(float(len(scores))))
