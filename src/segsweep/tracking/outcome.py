"""How a run ended, from the exception that ended it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segsweep.errors import SegsweepError, StoppedEarlyError
from segsweep.tracking.names import shorten
from segsweep.tracking.signals import Terminated

__all__ = ["MAX_REASON", "Outcome", "Status", "outcome_of"]

Status = Literal["FINISHED", "FAILED", "KILLED"]

MAX_REASON = 500
"""Characters of a reason."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: MLflow's status, and the reason in one line (empty for FINISHED)."""

    status: Status
    reason: str = ""


def outcome_of(error: BaseException | None) -> Outcome:
    """What the exception that left a run's block says about the run."""
    match error:
        case None:
            return Outcome("FINISHED")
        case KeyboardInterrupt():
            return Outcome("KILLED", "interrupted (Ctrl-C)")
        case Terminated():
            return Outcome("KILLED", str(error))
        case SystemExit(code=None | 0):
            return Outcome("FINISHED")
        case SystemExit():
            return Outcome("FAILED", f"exit status {error.code}")
        case StoppedEarlyError():
            return Outcome("FINISHED", str(error))
        case GeneratorExit():
            return Outcome("KILLED", "abandoned")
        case _:
            line = " ".join(str(error).split())
            told = line if isinstance(error, SegsweepError) and line else f"{type(error).__name__}: {line}".rstrip(": ")
            return Outcome("FAILED", shorten(told, MAX_REASON))
