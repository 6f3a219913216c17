"""Tables and named metrics of what was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Item
from segsweep.evaluation.bootstrap import draws, interval
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.statistics import Statistic, accuracy, statistics, with_macro
from segsweep.evaluation.tags import TAG_SCORES, tag_scores
from segsweep.evaluation.tally import PROBABILITY_SCORES, Tally

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AVERAGES",
    "MACRO",
    "MICRO",
    "Summary",
    "class_table",
    "dataset_table",
    "headline",
    "image_table",
    "object_confusion_table",
    "object_table",
    "summarise",
    "tag_metrics",
    "tag_table",
    "union_table",
]

AVERAGES = ("image", "pooled")
MACRO, MICRO = "(macro)", "(micro)"
"""What rows say instead of a class: the mean over classes, and all classes added up."""

Values = NDArray[np.float64]
_COUNTS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class Summary:
    """A region's scores; arrays have a column a class, then macro, then micro.

    Attributes:
        statistics: By score, what it is made of.
        values: By (score, average).
        intervals: By (score, average), low and high (2, columns); NaN where there is none. Empty without resamples.
        accuracy: The share of right pixels over all classes by average: value, low, high.
        rated: Places of the classes that have maps of probabilities.
    """

    statistics: Mapping[str, Statistic]
    values: Mapping[tuple[str, str], Values]
    intervals: Mapping[tuple[str, str], Values]
    accuracy: Mapping[str, tuple[float, float, float]]
    rated: frozenset[int]

    def headline(self, name: str, average: str) -> tuple[str, str]:
        """Where the headline of a score stands."""
        return name, "pooled" if self.statistics[name].always_pooled else average


def summarise(tally: Tally, resamples: int) -> Summary:
    """All scores of a region, with intervals from as many samples (0 makes none)."""
    found = statistics(tally)
    keys = [(name, average) for name in found for average in AVERAGES]
    values = {(name, average): with_macro(found[name].values(average)) for name, average in keys}
    images, right = len(tally.datasets), accuracy(tally)
    totals = {average: float(right.values(average)[0]) for average in AVERAGES}
    rated = frozenset(index - 1 for index in tally.roc)
    if not resamples or images < 2:
        nothing = float("nan")
        around = {average: (total, nothing, nothing) for average, total in totals.items()}
        return Summary(found, values, {}, around, rated)
    weights = draws(images, resamples)

    def ends(statistic: Statistic, average: str) -> Values:
        if not len(statistic.parts) and average == "pooled":
            return np.full((2, len(statistic.pooled) + 1), np.nan)
        return interval(with_macro(statistic.samples(weights, average)), images)

    intervals = {(name, average): ends(found[name], average) for name, average in keys}
    limits = {average: ends(right, average)[:, 0] for average in totals}
    around = {
        average: (total, float(limits[average][0]), float(limits[average][1])) for average, total in totals.items()
    }
    return Summary(found, values, intervals, around, rated)


@dataclass(frozen=True)
class Headline:
    """The headline scores of a region by name, in the order in which they are shown.

    Attributes:
        metrics: `<score>` is the mean over classes, `<score>/<class>` that of a class; `accuracy` is over all classes.
        micro: `<score>` of all classes added up; empty with one class.
        intervals: Low and high of each of `metrics` that has them.
    """

    metrics: dict[str, float]
    micro: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def headline(summary: Summary, titles: Sequence[str], average: str) -> Headline:
    """Names the scores.

    Args:
        summary: A region's scores.
        titles: The scored classes.
        average: `image` or `pooled`.
    """
    places = {"": len(titles), **{f"/{title}": place for place, title in enumerate(titles)}}
    where = {name: summary.headline(name, average) for name in summary.statistics}
    keys = [(name, "") for name in where]
    keys += [
        (name, f"/{title}")
        for name in where
        for place, title in enumerate(titles)
        if name not in PROBABILITY_SCORES or place in summary.rated
    ]
    metrics = {name + suffix: float(summary.values[where[name]][places[suffix]]) for name, suffix in keys}
    metrics["accuracy"], *around = summary.accuracy[average]
    intervals: dict[str, tuple[float, float]] = {}
    for name, suffix in keys if summary.intervals else []:
        low, high = (float(end) for end in summary.intervals[where[name]][:, places[suffix]])
        intervals[name + suffix] = (low, high)
    if summary.intervals:
        intervals["accuracy"] = (around[0], around[1])
    micro = {name: float(summary.values[key][-1]) for name, key in where.items()} if len(titles) > 1 else {}
    return Headline(metrics, micro, {name: ends for name, ends in intervals.items() if not np.isnan(ends).any()})


def image_table(
    tally: Tally, summary: Summary, titles: Sequence[str], items: Sequence[Item], region: str
) -> pd.DataFrame:
    """A row for each image and class: the scores, then the pixel counts `tp`, `fp`, `fn`, `tn`."""
    import pandas as pd

    counts = Counts.of(np.stack(tally.confusions))
    columns: dict[str, Any] = {
        "dataset": np.repeat(np.array([item.dataset for item in items], dtype=object), len(titles)),
        "image": np.repeat(np.array([item.name for item in items], dtype=object), len(titles)),
        "class": np.tile(np.array(titles, dtype=object), len(items)),
        "region": region,
    }
    for name, statistic in summary.statistics.items():
        if not np.isnan(statistic.by_image).all():
            columns[name] = statistic.by_image[:, :-1].ravel()
    columns |= {key: getattr(counts, key)[:, 1:].ravel() for key in _COUNTS}
    return pd.DataFrame(columns)


def _rows(titles: Sequence[str]) -> list[str]:
    """What the columns of a summary stand for; with one class its mean and its sum say nothing new."""
    return [*titles, MACRO, MICRO] if len(titles) > 1 else list(titles)


def class_table(summary: Summary, titles: Sequence[str], region: str) -> pd.DataFrame:
    """A row for each class, their mean, all together, and average: the scores, then `<score>_low` and `_high`."""
    import pandas as pd

    rows = _rows(titles)
    tables = []
    for average in AVERAGES:
        columns = {name: summary.values[name, average][: len(rows)] for name in summary.statistics}
        for name in summary.statistics if summary.intervals else ():
            ends = summary.intervals[name, average][:, : len(rows)]
            columns |= {f"{name}_low": ends[0], f"{name}_high": ends[1]}
        tables.append(pd.DataFrame({"class": rows, "region": region, "average": average, **columns}))
    return pd.concat(tables, ignore_index=True)


def dataset_table(tally: Tally, titles: Sequence[str], region: str) -> pd.DataFrame:
    """A row for each dataset, class (their mean, all together) and average: the number of images and the scores."""
    import pandas as pd

    rows = _rows(titles)
    tables = []
    for dataset in dict.fromkeys(tally.datasets):
        found = statistics(tally, dataset)
        for average in AVERAGES:
            columns = {name: with_macro(item.values(average))[: len(rows)] for name, item in found.items()}
            head = {"dataset": dataset, "class": rows, "region": region, "average": average}
            tables.append(pd.DataFrame({**head, "images": tally.datasets.count(dataset), **columns}))
    return pd.concat(tables, ignore_index=True)


def object_table(tally: Tally, summary: Summary, titles: Sequence[str], region: str) -> pd.DataFrame:
    """A row for each class, their mean (whose `object_ap` is the mAP) and all together: objects, and pooled scores."""
    import pandas as pd

    rows = _rows(titles)
    counted = np.stack(tally.parts["objects"])[..., 1:].sum(axis=0)
    counted = np.concatenate([counted, np.full((1, 3), np.nan), counted.sum(axis=0, keepdims=True)])[: len(rows)]
    columns = {"matched": counted[:, 0], "predicted": counted[:, 1], "true": counted[:, 2]}
    names = [name for name in ("object_precision", "object_recall", "object_ap") if name in summary.statistics]
    columns |= {name: summary.values[name, "pooled"][: len(rows)] for name in names}
    table = pd.DataFrame({"class": rows, "region": region, **columns})
    return table.astype(dict.fromkeys(("matched", "predicted", "true"), "Int64"))


def object_confusion_table(tally: Tally, titles: Sequence[str]) -> pd.DataFrame:
    """Pairs of objects by true class (rows) and predicted class (columns), in the truth's words, and those without."""
    import pandas as pd

    order = [*range(1, len(titles) + 1), 0]
    table = pd.DataFrame(tally.objects[np.ix_(order, order)], columns=[*titles, "(false negatives)"])
    table.insert(0, "true class", [*titles, "(false positives)"], allow_duplicates=True)
    return table


