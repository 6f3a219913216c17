"""Whole projects scored by what is asked for: tables, names, and what is told when it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from segsweep.annotation import (
    Annotation,
    ClassMeta,
    LabeledObject,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    Tag,
    TagMeta,
)
from segsweep.errors import InvalidRequestError
from segsweep.evaluation import MEASURES, ObjectSettings, Plan, Scores, ShapeSettings, TagSettings, evaluate
from segsweep.evaluation.measures import score_names
from segsweep.evaluation.scores import SCORES
from segsweep.evaluation.tags import TAG_SCORES
from segsweep.evaluation.tally import PROBABILITY_SCORES
from segsweep.reporting import ListReporter

from .projects import write_project

MAPPING = {"cat": "cat_unet", "dog": "dog_unet"}
SIZE = 40


def box(title: str, left: int, top: int, side: int = 9, confidence: float | None = None) -> LabeledObject:
    tags = () if confidence is None else (Tag("confidence", confidence),)
    return LabeledObject(title, Rectangle(left, top, left + side, top + side), tags)


def write_objects(
    path: Path, titles: list[str], images: dict[str, tuple[list[LabeledObject], list[Tag]]], *, confidence: bool = True
) -> Path:
    names = ["sharp", "sharp_net", *(["confidence"] if confidence else [])]
    meta = ProjectMeta(tuple(ClassMeta(title, "any") for title in titles), tuple(TagMeta(name) for name in names))
    with ProjectWriter(path, meta) as writer:
        for name, (objects, tags) in images.items():
            dataset, file = name.split("/")
            picture = np.zeros((SIZE, SIZE, 3), np.uint8)
            writer.add(dataset, file, Annotation(SIZE, SIZE, tuple(objects), tuple(tags)), picture)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two images: a cat found, a cat called a dog, a dog missed, a dog invented; an image with nothing."""
    truth = {
        "a/1.png": ([box("cat", 0, 0), box("cat", 20, 0), box("dog", 0, 20)], [Tag("sharp")]),
        "b/2.png": ([], []),
    }
    prediction = {
        "a/1.png": (
            [
                box("cat_unet", 1, 0, confidence=0.9),
                box("dog_unet", 20, 0, confidence=0.8),
                box("dog_unet", 20, 20, confidence=0.3),
            ],
            [Tag("sharp_net", 0.7)],
        ),
        "b/2.png": ([], [Tag("sharp_net", 0.2)]),
    }
    return (
        write_objects(tmp_path / "truth", ["cat", "dog"], truth),
        write_objects(tmp_path / "prediction", list(MAPPING.values()), prediction),
    )


def scored(folders: tuple[Path, Path], plan: Plan, **options: object) -> Scores:
    return evaluate(*folders, MAPPING, plan=plan, **options)


def test_objects_are_scored_as_the_plugins_did(folders: tuple[Path, Path]) -> None:
    scores = scored(folders, Plan(("objects",)))
    table = scores.tables["objects"].set_index("class")
    assert table.loc[["cat", "dog", "(micro)"], "matched"].tolist() == [1, 0, 1]
    assert pd.isna(table.loc["(macro)", "matched"])
    assert table.loc[["cat", "dog", "(micro)"], "predicted"].tolist() == [1, 2, 3]
    assert table.loc[["cat", "dog", "(micro)"], "true"].tolist() == [2, 1, 3]
    assert scores.metrics["object_precision"] == pytest.approx((1 + 0) / 2)
    assert scores.micro["object_recall"] == pytest.approx(1 / 3)
    confusion = scores.tables["object_confusion"]
    assert confusion.columns.tolist() == ["true class", "cat", "dog", "(false negatives)"]
    assert confusion.to_numpy().tolist() == [["cat", 1, 1, 0], ["dog", 0, 0, 1], ["(false positives)", 0, 1, 0]]
    # the dog that was a cat is filed under the cats, after the right one: a precision of 1 up to a recall of a half
    assert scores.metrics["object_ap/cat"] == pytest.approx(6 / 11)
    assert scores.metrics["object_ap/dog"] == 0
    assert scores.metrics["object_ap"] == pytest.approx(3 / 11)


def test_unsure_objects_take_no_part_in_average_precision_only(folders: tuple[Path, Path]) -> None:
    plan = Plan(("objects",), objects=ObjectSettings(confidence_threshold=0.95))
    scores = scored(folders, plan)
    assert scores.metrics["object_ap"] == 0
    assert scores.metrics["object_precision/cat"] == 1


