"""Runs `segsweep` and dies in the middle of a stage of its second job: `python dying.py WAY STAGE arguments…`.

A stage's work is counted where its progress is shown, so that something of it is done and something is not.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from segsweep.app.console import ConsoleReporter
from segsweep.cli import main

WAYS = ("error", "memory", "SIGINT", "SIGTERM", "SIGKILL")
STAGES = {"transform": "transform", "train": "Training", "predict": "Predicting"}
"""Stage -> the title of its progress."""
STEPS = {"train": 4}
"""After how much work a stage dies; else after the first piece."""


def die(way: str) -> None:
    if way == "error":
        raise ValueError("made to fail")
    if way == "memory":
        raise MemoryError("made to need more than there is")
    os.kill(os.getpid(), signal.Signals[way])


def dying(way: str, stage: str) -> Callable[..., object]:
    shown = ConsoleReporter.progress
    begun = []

    @contextmanager
    def progress(self: ConsoleReporter, title: str, total: int | None, unit: str = "it") -> Iterator[object]:
        with shown(self, title, total, unit) as advance:
            if title == STAGES[stage]:
                begun.append(0)

            def counted(count: int) -> None:
                advance(count)
                if title == STAGES[stage] and len(begun) == 2:
                    begun[1] += count
                    if begun[1] >= STEPS.get(stage, 1):
                        begun.append(0)
                        die(way)

            yield counted

    return progress


if __name__ == "__main__":
    ConsoleReporter.progress = dying(*sys.argv[1:3])  # type: ignore[method-assign,assignment]
    sys.exit(main(sys.argv[3:]))
