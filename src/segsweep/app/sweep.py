"""`-m`: a sweep of a command that MLflow remembers, as a parent run and a child a job."""

from __future__ import annotations

import functools
import gc
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import Request, hydra_main
from segsweep.app.launching import Launching, launching
from segsweep.config.compose import Composition, swept_values, without_hydra
from segsweep.config.resolve import resolve
from segsweep.errors import Problems, SegsweepError, StoppedEarlyError
from segsweep.pipeline import RunContext, RunOutcome, open_store
from segsweep.sweeps.inputs import Inputs
from segsweep.sweeps.jobs import SweepJob, list_jobs, runs_of_jobs, state_of
from segsweep.sweeps.names import job_name
from segsweep.sweeps.parent import OpenSweep, Sweep, sweep_parent
from segsweep.sweeps.workers import end_workers, following, limit_threads, threads_for
from segsweep.tracking import Store, settle
from segsweep.tracking.environment import process_mark

__all__ = ["Work", "check_sweepable", "run_sweep", "sweep_of"]

Work = Callable[[Any, RunContext], RunOutcome]
"""Takes a command's typed configuration and the run's context."""

_STOP = ".stop"

log = logging.getLogger("segsweep")


def check_sweepable(composition: Composition) -> None:
    """All jobs of a sweep share one store and one workspace, and are launched in one way.

    Raises:
        InvalidRequestError: Something is swept that cannot be, or jobs cannot be launched as is asked for.
    """
    problems = Problems()
    for key in composition.swept:
        if key == "workspace" or key.split(".")[0] == "tracking":
            problems.add(key, "cannot be swept: the jobs of a sweep share one store", "give it one value")
        if key.split(".")[0] in {"launch", "sampler", "reuse", "fail_fast"}:
            problems.add(key, "cannot be swept: it is about the sweep itself", "give it one value")
    config: Any = composition.config
    launch = getattr(config, "launch", None)
    if composition.swept and launch is not None and launch.jobs > 1 and composition.launcher == "basic":
        problems.add("launch.jobs", f"{launch.jobs} jobs at once need another launcher", "add launch=joblib")
    problems.raise_if_any("the sweep cannot run")


def sweep_of(command: str, request: Request, composition: Composition) -> Sweep:
    """The sweep that is asked for."""
    config: Any = composition.config
    jobs = None if composition.jobs is None else list_jobs(composition.jobs)
    return Sweep(
        config.name, command, composition.swept, request.options.overrides, jobs, request.options.config_dir or ""
    )


def run_sweep(command: str, request: Request, composition: Composition, work: Work) -> None:
    """Runs what is missing of a sweep.

    Raises:
        WorkFailedError: Not every job finished.
    """
    config: Any = composition.config
    began, console = time.time(), ConsoleReporter()
    store = open_store(config.workspace, config.tracking, console)
    settle(store)
    sweep = sweep_of(command, request, composition)
    with sweep_parent(store, sweep, console, Inputs(store, console).fingerprint, reuse=config.reuse) as opened:
        if sweep.jobs and not opened.todo:
            finished = f"all {opened.finished} jobs are finished already (reuse=false does them anew)"
            console.message(f"{finished}; see {opened.url}")
            return
        threads = threads_for(config.launch.jobs, config.launch.threads, console)
        if threads is not None:
            limit_threads(threads)
        names = {job.overrides: (job.number, job.name) for job in opened.todo}

        def task(folder: Path) -> Task:
            return Task(
                command, work, opened.run_id, store.experiment, tuple(composition.swept), names, process_mark(),
                threads, began, folder / _STOP,
            )  # fmt: skip

        if sweep.jobs is None:
            folder = store.workspace / "multirun" / opened.run_id
            (folder / _STOP).unlink(missing_ok=True)  # of an earlier issue of the same search
            hydra_main(request, task(folder))
        else:
            with launching(request, task) as launch:
                _launch(launch, store, opened, console)


def _launch(launch: Launching, store: Store, opened: OpenSweep, console: ConsoleReporter) -> None:
    """Runs jobs; those that a killed worker cut off get one try more, alone."""
    try:
        launch([job.overrides for job in opened.todo])
        return
    except Exception as error:
        log.exception("the launcher gave up")
        console.message(f"the launcher gave up: {_told(error)}", "warning")
    end_workers(store, opened.run_id, "its worker was killed, or one beside it (out of memory?)")
    cut_off, left = _left(store, opened)
    for jobs in ([left] if left else []) + [[job] for job in cut_off]:
        console.message(f"trying again: {', '.join(job.name for job in jobs)}")
        try:
            launch([job.overrides for job in jobs])
        except Exception as error:
            log.exception("the launcher gave up")
            console.message(f"the launcher gave up: {_told(error)}", "warning")
            end_workers(store, opened.run_id, "its worker was killed (out of memory?)")


