"""What a sweep has done so far, from what its store knows: also while it runs, and from another terminal or machine."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.comparison import Selection, choose, latest
from segsweep.comparison.leaderboard import SCORES
from segsweep.sweeps.jobs import STATES, JobState, state_of, states
from segsweep.sweeps.parent import listed_jobs
from segsweep.tracking import Store, is_dead, settle
from segsweep.tracking.opening import at_work_since
from segsweep.tracking.progress import PROGRESS

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["JobStatus", "SweepStatus", "sweep_status"]


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands.

    Attributes:
        job: Its name, state and run.
        doing: Where its run stands, or stood when it ended early.
        seconds: How long its run took, or has been at work since it began or last went on; None for one that has not
            begun.
        score: Its score, if it has one.
    """

    job: JobState
    doing: str
    seconds: float | None
    score: float | None


@dataclass(frozen=True)
class SweepStatus:
    """Where a sweep stands.

    Attributes:
        title: What is told of.
        state: `running`, `finished` …; empty where it is no sweep.
        jobs: Its jobs, in their order.
        score: The metric that the jobs' scores are.
        remaining: Seconds until the last job has finished, guessed from those that have; None where that is not known.
        again: The command that goes on with it, where there is something to go on with.
    """

    title: str
    state: str
    jobs: tuple[JobStatus, ...]
    score: str | None
    remaining: float | None
    again: str

    @property
    def counts(self) -> dict[str, int]:
        """State -> how many jobs are in it, for the states that there are."""
        counted = Counter(item.job.state for item in self.jobs)
        return {state: counted[state] for state in STATES.values() if counted[state]}


def sweep_status(place: Path | str, which: str | None = None) -> SweepStatus:
    """Where a sweep stands. Runs of it that were killed outright are recorded as such.

    Args:
        place: A workspace's folder, or a tracking URI.
        which: A sweep's run id, the beginning of it, its name, or `last`; None: the last one, or where there is none,
            the runs of the latest experiment.

    Raises:
        TrackingError: There is no such sweep, or the store cannot be read.
    """
    chosen = latest(place) if which is None else choose(place, Selection(sweep=which))
    several = [*([chosen.sweep] if chosen.sweep is not None else []), *chosen.runs]
    if any(map(is_dead, several)):
        numbers = {str(run.info.experiment_id) for run in several}
        for number in numbers:
            settle(_opened(place, chosen.experiments[number]), [run for run in several if _in(run, number)])
        return sweep_status(place, which)
    score = next((key for key in SCORES if any(key in run.data.metrics for run in chosen.runs)), None)
    if chosen.sweep is None:
        found = [state_of(run.info.run_name, run) for run in chosen.runs]
        return SweepStatus(chosen.title, "", _standing(found, score), score, None, "")
    parent = chosen.sweep
    jobs = listed_jobs(_opened(place, chosen.experiments[str(parent.info.experiment_id)]), parent)
    rows = _standing(states(jobs, {_request(run): run for run in chosen.runs}), score)
    state = state_of("", parent).state
    left = [row for row in rows if row.job.state in {"interrupted", "to do", "failed"}]
    again = ""
    if state != "running" and left:
        again = parent.data.tags.get("segsweep.again", "")
    remaining = _remaining(rows) if state == "running" else None
    return SweepStatus(chosen.title, state, rows, score, remaining, again)


def _in(run: Run, experiment: str) -> bool:
    return str(run.info.experiment_id) == experiment


def _opened(place: Path | str, experiment: str) -> Store:
    path = place if isinstance(place, Path) else Path.cwd()
    return Store.open(path, experiment=experiment, uri=None if isinstance(place, Path) else place)


def _request(run: Run) -> str:
    return str(run.data.tags.get("segsweep.request", run.info.run_id))


def _standing(jobs: Sequence[JobState], score: str | None) -> tuple[JobStatus, ...]:
    return tuple(_of(job, score) for job in jobs)


def _of(job: JobState, score: str | None) -> JobStatus:
    if job.run is None:
        return JobStatus(job, "", None, None)
    data, info = job.run.data, job.run.info
    doing = "" if job.state == "finished" else data.tags.get(PROGRESS, "")
    if job.state != "running":
        doing = doing.partition(", ")[0]  # nothing is left of it as long as nobody does it
    end = info.end_time or time.time() * 1000
    seconds = data.metrics.get("time/total") if job.state == "finished" else None
    value = data.metrics.get(score) if score else None
    return JobStatus(job, doing, (end - at_work_since(job.run)) / 1000 if seconds is None else seconds, value)


def _remaining(jobs: Sequence[JobStatus]) -> float | None:
    """What is left to do at the pace of the jobs that have finished, with as many at once as run now."""
    took = [item.seconds for item in jobs if item.job.state == "finished" and item.seconds is not None]
    if not took:
        return None
    usual = statistics.median(took)
    running = [item for item in jobs if item.job.state == "running"]
    waiting = sum(item.job.state in {"to do", "interrupted"} for item in jobs)
    if any((item.seconds or 0.0) > usual for item in running):
        return None  # these take longer than those before
    at_work = sum(usual - (item.seconds or 0.0) for item in running)
    return (usual * waiting + at_work) / max(1, len(running))
