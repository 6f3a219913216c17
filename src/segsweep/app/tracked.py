"""What the commands that MLflow remembers share: one run, or a sweep of them under a parent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segsweep.app.console import ConsoleReporter
from segsweep.app.dry_run import dry_run
from segsweep.app.hydra_app import Job, Request, checked, read_request, run_hydra
from segsweep.app.sweep import Work, check_sweepable, run_sweep
from segsweep.checks import CHECKS
from segsweep.pipeline import RunContext, RunOutcome
from segsweep.tracking import interruptible

__all__ = ["tracked_command"]

_DRY_RUN = "--dry-run"


def tracked_command(command: str, work: Work, arguments: Sequence[str]) -> int:
    """Checks the whole request, then runs it as one MLflow run, or with `-m` as a parent run and a child a job.

    With `--dry-run` it tells what would be done, and does nothing.
    """
    request = read_request(command, [item for item in arguments if item != _DRY_RUN])
    composition = checked(request, CHECKS[command], jobs=True)
    check_sweepable(composition)
    if request.only_shows:
        run_hydra(request, lambda job: None)
        return 0
    for warning in composition.warnings:
        ConsoleReporter().message(str(warning), "warning")
    if _DRY_RUN in arguments:
        dry_run(command, request, composition)
        return 0
    with interruptible():
        if request.multirun:
            run_sweep(command, request, composition, work)
        else:
            _single(request, work)
    return 0


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
