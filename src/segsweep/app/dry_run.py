"""`--dry-run`: the jobs of a command, and what each would reuse; nothing is made or written."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import Request
from segsweep.app.tables import show_table
from segsweep.config.compose import Composition
from segsweep.identity import request_of
from segsweep.sweeps.forecast import DO, STAGES, Forecaster
from segsweep.sweeps.inputs import Inputs
from segsweep.sweeps.jobs import SweepJob, list_jobs, runs_of_jobs, state_of
from segsweep.sweeps.parent import Sweep, find_sweep
from segsweep.tracking import Store, interrupted_run

__all__ = ["dry_run"]

_FINISHED = "finished"


def dry_run(command: str, request: Request, composition: Composition) -> None:
    """Shows what a checked request would do."""
    config: Any = composition.config
    console = ConsoleReporter()
    workspace = Path(config.workspace).expanduser().absolute()
    store = Store.find(workspace, experiment=config.tracking.experiment, uri=config.tracking.uri)
    inputs = Inputs(store or workspace, console)
    if not request.multirun:
        jobs, states = _single(config, store)
    elif composition.jobs is None:
        console.message(f"a sampler would choose {config.sampler.trials} jobs, one by one; none is known yet")
        return
    else:
        jobs = list_jobs(composition.jobs)
        sweep = Sweep(config.name, command, composition.swept, request.options.overrides, jobs)
        states = _states(sweep, store, inputs, console, reuse=config.reuse)
    _show(jobs, states, Forecaster(store or workspace, inputs), console)


def _single(config: Any, store: Store | None) -> tuple[tuple[SweepJob, ...], dict[str, str]]:
    request = request_of(config)
    resume = None if store is None or not config.reuse else interrupted_run(store, request)
    state = "to do" if resume is None else f"interrupted, run {resume} goes on"
    return (SweepJob(0, config.name, (), config, request),), {request: state}


def _states(
    sweep: Sweep, store: Store | None, inputs: Inputs, console: ConsoleReporter, *, reuse: bool
) -> dict[str, str]:
    """What became of the jobs so far, by their requests."""
    parent = find_sweep(store, sweep, inputs.fingerprint, console) if store is not None and reuse else None
    runs = {} if store is None or parent is None else runs_of_jobs(store, parent.info.run_id)
    if parent is None:
        console.message("it would be a new sweep")
    else:
        console.message(f"sweep {parent.info.run_id} would go on")
    return {job.request: state_of(job.name, runs.get(job.request)).state for job in sweep.jobs or ()}


def _show(jobs: tuple[SweepJob, ...], states: dict[str, str], forecaster: Forecaster, console: ConsoleReporter) -> None:
    columns = STAGES[type(jobs[0].config)]
    rows: list[list[str]] = []
    counted: Counter[str] = Counter()
    for job in jobs:
        state = states[job.request]
        found = {} if state == _FINISHED else forecaster.stages(f"job {job.number}", job.config)
        counted.update(stage for stage, what in found.items() if what == DO or what.startswith("go on"))
        rows.append([str(job.number), job.name, state, *(found.get(stage, "") for stage in columns)])
    show_table(["job", "name", "status", *columns], rows, numbers=["job"])
    sys.stdout.flush()
    todo = sum(state != _FINISHED for state in states.values())
    work = [f"{stage} {counted[stage]} times" if counted[stage] > 1 else f"{stage} once" for stage in counted]
    what = f"{todo} of {len(jobs)} jobs would run: {', '.join(work) or 'all that they need is there'}"
    console.message(what if todo else f"all {len(jobs)} jobs are finished")
