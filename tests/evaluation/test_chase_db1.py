from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.evaluation import Scores, evaluate
from segsweep.reporting import ListReporter

from .projects import write_observer


@dataclass(frozen=True)
class Observers:
    scores: Scores
    reporter: ListReporter
    output: Path
    truth: Path
    prediction: Path


@pytest.fixture(scope="module")
def observers(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Observers:
    """The second observer as a prediction, scored against the first."""
    folder = tmp_path_factory.mktemp("observers")
    chase = shared / "data" / "chase_db1"
    truth = write_observer(chase, "first_observer", "1stHO", "vessel", folder / "first")
    prediction = write_observer(chase, "second_observer", "2ndHO", "vessel_unet", folder / "second")
    reporter = ListReporter()
    scores = evaluate(
        truth, prediction, {"vessel": "vessel_unet"}, pictures=3, output=folder / "evaluation", reporter=reporter
    )
    return Observers(scores, reporter, folder / "evaluation", truth, prediction)


def test_the_second_observer_reaches_the_known_dice(observers: Observers) -> None:
    assert observers.scores.metrics["dice"] == pytest.approx(0.7681, abs=1e-4)
    assert observers.scores.metrics["dice/vessel"] == observers.scores.metrics["dice"]


def test_both_regions_are_scored_where_fields_of_view_exist(observers: Observers) -> None:
    scores = observers.scores
    assert set(scores.other) == {"field_of_view"}
    assert scores.other["field_of_view"].keys() == scores.metrics.keys()
    assert scores.other["field_of_view"]["specificity"] < scores.metrics["specificity"]  # fewer easy pixels
    assert list(scores.per_image["region"].unique()) == ["whole_frame", "field_of_view"]
    assert len(scores.per_image) == 2 * 20


def test_the_field_of_view_can_be_the_headline(observers: Observers) -> None:
    scores = evaluate(observers.truth, observers.prediction, {"vessel": "vessel_unet"}, region="field_of_view")
    assert scores.metrics == observers.scores.other["field_of_view"]
    assert scores.other["whole_frame"] == observers.scores.metrics
    assert scores.confusion.sum() < observers.scores.confusion.sum()


def test_blurred_masks_give_an_auc(observers: Observers) -> None:
    assert 0.9 < observers.scores.metrics["auc"] < 1
    assert observers.scores.metrics["auc/vessel"] == observers.scores.metrics["auc"]


def test_pictures_come_worst_and_best_in_turns(observers: Observers) -> None:
    table = observers.scores.per_image.query("region == 'whole_frame'").sort_values("dice")
    stems = [name.removesuffix(".jpg") for name in table["image"]]
    expected = [f"predictions/ds0/{stem}" for stem in (stems[0], stems[-1], stems[1])]
    images = observers.reporter.images
    assert [name for name, _, step in images if step is None] == expected
    assert [name.replace("test", "predictions", 1) for name, _, step in images if step == 0] == expected
    assert all(picture.dtype == np.uint8 and picture.ndim == 3 for _, picture, _ in observers.reporter.images)


def test_tables_and_plots_are_written(observers: Observers) -> None:
    found = {path.name for path in observers.output.iterdir()}
    assert {"per_image.csv", "per_class.csv", "per_dataset.csv"} <= found
    assert {"confusion_matrix.csv", "confusion_matrix.png", "roc.png"} <= found
    for path in observers.output.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 300