def union_table(tally: Tally, summary: Summary, titles: Sequence[str], region: str) -> pd.DataFrame:
    """The numbers of the original's IoU plugin by class and in total: mean intersection and union an image, IoU."""
    import pandas as pd

    rows = [*titles, MICRO] if len(titles) > 1 else list(titles)
    counted = np.stack(tally.parts["union_iou"])
    images = counted[..., 0].max(axis=1).sum()
    sums = np.concatenate([counted[..., 1:].sum(axis=0), counted[..., 1:].sum(axis=(0, 1))[None]])[: len(rows)]
    values = np.delete(summary.values["union_iou", "pooled"], -2)[: len(rows)]
    means = sums / max(images, 1)
    head = {"class": rows, "region": region, "images": int(images)}
    return pd.DataFrame({**head, "mean_intersection": means[:, 0], "mean_union": means[:, 1], "iou": values})


def tag_table(counts: Counts, mapping: Mapping[str, str]) -> pd.DataFrame:
    """A row for each pair of tags, and one for all together: images by kind, and scores."""
    import pandas as pd

    columns = {key: np.append(getattr(counts, key), getattr(counts, key).sum()) for key in _COUNTS}
    together = Counts(*(columns[key] for key in _COUNTS))
    scores = {name: score(together) for name, score in TAG_SCORES.items()}
    names = {"tag": [*mapping, MICRO], "predicted tag": [*mapping.values(), MICRO]}
    return pd.DataFrame({**names, **columns, **scores})


def tag_metrics(counts: Counts, mapping: Mapping[str, str]) -> dict[str, float]:
    """`tag_<score>` of all tags together, and `tag_<score>/<tag>`."""
    metrics = {f"tag_{name}": value for name, value in tag_scores(counts).items()}
    for name, score in TAG_SCORES.items():
        values = score(counts)
        metrics.update({f"tag_{name}/{tag}": float(value) for tag, value in zip(mapping, values, strict=True)})
    return metrics
