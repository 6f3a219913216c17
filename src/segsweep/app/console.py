"""What people see while work goes on: messages and progress bars on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from segsweep.reporting import Level

__all__ = ["ConsoleReporter"]


class _Rate(ProgressColumn):
    """Pieces of work a second, or seconds a piece where it is slow."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "it")
        if not speed:
            return Text(f"– {unit}/s", style="progress.data.speed")
        text = f"{speed:.1f} {unit}/s" if speed >= 1 else f"{1 / speed:.1f} s/{unit}"
        return Text(text, style="progress.data.speed")


class ConsoleReporter:
    """Messages and progress on stderr; bars disappear when it is no terminal. Metrics and files are not shown."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        """Not shown."""

    def image(self, name: str, image: NDArray[np.uint8], step: int | None = None) -> None:
        """Not shown."""

    def file(self, path: Path, folder: str = "") -> None:
        """Not shown."""

    def message(self, text: str, level: Level = "info") -> None:
        """Prints one line; a running bar stays below it."""
        console = self._progress.console if self._progress else self.console
        prefix = "warning: " if level == "warning" else ""
        console.print(Text(prefix + text, style="yellow" if level == "warning" else ""))

    @contextmanager
    def progress(self, title: str, total: int | None, unit: str = "it") -> Iterator[Callable[[int], None]]:
        """A bar with count, rate, elapsed and remaining time; bars opened inside others are shown together."""
        if not self.console.is_terminal:
            yield lambda count: None
            return
        outermost = self._progress is None
        if self._progress is None:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeElapsedColumn(),
                TextColumn("remaining"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._progress.start()
        shown = self._progress
        task = shown.add_task(title, total=total, unit=unit)
        try:
            yield lambda count: shown.advance(task, count)
        finally:
            shown.remove_task(task)
            if outermost:
                shown.stop()
                self._progress = None
