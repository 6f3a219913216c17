"""When to validate, and which learning rate holds: pure functions of what has happened so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["cosine_lr", "one_cycle_lr", "should_decrease", "validation_is_due"]


def validation_is_due(step: int, steps_per_epoch: int, val_every: float, done: int) -> bool:
    """Whether a validation takes place after a step (from 0).

    After a step the training has come to `e` epochs; it validates when `floor(e / val_every)` exceeds the number of
    validations done: at most one a step, however small `val_every` is.
    """
    epoch, iteration = divmod(step, steps_per_epoch)
    position = epoch + (iteration + 1) / steps_per_epoch
    return math.floor(position / val_every + 1e-9) > done


def should_decrease(losses: Sequence[float], last_reset: int, patience: int) -> bool:
    """Whether the learning rate is due to be divided after the latest validation.

    Args:
        losses: All validation losses so far.
        last_reset: How many there were when the rate was last divided; 0 at first.
        patience: How many validations in a row must be worse than the best one.
    """
    return len(losses) - last_reset > patience and min(losses[-patience:]) > min(losses)


def one_cycle_lr(step: float, steps: float, maximum: float, warm_up: float = 0.3) -> float:
    """The learning rate of a step: half a cosine up from `maximum / 25`, half a cosine down to almost nothing.

    Smith and Topin, "Super-Convergence" (2018), with cosines for the straight lines.

    Args:
        step: From 0 to `steps - 1`.
        steps: Steps of the whole training.
        maximum: The highest rate, reached after `warm_up` of the steps.
        warm_up: Share of the steps that go up.
    """
    start, end = maximum / 25, maximum / 250_000
    peak = warm_up * steps - 1
    if step <= peak:
        return _cosine(start, maximum, step / peak)
    return _cosine(maximum, end, (step - peak) / max(steps - 1 - peak, 1e-9))


def cosine_lr(step: float, steps: float, maximum: float, cycles: int) -> float:
    """The learning rate of a step: in each of some equal cycles half a cosine down from `maximum` towards 0.

    Loshchilov and Hutter, "SGDR" (2017), with cycles of one length.

    Args:
        step: From 0 to `steps - 1`.
        steps: Steps of the whole training.
        maximum: The rate that every cycle begins with.
        cycles: Number of cycles, at least 1.
    """
    return _cosine(maximum, 0.0, step * cycles / steps % 1.0)


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
