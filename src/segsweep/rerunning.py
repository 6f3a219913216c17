"""A tracked run once more: what it recorded is composed again, done again, and compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segsweep import pipeline
from segsweep.config.schema import SCHEMAS
from segsweep.errors import DataError, Problems
from segsweep.files import write_bytes
from segsweep.pipeline import RunContext, RunOutcome
from segsweep.typed import parse

if TYPE_CHECKING:
    from segsweep.tracking import RecordedRun

__all__ = ["Agreement", "Difference", "agreement", "recompose", "repeat"]

_WORK: dict[str, Callable[[Any, RunContext], RunOutcome]] = {
    "run": pipeline.run_experiment,
    "train": pipeline.run_training,
    "predict": pipeline.run_prediction,
    "evaluate": pipeline.run_evaluation,
}


@dataclass(frozen=True)
class Difference:
    """Something that is not as it was.

    Attributes:
        what: Its kind: `data`, `code`, `package` or `score`.
        name: Which one.
        before: What the recorded run had; empty or NaN for nothing.
        after: What there is now.
    """

    what: str
    name: str
    before: str | float
    after: str | float


@dataclass(frozen=True)
class Agreement:
    """How two runs compare.

    Attributes:
        surroundings: What differs in data, code and packages.
        scores: The scores that differ at all.
        compared: How many scores were compared.
        tolerance: By how much scores may differ and still agree.
    """

    surroundings: tuple[Difference, ...]
    scores: tuple[Difference, ...]
    compared: int
    tolerance: float

    @property
    def beyond(self) -> tuple[Difference, ...]:
        """The scores that differ by more than the tolerance, or that one of the two does not have."""
        return tuple(item for item in self.scores if not _distance(item) <= self.tolerance)


def recompose(recorded: RecordedRun, workspace: str, uri: str | None) -> Any:
    """The typed configuration of a recorded run, to be done again in a workspace and a store.

    Raises:
        DataError: The run recorded no configuration, or of a command that cannot be repeated.
        InvalidRequestError: This version of Segsweep does not take the configuration.
    """
    if recorded.command not in _WORK or not recorded.config:
        kinds = ", ".join(_WORK)
        raise DataError(f"run {recorded.run_id} ({recorded.name}) recorded no configuration of {kinds}")
    tracking = {**recorded.config.get("tracking", {}), "experiment": recorded.experiment, "uri": uri}
    plain = {**recorded.config, "workspace": workspace, "tracking": tracking}
    if "reuse" in SCHEMAS[recorded.command].model_fields:
        plain["reuse"] = False  # what is found again proves nothing
    problems = Problems()
    config = parse(SCHEMAS[recorded.command], plain, problems, "")
    problems.raise_if_any(f"run {recorded.run_id} was recorded by a Segsweep whose settings were others")
    return config


def repeat(recorded: RecordedRun, config: Any, context: RunContext) -> RunOutcome:
    """Does a recorded run again; the new run has the tag `segsweep.rerun_of`."""
    for name, text in recorded.files.items():
        write_bytes(context.scratch / ".hydra" / name, text.encode())
    name = f"{recorded.name} (again)"
    tags = {"segsweep.rerun_of": recorded.run_id}
    return _WORK[recorded.command](config, replace(context, name=name, overrides=recorded.overrides, tags=tags))


def agreement(before: RecordedRun, after: RecordedRun, tolerance: float) -> Agreement:
    """What differs between two runs; packages and code by name, scores by their last values."""
    surroundings = [
        *_differences("data", before.data, after.data),
        *_differences("code", before.code, after.code),
        *_differences("package", before.packages, after.packages),
    ]
    scores = [
        Difference("score", name, before.metrics.get(name, math.nan), after.metrics.get(name, math.nan))
        for name in sorted({*before.metrics, *after.metrics})
        if not _same(before.metrics.get(name), after.metrics.get(name))
    ]
    return Agreement(tuple(surroundings), tuple(scores), len({*before.metrics, *after.metrics}), tolerance)


def _differences(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(what, name, before.get(name, ""), after.get(name, ""))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _same(one: float | None, other: float | None) -> bool:
    return one == other or (one is not None and other is not None and math.isnan(one) and math.isnan(other))


def _distance(item: Difference) -> float:
    return abs(float(item.before) - float(item.after))
