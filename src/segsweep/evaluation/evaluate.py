"""Scores of a prediction project against an annotated one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Item
from segsweep.errors import DataError
from segsweep.evaluation.auc import RocCounts
from segsweep.evaluation.comparison import REGIONS, Comparison, Maps, plan_comparison
from segsweep.evaluation.counts import Counts, confusion_matrix
from segsweep.evaluation.pictures import ClassStyle, comparison_picture
from segsweep.evaluation.report import write_scores
from segsweep.evaluation.scores import SCORES, mean, pixel_accuracy
from segsweep.files import read_image
from segsweep.reporting import SILENT, Reporter, track

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Average", "Region", "Scores", "evaluate"]

Region = Literal["whole_frame", "field_of_view"]
Average = Literal["image", "pooled"]
Values = NDArray[np.float64]

_COUNTS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class Scores:
    """What an evaluation found; scores are in 0..1, or NaN where no pixel counts.

    Attributes:
        metrics: `dice`, `iou`, `precision`, `recall`, `specificity` (means over the mapped classes), `accuracy` (the
            share of right pixels over all classes), `auc` where there are probabilities; and `<score>/<class>` each.
        other: The same for the region that was not chosen, by its name; empty when there is none.
        per_image: A row for each image, class and region: `dataset`, `image`, `class`, `region`, the scores, and the
            pixel counts `tp`, `fp`, `fn`, `tn`.
        per_class: A row for each class, region and `average`: the scores, and `auc` where there are probabilities.
        confusion: Pixels of (true class, predicted class) in the chosen region, int64 CxC.
        classes: Titles of the confusion matrix, in the truth's words; the background first.
        roc: By class, what its ROC curve is made of; empty without probabilities.
        region: The region of `metrics`, `confusion` and `roc`.
        average: How `metrics` were averaged: `image` or `pooled`.
    """

    metrics: dict[str, float]
    other: dict[str, dict[str, float]]
    per_image: pd.DataFrame
    per_class: pd.DataFrame
    confusion: NDArray[np.int64]
    classes: tuple[str, ...]
    roc: dict[str, RocCounts]
    region: str
    average: str


@dataclass
class _Tally:
    """What was counted in one region so far."""

    confusion: NDArray[np.int64]
    roc: dict[int, RocCounts] = field(default_factory=dict)
    images: list[Counts] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    def add(self, maps: Maps, valid: NDArray[np.bool_] | None) -> None:
        confusion = confusion_matrix(maps.truth, maps.prediction, len(self.confusion), valid)
        self.confusion += confusion
        self.images.append(Counts.of(confusion))
        self.accuracies.append(float(pixel_accuracy(confusion)))
        for index, probability in maps.probabilities.items():
            found = RocCounts.of(probability, maps.truth == index, valid)
            self.roc[index] = self.roc[index] + found if index in self.roc else found

    def each(self) -> Counts:
        """The counts of every image; arrays of shape (N, C)."""
        return Counts(*(np.stack([getattr(image, key) for image in self.images]) for key in _COUNTS))

    def by_class(self, average: str) -> dict[str, Values]:
        """Every score of every class, averaged; arrays of shape (C,)."""
        if average == "pooled":
            counts = Counts.of(self.confusion)
            return {name: score(counts) for name, score in SCORES.items()}
        counts = self.each()
        return {name: mean(score(counts), axis=0) for name, score in SCORES.items()}

    def accuracy(self, average: str) -> float:
        """The share of right pixels over all classes."""
        return float(pixel_accuracy(self.confusion) if average == "pooled" else mean(np.array(self.accuracies)))


def evaluate(
    truth: Path,
    prediction: Path,
    classes_mapping: Mapping[str, str],
    *,
    background: tuple[str, str] | None = None,
    neutral: str = "neutral",
    region: Region = "whole_frame",
    average: Average = "image",
    pictures: int = 0,
    output: Path | None = None,
    reporter: Reporter = SILENT,
) -> Scores:
    """Scores a project with predictions against an annotated one, in one pass over the images.

    Both projects are drawn as class indices in painter's order, the background's own objects first; classes that the
    mapping does not name are not drawn. Scores are means over images of each image's score, or come from the pixels of
    all images pooled; AUC is always pooled. `scores` tells what is said where there is nothing to divide by.

    Args:
        truth: Folder of the annotated project. Where all its images have a side file `field_of_view`, both regions
            are scored.
        prediction: Folder of the project with predictions; may be the same. Where all its images have the side file
            `probability_<n>` (n is the predicted class's place in the project's list of classes; PNG, 16 bits, grey,
            value / 65535), AUC is computed.
        classes_mapping: Title in the truth to title in the prediction.
        background: The background's titles in truth and prediction: left out of the scores, but part of the confusion
            matrix and of the accuracy. Pixels that nothing covers are background in any case.
        neutral: Title of the truth's class whose pixels do not count.
        region: Where the headline scores are taken: `whole_frame` or `field_of_view`.
        average: `image` (mean over images of per-image scores) or `pooled` (counts summed over images first).
        pictures: How many comparison pictures are reported: the worst, the best, the second worst … by Dice.
        output: Folder that receives tables and plots (`report.write_scores`); None writes nothing.
        reporter: Gets pictures `predictions/<dataset>/<image's stem>`, the same as a series `test/…` at step 0,
            progress, and notes on what was left out.

    Raises:
        InvalidRequestError: Tells every class that is unknown or named twice.
        DataError: Tells every image that is missing, cannot be read or has another size.
    """
    if region not in REGIONS or average not in ("image", "pooled"):
        raise ValueError(f"region is one of {REGIONS} and average 'image' or 'pooled', not {region!r} and {average!r}")
    comparison, notes = plan_comparison(truth, prediction, classes_mapping, background, neutral, region)
    for note in notes:
        reporter.message(f"evaluate: {note}", "warning")
    tallies = _count(comparison, reporter)
    scores = _scores(comparison, tallies, region, average)
    if output is not None:
        write_scores(scores, output)
    _report_pictures(comparison, tallies[region], region, pictures, reporter)
    return scores


def _count(comparison: Comparison, reporter: Reporter) -> dict[str, _Tally]:
    count = len(comparison.classes.titles)
    tallies = {name: _Tally(np.zeros((count, count), dtype=np.int64)) for name in comparison.regions}
    wrong: list[str] = []
    for pair in track(comparison.pairs, reporter, "evaluate", unit="img"):
        try:
            maps = comparison.read(pair)
        except DataError as error:
            wrong.append(str(error))
            continue
        for name, tally in tallies.items():
            tally.add(maps, maps.valid[name])
    if wrong:
        raise DataError("\n  - ".join([f"{comparison.prediction.path} cannot be scored:", *wrong]))
    return tallies


def _scores(comparison: Comparison, tallies: Mapping[str, _Tally], region: str, average: str) -> Scores:
    import pandas as pd

    titles = comparison.classes.titles
    names = [region, *(name for name in tallies if name != region)]
    metrics = {name: _metrics(tallies[name], titles, average) for name in names}
    items = [item for item, _ in comparison.pairs]
    return Scores(
        metrics=metrics[region],
        other={name: metrics[name] for name in names[1:]},
        per_image=pd.concat([_image_table(tallies[name], titles, items, name) for name in names], ignore_index=True),
        per_class=pd.concat([_class_table(tallies[name], titles, name) for name in names], ignore_index=True),
        confusion=tallies[region].confusion,
        classes=titles,
        roc={titles[index]: counts for index, counts in tallies[region].roc.items()},
        region=region,
        average=average,
    )


def _metrics(tally: _Tally, titles: Sequence[str], average: str) -> dict[str, float]:
    values = tally.by_class(average)
    metrics = {name: float(mean(value[1:])) for name, value in values.items()}
    metrics["accuracy"] = tally.accuracy(average)
    for name, value in values.items():
        metrics.update({f"{name}/{title}": float(score) for title, score in zip(titles[1:], value[1:], strict=True)})
    if tally.roc:
        areas = {f"auc/{titles[index]}": counts.auc for index, counts in tally.roc.items()}
        metrics.update(auc=float(mean(np.array(list(areas.values())))), **areas)
    return metrics


def _image_table(tally: _Tally, titles: Sequence[str], items: Sequence[Item], region: str) -> pd.DataFrame:
    import pandas as pd

    counts, classes = tally.each(), titles[1:]
    columns: dict[str, Any] = {
        "dataset": np.repeat(np.array([item.dataset for item in items], dtype=object), len(classes)),
        "image": np.repeat(np.array([item.name for item in items], dtype=object), len(classes)),
        "class": np.tile(np.array(classes, dtype=object), len(items)),
        "region": region,
        **{name: score(counts)[:, 1:].ravel() for name, score in SCORES.items()},
        **{key: getattr(counts, key)[:, 1:].ravel() for key in _COUNTS},
    }
    return pd.DataFrame(columns)


def _class_table(tally: _Tally, titles: Sequence[str], region: str) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for average in ("image", "pooled"):
        values = {name: value[1:] for name, value in tally.by_class(average).items()}
        table = pd.DataFrame({"class": titles[1:], "region": region, "average": average, **values})
        if tally.roc:
            areas = [tally.roc[index].auc if index in tally.roc else np.nan for index in range(1, len(titles))]
            table["auc"] = areas if average == "pooled" else np.nan
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _report_pictures(comparison: Comparison, tally: _Tally, region: str, pictures: int, reporter: Reporter) -> None:
    dice = mean(SCORES["dice"](tally.each())[:, 1:], axis=1)
    stems = Counter((item.dataset, Path(item.name).stem) for item, _ in comparison.pairs)
    colors = {entry.title: entry.color for entry in comparison.truth.meta.classes}
    styles = [ClassStyle(title, _rgb(colors[title])) for title in comparison.classes.titles[1:]]
    for place in track(_worst_and_best(dice, pictures), reporter, "comparison pictures", unit="img"):
        item = comparison.pairs[place][0]
        maps = comparison.read(comparison.pairs[place])
        name = Path(item.name).stem if stems[item.dataset, Path(item.name).stem] == 1 else item.name
        picture = comparison_picture(
            read_image(item.image_path), maps.truth, maps.prediction, styles, valid=maps.valid[region], title=item.name
        )
        reporter.image(f"predictions/{item.dataset}/{name}", picture)
        # again as a series, by which runs can be laid side by side
        reporter.image(f"test/{item.dataset}/{name}", picture, step=0)


def _worst_and_best(dice: Values, most: int) -> list[int]:
    """Places of the worst, the best, the second worst … image; those without a score come last."""
    order = [int(place) for place in np.argsort(dice, kind="stable") if not np.isnan(dice[place])]
    turns = [order[turn // 2] if turn % 2 == 0 else order[-1 - turn // 2] for turn in range(len(order))]
    return [*turns, *(int(place) for place in np.flatnonzero(np.isnan(dice)))][:most]


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
