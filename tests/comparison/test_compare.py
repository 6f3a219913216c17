"""Who won: the places, what differs, the three files, and the page."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from segsweep.comparison import Selection, choose, write_comparison
from segsweep.comparison.compared import Compared, compare, seed_scatter
from segsweep.comparison.importance import importance
from segsweep.comparison.leaderboard import duration, lower_is_better
from segsweep.comparison.masks import gather
from segsweep.comparison.reading import Files
from segsweep.comparison.settings import differing
from segsweep.errors import TrackingError, UnknownNameError
from segsweep.files import write_image

from .lab import Lab


def compared(lab: Lab, selection: Selection | None = None, score: str | None = None) -> Compared:
    chosen = choose(lab.store, selection or Selection())
    return compare(chosen, Files(chosen.client, lab.store.workspace), score=score)


@pytest.fixture(scope="module")
def written(swept: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Compared]:
    folder = tmp_path_factory.mktemp("written")
    return folder, write_comparison(swept.store, Selection(sweep="last"), folder, images=4, masks=3)


def test_the_best_comes_first_and_others_are_worse_or_as_good(swept: Lab) -> None:
    found = compared(swept, Selection(sweep="last"))
    assert [(item.name, item.also) for item in found.settings][:2] == [("lr", ("training.lr_cycles",)), ("seed", ())]
    best = found.places[0]
    assert found.frame.set_index("run_id").loc[best.run_id, "training.lr"] == 0.01
    assert best.verdict == "best" and best.interval.low < best.score < best.interval.high
    assert [place.rank for place in found.places] == [*range(1, 7), None], "the failed one is last, without a rank"
    scores = [place.score for place in found.scored]
    assert scores == sorted(scores, reverse=True)
    assert {place.verdict for place in found.scored[2:]} == {"worse"}, "0.05 against 0.3 wrong is no chance"
    for place in found.scored[1:]:
        assert place.difference == pytest.approx(place.score - best.score)


def test_the_interval_of_a_run_is_made_of_its_own_images(swept: Lab) -> None:
    found = compared(swept, Selection(sweep="last"))
    place = found.scored[-1]
    images = found.tested[place.run_id].by_image("dice")
    assert images.mean() == pytest.approx(place.score, abs=1e-9)
    assert images.min() < place.interval.low < place.interval.high < images.max()


def test_another_score_decides_where_it_is_asked_for(swept: Lab) -> None:
    found = compared(swept, Selection(sweep="last"), "val/loss")
    losses = [place.score for place in found.scored]
    assert losses == sorted(losses) and lower_is_better("val/loss")
    assert all(place.interval is None and place.verdict in {"best", ""} for place in found.scored)
    with pytest.raises(UnknownNameError, match="no run has the score 'test/dise'; did you mean 'test/dice'"):
        compared(swept, Selection(sweep="last"), "test/dise")
    with pytest.raises(TrackingError, match="no runs to compare: runs where"):
        compared(swept, Selection(filter="params.seed = '99'"))


def test_seeds_scatter_less_than_settings(swept: Lab) -> None:
    found = compared(swept, Selection(sweep="last"))
    deviation, freedom = seed_scatter(found)
    pairs = found.alike_rows.groupby("training.lr")["test/dice"]
    assert deviation == pytest.approx(np.sqrt(pairs.var(ddof=1).mean())) and freedom == 3
    assert seed_scatter(compared(swept, Selection(filter="params.seed = '0'"))) is None


def test_runs_of_different_tests_are_not_compared(lab: Lab) -> None:
    other = Lab(lab.store, ("vessel",), 4, "elsewhere")
    for error in (0.1, 0.2, 0.3):
        lab.run(f"here {error}", error, {"a": error})
    for error in (0.05, 0.4):
        other.run(f"there {error}", error, {"a": error})
    lab.run("pooled", 0.02, {"a": 0.02}, average="pooled")
    found = compared(lab)
    assert [place.test for place in found.places] == [0, 0, 0, 1, 1, 2]
    assert [place.rank for place in found.places] == [1, 2, 3, 1, 2, 1]
    assert [place.verdict for place in found.places] == ["best", "worse", "worse", "best", "worse", ""]
    assert all(place.difference is None for place in found.places if place.rank == 1)
    write_comparison(lab.store, Selection(), lab.store.workspace / "out")
    table = pd.read_csv(lab.store.workspace / "out" / "leaderboard.csv")
    assert table["test_set"].tolist() == ["A", "A", "A", "B", "B", "C"]
    page = (lab.store.workspace / "out" / "comparison.html").read_text()
    assert "Test B: test/dice on 4 test images" in page
    assert "pixels of all images pooled" in page


def test_a_table_of_images_that_does_not_fit_the_score_gives_no_interval(lab: Lab) -> None:
    run = lab.run("one", 0.2, {"a": 1})
    lab.run("two", 0.2, {"a": 2})
    lab.store.client.log_metric(run, "test/dice", 0.99, step=1)
    found = compared(lab)
    assert found.places[0].run_id == run and found.places[0].interval is None
    assert found.places[1].interval is not None and found.places[1].difference_interval is None


def test_a_damaged_table_is_told_and_left_out(lab: Lab) -> None:
    run = lab.run("one", 0.2, {"a": 1})
    lab.run("two", 0.3, {"a": 2})
    [table] = lab.store.workspace.glob(f"mlartifacts/*/{run}/artifacts/evaluation/per_image.csv")
    table.write_text("dataset,image\nds0,im\n")
    found = compared(lab)
    assert len(found.notes) == 1 and "per_image.csv of run one cannot be read" in found.notes[0]
    assert [place.rank for place in found.places] == [1, 1], "without its images nobody knows what it was tested on"


def test_three_files_say_the_same(written: tuple[Path, Compared]) -> None:
    folder, found = written
    assert {path.name for path in folder.iterdir()} == {"leaderboard.csv", "leaderboard.md", "comparison.html"}
    table = pd.read_csv(folder / "leaderboard.csv")
    assert len(table) == 7
    assert {"rank", "run", "status", "training.lr", "test/dice", "test/dice low", "test/dice high"} <= set(table)
    assert {"difference", "difference low", "difference high", "verdict", "seconds", "reason", "run_id"} <= set(table)
    assert table["training.lr"].iloc[0] == 0.01 and table["rank"].iloc[0] == 1
    assert table["status"].iloc[-1] == "FAILED" and "the loss is no number" in table["reason"].iloc[-1]
    text = (folder / "leaderboard.md").read_text()
    rows = pd.read_csv(io.StringIO(text.replace(" ", "")), sep="|", skiprows=[1]).iloc[:, 1:-1]
    assert len(rows) == 7 and rows["test/dice"].iloc[0] == pytest.approx(table["test/dice"].iloc[0], abs=1e-4)
    assert found.labels()[table["run_id"].iloc[0]] in (folder / "comparison.html").read_text()


def test_the_page_opens_offline_and_is_small_enough(written: tuple[Path, Compared]) -> None:
    page = (written[0] / "comparison.html").read_text()
    assert len(page) < 15_000_000
    ours = page[page.index("<main>") : page.index("</main>")]
    outside = re.findall(r'(?:src|href)="(?!data:|#|http://127\.0\.0\.1:5000/#/experiments/)[^"]*"', ours)
    assert not outside, "links lead to the runs in MLflow, all else is in the page"
    for title in ("Leaderboard", "Score against each setting", "Masks side by side", "Learning curves", "Cost"):
        assert f"<h2>{title}</h2>" in page
    assert page.count("<article") == 4 and page.count('<figure class="picture"') == 4 * (3 + 3)
    assert "3 of 6 runs are shown" in page
    assert "Runs that differ in nothing but the seed scatter by" in page


def test_names_from_runs_are_text_in_the_page_and_the_table(lab: Lab) -> None:
    evil = '<script>alert("x")</script>|`a`'
    lab.run(evil, 0.1, {"note": evil, "b": 1})
    lab.run("two", 0.2, {"note": "</script><img src=x onerror=alert(1)>", "b": 2})
    write_comparison(lab.store, Selection(), lab.store.workspace / "out")
    page = (lab.store.workspace / "out" / "comparison.html").read_text()
    assert "<script>alert" not in page and "<img src=x" not in page
    assert "&lt;script&gt;alert(" in page
    lines = (lab.store.workspace / "out" / "leaderboard.md").read_text().splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, "no cell breaks its row"


def test_one_run_is_shown_without_rivals(lab: Lab) -> None:
    lab.run("alone", 0.2, {"a": 1})
    found = write_comparison(lab.store, Selection(), lab.store.workspace / "out")
    assert found.places[0].verdict == "" and found.places[0].interval is not None
    page = (lab.store.workspace / "out" / "comparison.html").read_text()
    assert "One run." in page and "<article" in page


def test_runs_without_anything_are_still_listed(lab: Lab) -> None:
    for name in ("one", "two"):
        with lab.store.start_run(name, params={"a": name}, system_metrics=False):
            pass
    found = write_comparison(lab.store, Selection(), lab.store.workspace / "out")
    assert found.score is None and not found.scored
    assert "2 runs; none has a score." in (lab.store.workspace / "out" / "comparison.html").read_text()


def test_masks_show_what_each_run_hit_and_missed(swept: Lab) -> None:
    found = compared(swept, Selection(sweep="last"))
    gallery = gather(found, Files(found.chosen.client, swept.store.workspace), images=4, runs=3)
    assert gallery.runs == tuple(place.run_id for place in found.scored[:3]) and gallery.total == 6
    assert gallery.notes == ("3 of 6 runs are shown, the best of those with masks and this test",)
    spreads = [np.ptp([panel.dice for panel in image.panels]) for image in gallery.images]
    assert spreads == sorted(spreads, reverse=True) and len(spreads) == 4
    for image in gallery.images:
        assert image.input and image.truth and image.disagreement_map and 0 < image.disagreement < 1
        assert image.majority > np.mean([panel.dice for panel in image.panels]), (
            "most of three are seldom wrong at once"
        )
        for panel in image.panels:
            own = found.tested[panel.run_id]
            place = own.images.index(tuple(image.name.split("/")))
            assert panel.dice == own.by_image("dice")[place]


@pytest.mark.parametrize("change", ["gone", "changed", "image gone"])
def test_without_the_test_images_the_masks_are_still_shown(lab: Lab, change: str) -> None:
    for error in (0.1, 0.3):
        lab.run(str(error), error, {"a": error})
    if change == "gone":
        shutil.rmtree(lab.truth)
    elif change == "changed":
        path = lab.truth / "ds0" / "ann" / "im 0.png.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"objects": []}))
    else:
        (lab.truth / "ds0" / "img" / "im 0.png").unlink()
    found = compared(lab)
    gallery = gather(found, Files(found.chosen.client, lab.store.workspace), images=6, runs=8)
    image = next(image for image in gallery.images if image.name == "ds0/im 0.png")
    assert image.truth is None and image.input is None and np.isnan(image.majority)
    assert len(image.panels) == 2 and image.disagreement_map
    said = {"gone": "there is no such project folder", "changed": "was changed since", "image gone": "has no image"}
    assert len(gallery.notes) == 1 and said[change] in gallery.notes[0]
    whole = [image for image in gallery.images if image.truth]
    assert len(whole) == (0 if change == "gone" else 5)


def test_runs_without_masks_or_with_damaged_ones_are_told(lab: Lab) -> None:
    lab.run("bare", 0.1, {"a": 1}, masks=False)
    run = lab.run("whole", 0.2, {"a": 2})
    odd = lab.run("odd", 0.3, {"a": 3})
    [folder] = lab.store.workspace.glob(f"mlartifacts/*/{run}/artifacts/predictions/masks/ds0")
    (folder / "im 1.png").write_bytes(b"no picture")
    (folder / "im 2.png").unlink()
    [folder] = lab.store.workspace.glob(f"mlartifacts/*/{odd}/artifacts/predictions/masks/ds0")
    write_image(folder / "im 3.png", np.zeros((5, 5, 3), np.uint8))
    found = compared(lab)
    gallery = gather(found, Files(found.chosen.client, lab.store.workspace), images=6, runs=8)
    assert gallery.runs == (run, odd)
    told = "\n".join(gallery.notes)
    assert "2 of 3 runs are shown" in told and "is no image that can be read" in told
    assert "whole has no mask of im 2.png" in told and "odd: its mask of im 3.png has another size" in told
    counts = {image.name: len(image.panels) for image in gallery.images}
    assert [counts[f"ds0/im {n}.png"] for n in range(6)] == [2, 1, 1, 1, 2, 2]


def test_many_classes_have_their_colours_beside_their_errors(lab: Lab) -> None:
    many = Lab(lab.store, ("road", "house", "tree"), 3, "streets")
    for error in (0.1, 0.3, 0.2):
        many.run(str(error), error, {"a": error})
    found = compared(many)
    gallery = gather(found, Files(found.chosen.client, lab.store.workspace), images=2, runs=2)
    assert gallery.classes == {"road": "#14B8A6", "house": "#C81E64", "tree": "#2864C8"}
    assert all(panel.prediction and panel.difference for image in gallery.images for panel in image.panels)
    write_comparison(lab.store, Selection(), lab.store.workspace / "out")
    assert "classes instead of errors" in (lab.store.workspace / "out" / "comparison.html").read_text()


def test_settings_that_differ_are_numbers_on_fitting_axes() -> None:
    frame = pd.DataFrame(
        {
            "lr": [1e-4, 1e-3, 1e-2],
            "size": [128, 192, 256],
            "kind": ["a", None, "b"],
            "same": [1, 1, 1],
            "some": [1.0, None, 2.0],
            "flag": pd.array([True, False, None], dtype="boolean"),
        }
    )
    frame["training.double"] = frame["size"] * 2
    found = {item.key: item for item in differing(frame[["lr", "size", "same"]], ["lr", "size", "same"])}
    assert list(found) == ["lr"] and found["lr"].also == ("size",), "both change in step: nobody can tell which matters"
    found = {item.key: item for item in differing(frame.iloc[[0, 1, 2, 0]], ["kind", "some", "flag"])}
    assert {item.kind for item in found.values()} == {"category"}
    swept = differing(frame.assign(lr=[1e-4, 1e-4, 1e-2]), ["lr", "size"], swept=["size"])
    assert [(item.key, item.kind, item.log) for item in swept] == [
        ("size", "number", False),
        ("lr", "number", True),
    ]


def test_importance_finds_what_matters_and_says_when_it_does_not_know() -> None:
    draws = np.random.default_rng(0)
    frame = pd.DataFrame({"lr": draws.choice([1e-3, 1e-2, 1e-1], 48), "kind": draws.choice(["a", "b"], 48)})
    frame["junk"] = draws.integers(0, 9, 48)
    frame["test/dice"] = 0.8 - 0.1 * np.abs(np.log10(frame["lr"]) + 2) + 0.06 * (frame["kind"] == "a")
    frame["noise"] = draws.normal(size=48)
    settings = differing(frame, ["lr", "kind", "junk"])
    known = importance(frame, settings, "test/dice")
    assert known.r2 > 0.8 and list(known.shares) == ["lr", "kind", "junk"]
    assert known.shares["lr"] > 0.6 and known.shares["junk"] < 0.05
    assert sum(known.shares.values()) + known.combined == pytest.approx(1)
    assert importance(frame, settings, "noise").r2 < 0.3
    assert importance(frame.head(11), settings, "test/dice") is None
    assert importance(frame, settings[:1], "test/dice") is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.3, "0.3 s"), (45.2, "45 s"), (99.6, "1 min 40 s"), (3599.7, "1 h 00 min"), (7500, "2 h 05 min"), (np.nan, "")],
)
def test_times_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
