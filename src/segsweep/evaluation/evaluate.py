"""Scores of a prediction project against an annotated one."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Item
from segsweep.errors import DataError, Problems
from segsweep.evaluation import tables
from segsweep.evaluation.auc import RocCounts
from segsweep.evaluation.comparison import REGIONS, Comparison, plan_comparison
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.html_report import build_report, write_report
from segsweep.evaluation.measures import MEASURES, chosen_measures
from segsweep.evaluation.report import write_scores
from segsweep.evaluation.scores import mean
from segsweep.evaluation.showing import show_images
from segsweep.evaluation.tally import ImageCounts, Plan, Tally, count_image
from segsweep.files import image_size, write_bytes
from segsweep.reporting import SILENT, Reporter, track

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Average", "Region", "Scores", "evaluate"]

Region = Literal["whole_frame", "field_of_view"]
Average = Literal["image", "pooled"]
Values = NDArray[np.float64]

_CONFIDENCE = "confidence"
_MOST_THREADS = 8
_MOST_PIXELS = 2**26
"""Of images that are counted at once; a larger one is counted alone."""


@dataclass(frozen=True)
class Scores:
    """What an evaluation found; `docs/evaluation.md` defines every score, and what is said where one is undefined.

    Attributes:
        metrics: Headline scores. `dice`, `iou`, `precision`, `recall`, `specificity`, `mcc`, what the chosen measures
            give, and, where there are probabilities, `auc`, `average_precision` and `calibration_error`: means over
            the mapped classes; `accuracy` is the share of right pixels over all classes; and `<score>/<class>` each.
        other: The same for the region that was not chosen, by its name; empty when there is none.
        per_image: A row for each image, class and region: `dataset`, `image`, `class`, `region`, the scores, and the
            pixel counts `tp`, `fp`, `fn`, `tn`.
        per_class: A row for each class, region and `average`: the scores and, with resamples, the ends of their
            intervals, `<score>_low` and `<score>_high`. With several classes there are two more, whose `class` is
            `(macro)` (the mean over classes) and `(micro)` (all classes added up).
        confusion: Pixels of (true class, predicted class) in the chosen region, int64 CxC.
        classes: Titles of the confusion matrix, in the truth's words; the background first.
        roc: By class, what its ROC curve is made of; empty without probabilities.
        region: The region of `metrics`, `confusion` and `roc`.
        average: How `metrics` were averaged: `image` or `pooled`.
        micro: Headline scores of all classes added up, by score; empty with a single class.
        intervals: Low and high ends of the 95 % intervals of `metrics`, where there are some.
        tables: Further tables by name: `per_dataset` and, where they were asked for, `objects`, `object_confusion`,
            `union_iou` and `tags`.
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
    micro: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def named(self) -> dict[str, float]:
        """All scores by the names under which they are tracked.

        `test/…` are those of the chosen region, `test_<region>/…` of the other one, `test_micro/…` of all classes
        added up, and `test_ci/<score>/low` and `…/high` the ends of the intervals of means over classes.
        """
        named = {f"test/{key}": value for key, value in self.metrics.items()}
        named |= {f"test_{region}/{key}": value for region, found in self.other.items() for key, value in found.items()}
        named |= {f"test_micro/{key}": value for key, value in self.micro.items()}
        for key, (low, high) in self.intervals.items():
            if "/" not in key:
                named |= {f"test_ci/{key}/low": low, f"test_ci/{key}/high": high}
        return named