def test_without_a_confidence_there_is_no_average_precision(tmp_path: Path) -> None:
    images = {"a/1.png": ([box("cat", 0, 0)], [])}
    truth = write_objects(tmp_path / "truth", ["cat"], images)
    found = {"a/1.png": ([box("c", 0, 0)], [])}
    plain = write_objects(tmp_path / "plain", ["c"], found, confidence=False)
    assert "object_ap" not in evaluate(truth, plain, {"cat": "c"}, plan=Plan(("objects",))).metrics
    tagged = write_objects(tmp_path / "tagged", ["c"], found)
    reporter = ListReporter()
    scores = evaluate(truth, tagged, {"cat": "c"}, plan=Plan(("objects",)), reporter=reporter)
    assert scores.metrics["object_ap"] == 0
    assert any("1 predicted objects without a confidence" in text for _, text in reporter.messages)


def test_components_are_objects_with_their_mean_probability(tmp_path: Path) -> None:
    truth_map, found_map = np.full((2, SIZE, SIZE), -1)
    truth_map[:10, :10] = truth_map[20:30, :10] = 0
    found_map[:10, :10] = found_map[30:, 30:] = 0
    levels = np.where(truth_map == 0, 60_000, 20_000).astype(np.uint16)
    truth = write_project(tmp_path / "truth", ["cat"], {"a/1.png": truth_map})
    sides = {"probability_0": {"a/1.png": levels}}
    prediction = write_project(tmp_path / "found", ["c"], {"a/1.png": found_map}, probabilities=sides)
    plan = Plan(("objects",), objects=ObjectSettings(source="components"))
    scores = evaluate(truth, prediction, {"cat": "c"}, plan=plan)
    assert (scores.metrics["object_precision"], scores.metrics["object_recall"]) == (0.5, 0.5)
    assert scores.metrics["object_ap"] == pytest.approx(6 / 11)
    annotated = evaluate(truth, prediction, {"cat": "c"}, plan=Plan(("objects",)))
    assert annotated.tables["objects"]["true"].tolist() == [1], "one bitmap is one object"


def test_the_union_of_objects_differs_where_one_hides_another(tmp_path: Path) -> None:
    images = {"a/1.png": ([box("cat", 0, 0), box("dog", 5, 0)], [])}
    truth = write_objects(tmp_path / "truth", ["cat", "dog"], images)
    found = {"a/1.png": ([box("cat_unet", 0, 0), box("dog_unet", 5, 0)], [])}
    turned = {"a/1.png": (found["a/1.png"][0][::-1], [])}
    same = write_objects(tmp_path / "same", list(MAPPING.values()), found)
    other = write_objects(tmp_path / "other", list(MAPPING.values()), turned)
    plan = Plan(("union_iou",))
    assert scored((truth, same), plan).metrics["iou"] == 1
    scores = scored((truth, other), plan)
    assert scores.metrics["union_iou"] == 1
    assert scores.metrics["iou"] == pytest.approx(0.5)
    table = scores.tables["union_iou"].set_index("class")
    assert table.loc["cat", ["mean_intersection", "mean_union", "iou"]].tolist() == [100, 100, 1]
    assert table.loc["(micro)", "mean_union"] == 200


def test_tags_of_images_are_scored_as_a_classification(folders: tuple[Path, Path]) -> None:
    scores = scored(folders, Plan(tags=TagSettings({"sharp": "sharp_net"}, threshold=0.5)))
    assert scores.metrics["tag_accuracy"] == scores.metrics["tag_f1/sharp"] == 1
    lenient = scored(folders, Plan(tags=TagSettings({"sharp": "sharp_net"})))
    assert lenient.metrics["tag_precision"] == 0.5
    assert lenient.tables["tags"]["fp"].tolist() == [1, 1]


def test_unknown_tags_and_measures_are_told(folders: tuple[Path, Path]) -> None:
    plan = Plan(objects=ObjectSettings(confidence_tag_name="confidenc"), tags=TagSettings({"shrp": "sharp_net"}))
    with pytest.raises(InvalidRequestError) as caught:
        scored(folders, plan)
    assert "unknown tag of prediction 'confidenc'; did you mean 'confidence'?" in str(caught.value)
    assert "unknown tag of truth 'shrp'; did you mean 'sharp'" in str(caught.value)
    with pytest.raises(InvalidRequestError, match=r"unknown measure 'hd59'; did you mean 'hd95'"):
        scored(folders, Plan(("hd59",)))


