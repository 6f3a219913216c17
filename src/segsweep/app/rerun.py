"""`segsweep rerun RUN_ID`: do again what a tracked run recorded, and say whether the result is the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import Job, checked, read_request, run_hydra
from segsweep.app.tables import show_table
from segsweep.checks import CHECKS
from segsweep.errors import InvalidRequestError, Problem, Problems, WorkFailedError
from segsweep.pipeline import RunContext
from segsweep.rerunning import Agreement, Difference, agreement, recompose, repeat
from segsweep.tracking import interruptible, recorded_run

__all__ = ["main"]

_MOST_ROWS = 30


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    request = read_request("rerun", [*map(_run, arguments[:1]), *arguments[1:]])
    if request.multirun:
        raise InvalidRequestError([Problem("-m", "one run is repeated at a time")], "segsweep rerun cannot run")
    checked(request, CHECKS["rerun"])
    with interruptible():
        run_hydra(request, (lambda job: None) if request.only_shows else _rerun)
    return 0


def _run(argument: str) -> str:
    """A plain first word is the run's id."""
    return argument if "=" in argument or argument.startswith("-") else f"run='{argument}'"


def _rerun(job: Job) -> None:
    config, reporter = job.config, ConsoleReporter()
    place = config.tracking.uri or Path(config.workspace).expanduser().absolute()
    before = recorded_run(place, config.run)
    again: Any = recompose(before, config.workspace, config.tracking.uri)
    problems = Problems()
    CHECKS[before.command](again, problems)
    problems.raise_if_any(f"run {before.run_id} cannot be repeated here")
    if before.status != "FINISHED":
        reporter.message(f"run {before.run_id} ended as {before.status}: not all of it can be compared", "warning")
    reporter.message(f"repeating {before.command} {before.name} ({before.run_id}); nothing trained before is used")
    outcome = repeat(before, again, RunContext(Path(job.output_dir) / "again", before.overrides, reporter))
    found = agreement(before, recorded_run(place, outcome.run_id), config.tolerance)
    _show(found, reporter)
    reporter.message(f"run {outcome.run_id} is in MLflow: {outcome.url}")
    if found.beyond:
        raise WorkFailedError(
            f"{len(found.beyond)} of {found.compared} scores differ by more than {found.tolerance:g} "
            f"from those of run {before.run_id}"
        )


def _show(found: Agreement, reporter: ConsoleReporter) -> None:
    rows = [_row(item) for item in (*found.surroundings, *found.scores)]
    if rows:
        show_table(["", "name", "then", "now", "difference"], rows[:_MOST_ROWS], numbers=["difference"])
        if len(rows) > _MOST_ROWS:
            reporter.message(f"… and {len(rows) - _MOST_ROWS} more differences")
    for what, kind in (("data", "data"), ("code", "code"), ("packages", "package")):
        if not any(item.what == kind for item in found.surroundings):
            reporter.message(f"{what}: the same")
    equal = found.compared - len(found.scores)
    close = len(found.scores) - len(found.beyond)
    others = f", {close} others within {found.tolerance:g}" if found.scores else ""
    reporter.message(f"scores: {equal} of {found.compared} the same to the last digit{others}")


def _row(item: Difference) -> list[str]:
    if isinstance(item.before, str) or isinstance(item.after, str):
        return [item.what, item.name, str(item.before) or "–", str(item.after) or "–", ""]
    return [item.what, item.name, f"{item.before:.6g}", f"{item.after:.6g}", f"{item.after - item.before:+.3g}"]