def evaluate(
    truth: Path,
    prediction: Path,
    classes_mapping: Mapping[str, str],
    *,
    background: tuple[str, str] | None = None,
    neutral: str = "neutral",
    region: Region = "whole_frame",
    average: Average = "image",
    plan: Plan | None = None,
    pictures: int = 0,
    output: Path | None = None,
    parts: Path | None = None,
    reporter: Reporter = SILENT,
) -> Scores:
    """Scores a project with predictions against an annotated one, in one pass over the images.

    Both projects are drawn as class indices in painter's order, the background's own objects first; classes that the
    mapping does not name are not drawn. Scores are means over images of each image's score, or come from the pixels of
    all images pooled; those of probabilities and of objects are always pooled.

    Args:
        truth: Folder of the annotated project. Where all its images have a side file `field_of_view`, both regions
            are scored.
        prediction: Folder of the project with predictions; may be the same. Where all its images have the side file
            `probability_<n>` (n is the predicted class's place in the project's list of classes; PNG, 16 bits, grey,
            value / 65535), the scores of probabilities are computed.
        classes_mapping: Title in the truth to title in the prediction.
        background: The background's titles in truth and prediction: left out of the scores, but part of the confusion
            matrix and of the accuracy. Pixels that nothing covers are background in any case.
        neutral: Title of the truth's class whose pixels do not count.
        region: Where the headline scores are taken: `whole_frame` or `field_of_view`.
        average: `image` (mean over images of per-image scores) or `pooled` (counts summed over images first).
        plan: Which measures are taken besides those of pixels, and from how many samples intervals come; by default
            none.
        pictures: How many comparison pictures are reported: the worst, the best, the second worst … by Dice.
        output: Folder that receives tables and plots (`report.write_scores`); None writes nothing.
        parts: File that receives the parts of a page (`html_report.read_report`); None makes none.
        reporter: Gets pictures `predictions/<dataset>/<image's stem>`, the same as a series `test/…` at step 0,
            progress, and notes on what was left out.

    Raises:
        InvalidRequestError: Tells every class, tag and measure that is unknown, and every class named twice.
        DataError: Tells every image that is missing, cannot be read or has another size.
    """
    if region not in REGIONS or average not in ("image", "pooled"):
        raise ValueError(f"region is one of {REGIONS} and average 'image' or 'pooled', not {region!r} and {average!r}")
    comparison, notes = plan_comparison(truth, prediction, classes_mapping, background, neutral, region)
    for note in notes:
        reporter.message(f"evaluate: {note}", "warning")
    plan = _fitting(plan or Plan(), comparison)
    tallies, tags = _count(comparison, plan, reporter)
    summaries = {name: tables.summarise(tally, plan.resamples) for name, tally in tallies.items()}
    scores = _scores(comparison, tallies, summaries, tags, plan, region, average)
    _warn_of_unrated(tallies[region], reporter)
    if output is not None:
        write_scores(scores, output)
        for name, table in scores.tables.items():
            write_bytes(output / f"{name}.csv", table.to_csv(index=False).encode())
    dice = mean(summaries[region].statistics["dice"].by_image[:, :-1], axis=1)
    shown = show_images(comparison, dice, region, pictures, reporter, page=parts is not None)
    if parts is not None:
        write_report(parts, build_report(scores, shown, len(comparison.pairs)))
    return scores


def _fitting(plan: Plan, comparison: Comparison) -> Plan:
    """The plan with its measures and tags looked up in the projects.

    Raises:
        InvalidRequestError: Tells everything that is unknown.
    """
    problems = Problems()
    true, predicted = comparison.truth, comparison.prediction
    known = {project.path: tuple(tag.name for tag in project.meta.tags) for project in (true, predicted)}
    for ours, theirs in plan.tags.mapping.items():
        for project, tag in ((true, ours), (predicted, theirs)):
            if tag not in known[project.path]:
                problems.unknown("tags_mapping", tag, known[project.path], f"tag of {project.name}")
    name = plan.objects.confidence_tag_name
    if name is None:
        name = _CONFIDENCE if _CONFIDENCE in known[predicted.path] else None
    elif name not in known[predicted.path]:
        problems.unknown("confidence_tag_name", name, known[predicted.path], f"tag of {predicted.name}")
    problems.raise_if_any(f"{predicted.path} cannot be scored against {true.path}")
    objects = replace(plan.objects, confidence_tag_name=name)
    return replace(plan, measures=chosen_measures(plan.measures), objects=objects)


