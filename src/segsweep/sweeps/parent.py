"""The parent run of a sweep: it stands for all jobs, and tells the truth about them.

A sweep that is issued again goes on in the same parent when that parent's jobs are all among those that are asked for
now, did the same command, and those of them that finished did so on the data that there is now. So the same command
goes on, a larger grid extends its sweep, and any other grid is a sweep of its own, where the stages are found again.
"""

from __future__ import annotations

import json
import logging
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.errors import WorkFailedError
from segsweep.files import digest_json
from segsweep.locks import held, held_at_once
from segsweep.reporting import SILENT, Reporter
from segsweep.sweeps.jobs import JobState, SweepJob, runs_of_jobs, states
from segsweep.sweeps.workers import end_workers
from segsweep.tracking import Store, outcome_of, search
from segsweep.tracking.truth import settle

if TYPE_CHECKING:
    from mlflow.entities import Run

    from segsweep.tracking import TrackedRun

__all__ = ["OpenSweep", "Sweep", "find_sweep", "listed_jobs", "sweep_parent"]

_JOBS = "sweep/asked.json"  # the table sweep/jobs is what became of them
_LOCK = "segsweep.sweep_lock"
_ASKED = "segsweep.sweep_request"
_TOLD = 10

log = logging.getLogger("segsweep")

Current = Callable[[SweepJob], str]
"""The fingerprint that a job's run would have now."""


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was asked for.

    Attributes:
        name: Its name.
        command: The command of its jobs.
        swept: The swept keys and their values, as they are written.
        overrides: The overrides of the command line.
        jobs: Its jobs; None where a sampler chooses them one by one.
    """

    name: str
    command: str
    swept: Mapping[str, Sequence[str]]
    overrides: Sequence[str]
    jobs: tuple[SweepJob, ...] | None

    @property
    def request(self) -> str:
        """The digest of what is asked for, whatever number of trials it is."""
        texts = sorted(text for text in self.overrides if not text.startswith("sampler.trials="))
        return digest_json({"command": self.command, "name": self.name, "overrides": texts})

    @property
    def note(self) -> str:
        """What it is, in Markdown."""
        count = "jobs" if self.jobs is None else f"{len(self.jobs)} jobs"
        return "\n".join(
            [f"**{count}** over", *(f"* `{key}`: {', '.join(values)}" for key, values in self.swept.items())]
        )


@dataclass(frozen=True)
class OpenSweep:
    """A sweep whose parent run is there.

    Attributes:
        run_id: The parent's run id.
        url: A link to it.
        todo: Its jobs that have not finished.
        finished: How many of its jobs were finished before.
    """

    run_id: str
    url: str
    todo: tuple[SweepJob, ...]
    finished: int


@contextmanager
def sweep_parent(
    store: Store, sweep: Sweep, reporter: Reporter, current: Current, *, reuse: bool = True
) -> Iterator[OpenSweep]:
    """Starts the parent run, or goes on with the one that is there; at the end logs who won, and ends as its jobs did.

    Where every job is finished already, nothing is touched. Of two that begin the same sweep at once, the second waits
    for the first and finds what that has done.

    Args:
        store: The store.
        sweep: What is asked for.
        reporter: Told who is waited for, and how it ends.
        current: The fingerprint that a job's run would have now.
        reuse: Whether a parent that is there may be gone on with.

    Raises:
        WorkFailedError: Not every job finished; the message names those that did not, and why.
    """
    with ExitStack() as stack:
        claimed = None
        while claimed is None:
            claimed = _claim(store, sweep, reporter, current, reuse, stack)
        run, opened = claimed
        if run is None:
            yield opened
            return
        try:
            yield opened
        except BaseException as error:
            end_workers(store, opened.run_id, f"its sweep was {outcome_of(error).reason or 'abandoned'}")
            _log_jobs(store, run, sweep)
            _log_comparison(store, run, reporter, page=False)  # who interrupts a sweep does not want to wait
            raise
        settle(store, list(runs_of_jobs(store, opened.run_id).values()))
        found = _log_jobs(store, run, sweep)
        _log_comparison(store, run, reporter, page=True)
        unfinished = [item for item in found if item.state != "finished"]
        if unfinished:
            lines = [f"  - {item.name}: {item.state}{item.reason and f', {item.reason}'}" for item in unfinished]
            more = [f"  - … and {len(lines) - _TOLD} more"] if len(lines) > _TOLD else []
            raise WorkFailedError(
                "\n".join(
                    [
                        f"{len(unfinished)} of {len(found)} jobs of the sweep did not finish; see {run.url}",
                        *lines[:_TOLD],
                        *more,
                    ]
                )
            )


def _claim(
    store: Store, sweep: Sweep, reporter: Reporter, current: Current, reuse: bool, stack: ExitStack
) -> tuple[TrackedRun | None, OpenSweep] | None:
    """Opens the sweep's parent for this process alone, until the stack ends; None after waiting for another one."""
    with held(store.workspace, "finding a sweep", digest_json([store.uri, store.experiment]), SILENT):
        parent = find_sweep(store, sweep, current, reporter) if reuse else None
        lock = uuid.uuid4().hex if parent is None else parent.data.tags[_LOCK]
        if stack.enter_context(held_at_once(store.workspace, "sweep", lock)):
            return _open(store, sweep, reporter, parent, lock, stack)
    with held(store.workspace, "sweep", lock, reporter):
        return None


