"""The parent run of a sweep: it stands for all jobs, and tells the truth about them.

A sweep that is issued again goes on in the same parent when that parent's jobs are all among those that are asked for
now, or the other way round, did the same command, and those that were begun were so on the data that there is now. Of
several such parents the one with the most jobs in common goes on, of those the newest. So the same command goes on, a
larger grid extends its sweep, a part of it is looked up there, and any other grid is a sweep of its own, where the
stages are found again.
"""

from __future__ import annotations

import json
import logging
import shlex
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
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
        config_dir: The folder of further configs that was named; empty without one.
    """

    name: str
    command: str
    swept: Mapping[str, Sequence[str]]
    overrides: Sequence[str]
    jobs: tuple[SweepJob, ...] | None
    config_dir: str = ""

    @property
    def request(self) -> str:
        """The digest of what is asked for, whatever number of trials it is."""
        texts = sorted(text for text in self.overrides if not text.startswith("sampler.trials="))
        return digest_json({"command": self.command, "name": self.name, "overrides": texts})

    @property
    def again(self) -> str:
        """The command line that asks for it again."""
        folder = ["--config-dir", self.config_dir] if self.config_dir else []
        return shlex.join(["segsweep", self.command, "-m", *folder, *self.overrides])

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
        todo: The jobs that were asked for and have not finished.
        finished: How many of those that were asked for were finished before.
        names: The names of all its jobs, by their requests.
    """

    run_id: str
    url: str
    todo: tuple[SweepJob, ...]
    finished: int
    names: Mapping[str, str] = field(default_factory=dict)


class _OthersUnfinishedError(WorkFailedError):
    """All jobs that were asked for finished, and the sweep has others, which did not."""


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
        WorkFailedError: Not every job that was asked for finished; the message names those that did not, and why.
    """
    try:
        with _going_on(store, sweep, reporter, current, reuse=reuse) as opened:
            yield opened
    except _OthersUnfinishedError as error:
        reporter.message(str(error), "warning")


@contextmanager
def _going_on(store: Store, sweep: Sweep, reporter: Reporter, current: Current, *, reuse: bool) -> Iterator[OpenSweep]:
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
            _log_jobs(store, run, opened)
            _log_comparison(store, run, reporter, page=False)  # who interrupts a sweep does not want to wait
            raise
        settle(store, list(runs_of_jobs(store, opened.run_id).values()))
        found = _log_jobs(store, run, opened)
        _log_comparison(store, run, reporter, page=True)
        unfinished = [item for item in found if item.state != "finished"]
        if unfinished:
            asked = {job.name for job in opened.todo}
            kind = WorkFailedError if sweep.jobs is None or asked & {item.name for item in unfinished} else None
            lines = [f"  - {item.name}: {item.state}{item.reason and f', {item.reason}'}" for item in unfinished]
            more = [f"  - … and {len(lines) - _TOLD} more"] if len(lines) > _TOLD else []
            raise (kind or _OthersUnfinishedError)(
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
    listed = {} if parent is None else listed_jobs(store, parent)
    asked = {job.request: job.name for job in sweep.jobs or ()}
    part = bool(asked) and asked.keys() < listed.keys()  # of a larger sweep, which stays what it is
    names = listed if part else asked
    _, todo = _parted([replace(job, name=names[job.request]) for job in sweep.jobs or ()], done)
    finished = len(asked) - len(todo)
    if parent is not None and sweep.jobs and not todo:
        return None, OpenSweep(parent.info.run_id, store.url(parent=parent.info.run_id), (), finished)
    swept = {key: list(values) for key, values in sweep.swept.items()}
    tags = {
        "mlflow.note.content": sweep.note,
        "segsweep.command": sweep.command,
        "segsweep.again": sweep.again,
        "segsweep.swept": json.dumps(swept, ensure_ascii=False),
        _ASKED: sweep.request,
        _LOCK: lock,
    }
    run = stack.enter_context(
        store.start_run(
            sweep.name,
            kind="sweep",
            tags={_LOCK: lock} if part else tags,
            params={},
            resume=None if parent is None else parent.info.run_id,
            system_metrics=False,
            progress_with=reporter,
        )
    )
    run.params(dict.fromkeys(sweep.swept, "swept"))  # the values are a tag, since MLflow lets no param change
    if sweep.jobs and not part:
        run.text(_JOBS, json.dumps(names, indent=1, ensure_ascii=False) + "\n")
        _rename(store, sweep.jobs, done)
    if parent is not None:
        reporter.message(
            f"sweep {run.run_id} goes on: {finished} of its jobs are finished (reuse=false begins a new one)"
        )
    return run, OpenSweep(run.run_id, run.url, todo, finished, names)


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
    parents = [parent for parent in reversed(found) if _LOCK in parent.data.tags]
    if sweep.jobs is None:
        return next((parent for parent in parents if parent.data.tags.get(_ASKED) == sweep.request), None)
    asked = {job.request for job in sweep.jobs}
    fitting: list[tuple[int, Run]] = []
    for parent in parents:
        listed = listed_jobs(store, parent).keys()
        if listed and (listed <= asked or asked <= listed):
            fitting.append((-len(listed & asked) - (listed == asked), parent))
    for _, parent in sorted(fitting, key=lambda pair: pair[0]):  # of equals the newest stays first
        runs = runs_of_jobs(store, parent.info.run_id)
        if all(_is_of(runs[job.request], current(job)) for job in sweep.jobs if job.request in runs):
            return parent
        reporter.message(f"sweep {parent.info.run_id} had other data: what is issued again is a new sweep", "warning")
    return None


def _is_of(run: Run, fingerprint: str) -> bool:
    """Whether a run was made, or was to be, from what there is now; one that did not come so far may be anything."""
    known = run.data.tags.get("segsweep.fingerprint")
    return known == fingerprint or (known is None and run.info.status != "FINISHED")


def listed_jobs(store: Store, parent: Run) -> dict[str, str]:
    """The jobs that a sweep is to have, as request -> name; empty where a sampler chooses them."""
    from segsweep.tracking.artifacts import read_text

    text = read_text(store.client, parent, _JOBS)
    found: dict[str, str] = json.loads(text) if text else {}
    return found


def _log_jobs(store: Store, run: TrackedRun, opened: OpenSweep) -> list[JobState]:
    """Keeps the table of the jobs and what became of them as `sweep/jobs.csv`."""
    import pandas as pd

    found = states(opened.names, runs_of_jobs(store, run.run_id))
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
