"""`segsweep dtl`: only the data transformation; `segsweep dtl --layers` tells which layers there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segsweep import stages
from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import Job, checked, read_request, run_hydra
from segsweep.checks import CHECKS
from segsweep.errors import InvalidRequestError, Problem
from segsweep.files import replace_directory
from segsweep.reporting import Reporter
from segsweep.tracking import interruptible

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    if "--layers" in arguments:
        from segsweep.dtl.describe import layers_text

        print(layers_text([name for name in arguments if name != "--layers"]))  # noqa: T201
        return 0
    request = read_request("dtl", arguments)
    checked(request, CHECKS["dtl"])
    with interruptible():
        run_hydra(request, (lambda job: None) if request.only_shows else lambda job: _run(job, ConsoleReporter()))
    return 0


def _run(job: Job, reporter: Reporter) -> None:
    from segsweep.dtl import summary_table

    config = job.config
    workspace = Path(config.workspace).expanduser().absolute()
    projects = stages.prepare(workspace, config.data, reporter).paths if config.data else {}
    plan = stages.plan_transform(workspace, config.dtl, projects, config.seed)
    wanted = workspace / "projects" / plan.name
    taken = plan.result != wanted and job.number is None  # the jobs of a sweep each keep a result of their own
    if taken:
        _check_replaceable(wanted, config.dtl.overwrite)
    summary = stages.transform(plan, config.dtl, reporter)
    result = summary.result
    if taken:
        replace_directory(wanted, result)
        result = wanted
    reporter.message(summary_table(summary))
    reporter.message(f"dtl: the result is {result}")


def _check_replaceable(project: Path, overwrite: bool) -> None:
    if not overwrite:
        hint = "dtl.overwrite=true replaces it; or name another dst"
        raise InvalidRequestError([Problem("dtl", f"{project} is the result of something else", hint)])
    if stages.fingerprint_of(project) is None:
        hint = "name another dst, or remove it yourself"
        raise InvalidRequestError([Problem("dtl.overwrite", f"{project} was not made by a transformation", hint)])
