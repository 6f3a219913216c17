"""Everything Segsweep raises on purpose.

    SegsweepError                exit status 1: the work failed
    ├── DataError                a file or project that cannot be read, or does not hold what it should
    ├── TrainingError            training could not start or go on
    ├── TrackingError            the MLflow store cannot be used
    │   └── UnknownNameError     exit status 2: it does not hold the run, sweep, model or score that is asked for
    ├── WorkFailedError          several pieces of work failed (the jobs of a sweep)
    ├── StoppedEarlyError        work that was given up because it was not promising; no failure
    └── InvalidRequestError      exit status 2: the request was wrong; holds every problem at once

A message says what is wrong, where, what is allowed, and the nearest spelling. It is meant for people: the command
line prints it without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "DataError",
    "InvalidRequestError",
    "Problem",
    "Problems",
    "SegsweepError",
    "StoppedEarlyError",
    "TrackingError",
    "TrainingError",
    "UnknownNameError",
    "WorkFailedError",
    "nearest",
]


class SegsweepError(Exception):
    """Base of all errors raised on purpose."""

    exit_status = 1


class DataError(SegsweepError):
    """A file or project cannot be read, or does not hold what it should."""


class TrainingError(SegsweepError):
    """Training could not start or go on."""


class TrackingError(SegsweepError):
    """The MLflow store cannot be used."""


class UnknownNameError(TrackingError):
    """The MLflow store does not hold what is asked for by name, or does not take it (a filter)."""

    exit_status = 2


class WorkFailedError(SegsweepError):
    """Some pieces of work failed; the message names them."""


class StoppedEarlyError(SegsweepError):
    """Work was given up because it was not promising: a trial of a search that is behind the others."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a request.

    Attributes:
        where: Key, file or layer, as the user wrote it (`training.lr`, `dtl.layers.crop.settings`).
        what: What is wrong, a clause without a full stop.
        hint: What is allowed, or what to do; may be empty.
    """

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.hint}" if self.hint else text


class InvalidRequestError(SegsweepError):
    """The request (configuration, arguments, graph) is wrong; `problems` holds all that was found."""

    exit_status = 2

    def __init__(self, problems: Iterable[Problem], title: str = "the request cannot be carried out") -> None:
        self.problems = tuple(dict.fromkeys(problems))
        self.title = title
        count = len(self.problems)
        head = f"{title}: {count} problem{'s' if count != 1 else ''}"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))


class Problems:
    """Collects problems so that all of them are told at once.

    >>> problems = Problems()
    >>> problems.unknown("training.lrr", "lrr", ["lr", "epochs"], kind="key")
    >>> str(problems.found[0])
    "training.lrr: unknown key 'lrr'; did you mean 'lr'?"
    """

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.warnings: list[Problem] = []
        """What may be meant, and should be told."""

    def add(self, where: str, what: str, hint: str = "") -> None:
        """Notes one problem."""
        self.found.append(Problem(where, what, hint))

    def unknown(
        self, where: str, name: object, known: Iterable[str], kind: str = "name", otherwise: str | None = None
    ) -> None:
        """Notes an unknown name with the nearest known spellings; when none is near, with all, or `otherwise`."""
        self.add(where, f"unknown {kind} {name!r}", nearest(name, known, otherwise=otherwise))

    def warn(self, where: str, what: str, hint: str = "") -> None:
        """Notes what is allowed but may be a mistake."""
        self.warnings.append(Problem(where, what, hint))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Adds problems that were found elsewhere."""
        self.found.extend(problems)

    def raise_if_any(self, title: str = "the request cannot be carried out") -> None:
        """Raises `InvalidRequestError` with everything found so far, if there is anything."""
        if self.found:
            raise InvalidRequestError(self.found, title)


def nearest(name: object, known: Iterable[str], most: int = 3, otherwise: str | None = None) -> str:
    """A hint that names the known spellings nearest to `name`; when none is near, all, or `otherwise`."""
    names = sorted({str(item) for item in known})
    close = difflib.get_close_matches(str(name), names, n=most, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(item) for item in close) + "?"
    if otherwise is not None:
        return otherwise
    if not names:
        return "none is known here"
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"known: {shown}"
