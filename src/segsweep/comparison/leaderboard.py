"""The leaderboard: a row a run, best first, with what differs between runs, and how sure the scores are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segsweep.comparison.intervals import Counted, Interval, interval, statistic
from segsweep.comparison.settings import Setting, told

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCORES", "Place", "best_score", "duration", "leaderboard", "lower_is_better", "markdown", "rank", "shown"]

SCORES = ("test/dice", "test/iou", "test/precision", "test/recall", "test/auc", "val/dice", "val/loss")
"""What is told beside the score that decides; the first that any run has decides unless another is asked for."""

BEST, WORSE, SAME = "best", "worse", "not told apart"
_TOLERANCE = 1e-6
_SMALL_IS_GOOD = {"loss", "hd95", "calibration_error"}


@dataclass(frozen=True)
class Place:
    """A run's place.

    Attributes:
        run_id: The run.
        test: The number of its test, from 0; runs of one test can be compared. None without the score.
        rank: From 1, among the runs of its test; None without the score.
        score: Its score; NaN without one.
        interval: Where the score lies, where the test images tell.
        difference: Its score less that of the best of its test.
        difference_interval: Where the difference lies.
        rivals: How many other runs have the same test.
    """

    run_id: str
    test: int | None
    rank: int | None
    score: float
    interval: Interval | None = None
    difference: float | None = None
    difference_interval: Interval | None = None
    rivals: int = 0

    @property
    def verdict(self) -> str:
        """`best`, `worse`, `not told apart`, or nothing where the images do not tell."""
        if self.rank == 1:
            return BEST if self.rivals else ""
        if self.difference_interval is None:
            return ""
        return WORSE if self.difference_interval.excludes_zero else SAME


def best_score(frame: pd.DataFrame) -> str | None:
    """The score that decides unless another is asked for; None where no run has any of them."""
    return next((key for key in SCORES if key in frame and frame[key].notna().any()), None)


def lower_is_better(score: str) -> bool:
    """Whether the smallest value wins: losses, times, distances, errors."""
    parts = score.split("/")
    return parts[0] == "time" or any(part in _SMALL_IS_GOOD or part.startswith("error_") for part in parts)


def rank(frame: pd.DataFrame, score: str | None, tested: Mapping[str, Counted]) -> list[Place]:
    """Places runs by a score, those that were tested alike together, the largest test first; runs without it last.

    Args:
        frame: A row a run, with `run_id` and the score.
        score: The score that decides; None places nobody.
        tested: By run id, what a run's test counted.
    """
    values = dict(zip(frame["run_id"], frame[score] if score else [np.nan] * len(frame), strict=True))
    keys = {run: tested[run].key if run in tested and score and score.startswith("test/") else "" for run in values}
    scored = [run for run, value in values.items() if np.isfinite(value)]
    unscored = [Place(run, None, None, float("nan")) for run in values if run not in scored]
    sizes = Counter(keys[run] for run in scored)
    places: list[Place] = []
    for test, (key, _) in enumerate(sizes.most_common()):
        runs = [run for run in scored if keys[run] == key]
        runs.sort(key=lambda run: values[run] if lower_is_better(str(score)) else -values[run])
        places.extend(_places(test, runs, values, str(score), tested))
    return [*places, *unscored]


def _places(
    test: int, runs: Sequence[str], values: Mapping[str, float], score: str, tested: Mapping[str, Counted]
) -> list[Place]:
    samples = {run: _samples(tested.get(run), score, values[run]) for run in runs}
    best = runs[0]
    places = []
    for number, run in enumerate(runs, 1):
        own, images = samples[run], len(tested[run].images) if run in tested else 0
        found = difference = difference_interval = None
        if own is not None:
            found = interval(own, images)
        if run != best:
            difference = values[run] - values[best]
            if own is not None and samples[best] is not None:
                difference_interval = interval(own - samples[best], images)
        places.append(Place(run, test, number, values[run], found, difference, difference_interval, len(runs) - 1))
    return places


def _samples(tested: Counted | None, score: str, value: float) -> Any:
    """The score of resampled images; None where the table of images does not give the score that was recorded."""
    whole = None if tested is None else statistic(tested, score)
    if tested is None or whole is None or abs(float(whole[0]) - value) > _TOLERANCE:
        return None
    return statistic(tested, score, drawn=True)


def leaderboard(
    frame: pd.DataFrame, settings: Sequence[Setting], score: str | None, places: Sequence[Place]
) -> pd.DataFrame:
    """The table for programs: full keys, plain numbers.

    Columns: `test_set` (A, B … where there are several), `rank`, `run`, `status`, the settings that differ, the score
    with `<score> low` and `<score> high` (95 %), `difference` to the best of the same test with `difference low` and
    `difference high`, `verdict`, further scores, `seconds`, `reason`, `run_id`.
    """
    import pandas as pd

    rows = frame.set_index("run_id").loc[[place.run_id for place in places]]
    columns: dict[str, Any] = {}
    if len({place.test for place in places} - {None}) > 1:
        columns["test_set"] = [None if place.test is None else letter(place.test) for place in places]
    columns["rank"] = pd.array([place.rank for place in places], dtype="Int64")
    columns["run"] = rows["name"].to_list()
    columns["status"] = rows["status"].to_list()
    columns |= {setting.key: rows[setting.key].array for setting in settings}
    if score is not None:
        columns[score] = [place.score for place in places]
        columns |= _bounds(score, [place.interval for place in places])
        columns["difference"] = [place.difference for place in places]
        columns |= _bounds("difference", [place.difference_interval for place in places])
        columns["verdict"] = [place.verdict for place in places]
    columns |= {key: rows[key].to_list() for key in SCORES if key in rows and key != score and rows[key].notna().any()}
    columns["seconds"] = rows["seconds"].to_list()
    columns["reason"] = rows["reason"].to_list()
    columns["run_id"] = rows.index.to_list()
    return pd.DataFrame(columns)


def _bounds(name: str, intervals: Sequence[Interval | None]) -> dict[str, list[float]]:
    if not any(intervals):
        return {}
    pairs = [(item.low, item.high) if item else (np.nan, np.nan) for item in intervals]
    return {f"{name} low": [low for low, _ in pairs], f"{name} high": [high for _, high in pairs]}


def shown(
    frame: pd.DataFrame,
    settings: Sequence[Setting],
    score: str | None,
    places: Sequence[Place],
    *,
    named: bool,
    more: Sequence[str] = SCORES,
) -> pd.DataFrame:
    """The table for people: short names, texts, and only columns that say something.

    Args:
        frame: A row a run.
        settings: The settings to show.
        score: The score that decides.
        places: The rows.
        named: Whether runs have names that tell more than their settings.
        more: Further scores to show.
    """
    import pandas as pd

    rows = [row for _, row in frame.set_index("run_id").loc[[place.run_id for place in places]].iterrows()]
    both = list(zip(places, rows, strict=True))
    columns: dict[str, list[str]] = {}
    if len({place.test for place in places} - {None}) > 1:
        columns["test"] = ["" if place.test is None else letter(place.test) for place in places]
    columns["#"] = ["" if place.rank is None else str(place.rank) for place in places]
    if named:
        columns["run"] = [str(row["name"]) for row in rows]
    columns |= {setting.name: [told(row[setting.key]) for row in rows] for setting in settings}
    if score is not None:
        columns[score] = [_number(place.score) for place in places]
        columns["95 %"] = [between(place.interval) for place in places]
        columns["to the best"] = [_against(place) for place in places]
    columns |= {key: [_number(row[key]) for row in rows] for key in more if key in frame and key != score}
    columns["time"] = [duration(row["seconds"]) for row in rows]
    columns["status"] = [_status(row) for row in rows]
    columns["id"] = [place.run_id[:8] for place, _ in both]
    empty = {"95 %", "to the best", *more}
    return pd.DataFrame({key: cells for key, cells in columns.items() if key not in empty or any(cells)}, dtype=str)


def markdown(table: pd.DataFrame) -> str:
    """A table of texts as Markdown."""
    lines = ["| " + " | ".join(map(_cell, table.columns)) + " |", "|" + " --- |" * len(table.columns)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def duration(seconds: float) -> str:
    """A time as people read it: `45 s`, `3 min 20 s`, `2 h 05 min`."""
    if not np.isfinite(seconds):
        return ""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _cell(text: Any) -> str:
    return " ".join(str(text).replace("\\", "\\\\").replace("|", "\\|").split())


def letter(test: int) -> str:
    """The letter that stands for a test, from A."""
    return chr(ord("A") + test) if test < 26 else str(test + 1)


def _number(value: Any) -> str:
    return f"{value:.4f}" if np.isfinite(value) else ""


def between(found: Interval | None, sign: str = "") -> str:
    """An interval as people read it; nothing where there is none."""
    return "" if found is None else f"{found.low:{sign}.3f} … {found.high:{sign}.3f}".replace("-", "−")


def _against(place: Place) -> str:
    if place.rank == 1 or place.difference is None:
        return place.verdict
    text = f"{place.difference:+.4f}".replace("-", "−")
    if place.difference_interval is None:
        return text
    return f"{text} ({between(place.difference_interval, '+')}) {place.verdict}"


def _status(row: Any) -> str:
    return f"{row['status']}: {row['reason']}" if row["reason"] else str(row["status"])
