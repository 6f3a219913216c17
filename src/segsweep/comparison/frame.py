"""Runs as a pandas table whose columns have the types of what they hold."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.comparison.selection import Chosen, Selection, choose
from segsweep.tracking import table_of
from segsweep.tracking.opening import at_work_since

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

__all__ = ["FACTS", "runs", "runs_frame", "scores_of", "settings_of"]

FACTS = ("run_id", "name", "status", "reason", "experiment", "sweep", "start", "end", "seconds")
"""What is known of every run; settings have dots in their names, scores slashes, tags begin with `tags.`."""

_SAME = re.compile(
    r"workspace|reuse|name|tracking\..*|(dtl|training|inference)\.file|dtl\.(workers|reuse|overwrite)"
    r"|evaluation\.(region|average|pictures)"
)
"""Settings of where and how, which no score depends on, and those of the test, which tells itself what it was."""
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan")


def runs(
    workspace: str | Path = ".",
    experiment: str | None = None,
    sweep: str | None = None,
    filter: str = "",  # noqa: A002  # MLflow calls it so
    ids: Sequence[str] = (),
    uri: str | None = None,
) -> pd.DataFrame:
    """The runs of a workspace with their settings and scores, a row a run, in the order in which they began.

    >>> import segsweep
    >>> table = segsweep.runs("demo", sweep="last")                                  # doctest: +SKIP
    >>> table.sort_values("test/dice")[["name", "training.lr", "test/dice"]].tail()  # doctest: +SKIP

    Columns:

    * `run_id`, `name`, `status` (FINISHED, FAILED, KILLED, RUNNING, or INTERRUPTED: called running, but its process on
      this machine has ended), `reason` (why it failed), `experiment`, `sweep` (its parent's id), `start` and `end`
      (UTC), `seconds` (what it took; its training counts in full where it was found, or done in several parts);
    * a column for each setting by its dotted key (`training.lr`, `dtl.layers.crop.settings…`): whole numbers as
      `Int64`, other numbers as floats, true and false as `boolean`, all else as texts, lists in JSON;
    * a column for each score by its name in MLflow (`test/dice`, `test/dice/vessel`, `val/loss`, `time/train`), its
      last value; what is measured under a name without a slash as `metrics.<name>`;
    * Segsweep's tags as `tags.segsweep.…`.

    What a run lacks is missing (NA, NaN or None).

    Args:
        workspace: The folder of the store.
        experiment: Only the runs of the experiment of that name.
        sweep: Only the jobs of one sweep: its parent's id or the beginning of it, its name, or `last`.
        filter: Only what this expression of MLflow's search lets through (`params.model.width = '8'`).
        ids: Only these runs; ids or their beginnings.
        uri: Another store than the workspace's own: `http://…`, `postgresql://…`.

    Raises:
        UnknownNameError: There is no sweep, experiment or run of that name, or the filter is none.
        TrackingError: There is no store, or it cannot be read.
    """
    place = uri or Path(workspace).expanduser().absolute()
    return runs_frame(choose(place, Selection(sweep, experiment, tuple(ids), filter)))


def runs_frame(chosen: Chosen) -> pd.DataFrame:
    """The table of `runs` for runs that are chosen already."""
    import pandas as pd

    raw = table_of(chosen.runs)
    columns: dict[str, Any] = {key: raw[key] for key in ("run_id", "name", "status", "reason")}
    columns["experiment"] = [chosen.experiments.get(str(run.info.experiment_id), "") for run in chosen.runs]
    columns["sweep"] = [run.data.tags.get("mlflow.parentRunId") for run in chosen.runs]
    columns |= {"start": raw["start"], "end": raw["end"]}
    columns["seconds"] = [_seconds(run) for run in chosen.runs]
    for key in raw:
        kind, _, name = str(key).partition(".")
        if kind == "params" and name not in columns:
            columns[name] = _typed(raw[key])
        elif kind == "metrics":  # the epoch and the like are no scores, and could be taken for settings
            columns[name if "/" in name else str(key)] = raw[key].astype(float)
        elif kind == "tags":
            columns[str(key)] = raw[key]
    return pd.DataFrame(columns)


def settings_of(frame: pd.DataFrame) -> list[str]:
    """The columns of settings that may matter for a score."""
    plain = [str(column) for column in frame if column not in FACTS]
    ours = [key for key in plain if "/" not in key and not key.startswith(("tags.", "metrics."))]
    return [key for key in ours if not _SAME.fullmatch(key)]


def scores_of(frame: pd.DataFrame) -> list[str]:
    """The columns of scores and other measurements."""
    return [str(column) for column in frame if "/" in str(column)]


def _seconds(run: Run) -> float:
    """What a run took, with the whole of its training, so that equal work costs the same whoever did it and when."""
    measured = run.data.metrics
    if "time/total" not in measured:
        return math.nan if run.info.end_time is None else (run.info.end_time - at_work_since(run)) / 1000
    here, whole = measured.get("time/train", 0.0), measured.get("time/train_whole", 0.0)
    return float(measured["time/total"] + max(0.0, whole - here))


def _typed(texts: pd.Series) -> pd.Series:
    """Recorded texts as what they were: `null` is missing; numbers, if all are."""
    import pandas as pd

    present = [text for text in texts if isinstance(text, str) and text != "null"]
    values = [text if isinstance(text, str) and text != "null" else None for text in texts]
    if present and all(text in {"true", "false"} for text in present):
        return pd.Series([None if text is None else text == "true" for text in values], texts.index, dtype="boolean")
    if present and all(_INTEGER.fullmatch(text) for text in present):
        return pd.Series([None if text is None else int(text) for text in values], texts.index, dtype="Int64")
    if present and all(_NUMBER.fullmatch(text) for text in present):
        return pd.Series([None if text is None else float(text) for text in values], texts.index, dtype="float64")
    return pd.Series(values, texts.index, dtype="object")
