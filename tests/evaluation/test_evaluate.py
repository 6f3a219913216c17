from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from segsweep.errors import DataError, InvalidRequestError
from segsweep.evaluation import Scores, evaluate
from segsweep.files import encode_image
from segsweep.reporting import ListReporter

from .projects import write_project

MAPPING = {"cat": "cat_unet", "dog": "dog_unet"}
TRUTH = ["bg", "cat", "dog"]
PREDICTED = ["bg_unet", "cat_unet", "dog_unet"]
SHAPE = (7, 9)


def random_maps(seed: int, count: int = 3, classes: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {f"ds/{number}.png": random.integers(0, classes, SHAPE) for number in range(count)}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    truth = write_project(tmp_path / "truth", TRUTH, random_maps(0))
    return truth, write_project(tmp_path / "prediction", PREDICTED, random_maps(1))


def scored(folders: tuple[Path, Path], **options: object) -> Scores:
    return evaluate(*folders, MAPPING, background=("bg", "bg_unet"), **options)


index_maps = st.lists(arrays(np.int64, SHAPE, elements=st.integers(-1, 2)), min_size=2, max_size=2)


@settings(max_examples=15, deadline=None)
@given(index_maps, index_maps)
def test_pooled_scores_agree_with_sklearn(tmp_path_factory, truth, prediction) -> None:
    folder = tmp_path_factory.mktemp("pooled")
    name = [f"ds/{number}.png" for number in range(2)]
    paths = (
        write_project(folder / "truth", TRUTH, dict(zip(name, truth, strict=True))),
        write_project(folder / "prediction", PREDICTED, dict(zip(name, prediction, strict=True))),
    )
    scores = scored(paths, average="pooled")
    true, predicted = (np.maximum(np.stack(maps), 0).ravel() for maps in (truth, prediction))  # uncovered is background
    assert (scores.confusion == sklearn_metrics.confusion_matrix(true, predicted, labels=range(3))).all()
    assert scores.metrics["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(true, predicted))
    for index, title in enumerate(["cat", "dog"], start=1):
        if index in true or index in predicted:
            expected = sklearn_metrics.f1_score(true == index, predicted == index)
            assert scores.metrics[f"dice/{title}"] == pytest.approx(expected)
        else:
            assert scores.metrics[f"dice/{title}"] == 1


def test_the_mean_over_images_is_the_mean_of_their_scores(folders: tuple[Path, Path]) -> None:
    scores = scored(folders)
    expected = [
        sklearn_metrics.f1_score(truth.ravel() == 1, predicted.ravel() == 1)
        for truth, predicted in zip(random_maps(0).values(), random_maps(1).values(), strict=True)
    ]
    assert scores.metrics["dice/cat"] == pytest.approx(np.mean(expected))
    assert scores.per_image.query("`class` == 'cat'")["dice"].tolist() == pytest.approx(expected)
    assert scores.metrics["dice"] == pytest.approx((scores.metrics["dice/cat"] + scores.metrics["dice/dog"]) / 2)
    assert scores.other == {}


def test_a_project_scores_its_own_predictions_by_their_names(tmp_path: Path) -> None:
    right = {"ds/a.png": np.zeros(SHAPE, int)}
    right["ds/a.png"][2:4] = 1  # index 1 is cat, index 2 its prediction
    half = {name: np.where(np.arange(SHAPE[1]) < 4, 2, indices) for name, indices in right.items()}
    path = write_project(tmp_path / "both", ["bg", "cat", "cat_unet"], half)
    scores = evaluate(path, path, {"cat": "cat_unet"})
    truth, predicted = half["ds/a.png"] == 1, half["ds/a.png"] == 2
    assert scores.metrics["recall"] == 0
    assert scores.confusion.tolist() == [
        [int((~truth & ~predicted).sum()), int(predicted.sum())],
        [int(truth.sum()), 0],
    ]


def test_neutral_pixels_do_not_count(tmp_path: Path) -> None:
    maps = {"ds/a.png": np.array([[0, 1, 2, 2], [0, 1, 2, 2]])}
    truth = write_project(tmp_path / "truth", ["bg", "cat", "neutral"], maps)
    wrong_only_there = {"ds/a.png": np.array([[0, 1, 0, 1], [0, 1, 1, 0]])}
    prediction = write_project(tmp_path / "prediction", ["bg_unet", "cat_unet"], wrong_only_there)
    scores = evaluate(truth, prediction, {"cat": "cat_unet"}, background=("bg", "bg_unet"))
    assert scores.metrics["dice"] == 1
    assert scores.confusion.sum() == 4


def test_fields_of_view_restrict_the_scores(tmp_path: Path) -> None:
    truth_maps, maps = random_maps(0), random_maps(1)
    fields = {name: np.indices(SHAPE).sum(0) < 8 for name in maps}
    truth = write_project(tmp_path / "truth", TRUTH, truth_maps, fields=fields)
    prediction = write_project(tmp_path / "prediction", PREDICTED, maps)
    scores = scored((truth, prediction), region="field_of_view")
    expected = sum(
        sklearn_metrics.confusion_matrix(truth_maps[name][fields[name]], maps[name][fields[name]], labels=range(3))
        for name in maps
    )
    assert (scores.confusion == expected).all()
    assert set(scores.other) == {"whole_frame"}


def test_a_field_of_view_that_some_images_lack_is_refused_as_the_headline(tmp_path: Path) -> None:
    fields = {"ds/0.png": np.ones(SHAPE, bool)}
    folders = (
        write_project(tmp_path / "truth", TRUTH, random_maps(0), fields=fields),
        write_project(tmp_path / "prediction", PREDICTED, random_maps(1)),
    )
    with pytest.raises(DataError, match=r"no field of view for ds/1.png, ds/2.png"):
        scored(folders, region="field_of_view")
    reporter = ListReporter()
    assert scored(folders, reporter=reporter).other == {}
    assert any(level == "warning" and "ds/1.png" in text for level, text in reporter.messages)


def test_an_empty_field_of_view_is_refused(tmp_path: Path) -> None:
    fields = {name: np.zeros(SHAPE, bool) for name in random_maps(0)}
    folders = (
        write_project(tmp_path / "truth", TRUTH, random_maps(0), fields=fields),
        write_project(tmp_path / "prediction", PREDICTED, random_maps(1)),
    )
    with pytest.raises(DataError, match="no pixel lies in the field of view"):
        scored(folders)


def test_auc_comes_from_the_kept_probabilities(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    truth_maps = random_maps(0)
    levels = {
        name: np.clip(random.normal(25_000 + 15_000 * (indices == 2), 12_000), 0, 65_535).astype(np.uint16)
        for name, indices in truth_maps.items()
    }
    truth = write_project(tmp_path / "truth", TRUTH, truth_maps)
    prediction = write_project(
        tmp_path / "prediction", PREDICTED, random_maps(1), probabilities={"probability_2": levels}
    )
    scores = scored((truth, prediction))
    positive = np.concatenate([(indices == 2).ravel() for indices in truth_maps.values()])
    probability = np.concatenate([levels[name].ravel() for name in truth_maps])
    assert scores.metrics["auc/dog"] == pytest.approx(sklearn_metrics.roc_auc_score(positive, probability))
    assert list(scores.roc) == ["dog"]


def test_a_probability_map_of_another_kind_is_refused(tmp_path: Path) -> None:
    truth = write_project(tmp_path / "truth", TRUTH, random_maps(0))
    eight_bits = {name: np.zeros(SHAPE, np.uint8) for name in random_maps(0)}
    maps = {"probability_1": eight_bits}
    prediction = write_project(tmp_path / "prediction", PREDICTED, random_maps(1), probabilities=maps)
    with pytest.raises(DataError, match="one channel of 16 bits") as caught:
        scored((truth, prediction))
    assert str(caught.value).count("probability_1") == 3, "every image is told"


def test_a_cut_off_probability_map_is_refused_and_not_filled_up(tmp_path: Path) -> None:
    noise = np.random.default_rng(3)
    levels = {name: noise.integers(0, 65_536, SHAPE).astype(np.uint16) for name in random_maps(0)}
    truth = write_project(tmp_path / "truth", TRUTH, random_maps(0))
    maps = {"probability_1": levels}
    prediction = write_project(tmp_path / "prediction", PREDICTED, random_maps(1), probabilities=maps)
    path = prediction / "ds" / "probability_1" / "1.png.png"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"1\.png\.png: is damaged"):
        scored((truth, prediction))


def test_wrong_classes_are_told_together_with_the_nearest(folders: tuple[Path, Path]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        evaluate(*folders, {"cta": "cat_unet", "dog": "cat_unet", "cat": "dgo_unet"})
    text = str(caught.value)
    assert "unknown class of truth 'cta'; did you mean 'cat'?" in text
    assert "unknown class of prediction 'dgo_unet'; did you mean 'dog_unet'" in text
    assert "'cat_unet' stands for more than one class" in text
    with pytest.raises(InvalidRequestError, match="names no class besides the background"):
        evaluate(*folders, {"bg": "bg_unet"}, background=("bg", "bg_unet"))


def test_missing_images_and_other_sizes_are_told_together(tmp_path: Path) -> None:
    truth = write_project(tmp_path / "truth", TRUTH, random_maps(0))
    maps = random_maps(1)
    del maps["ds/1.png"]
    maps["ds/2.png"] = np.zeros((4, 4), int)
    prediction = write_project(tmp_path / "prediction", PREDICTED, maps)
    with pytest.raises(DataError) as caught:
        scored((truth, prediction))
    assert "lacks ds/1.png" in str(caught.value)
    assert "has 4x4 pixels, but the truth has 9x7" in str(caught.value)


def test_damaged_annotations_are_told_together(folders: tuple[Path, Path]) -> None:
    for name in ("0.png", "2.png"):
        (folders[1] / "ds" / "ann" / f"{name}.json").write_text("{")
    with pytest.raises(DataError) as caught:
        scored(folders)
    assert "0.png.json" in str(caught.value)
    assert "2.png.json" in str(caught.value)


def test_pictures_of_equal_stems_keep_their_extensions(tmp_path: Path) -> None:
    maps = {"ds/a.png": random_maps(0)["ds/0.png"], "ds/a.bmp": random_maps(1)["ds/0.png"]}
    folders = (
        write_project(tmp_path / "truth", TRUTH, maps),
        write_project(tmp_path / "prediction", PREDICTED, maps),
    )
    reporter = ListReporter()
    scored(folders, pictures=5, reporter=reporter)
    assert sorted(name for name, _, step in reporter.images if step is None) == [
        "predictions/ds/a.bmp",
        "predictions/ds/a.png",
    ]


def test_evaluating_leaves_no_pyplot_state(folders: tuple[Path, Path], tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    scored(folders, output=tmp_path / "out")
    assert plt.get_fignums() == before
    assert (tmp_path / "out" / "confusion_matrix.png").read_bytes()[:4] == encode_image(np.zeros((1, 1), np.uint8))[:4]


def test_written_tables_hold_the_scores(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scores = scored(folders, output=tmp_path / "out")
    per_image = pd.read_csv(tmp_path / "out" / "per_image.csv")
    assert per_image.groupby("class")["dice"].mean()["dog"] == pytest.approx(scores.metrics["dice/dog"])
    per_class = pd.read_csv(tmp_path / "out" / "per_class.csv").set_index(["class", "average"])
    assert per_class.loc[("cat", "image"), "iou"] == pytest.approx(scores.metrics["iou/cat"])
    matrix = pd.read_csv(tmp_path / "out" / "confusion_matrix.csv", index_col="true class")
    assert list(matrix.index) == list(matrix.columns) == TRUTH
    assert (matrix.to_numpy() == scores.confusion).all()


def test_importing_the_package_imports_no_pandas_and_no_matplotlib() -> None:
    code = "import sys, segsweep.evaluation; print({'pandas', 'matplotlib', 'mlflow', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
