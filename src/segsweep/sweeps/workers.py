"""Processes that do the jobs of a sweep for the one that leads it: how many threads they take, and how they end.

Hydra's launchers start them (joblib, submitit, Ray). What they do not do is done here: a worker ends with the sweep,
also when that was killed, and before it ends it says so in MLflow.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from segsweep.reporting import Reporter
from segsweep.sweeps.jobs import runs_of_jobs
from segsweep.tracking import Store, interruptible, settle
from segsweep.tracking.environment import process_has_ended, process_mark

__all__ = ["end_workers", "following", "limit_threads", "threads_for"]

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_WATCH_SECONDS = 1.0
_GRACE_SECONDS = 15.0
"""What a process has to write down that it ends."""

_followed: set[str] = set()


def threads_for(jobs: int, threads: int | None, reporter: Reporter) -> int | None:
    """How many threads a job takes; None where it takes as many as it likes.

    Args:
        jobs: How many jobs run at once.
        threads: What the configuration says; None: the cores of this machine, divided by the jobs.
        reporter: Told what was decided.
    """
    if threads is None and jobs == 1:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = threads or max(1, cores // jobs)
    reporter.message(f"up to {jobs} jobs at once, each with {count} of {cores} cores' threads")
    return count


def limit_threads(count: int) -> None:
    """Lets torch, OpenCV and numpy take this many threads, in this process and in those that it starts."""
    os.environ.update(dict.fromkeys(_VARIABLES, str(count)))
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


@contextmanager
def following(leader: str) -> Iterator[None]:
    """Within the block, signals end this process in good order, as does the end of the process that leads the sweep.

    Args:
        leader: The mark of that process (`tracking.environment.process_mark`). Where it is this very one, or on another
            machine, nobody is followed.
    """
    if leader == process_mark():
        yield
        return
    if leader not in _followed:
        _followed.add(leader)
        threading.Thread(target=_follow, args=(leader,), name="segsweep-leader", daemon=True).start()
    with interruptible():
        yield


def _follow(leader: str) -> None:
    while not process_has_ended(leader):
        time.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


def end_workers(store: Store, parent: str, reason: str) -> None:
    """Ends what still works at jobs of a sweep on this machine, and writes down how those jobs ended.

    Args:
        store: The store.
        parent: The sweep's run id.
        reason: Why they end, for those that cannot say so themselves.
    """
    own = process_mark()
    running = [run for run in runs_of_jobs(store, parent).values() if run.info.status == "RUNNING"]
    marks = {run.data.tags.get("segsweep.process", own) for run in running} - {own}
    here = {mark for mark in marks if mark.rsplit("/", 2)[0] == own.rsplit("/", 2)[0]}
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(here, number)
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and not all(map(process_has_ended, here)):
            time.sleep(0.1)
    settle(store, list(runs_of_jobs(store, parent).values()), reason)


def _signal(marks: set[str], number: int) -> None:
    for mark in marks:
        if not process_has_ended(mark):
            try:
                os.kill(int(mark.rsplit("/", 2)[1]), number)
            except ProcessLookupError:
                continue
