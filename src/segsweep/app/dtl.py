"""`segsweep dtl`: only the data transformation."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from segsweep import stages
from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import Job, checked, read_request, run_hydra
from segsweep.checks import CHECKS
from segsweep.errors import InvalidRequestError, Problem
from segsweep.reporting import Reporter

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    request = read_request("dtl", arguments)
    checked(request, CHECKS["dtl"])
    run_hydra(request, (lambda job: None) if request.only_shows else lambda job: _run(job, ConsoleReporter()))
    return 0


def _run(job: Job, reporter: Reporter) -> None:
    config = job.config
    workspace = Path(config.workspace).expanduser().absolute()
    projects = stages.prepare(workspace, config.data, reporter).paths if config.data else {}
    name = stages.result_name(config.dtl)
    wanted = workspace / "projects" / name
    if config.dtl.overwrite and wanted.exists():
        _remove(wanted)
    result = stages.transform(workspace, config.dtl, projects, config.seed, reporter)
    if result != wanted and job.number is None:
        reporter.message(f"projects/{name} was made by something else and is kept", "warning")
    reporter.message(f"dtl: the result is {result}")


def _remove(project: Path) -> None:
    """Removes an earlier result; only ever a project that a transformation made."""
    if stages.fingerprint_of(project) is None:
        hint = "choose another dst, or remove it yourself"
        raise InvalidRequestError([Problem("dtl.overwrite", f"{project} was not made by a transformation", hint)])
    shutil.rmtree(project)