def _count(comparison: Comparison, plan: Plan, reporter: Reporter) -> tuple[dict[str, Tally], Counts]:
    """Counts all images; by region, and their tags."""
    classes, images = len(comparison.classes.titles), len(comparison.pairs)
    rated = bool(comparison.probability_folders)
    tallies = {name: Tally(classes, images, rated, plan) for name in comparison.regions}
    tags = np.zeros((4, len(plan.tags.mapping)), dtype=np.int64)
    wrong: list[str] = []
    counted = track(_counted(comparison, plan), reporter, "evaluate", total=images, unit="img")
    for (item, _), found in zip(comparison.pairs, counted, strict=True):
        if isinstance(found, DataError):
            wrong.append(str(found))
            continue
        for name, tally in tallies.items():
            tally.add(item.dataset, found.regions[name])
        tags += np.stack([found.tags.tp, found.tags.fp, found.tags.fn, found.tags.tn])
    for tally in tallies.values():
        tally.finish()
    if wrong:
        raise DataError("\n  - ".join([f"{comparison.prediction.path} cannot be scored:", *wrong]))
    return tallies, Counts(*tags)


def _counted(comparison: Comparison, plan: Plan) -> Iterator[ImageCounts | DataError]:
    """The images in their order, several at once: decoding and drawing leave Python's lock alone most of the time."""

    def count(pair: tuple[Item, Item]) -> ImageCounts | DataError:
        try:
            return count_image(comparison.read(pair, objects=objects), comparison.classes, plan)
        except DataError as error:
            return error

    objects = any(MEASURES[name].count is None for name in plan.measures)
    threads = max(1, min(_MOST_THREADS, os.cpu_count() or 1))
    waiting: deque[tuple[int, Future[ImageCounts | DataError]]] = deque()
    with ThreadPoolExecutor(threads, "segsweep-evaluate") as pool:
        try:
            for pair in comparison.pairs:
                pixels = _pixels(pair[0].image_path)
                while waiting and (
                    len(waiting) >= 2 * threads or pixels + sum(size for size, _ in waiting) > _MOST_PIXELS
                ):
                    yield waiting.popleft()[1].result()
                waiting.append((pixels, pool.submit(count, pair)))
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _pixels(path: Path) -> int:
    """The size of an image; 0 for one that cannot be read, which is told where it is counted."""
    try:
        return math.prod(image_size(path))
    except DataError:
        return 0


def _scores(
    comparison: Comparison,
    tallies: Mapping[str, Tally],
    summaries: Mapping[str, tables.Summary],
    tags: Counts,
    plan: Plan,
    region: str,
    average: str,
) -> Scores:
    import pandas as pd

    titles = comparison.classes.titles
    scored = titles[1:]
    names = [region, *(name for name in tallies if name != region)]
    items = [item for item, _ in comparison.pairs]
    found = {name: tables.headline(summaries[name], scored, average) for name in names}
    each = [(tallies[name], summaries[name], name) for name in names]
    further = {"per_dataset": [tables.dataset_table(tally, scored, name) for tally, _, name in each]}
    if "objects" in plan.measures:
        further["objects"] = [tables.object_table(tally, summary, scored, name) for tally, summary, name in each]
        further["object_confusion"] = [tables.object_confusion_table(tallies[region], scored)]
    if "union_iou" in plan.measures:
        further["union_iou"] = [tables.union_table(tally, summary, scored, name) for tally, summary, name in each]
    metrics = found[region].metrics
    if plan.tags.mapping:
        further["tags"] = [tables.tag_table(tags, plan.tags.mapping)]
        metrics |= tables.tag_metrics(tags, plan.tags.mapping)
    return Scores(
        metrics=metrics,
        other={name: found[name].metrics for name in names[1:]},
        per_image=pd.concat(
            [tables.image_table(tally, summary, scored, items, name) for tally, summary, name in each],
            ignore_index=True,
        ),
        per_class=pd.concat(
            [tables.class_table(summary, scored, name) for _, summary, name in each], ignore_index=True
        ),
        confusion=np.sum(tallies[region].confusions, axis=0),
        classes=titles,
        roc={titles[index]: counts for index, counts in tallies[region].roc.items()},
        region=region,
        average=average,
        micro=found[region].micro,
        intervals=found[region].intervals,
        tables={name: pd.concat(parts, ignore_index=True) for name, parts in further.items()},
    )


def _warn_of_unrated(tally: Tally, reporter: Reporter) -> None:
    unrated = sum(detections.unrated for _, detections in tally.detections)
    if tally.rated and unrated:
        reporter.message(
            f"evaluate: {unrated} predicted objects without a confidence are no part of object_ap", "warning"
        )