def test_all_measures_in_all_tables(folders: tuple[Path, Path], tmp_path: Path) -> None:
    plan = Plan(("all",), ShapeSettings(surface_tolerance=1), resamples=100)
    scores = scored(folders, plan, output=tmp_path / "out")
    names = score_names(MEASURES)
    assert {*names, "mcc", "object_ap"} <= scores.metrics.keys()
    assert {*names, *(f"{name}_low" for name in names)} <= set(scores.per_class.columns)
    assert set(names) <= set(scores.per_image.columns)
    per_dataset = pd.read_csv(tmp_path / "out" / "per_dataset.csv").set_index(["dataset", "class", "average"])
    assert per_dataset.loc[("b", "cat", "pooled"), "cldice"] == 1, "nothing there, nothing said"
    assert per_dataset.loc[("a", "(macro)", "image"), "images"] == 1
    total = scores.per_class.set_index(["class", "average"])
    assert total.loc[("cat", "image"), "hd95"] == pytest.approx(
        per_dataset.loc[[("a", "cat", "image"), ("b", "cat", "image")], "hd95"].mean()
    )
    for title in ("cat", "dog"):
        errors = [scores.metrics[f"error_{kind}/{title}"] for kind in ("boundary", "extent", "segment")]
        assert scores.metrics[f"iou/{title}"] + sum(errors) == pytest.approx(1)
    files = {path.stem for path in (tmp_path / "out").glob("*.csv")}
    assert {"per_dataset", "objects", "object_confusion", "union_iou"} <= files


def test_scores_are_named_for_tracking(folders: tuple[Path, Path]) -> None:
    named = scored(folders, Plan(("cldice",), resamples=100)).named()
    assert {
        "test/dice",
        "test/cldice/dog",
        "test_micro/dice",
        "test_ci/dice/low",
        "test_ci/cldice/high",
    } <= named.keys()
    assert not [key for key in named if key.startswith("test_ci/dice/cat")], "those of classes are in per_class.csv"


def test_pixels_that_do_not_count_leave_shapes_and_objects_alone(tmp_path: Path) -> None:
    truth_map = np.full((SIZE, SIZE), -1)
    truth_map[5:15, 5:15], truth_map[25:, :] = 0, 1  # the second class is neutral
    found_map = np.where(truth_map == 0, 0, -1)
    worse = found_map.copy()
    worse[30:35, 5:30] = 0
    maps = {"a/1.png": truth_map}
    truth = write_project(tmp_path / "truth", ["cat", "neutral"], maps)
    plan = Plan(("all",))
    for name, found in (("right", found_map), ("worse", worse)):
        prediction = write_project(tmp_path / name, ["c"], {"a/1.png": found})
        scores = evaluate(truth, prediction, {"cat": "c"}, plan=plan)
        assert (scores.metrics["hd95"], scores.metrics["cldice"], scores.metrics["object_precision"]) == (0, 1, 1)


def test_an_image_without_a_pixel_that_counts_has_no_scores(tmp_path: Path) -> None:
    neutral, some = np.full((SIZE, SIZE), 1), np.full((SIZE, SIZE), -1)
    some[:10, :10] = 0
    truth = write_project(tmp_path / "truth", ["cat", "neutral"], {"a/1.png": neutral, "a/2.png": some})
    prediction = write_project(tmp_path / "found", ["c"], {"a/1.png": some, "a/2.png": some})
    scores = evaluate(truth, prediction, {"cat": "c"}, plan=Plan(("all",), resamples=50))
    row = scores.per_image.iloc[0]
    assert row[["dice", "mcc", "hd95", "cldice", "union_iou", "object_recall", "error_segment"]].isna().all()
    assert scores.metrics["hd95"] == 0 and scores.metrics["dice"] == 1


def test_results_do_not_depend_on_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    maps = {f"d{n % 3}/{n}.png": random.integers(-1, 2, (9, 11)) for n in range(12)}
    other = {name: random.integers(-1, 2, (9, 11)) for name in maps}
    folders = (
        write_project(tmp_path / "truth", list(MAPPING), maps),
        write_project(tmp_path / "found", list(MAPPING.values()), other),
    )
    several = scored(folders, Plan(("all",)))
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    pd.testing.assert_frame_equal(scored(folders, Plan(("all",))).per_image, several.per_image)


def test_every_score_and_measure_is_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    names = {*MEASURES, *score_names(MEASURES), *SCORES, *PROBABILITY_SCORES, *(f"tag_{name}" for name in TAG_SCORES)}
    assert not [name for name in names if f"`{name}`" not in text]
