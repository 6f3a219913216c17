"""`segsweep predict`: apply a trained network to a project."""

from __future__ import annotations

from collections.abc import Sequence

from segsweep.app.models import short_model
from segsweep.app.tracked import tracked_command
from segsweep.pipeline import run_prediction

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    return tracked_command("predict", run_prediction, [short_model(item) for item in arguments])
