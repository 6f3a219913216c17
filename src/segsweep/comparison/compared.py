"""Runs, compared: what differs between them, what they were tested on, who won and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segsweep.comparison.frame import runs_frame, scores_of, settings_of
from segsweep.comparison.intervals import Counted
from segsweep.comparison.leaderboard import SCORES, Place, best_score, rank
from segsweep.comparison.reading import Files, read_tested
from segsweep.comparison.selection import Chosen
from segsweep.comparison.settings import Setting, differing, told
from segsweep.errors import DataError, TrackingError, UnknownNameError, nearest
from segsweep.reporting import SILENT, Reporter, track
from segsweep.tracking import Store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

__all__ = ["Compared", "compare", "seed_scatter"]


@dataclass(frozen=True)
class Compared:
    """Runs and what tells them apart.

    Attributes:
        chosen: The runs.
        frame: Their table (`frame.runs`).
        settings: The settings that differ.
        score: The score that decides; None where no run has one.
        tested: By run id, what a run's test counted.
        places: The runs, best first; those without a score last.
        notes: What could not be read, or is left out, a line each.
    """

    chosen: Chosen
    frame: pd.DataFrame
    settings: tuple[Setting, ...]
    score: str | None
    tested: Mapping[str, Counted]
    places: tuple[Place, ...]
    notes: tuple[str, ...] = ()

    @property
    def by_id(self) -> dict[str, Run]:
        """MLflow's runs by their ids."""
        return {str(run.info.run_id): run for run in self.chosen.runs}

    @property
    def scored(self) -> list[Place]:
        """The places of runs that have the score."""
        return [place for place in self.places if place.rank is not None]

    @property
    def named(self) -> bool:
        """Whether the runs' names tell more than the settings that differ: the jobs of a sweep are named by those."""
        return self.chosen.sweep is None or not self.settings

    @property
    def other_scores(self) -> list[str]:
        """Further scores worth a column."""
        return [key for key in SCORES if key != self.score and key in self.frame and self.frame[key].notna().any()]

    @property
    def alike(self) -> list[Place]:
        """The places of the runs of the largest test, which can be compared with each other."""
        return [place for place in self.scored if place.test == 0]

    @property
    def alike_rows(self) -> pd.DataFrame:
        """The rows of `alike`."""
        return self.frame.set_index("run_id", drop=False).loc[[place.run_id for place in self.alike]]

    def url(self, run_id: str) -> str:
        """A link to a run in MLflow's UI."""
        place = f"experiments/{self.by_id[run_id].info.experiment_id}/runs/{run_id}"
        return f"{Store(Path(), self.chosen.uri, '', '').ui}/#/{place}?workflowType=machine_learning"

    def labels(self) -> dict[str, str]:
        """A short name for each run by its id: what differs in a sweep, else its own name, told apart by the id."""
        rows = self.frame.set_index("run_id")
        names = {str(run): str(name) for run, name in rows["name"].items()}
        if not self.named:
            names = {str(run): _values(row, self.settings[:4]) for run, row in rows.iterrows()}
        listed = list(names.values())
        return {run: name if listed.count(name) == 1 else f"{name} ({run[:8]})" for run, name in names.items()}


def compare(chosen: Chosen, files: Files, *, score: str | None = None, reporter: Reporter = SILENT) -> Compared:
    """Reads what runs left, and places them.

    Args:
        chosen: The runs.
        files: Where their artifacts are read.
        score: The metric that decides; the first of `leaderboard.SCORES` that any run has when missing.
        reporter: Shows progress.

    Raises:
        TrackingError: There are no runs, no run has the score that is asked for, or the store cannot be read.
    """
    if not chosen.runs:
        raise TrackingError(f"there are no runs to compare: {chosen.title} in {chosen.uri}")
    frame = runs_frame(chosen)
    if score is not None and (score not in frame or not frame[score].notna().any()):
        raise UnknownNameError(f"no run has the score {score!r}; {nearest(score, scores_of(frame))}")
    tested: dict[str, Counted] = {}
    notes: list[str] = []
    for run in track(chosen.runs, reporter, "compare: tables of test images", unit="run"):
        try:
            found = read_tested(run, files)
        except DataError as error:
            notes.append(str(error))
            continue
        if found is not None:
            tested[str(run.info.run_id)] = found
    deciding = score or best_score(frame)
    places = rank(frame, deciding, tested)
    settings = differing(frame, settings_of(frame), chosen.swept)
    return Compared(chosen, frame, tuple(settings), deciding, tested, tuple(places), tuple(notes))


def seed_scatter(compared: Compared) -> tuple[float, int] | None:
    """By how much runs of one test scatter that differ in their seed alone: standard deviation, pooled over groups.

    Returns:
        The deviation and its degrees of freedom; None where no two runs differ so.
    """
    if compared.score is None or not any(item.key == "seed" for item in compared.settings):
        return None
    others = [item.key for item in compared.settings if item.key != "seed"]
    groups: dict[tuple[str, ...], list[float]] = {}
    for _, row in compared.alike_rows.iterrows():
        groups.setdefault(tuple(told(row[key]) for key in others), []).append(float(row[compared.score]))
    freedom = sum(len(scores) - 1 for scores in groups.values())
    if not freedom:
        return None
    squares = sum(float(np.var(scores)) * len(scores) for scores in groups.values())
    return float(np.sqrt(squares / freedom)), freedom


def _values(row: pd.Series, settings: Sequence[Setting]) -> str:
    return " ".join(f"{item.name}={told(row[item.key], 3)}" for item in settings)
