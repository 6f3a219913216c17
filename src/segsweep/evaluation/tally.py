"""What is counted: of one image by `count_image`, of all of a region's images by a `Tally`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.auc import BINS, RocCounts
from segsweep.evaluation.cases import Case, ShapeSettings
from segsweep.evaluation.comparison import ClassPairs, Maps
from segsweep.evaluation.counts import Counts, confusion_matrix
from segsweep.evaluation.measures import MEASURES, count_shapes
from segsweep.evaluation.objects import (
    Detections,
    ObjectCounts,
    ObjectSettings,
    Piece,
    annotated_pieces,
    connected_pieces,
    count_objects,
    union_parts,
)
from segsweep.evaluation.tags import TagSettings, count_tags

__all__ = ["PROBABILITY_SCORES", "ImageCounts", "Plan", "RegionCounts", "Tally", "count_image", "probability_scores"]

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

PROBABILITY_SCORES = ("auc", "average_precision", "calibration_error")
"""Attributes of `RocCounts`."""
_MOST_LEVELS = 512
_MOST_BYTES = 2**28
"""Of the histograms by image that are kept to draw samples from."""


@dataclass(frozen=True)
class Plan:
    """What is to be counted.

    Attributes:
        measures: Names in `MEASURES`.
        shapes: Widths and tolerances of measures of shapes.
        objects: How objects are compared; its `confidence_tag_name` is there.
        tags: Which tags of images are compared.
        resamples: Of the bootstrap; 0 keeps nothing for it.
    """

    measures: tuple[str, ...] = ()
    shapes: ShapeSettings = field(default_factory=ShapeSettings)
    objects: ObjectSettings = field(default_factory=ObjectSettings)
    tags: TagSettings = field(default_factory=TagSettings)
    resamples: int = 0


@dataclass(frozen=True)
class RegionCounts:
    """One image in one region.

    Attributes:
        confusion: Pixels of (true class, predicted class), int64 CxC.
        parts: By measure, the parts of every scored class; float64 (C - 1)x(1 + parts).
        roc: By class index, the pixels of each probability.
        probability: `probability_scores` of these.
        objects: What was counted of objects, if it was.
    """

    confusion: NDArray[np.int64]
    parts: Mapping[str, Values]
    roc: Mapping[int, RocCounts]
    probability: Values
    objects: ObjectCounts | None


@dataclass(frozen=True)
class ImageCounts:
    """One image: by region, and its tags (arrays of as many items as tags are compared)."""

    regions: Mapping[str, RegionCounts]
    tags: Counts


def probability_scores(roc: Mapping[int, RocCounts], classes: int) -> Values:
    """`PROBABILITY_SCORES` of each scored class and, in the last column, of all together; (3, C), NaN where unknown."""
    values = np.full((len(PROBABILITY_SCORES), classes), np.nan)
    if roc:
        for index, counts in (*roc.items(), (0, reduce(add, roc.values()))):
            values[:, index - 1] = [getattr(counts, name) for name in PROBABILITY_SCORES]  # index 0 is the last column
    return values


def count_image(maps: Maps, classes: ClassPairs, plan: Plan) -> ImageCounts:
    """Counts one image in every region."""
    regions = {name: _count_region(maps, valid, classes, plan) for name, valid in maps.valid.items()}
    true, predicted = maps.annotations
    return ImageCounts(regions, count_tags(true.tags, predicted.tags, plan.tags))


def _count_region(maps: Maps, valid: Mask | None, classes: ClassPairs, plan: Plan) -> RegionCounts:
    count = len(classes.titles)
    confusion = confusion_matrix(maps.truth, maps.prediction, count, valid)
    roc = {index: RocCounts.of(levels, maps.truth == index, valid) for index, levels in maps.probabilities.items()}
    probability = probability_scores(roc, count)
    parts = {name: np.zeros((count - 1, 1 + MEASURES[name].parts)) for name in plan.measures}
    if not confusion.sum():
        return RegionCounts(confusion, parts, roc, probability, None)
    if any(MEASURES[name].count is not None for name in plan.measures):
        for index in range(1, count):
            case = Case.of(maps.truth == index, maps.prediction == index, valid, plan.shapes)
            for name, values in count_shapes(case, plan.measures).items():
                parts[name][index - 1] = values
    annotated = _annotated(maps, valid, classes, plan) if {"objects", "union_iou"} & set(plan.measures) else ([], [])
    if "union_iou" in parts:
        for index in range(1, count):
            parts["union_iou"][index - 1] = 1, *union_parts(*annotated, index, maps.truth.shape)
    objects = None
    if "objects" in parts:
        if plan.objects.source == "components":
            annotated = _connected(maps, valid, count)
        objects = count_objects(*annotated, count, plan.objects)
        parts["objects"][:] = np.insert(objects.parts[1:], 0, 1, axis=1)
    return RegionCounts(confusion, parts, roc, probability, objects)


def _annotated(maps: Maps, valid: Mask | None, classes: ClassPairs, plan: Plan) -> tuple[list[Piece], list[Piece]]:
    true, predicted = maps.annotations
    return (
        annotated_pieces(true, classes.titles, valid),
        annotated_pieces(predicted, classes.predicted, valid, plan.objects.confidence_tag_name),
    )


def _connected(maps: Maps, valid: Mask | None, classes: int) -> tuple[list[Piece], list[Piece]]:
    return (
        connected_pieces(maps.truth, classes, valid, {}),
        connected_pieces(maps.prediction, classes, valid, maps.probabilities),
    )


class Tally:
    """What was counted in one region so far; images come one after another, those of a dataset together.

    Only what adds up is kept of an image, so memory does not grow with the size of images: a few numbers an image,
    and, for bootstrap samples of areas under curves, its histograms with fewer levels.

    Args:
        classes: The number of classes C, the background among them.
        images: How many images will come.
        probabilities: Whether there are maps of probabilities.
        plan: What is counted.
    """

    def __init__(self, classes: int, images: int, probabilities: bool, plan: Plan) -> None:
        self.scored = classes - 1
        self.datasets: list[str] = []
        """The dataset of each image."""
        self.confusions: list[NDArray[np.int64]] = []
        self.parts: dict[str, list[Values]] = {name: [] for name in plan.measures}
        self.roc: dict[int, RocCounts] = {}
        """Of all images, by class index."""
        self.probability: list[Values] = []
        """By image, `PROBABILITY_SCORES` of each class and of all classes together; (3, C)."""
        self.of_datasets: dict[str, Values] = {}
        """The same by dataset, for the pixels of all its images; complete after `finish`."""
        self.histograms: list[NDArray[np.uint32]] = []
        """By image, positives and negatives of each class; (C - 1, 2 x levels)."""
        self.calibration: list[Values] = []
        """By image, the parts of the calibration error of each class; (C - 1, 3 x bins)."""
        self.objects = np.zeros((classes, classes), dtype=np.int64)
        """`ObjectCounts.confusion` of all images."""
        self.detections: list[tuple[str, Detections]] = []
        """By image that has pixels that count, with its dataset."""
        components = plan.objects.source == "components"
        self.rated = "objects" in plan.measures and (
            probabilities if components else plan.objects.confidence_tag_name is not None
        )
        """Whether predicted objects have a confidence."""
        self._roc_of_dataset: dict[int, RocCounts] = {}
        self._levels = _MOST_LEVELS
        while self._levels > 32 and images * self.scored * 2 * self._levels * 4 > _MOST_BYTES:
            self._levels //= 2
        self._resampled = plan.resamples > 0

    def add(self, dataset: str, counts: RegionCounts) -> None:
        """Adds an image."""
        if self.datasets and self.datasets[-1] != dataset:
            self.finish()
        self.datasets.append(dataset)
        self.confusions.append(counts.confusion)
        for name, values in counts.parts.items():
            self.parts[name].append(values)
        if counts.roc:
            self._add_probabilities(counts.roc, counts.probability)
        if counts.objects is not None:
            self.objects += counts.objects.confusion
            self.detections.append((dataset, counts.objects.detections))

    def finish(self) -> None:
        """Ends a dataset; to be called after the last image."""
        if self._roc_of_dataset:
            self.of_datasets[self.datasets[-1]] = probability_scores(self._roc_of_dataset, self.scored + 1)
        self._roc_of_dataset = {}

    def _add_probabilities(self, roc: Mapping[int, RocCounts], scores: Values) -> None:
        for sums in (self.roc, self._roc_of_dataset):
            for index, counts in roc.items():
                sums[index] = sums[index] + counts if index in sums else counts
        self.probability.append(scores)
        if self._resampled:
            histograms = np.zeros((self.scored, 2 * self._levels), dtype=np.uint32)
            parts = np.zeros((self.scored, 3 * BINS))
            for index, counts in roc.items():
                histograms[index - 1] = counts.coarse(self._levels).ravel()
                parts[index - 1] = counts.calibration_parts().ravel()
            self.histograms.append(histograms)
            self.calibration.append(parts)