def _left(store: Store, opened: OpenSweep) -> tuple[list[SweepJob], list[SweepJob]]:
    """The jobs that were cut off, and those that have not begun."""
    runs = runs_of_jobs(store, opened.run_id)
    states = {job.request: state_of(job.name, runs.get(job.request)).state for job in opened.todo}
    return (
        [job for job in opened.todo if states[job.request] == "interrupted"],
        [job for job in opened.todo if states[job.request] == "to do"],
    )


@dataclass(frozen=True)
class Task:
    """What Hydra's launchers call for each job, in this process or in another one.

    Attributes:
        command: The command.
        work: What it does.
        parent: The sweep's run id.
        experiment: The experiment of all jobs.
        swept: The swept keys.
        names: By their overrides, the numbers and names of jobs that are listed.
        leader: The mark of the process that leads the sweep.
        threads: How many threads a job takes.
        began: When the command began.
        stop: A file that says, when it is there, that no further job is to begin.
    """

    command: str
    work: Work
    parent: str
    experiment: str
    swept: tuple[str, ...]
    names: Mapping[tuple[str, ...], tuple[int, str]] = field(repr=False)
    leader: str
    threads: int | None
    began: float
    stop: Path

    def __call__(self, composed: DictConfig) -> float | Literal["pruned", "failed"] | None:
        """Does one job; what goes wrong is told and does not leave it, so that the other jobs go on.

        Returns:
            For the sampler that chose the job's values: what became of it, its value if it has one.
        """
        runtime = HydraConfig.get()
        overrides = list(runtime.overrides.task)
        number, name = self._known(overrides, int(runtime.job.num))
        reporter = ConsoleReporter()
        if self.stop.exists():
            reporter.message(f"job {number}: {name} is not begun, since another one failed (fail_fast)")
            return "failed"
        reporter.message(f"job {number}: {name}")
        if self.threads is not None:
            limit_threads(self.threads)
        with following(self.leader):
            try:
                problems = Problems()
                config: Any = resolve(self.command, without_hydra(composed), overrides, problems)
                problems.raise_if_any("the job's configuration is wrong")
                folder = Path(str(runtime.runtime.output_dir))
                context = RunContext(folder, overrides, reporter, self.parent, name, self.experiment, began=self.began)
                outcome = self.work(config, context)
                return _value(config, outcome, self.experiment)
            except StoppedEarlyError as error:
                reporter.message(f"job {number}: {name}: {error}")
                return "pruned"
            except Exception as error:  # the other jobs go on; MLflow and the sweep's tables know what happened here
                log.exception("job %s failed", name)
                reporter.message(f"job {number}: {name} failed: {_told(error)}", "warning")
                if bool(composed.get("fail_fast")):
                    self.stop.parent.mkdir(parents=True, exist_ok=True)
                    self.stop.touch()
                return "failed"
            finally:
                _free_memory()

    def _known(self, overrides: Sequence[str], number: int) -> tuple[int, str]:
        known = self.names.get(tuple(overrides))
        return known or (number, job_name(swept_values(overrides, self.swept)) or str(number))


def _value(config: Any, outcome: RunOutcome, experiment: str) -> float | None:
    """The best value that the run has of what a sampler searches by."""
    sampler = config.sampler
    if sampler.study is None:
        return None
    if sampler.metric in outcome.scores:
        return outcome.scores[sampler.metric]
    tracking = config.tracking.model_copy(update={"experiment": experiment})
    store = open_store(config.workspace, tracking, ConsoleReporter())
    history = store.client.get_metric_history(outcome.run_id, sampler.metric)
    best = max if sampler.direction == "maximize" else min
    return best((float(point.value) for point in history), default=None)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, SegsweepError) else f"{type(error).__name__}: {error}"


@functools.cache
def _freeze() -> None:
    """Once in the life of a process; asking `gc` whether it was done takes 0.05 s."""
    gc.freeze()


def _free_memory() -> None:
    """Gives back what a job held, also one that ran out of memory: the next one may be in the same process.

    After the first job nearly all objects are those of imported modules: they are not looked at again, which would take
    0.3 s a job.
    """
    gc.collect()
    _freeze()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
