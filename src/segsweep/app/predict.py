"""`segsweep predict`: apply a trained network to a project."""

from __future__ import annotations

from collections.abc import Sequence

from segsweep.app.tracked import tracked_command
from segsweep.pipeline import run_prediction

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    return tracked_command("predict", run_prediction, [_model(item) for item in arguments])


def _model(argument: str) -> str:
    """`model=…` is short for `model.source=…` here; Hydra would take it for the config group `model`."""
    return argument.replace("model=", "model.source=", 1) if argument.startswith("model=") else argument
