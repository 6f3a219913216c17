"""Where a run stands, in a line for those who look from elsewhere: another terminal, the UI, another machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from segsweep.reporting import Advance

__all__ = ["PROGRESS", "Standing"]

PROGRESS = "segsweep.progress"
"""The tag of a run that is going on."""


@dataclass
class _Work:
    title: str
    total: int | None
    unit: str
    done: int = 0
    first: int = 0
    began: float | None = None


class Standing:
    """Follows the progress displays of a run; the outermost one that is open says where the run stands."""

    def __init__(self) -> None:
        self._open: list[_Work] = []

    @contextmanager
    def followed(self, title: str, total: int | None, unit: str, advance: Advance) -> Iterator[Advance]:
        """Follows one display for the length of the block; yields an `advance` that is counted and passed on."""
        work = _Work(title, total, unit)
        self._open.append(work)

        def counted(count: int) -> None:
            work.done += count
            if work.began is None:  # the first report may tell what was done before, or warm things up: it is not timed
                work.first, work.began = work.done, time.monotonic()
            advance(count)

        try:
            yield counted
        finally:
            self._open.remove(work)

    @property
    def line(self) -> str | None:
        """Such as `train: 120 of 820 steps, 0:04:12 left`; None where nothing is under way."""
        work = next(iter(self._open), None)
        if work is None:
            return None
        if work.total is None:
            return f"{work.title}: {work.done} {work.unit}"
        line = f"{work.title}: {work.done} of {work.total} {work.unit}"
        if work.began is None or not work.first < work.done <= work.total:
            return line
        seconds = (time.monotonic() - work.began) / (work.done - work.first) * (work.total - work.done)
        return f"{line}, {timedelta(seconds=round(seconds))} left"
