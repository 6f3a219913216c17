"""`segsweep status`: what a sweep has done, a row a job, also while it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import Job, checked, read_request, run_hydra
from segsweep.app.tables import show_table
from segsweep.checks import CHECKS
from segsweep.config.schema import StatusConfig
from segsweep.errors import InvalidRequestError, Problem
from segsweep.sweeps.status import JobStatus, sweep_status

__all__ = ["main"]

_ID = 8


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    first = [item if "=" in item or item.startswith("-") else f"sweep='{item}'" for item in arguments[:1]]
    request = read_request("status", [*first, *arguments[1:]])
    if request.multirun:
        raise InvalidRequestError([Problem("-m", "one sweep is shown at a time")], "segsweep status cannot run")
    checked(request, CHECKS["status"])
    run_hydra(request, (lambda job: None) if request.only_shows else _status)
    return 0


def _status(job: Job) -> None:
    config: StatusConfig = job.config
    reporter = ConsoleReporter()
    place = config.tracking.uri or Path(config.workspace).expanduser().absolute()
    found = sweep_status(place, config.sweep)
    reporter.message(f"{found.title}{found.state and f': {found.state}'}")
    columns = ["job", "status", "time", found.score or "score", "run", "more"]
    show_table(columns, [_row(item) for item in found.jobs], numbers=["time", columns[3]])
    sys.stdout.flush()
    counts = ", ".join(f"{count} {state}" for state, count in found.counts.items())
    left = "" if found.remaining is None else f"; about {timedelta(seconds=round(found.remaining))} left"
    reporter.message(f"{counts or 'no job has begun'}{left}")
    if found.again:
        reporter.message(f"to go on: {found.again}")


def _row(item: JobStatus) -> list[str]:
    time = "" if item.seconds is None else str(timedelta(seconds=round(item.seconds)))
    score = "" if item.score is None else f"{item.score:.4f}"
    run = "" if item.job.run is None else str(item.job.run.info.run_id)[:_ID]
    more = "; ".join(filter(None, [item.doing, item.job.reason]))
    return [item.job.name, item.job.state, time, score, run, more]
