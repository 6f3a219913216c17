"""The jobs of a sweep: what they are to do, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segsweep.identity import request_of
from segsweep.sweeps.names import job_name
from segsweep.tracking import Store, is_dead, search

if TYPE_CHECKING:
    from mlflow.entities import Run

    from segsweep.config.compose import ComposedJob

__all__ = ["STATES", "JobState", "SweepJob", "list_jobs", "runs_of_jobs", "state_of", "states"]

STATES = {
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "interrupted",
    "RUNNING": "running",
    "SCHEDULED": "to do",
}
"""MLflow's statuses in our words; a job without a run is `to do`."""


@dataclass(frozen=True)
class SweepJob:
    """One job.

    Attributes:
        number: Its place in the sweep, from 0.
        name: Its name, of the swept values.
        overrides: What Hydra's launchers are given for it.
        config: Its typed configuration.
        request: The digest of what it is to do; its run has it as the tag `segsweep.request`.
    """

    number: int
    name: str
    overrides: tuple[str, ...]
    config: Any
    request: str


@dataclass(frozen=True)
class JobState:
    """What became of a job.

    Attributes:
        name: The job's name.
        state: One of the values of `STATES`.
        reason: Why it is so, where there is more to say.
        run: Its run, if it has begun.
    """

    name: str
    state: str
    reason: str
    run: Run | None


def list_jobs(composed: Sequence[ComposedJob]) -> tuple[SweepJob, ...]:
    """The jobs that are to be done; of two that are to do the very same, the first."""
    jobs: dict[str, SweepJob] = {}
    for number, job in enumerate(composed):
        request = request_of(job.config)
        jobs.setdefault(
            request, SweepJob(number, job_name(job.values) or str(number), job.overrides, job.config, request)
        )
    return tuple(jobs.values())


def runs_of_jobs(store: Store, parent: str) -> dict[str, Run]:
    """The runs of a sweep by their requests; where a request has several, the last that began."""
    found = search(store, f"tags.segsweep.kind = 'run' and tags.mlflow.parentRunId = '{parent}'")
    return {run.data.tags.get("segsweep.request", run.info.run_id): run for run in found}


def state_of(name: str, run: Run | None) -> JobState:
    """What became of a job with this run."""
    if run is None:
        return JobState(name, "to do", "", None)
    reason = run.data.tags.get("segsweep.status_reason", "")
    return JobState(name, "interrupted" if is_dead(run) else STATES[run.info.status], reason, run)


def states(jobs: Mapping[str, str], runs: Mapping[str, Run]) -> list[JobState]:
    """What became of the jobs (request -> name), in their order, then of runs that nobody listed."""
    listed = [state_of(name, runs.get(request)) for request, name in jobs.items()]
    return [*listed, *(state_of(run.info.run_name, run) for request, run in runs.items() if request not in jobs)]
