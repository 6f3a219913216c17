"""`segsweep train`: one training on a project of the workspace."""

from __future__ import annotations

from collections.abc import Sequence

from segsweep.app.tracked import tracked_command
from segsweep.pipeline import run_training

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    return tracked_command("train", run_training, arguments)