def _open(
    store: Store, sweep: Sweep, reporter: Reporter, parent: Run | None, lock: str, stack: ExitStack
) -> tuple[TrackedRun | None, OpenSweep]:
    done = {} if parent is None else runs_of_jobs(store, parent.info.run_id)
    _, todo = _parted(sweep.jobs or (), done)
    finished = len(sweep.jobs or ()) - len(todo)
    if parent is not None and sweep.jobs and not todo:
        return None, OpenSweep(parent.info.run_id, store.url(parent=parent.info.run_id), (), finished)
    tags = {
        "mlflow.note.content": sweep.note,
        "segsweep.command": sweep.command,
        "segsweep.overrides": " ".join(sweep.overrides),
        "segsweep.swept": json.dumps({key: list(values) for key, values in sweep.swept.items()}, ensure_ascii=False),
        _ASKED: sweep.request,
        _LOCK: lock,
    }
    run = stack.enter_context(
        store.start_run(
            sweep.name,
            kind="sweep",
            tags=tags,
            params={},
            resume=None if parent is None else parent.info.run_id,
            system_metrics=False,
            progress_with=reporter,
        )
    )
    run.params(dict.fromkeys(sweep.swept, "swept"))  # the values are a tag, since MLflow lets no param change
    if sweep.jobs:
        run.text(_JOBS, json.dumps({job.request: job.name for job in sweep.jobs}, indent=1, ensure_ascii=False) + "\n")
        _rename(store, sweep.jobs, done)
    if parent is not None:
        reporter.message(
            f"sweep {run.run_id} goes on: {finished} of its jobs are finished (reuse=false begins a new one)"
        )
    return run, OpenSweep(run.run_id, run.url, todo, finished)


def _parted(jobs: Sequence[SweepJob], runs: Mapping[str, Run]) -> tuple[list[SweepJob], tuple[SweepJob, ...]]:
    finished = {request for request, run in runs.items() if run.info.status == "FINISHED"}
    return [job for job in jobs if job.request in finished], tuple(job for job in jobs if job.request not in finished)


def _rename(store: Store, jobs: Sequence[SweepJob], runs: Mapping[str, Run]) -> None:
    """A larger grid may sweep over more keys, which then belong into the names of the jobs that are there."""
    for job in jobs:
        run = runs.get(job.request)
        if run is not None and run.info.run_name != job.name:
            store.client.update_run(run.info.run_id, name=job.name)


def find_sweep(store: Store, sweep: Sweep, current: Current, reporter: Reporter = SILENT) -> Run | None:
    """The parent run that a sweep goes on in; None where it begins a new one."""
    found = search(store, f"tags.segsweep.kind = 'sweep' and tags.segsweep.command = '{sweep.command}'")
    for parent in reversed(found):
        if _LOCK not in parent.data.tags:
            continue
        if sweep.jobs is None:
            if parent.data.tags.get(_ASKED) == sweep.request:
                return parent
            continue
        listed = listed_jobs(store, parent)
        if not listed or not listed.keys() <= {job.request for job in sweep.jobs}:
            continue
        runs = runs_of_jobs(store, parent.info.run_id)
        finished, _ = _parted(sweep.jobs, runs)
        if all(runs[job.request].data.tags.get("segsweep.fingerprint") == current(job) for job in finished):
            return parent
        reporter.message(f"sweep {parent.info.run_id} had other data: what is issued again is a new sweep", "warning")
    return None


def listed_jobs(store: Store, parent: Run) -> dict[str, str]:
    """The jobs that a sweep is to have, as request -> name; empty where a sampler chooses them."""
    from segsweep.tracking.artifacts import read_text

    text = read_text(store.client, parent, _JOBS)
    found: dict[str, str] = json.loads(text) if text else {}
    return found


def _log_jobs(store: Store, run: TrackedRun, sweep: Sweep) -> list[JobState]:
    """Keeps the table of the jobs and what became of them as `sweep/jobs.csv`."""
    import pandas as pd

    wanted = {job.request: job.name for job in sweep.jobs or ()}
    found = states(wanted, runs_of_jobs(store, run.run_id))
    rows = [
        {
            "job": item.name,
            "status": item.state,
            "reason": item.reason,
            "run_id": item.run.info.run_id if item.run else "",
        }
        for item in found
    ]
    if rows:
        run.table("sweep/jobs", pd.DataFrame(rows))
    return found


def _log_comparison(store: Store, run: TrackedRun, reporter: Reporter, *, page: bool) -> None:
    """Keeps and shows who won; what goes wrong here does not change what became of the jobs."""
    from segsweep.comparison import Selection, choose, summary, write_comparison

    try:
        chosen = choose(store, Selection(sweep=run.run_id))
        if not chosen.runs:
            return
        with tempfile.TemporaryDirectory() as folder:
            try:
                compared = write_comparison(store, chosen, Path(folder), page=page, reporter=reporter)
            finally:
                for file in sorted(Path(folder).iterdir()):
                    run.file(file)
        reporter.message(summary(compared))
        reporter.message(f"the sweep is in MLflow: {store.url(parent=run.run_id, order_by=compared.score)}")
    except Exception as error:
        log.exception("the sweep's comparison could not be made")
        again = f"segsweep compare {run.run_id} tries again"
        reporter.message(f"the comparison could not be made ({type(error).__name__}: {error}); {again}", "warning")
