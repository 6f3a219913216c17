"""The images that runs were tested on and their true classes, as far as they are still there and as they were."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segsweep.annotation import Item, Project, class_indices
from segsweep.comparison.intervals import Counted
from segsweep.comparison.panels import Indices, Mask, Original
from segsweep.errors import DataError
from segsweep.files import read_image, read_mask

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["Originals", "open_test_set"]


@dataclass(frozen=True)
class Originals:
    """The project that runs were tested on.

    Attributes:
        project: The project.
        test: What the runs' test counted there.
        background: Title of the background's class, if it has one.
        neutral: Title of the class whose pixels do not count.
    """

    project: Project
    test: Counted
    background: str | None
    neutral: str

    def original(self, place: int) -> Original:
        """The test's image of that place.

        Raises:
            DataError: It is not there any more, cannot be read, or is not what the runs were tested on.
        """
        dataset, name = self.test.images[place]
        item = next((item for item in self.project.items if (item.dataset, item.name) == (dataset, name)), None)
        if item is None:
            raise DataError(f"{self.project.path} has no image {dataset}/{name} any more")
        image, truth = read_image(item.image_path), self._truth(item)
        if image.shape[:2] != truth.shape or self._pixels(item, truth) != self._recorded(place):
            raise DataError(f"{item.image_path} was changed since the runs, or its annotation: its truth is not shown")
        counted = self._counted(item, truth)
        return Original(image, truth, None if counted.all() else counted)

    def _truth(self, item: Item) -> Indices:
        annotation = item.annotation(self.project.meta)
        indices = {title: place for place, title in enumerate(self.test.classes, 1)}
        indices[self.neutral] = len(indices) + 1
        if self.background is not None:
            indices[self.background] = 0
        known = tuple(labeled for labeled in annotation.objects if labeled.class_title in indices)
        drawn = class_indices(replace(annotation, objects=known), indices, background_title=self.background)
        return drawn.astype(np.uint8)

    def _counted(self, item: Item, truth: Indices) -> Mask:
        counted = truth <= len(self.test.classes)
        if self.test.region == "field_of_view":
            side = item.side_path("field_of_view")
            if side is None:
                raise DataError(f"{item.image_path}: its field of view is gone")
            field = read_mask(side) > 127
            counted &= field if field.ndim == 2 else field.any(axis=2)
        return counted

    def _pixels(self, item: Item, truth: Indices) -> list[int]:
        """Pixels of each class that count."""
        counts = np.bincount(truth[self._counted(item, truth)], minlength=len(self.test.classes) + 1)
        return [int(count) for count in counts[1:]]

    def _recorded(self, place: int) -> list[int]:
        return [int(count) for count in (self.test.counts.tp + self.test.counts.fn)[place]]


def open_test_set(runs: Iterable[Run], test: Counted) -> tuple[Originals | None, str]:
    """The first recorded test project that can still be opened, or why there is none."""
    reasons: dict[Path, str] = {}
    for run in runs:
        path = _recorded_path(run)
        if path is None or path in reasons:
            continue
        try:
            project = Project.open(path)
        except DataError as error:
            reasons[path] = str(error).splitlines()[0]
            continue
        params = run.data.params
        background = params.get("training.special_classes.background")
        neutral = params.get("training.special_classes.neutral", "neutral")
        return Originals(project, test, background, neutral), ""
    told = "; ".join(reasons.values()) or "no run has recorded where they lie"
    return None, f"inputs and truth are not shown: {told}"


def _recorded_path(run: Run) -> Path | None:
    """Where the run's test set lay, if it was a folder."""
    for used in run.inputs.dataset_inputs:
        if any(tag.key == "mlflow.data.context" and tag.value == "test" for tag in used.tags):
            try:
                uri = json.loads(used.dataset.source)["uri"]
            except (ValueError, KeyError, TypeError):
                return None
            return Path(uri) if isinstance(uri, str) and "://" not in uri else None
    return None
