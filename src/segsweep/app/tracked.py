"""What the commands that MLflow remembers share: one run, or a sweep of them under a parent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import Job, Request, checked, read_request, run_hydra
from segsweep.checks import CHECKS
from segsweep.config.compose import Composition, swept_values
from segsweep.errors import Problems, SegsweepError
from segsweep.pipeline import RunContext, RunOutcome, open_store
from segsweep.sweeps.names import job_name
from segsweep.sweeps.parent import sweep_parent
from segsweep.tracking import interruptible

__all__ = ["tracked_command"]

Work = Callable[[Any, RunContext], RunOutcome]
"""Takes a command's typed configuration and the run's context."""

log = logging.getLogger("segsweep")


def tracked_command(command: str, work: Work, arguments: Sequence[str]) -> int:
    """Checks the whole request, then runs it as one MLflow run, or with `-m` as a parent run and a child a job."""
    request = read_request(command, arguments)
    composition = checked(request, CHECKS[command])
    _check_sweepable(composition)
    if request.only_shows:
        run_hydra(request, lambda job: None)
        return 0
    for warning in composition.warnings:
        ConsoleReporter().message(str(warning), "warning")
    with interruptible():
        if request.multirun:
            _sweep(request, composition, work)
        else:
            _single(request, work)
    return 0


def _check_sweepable(composition: Composition) -> None:
    """All jobs of a sweep share one store and one workspace."""
    problems = Problems()
    for key in composition.swept:
        if key == "workspace" or key.split(".")[0] == "tracking":
            problems.add(key, "cannot be swept: the jobs of a sweep share one store", "give it one value")
    problems.raise_if_any("the sweep cannot run")


def _single(request: Request, work: Work) -> None:
    def job(job: Job) -> None:
        reporter = ConsoleReporter()
        outcome = work(job.config, RunContext(Path(job.output_dir), job.overrides, reporter))
        _show(outcome, job.config, reporter)

    run_hydra(request, job)


def _show(outcome: RunOutcome, config: Any, reporter: ConsoleReporter) -> None:
    headline = (key for key in sorted(outcome.scores) if key.count("/") == 1 or key.startswith("test/dice/"))
    shown = {key: outcome.scores[key] for key in headline if not key.startswith("test_")}
    width = max(map(len, shown), default=0)
    for key, value in shown.items():
        reporter.message(f"  {key:<{width}}  {value:.4f}")
    workspace = "" if config.workspace == "." else f" 'workspace={config.workspace}'"
    reporter.message(f"run {outcome.run_id} is in MLflow: segsweep ui{workspace}, then {outcome.url}")


def _sweep(request: Request, composition: Composition, work: Work) -> None:
    config: Any = composition.config
    console = ConsoleReporter()
    store = open_store(config.workspace, config.tracking, console)
    with sweep_parent(store, config.name, composition.swept, request.options.overrides, console) as parent:
        keys, parent_id, experiment = list(composition.swept), parent.run_id, store.experiment

        def job(job: Job) -> None:
            name = job_name(swept_values(job.overrides, keys)) or str(job.number)
            reporter = ConsoleReporter()
            reporter.message(f"job {job.number}: {name}")
            try:
                work(job.config, RunContext(Path(job.output_dir), job.overrides, reporter, parent_id, name, experiment))
            except Exception as error:  # the other jobs go on; MLflow and the leaderboard know what happened here
                log.exception("job %s failed", name)
                known = str(error) if isinstance(error, SegsweepError) else f"{type(error).__name__}: {error}"
                reporter.message(f"job {job.number}: {name} failed: {known}", "warning")

        run_hydra(request, job)
