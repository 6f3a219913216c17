"""Validations fall where the original's planner puts them, and at the end; learning rates follow their rules."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segsweep.training.schedule import cosine_lr, one_cycle_lr, should_decrease, validation_is_due


def validation_steps(epochs: int, steps_per_epoch: int, val_every: float) -> list[int]:
    """The steps of a training after which it validates; after the last one in any case."""
    steps: list[int] = []
    for step in range(epochs * steps_per_epoch):
        last = step == epochs * steps_per_epoch - 1
        if last or validation_is_due(step, steps_per_epoch, val_every, len(steps)):
            steps.append(step)
    return steps


def test_the_tutorial_validates_thirty_times() -> None:
    steps = validation_steps(epochs=15, steps_per_epoch=21, val_every=0.5)
    assert len(steps) == 30
    assert steps[:4] == [10, 20, 31, 41]  # iterations 11 and 21 of each epoch, counted from 1
    assert steps[-1] == 15 * 21 - 1


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "val_every", "expected"),
    [
        (2, 4, 10.0, [7]),  # never due, but validated at the end
        (3, 2, 2.0, [3, 5]),  # the tail is validated too
        (1, 3, 0.001, [0, 1, 2]),  # at most once a step
        (2, 3, 0.1 + 0.2, [0, 1, 2, 3, 4, 5]),
        (3, 10, 1 / 3, [3, 6, 9, 13, 16, 19, 23, 26, 29]),
        (1, 1, 1.0, [0]),
    ],
)
def test_validation_steps_of_known_plans(epochs: int, per_epoch: int, val_every: float, expected: list[int]) -> None:
    assert validation_steps(epochs, per_epoch, val_every) == expected


@given(
    epochs=st.integers(1, 20),
    per_epoch=st.integers(1, 30),
    val_every=st.floats(0.01, 30, allow_nan=False),
)
def test_validations_are_as_many_as_val_every_says(epochs: int, per_epoch: int, val_every: float) -> None:
    steps = validation_steps(epochs, per_epoch, val_every)
    assert steps == sorted(set(steps))
    assert steps[-1] == epochs * per_epoch - 1
    due = math.floor(epochs / val_every + 1e-9)
    if val_every >= 1 / per_epoch:  # else it falls behind for ever
        assert len(steps) in {due, due + 1}
        for count, step in enumerate(steps[:due], start=1):
            assert (step + 1) / per_epoch >= count * val_every - 1e-6
            assert step / per_epoch < count * val_every + 1e-6, "not at the first step that is due"


def test_the_rate_falls_when_the_last_validations_are_all_worse_than_the_best() -> None:
    assert not should_decrease([1.0, 2.0, 2.0], 0, patience=3)  # not more than patience of them yet
    assert should_decrease([1.0, 2.0, 2.0, 2.0], 0, patience=3)
    assert not should_decrease([2.0, 2.0, 1.0, 2.0], 0, patience=3)  # the best is among the last three
    assert not should_decrease([2.0, 2.0, 2.0, 2.0], 0, patience=3)  # as good is not worse
    assert not should_decrease([1.0, 2.0, 2.0, 2.0, 2.0], 4, patience=3)  # patience starts anew after a reset
    assert should_decrease([1.0] + [2.0] * 7, 4, patience=3)


@pytest.mark.parametrize("steps", [4, 10, 37, 400])
def test_one_cycle_is_that_of_torch(steps: int) -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=steps, cycle_momentum=False)
    for step in range(steps):
        assert one_cycle_lr(step, steps, 0.01) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
        optimizer.step()
        if step < steps - 1:
            theirs.step()


@given(steps=st.integers(1, 500), maximum=st.floats(1e-6, 1))
def test_one_cycle_stays_within_its_bounds(steps: int, maximum: float) -> None:
    rates = [one_cycle_lr(step, steps, maximum) for step in range(steps)]
    assert all(0 < rate <= maximum * (1 + 1e-9) for rate in rates)


def test_cosine_cycles_begin_high_and_end_low() -> None:
    rates = [cosine_lr(step, 90, 0.1, cycles=3) for step in range(90)]
    assert rates[0] == rates[30] == rates[60] == pytest.approx(0.1)
    for cycle in (rates[:30], rates[30:60], rates[60:]):
        assert cycle == sorted(cycle, reverse=True)
        assert cycle[-1] < 0.1 / 300
    assert rates[15] == pytest.approx(0.05)
