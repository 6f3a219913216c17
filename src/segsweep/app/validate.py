"""`segsweep validate [COMMAND] key=value …`: checks a configuration without running it."""

from __future__ import annotations

from collections.abc import Sequence

from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import checked, read_request, run_hydra
from segsweep.checks import CHECKS

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Prints every problem at once, or that there is none; the command is `run` unless another one is named."""
    given = list(arguments)
    command = given.pop(0) if given and given[0] in CHECKS else "run"
    request = read_request(command, given)
    composition = checked(request, CHECKS[command])
    if request.only_shows:
        run_hydra(request, lambda job: None)
        return 0
    for warning in composition.warnings:
        ConsoleReporter().message(str(warning), "warning")
    jobs = 1
    for values in composition.swept.values():
        jobs *= len(values)
    print(f"segsweep {command}: no problems" + (f" ({jobs} jobs)" if request.multirun else ""))  # noqa: T201
    return 0
