"""How a stage tells the world what it does, without knowing who listens.

A stage gets a `Reporter`. The pipeline hands it one that writes to MLflow and draws progress bars; a test hands it a
`ListReporter`; `SILENT` swallows everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["SILENT", "Level", "ListReporter", "Reporter", "SilentReporter", "track"]

Level = Literal["info", "warning"]
Advance = Callable[[int], None]
T = TypeVar("T")


class Reporter(Protocol):
    """What a stage may report. Every method returns at once and may be called often."""

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        """Values measured at a step (`train/loss` …); `step` counts optimiser steps from 0."""

    def image(self, name: str, image: NDArray[np.uint8], step: int | None = None) -> None:
        """A picture, uint8 RGB HxWx3; `name` is a relative path without extension (`predictions/Image_05L`).

        With a `step` it belongs to a series of pictures of the same name over the course of a run.
        """

    def file(self, path: Path, folder: str = "") -> None:
        """A finished file or folder to keep, under `folder` (a relative path such as `evaluation`)."""

    def message(self, text: str, level: Level = "info") -> None:
        """One line for people."""

    def progress(self, title: str, total: int | None, unit: str = "it") -> AbstractContextManager[Advance]:
        """A progress display for `total` pieces of work; yields `advance(count)`."""


class SilentReporter:
    """Swallows everything."""

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None: ...

    def image(self, name: str, image: NDArray[np.uint8], step: int | None = None) -> None: ...

    def file(self, path: Path, folder: str = "") -> None: ...

    def message(self, text: str, level: Level = "info") -> None: ...

    @contextmanager
    def progress(self, title: str, total: int | None, unit: str = "it") -> Iterator[Advance]:
        yield lambda count: None


SILENT: Reporter = SilentReporter()


@dataclass
class ListReporter(SilentReporter):
    """Keeps what was reported, in order: for tests and for use from Python."""

    logged: list[tuple[dict[str, float], int, float | None]] = field(default_factory=list)
    images: list[tuple[str, NDArray[np.uint8], int | None]] = field(default_factory=list)
    files: list[tuple[Path, str]] = field(default_factory=list)
    messages: list[tuple[Level, str]] = field(default_factory=list)

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        self.logged.append((dict(values), step, epoch))

    def image(self, name: str, image: NDArray[np.uint8], step: int | None = None) -> None:
        self.images.append((name, image, step))

    def file(self, path: Path, folder: str = "") -> None:
        self.files.append((path, folder))

    def message(self, text: str, level: Level = "info") -> None:
        self.messages.append((level, text))

    def series(self, key: str) -> list[tuple[int, float]]:
        """All values of one metric as (step, value)."""
        return [(step, values[key]) for values, step, _ in self.logged if key in values]


def track(
    items: Iterable[T], reporter: Reporter, title: str, total: int | None = None, unit: str = "it"
) -> Iterator[T]:
    """Yields `items` while showing progress; one item is one piece of work."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with reporter.progress(title, total, unit) as advance:
        for item in items:
            yield item
            advance(1)
