"""What the stages compute is what was recorded for their versions; a change of results needs a new version.

Otherwise a result of an older version would be used again beside new ones. Where this fails, look at the first stage
that differs: if it is meant to, raise its number in `segsweep/versions.py`, and record here what it gives now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsweep import evaluations, stages, trainings
from segsweep.annotation import Project
from segsweep.annotation.geometry import area
from segsweep.config.compose import compose
from segsweep.errors import Problems
from segsweep.evaluations import Scored
from segsweep.files import digest_json, read_image
from segsweep.reporting import ListReporter
from segsweep.versions import VERSIONS

RECORDED: dict[str, tuple[int, str, list[float]]] = {
    "data": (
        1,
        "f2f8c45e",
        [2.0, 256.0, 288.0, 59.37283, 2279.0, 1.0, 256.0, 288.0, 61.72026, 1789.0, 1.0, 256.0, 288.0, 50.30959, 1785.0],
    ),
    "transform": (2, "b695c37c", [25.0, 220.64, 248.96, 74.66347, 57492.08]),
    "train": (3, "", [0.73624, 0.73944, 0.6924, 0.69634, 0.77014]),
    "predict": (3, "96e77913", [1.0, 256.0, 288.0, 50.30959, 75513.0]),
    "evaluate": (3, "", [0.08626, 0.04508, 0.09501, 0.07899, 0.06602, 0.04508, 0.06985, 29.0, 0.16489]),
}
"""Stage -> its version, a digest of the names and numbers that its result is made of."""
SCORES = ("dice", "iou", "precision", "recall", "mcc", "boundary_iou", "cldice", "hd95", "surface_dice")
REQUEST = [
    "experiments=vessels_quick",
    "data.width=288",
    "data.height=256",
    "data.images=2",
    "data.val_images=1",
    "data.test_images=1",
    "dtl.layers.multiply.settings.multiply=2",
    "dtl.workers=1",
    "model.width=2",
    "training.steps=4",
    "training.input_size.width=64",
    "training.precision=fp32",
    "inference.precision=fp32",
    "augmentation=retina",
]


@dataclass
class Told(ListReporter):
    """Hears of tables too, and forgets them."""

    def table(self, name: str, table: Any) -> None: ...


def names_in(path: Path) -> str:
    """A digest of the names of a project's images."""
    return digest_json(sorted(item.name for item in Project.open(path).items))[:8]


def numbers_in(path: Path) -> list[float]:
    """Images of a project, and their mean height, width, colour and area of objects: what JPEG's rounding keeps."""
    project = Project.open(path)
    rows = []
    for item in project.items:
        image = read_image(item.image_path)
        objects = item.annotation(project.meta).objects
        rows.append([*image.shape[:2], np.mean(image), sum(area(labeled.geometry) for labeled in objects)])
    return [float(len(rows)), *np.mean(rows, axis=0).tolist()]


def results(workspace: Path) -> Iterator[tuple[str, str, list[float]]]:
    problems = Problems()
    config: Any = compose("run", REQUEST, problems).config
    problems.raise_if_any("the request is wrong")
    told = Told()
    made = stages.prepare(workspace, config.data, told)
    yield "data", names_in(made.paths[made.train]), [n for path in made.paths.values() for n in numbers_in(path)]
    transformed = stages.transform(
        stages.plan_transform(workspace, config.dtl, made.paths, config.seed), config.dtl, told
    )
    yield "transform", names_in(transformed.result), numbers_in(transformed.result)
    trained = trainings.train(
        workspace,
        transformed.result,
        config.model,
        config.training,
        config.augmentation,
        start_model=None,
        seed=config.seed,
        reporter=told,
    )
    yield "train", "", [value for _, value in told.series("train/loss")] + [trained.last_metrics["val/loss"]]
    assert made.test is not None
    test = made.paths[made.test]
    predicted = stages.predict(workspace, trained.last, test, config.inference, probability_maps=True, reporter=told)
    yield "predict", names_in(predicted.result), numbers_in(predicted.result)
    other = stages.prepare(workspace / "other", {**config.data, "seed": 1}, told)
    assert other.test is not None
    scored = Scored.of(test, other.paths[other.test], {"vessel": "vessel"}, None, "neutral")
    metrics = evaluations.score(workspace, scored, config.evaluation, told).metrics
    yield "evaluate", "", [metrics[f"test/{key}/vessel"] for key in SCORES]


def test_results_are_those_of_their_versions(tmp_path: Path) -> None:
    for stage, names, numbers in results(tmp_path):
        version, recorded_names, recorded = RECORDED[stage]
        assert version == VERSIONS[stage], f"record what {stage} {VERSIONS[stage]} gives: {names!r}, {numbers}"
        assert names == recorded_names, f"{stage} gives other names"
        assert numbers == pytest.approx(recorded, rel=0.02, abs=1e-3), f"{stage} gives other results"
