"""Searches by Optuna: what is searched, where its trials are kept, how they go on, and which are cut short.

A study lies in `studies/<name>.log` of the workspace, a journal that any number of processes may write. Its name covers
the whole request, so the same command goes on with the same study.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from segsweep.config.schema import SamplerSection
from segsweep.config.spans import Span, read_spans
from segsweep.errors import InvalidRequestError, Problem, StoppedEarlyError
from segsweep.files import digest_json
from segsweep.reporting import Reporter

if TYPE_CHECKING:
    import optuna

__all__ = ["STUDIES", "Told", "Watch", "run_study"]

STUDIES = "studies"
"""The folder of a workspace that studies lie in."""


Told = float | Literal["pruned", "failed"]
"""What became of a trial: its value, or why it has none."""

Launch = Callable[[list[list[str]]], Sequence[Told]]
"""Runs some jobs, given by their overrides, and tells what became of each."""


def run_study(
    search: SamplerSection, folder: Path, overrides: Sequence[str], at_once: int, launch: Launch, reporter: Reporter
) -> None:
    """Runs trials until the study has as many as it shall have; what was interrupted is done first, with its values.

    Args:
        search: How to search.
        folder: Where studies lie.
        overrides: The request's overrides; swept ones span what is searched: `interval(a, b)`, lists and ranges, with
            `tag(log, …)` for a logarithmic scale and `int(interval(a, b))` for whole numbers.
        at_once: How many trials run side by side.
        launch: Runs jobs.
        reporter: Told how the study goes.

    Raises:
        InvalidRequestError: Optuna is not installed.
    """
    assert search.trials is not None
    library = _library()
    fixed, spans = read_spans(overrides)
    space = {key: _distribution(span) for key, span in spans.items()}
    study = _open(search, folder, search.study or _name(search, overrides), at_once)
    states = library.trial.TrialState
    ended = (states.COMPLETE, states.PRUNED)
    _again(study, states)
    there = len(study.get_trials(deepcopy=False, states=ended))
    if there:
        reporter.message(f"study {study.study_name}: {there} of {search.trials} trials are there already")
    failed = 0
    while (left := search.trials - failed - len(study.get_trials(deepcopy=False, states=ended))) > 0:
        trials = [study.ask(space) for _ in range(min(at_once, left))]
        jobs = [
            [*fixed, *_written(trial.params), f"sampler.study={study.study_name}", f"sampler.trial={trial.number}"]
            for trial in trials
        ]
        for trial, told in zip(trials, launch(jobs), strict=True):
            if isinstance(told, float) and math.isfinite(told):
                study.tell(trial, told)
            else:
                study.tell(trial, state=states.PRUNED if told == "pruned" else states.FAIL)
                failed += told != "pruned"
    if study.get_trials(deepcopy=False, states=(states.COMPLETE,)):
        best = study.best_trial
        chosen = " ".join(_written(best.params))
        reporter.message(f"study {study.study_name}: best {search.metric} {best.value:.4f} with {chosen}")


def _library() -> Any:
    """Optuna, without its own log."""
    try:
        import optuna
    except ImportError as error:
        problem = Problem("sampler", "needs the package optuna", "pip install 'segsweep[optuna]'")
        raise InvalidRequestError([problem], "the search cannot run") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _open(search: SamplerSection, folder: Path, name: str, at_once: int) -> optuna.Study:
    library = _library()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    folder.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(folder / f"{name}.log")))
    pruner = library.pruners.MedianPruner(search.startup_trials, search.warm_up_steps)
    there = name in library.get_all_study_names(storage)
    drawn = len(library.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)) if there else 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
        sampler = library.samplers.TPESampler(
            seed=search.seed + drawn,  # a study that goes on would draw its first random trials again
            n_startup_trials=search.startup_trials,
            constant_liar=at_once > 1,
        )
    study: optuna.Study = library.create_study(
        study_name=name,
        storage=storage,
        sampler=sampler,
        pruner=pruner if search.pruning else library.pruners.NopPruner(),
        direction=search.direction,
        load_if_exists=True,
    )
    return study


def _again(study: optuna.Study, states: Any) -> None:
    """Puts what was interrupted or failed in front of what comes next."""
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        study.tell(trial.number, state=states.FAIL)
    ended = [trial.params for trial in study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))]
    for trial in study.get_trials(deepcopy=False, states=(states.FAIL,)):
        if trial.params and trial.params not in ended:
            study.enqueue_trial(trial.params, skip_if_exists=False)
            ended.append(trial.params)


def _name(search: SamplerSection, overrides: Sequence[str]) -> str:
    """Equal for equal searches, whatever number of trials they ask for."""
    asked = {"overrides": sorted(text for text in overrides if not text.startswith("sampler.trials="))}
    how = search.model_dump(exclude={"trials", "study", "trial"})
    return f"study-{digest_json({**asked, 'how': how})[:12]}"


def _distribution(span: Span) -> Any:
    made = _library().distributions
    if span.choices:
        return made.CategoricalDistribution(list(span.choices))
    if span.whole:
        return made.IntDistribution(int(span.low), int(span.high), log=span.logarithmic, step=int(span.step or 1))
    return made.FloatDistribution(span.low, span.high, log=span.logarithmic, step=span.step)


def _written(params: Mapping[str, Any]) -> list[str]:
    """Overrides; numbers to four digits, which is more than a training can tell apart."""
    return [f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()]


class Watch:
    """A reporter that shows what another one shows, and cuts its trial short when it is worse than others were.

    Args:
        shown: Who shows messages and progress.
        search: How the study searches, with its name and the trial's number.
        folder: Where studies lie.
    """

    def __init__(self, shown: Reporter, search: SamplerSection, folder: Path) -> None:
        assert search.study is not None
        self._shown, self._search = shown, search
        study = _open(search, folder, search.study, 1)
        trials = study.get_trials(deepcopy=False)
        [trial_id] = [trial._trial_id for trial in trials if trial.number == search.trial]
        self._trial = _library().trial.Trial(study, trial_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shown, name)

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        """Tells the study the metric's value at a step.

        Raises:
            StoppedEarlyError: The trial is not worth going on with.
        """
        self._shown.metrics(values, step, epoch)
        value = values.get(self._search.metric)
        if value is None or not math.isfinite(value):
            return
        self._trial.report(value, step)
        if self._search.pruning and self._trial.should_prune():
            raise StoppedEarlyError(f"cut short at step {step}: {self._search.metric} {value:.4f} is behind the others")
