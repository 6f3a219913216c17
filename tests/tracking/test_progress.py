"""What is left is told from what was done in this process, not from what was there before."""

from __future__ import annotations

import pytest

from segsweep.tracking import progress
from segsweep.tracking.progress import Standing


def test_a_training_that_goes_on_tells_the_time_of_its_own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    standing = Standing()
    with standing.followed("Training", 300, "step", lambda count: None) as advance:
        assert standing.line == "Training: 0 of 300 step"
        advance(200)  # done before the interruption
        clock[0] += 5
        assert standing.line == "Training: 200 of 300 step"
        for _ in range(10):
            clock[0] += 1.5
            advance(1)
        assert standing.line == "Training: 210 of 300 step, 0:03:00 left"
    assert standing.line is None
