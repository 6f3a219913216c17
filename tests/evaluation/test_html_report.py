from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from segsweep import page
from segsweep.errors import DataError
from segsweep.evaluation import Scores, evaluate
from segsweep.evaluation.html_report import Report, read_report, render_report
from segsweep.evaluation.showing import MOST_ON_PAGE, worst_and_best
from segsweep.evaluation.tally import Plan
from segsweep.files import write_json
from segsweep.reporting import ListReporter

from .projects import write_project

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&"


@dataclass(frozen=True)
class Made:
    scores: Scores
    parts: Path
    reporter: ListReporter
    html: str


def make(folder: Path, titles: list[str], images: int, *, probabilities: bool = True) -> Made:
    """An evaluation of blocks whose predictions get better from image to image; equal names in two datasets."""
    generator = np.random.default_rng(0)
    truth, prediction, levels = {}, {}, {}
    for number in range(images):
        name = f"d{number % 2}/im{number // 2}.png"
        indices = np.kron(generator.integers(-1, len(titles), (6, 8)), np.ones((8, 8), int)).astype(int)
        wrong = generator.random(indices.shape) < 0.5 - 0.4 * number / images
        truth[name], prediction[name] = indices, np.where(wrong, -1, indices)
        levels[name] = prediction[name]
    maps = {
        f"probability_{place}": {
            name: np.where(found == place, 60000, 9000 // len(titles)).astype(np.uint16)
            for name, found in levels.items()
        }
        for place in range(len(titles))
    }
    annotated = write_project(folder / "truth", titles, truth)
    predicted = write_project(
        folder / "prediction", [f"{t}_unet" for t in titles], prediction, probabilities=maps if probabilities else {}
    )
    reporter = ListReporter()
    scores = evaluate(
        annotated,
        predicted,
        {title: f"{title}_unet" for title in titles},
        plan=Plan(resamples=200),
        pictures=images,
        parts=folder / "page.json",
        reporter=reporter,
    )
    facts = {"Run": {"run id": "ab12", "device": HOSTILE, "unknown": ""}, "Nothing": {}}
    html = render_report("a run", read_report(folder / "page.json"), facts, note="threshold 0.300")
    return Made(scores, folder / "page.json", reporter, html)


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("binary"), ["vessel"], 5)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("many"), ["road", HOSTILE, "<b>water"], 4)


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_tells_scores_with_protocol_and_interval(binary: Made) -> None:
    dice = binary.scores.metrics["dice"]
    low, high = binary.scores.intervals["dice"]
    note = re.search(r'<p class="note">([^<]*)</p>', binary.html)
    assert note is not None
    expected = f"Dice {dice:.4f} ({low:.4f} – {high:.4f}) · vessel, mean over 5 images, whole frame, threshold 0.300"
    assert note[1] == expected
    titles = re.findall(r"<h2>([^<]*)</h2>", binary.html)
    assert titles == ["Scores", "Classes", "Pictures", "Images", "Curves", "Confusion matrix", "How it was made"]
    assert "unknown" not in binary.html and "<h3>Nothing</h3>" not in binary.html


def test_the_page_asks_nobody_for_anything(binary: Made, many: Made) -> None:
    for made in (binary, many):
        for tag, attributes in Tags(made.html).found:
            assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
            assert (attributes.get("src") or "data:").startswith("data:")
            assert (attributes.get("href") or "#").startswith("#")
        assert len(made.html) < 400_000


def test_hostile_class_names_are_only_text(many: Made) -> None:
    tags = Tags(many.html).found
    assert not [key for _, attributes in tags for key in attributes if key.startswith("on")]
    assert sum(tag == "script" for tag, _ in tags) == 4, "tables, pictures, the report's own, and the curves' data"
    assert "&lt;/script&gt;&lt;img" in many.html
    assert HOSTILE not in many.html


def test_rows_lead_to_their_image_also_where_names_are_equal_in_datasets(binary: Made) -> None:
    links = dict(re.findall(r'<td><a href="(#image-\d+)">([^<]*)</a></td>', binary.html))
    articles = dict(re.findall(r'<article id="(image-\d+)" data-title="([^"]*)"', binary.html))
    assert len(articles) == 5
    assert {target.removeprefix("#"): name for target, name in links.items()} == articles


def test_the_worst_image_is_first_and_the_best_second(binary: Made) -> None:
    scores = [float(value) for value in re.findall(r'data-score="([\d.]+)"', binary.html)]
    assert scores[0] == min(scores) and scores[1] == max(scores)
    words = re.findall(r"<span>(the worst|the best|\d\w\w (?:worst|best) of 5)</span>", binary.html)
    assert words == ["the worst", "the best", "2nd worst of 5", "2nd best of 5", "3rd worst of 5"]


def test_each_image_has_its_panels_and_what_they_mean(binary: Made, many: Made) -> None:
    captions = re.findall(r"<figcaption>([^<]*)</figcaption>", binary.html)
    assert [re.split(r"[:·]", caption)[0].strip() for caption in captions[:5]] == [
        "Input",
        "Truth",
        "Prediction",
        "Difference",
        "Probability",
    ]
    assert all(word in binary.html for word in ("</i>hit<", "</i>missed<", "</i>false alarm<"))
    assert many.html.count("<figcaption>Certainty · of the predicted class</figcaption>") == 4
    assert all(word in many.html for word in ("</i>right<", "</i>wrong<", "</i>road<"))


def test_pictures_are_logged_under_their_names(binary: Made) -> None:
    names = {(name, step) for name, _, step in binary.reporter.images}
    assert {("predictions/d0/im0", None), ("test/d0/im0", 0), ("predictions/d1/im1", None)} <= names
    assert len(names) == 10


def test_without_probabilities_there_are_no_curves(tmp_path: Path) -> None:
    made = make(tmp_path, ["vessel"], 1, probabilities=False)
    assert "<h2>Curves</h2>" not in made.html
    assert "<figcaption>Probability" not in made.html
    assert "vessel, mean over one image" in made.html


def test_a_page_shows_a_bounded_number_of_images(tmp_path: Path) -> None:
    made = make(tmp_path, ["vessel"], MOST_ON_PAGE + 2)
    assert made.html.count("<article ") == MOST_ON_PAGE
    assert f"{MOST_ON_PAGE} of {MOST_ON_PAGE + 2} images" in made.html
    assert len(made.reporter.images) == 2 * (MOST_ON_PAGE + 2)


def test_images_without_a_score_come_last() -> None:
    scores = np.array([0.5, np.nan, 0.1, 0.9])
    assert worst_and_best(scores, 10) == [2, 3, 0, 1]
    assert worst_and_best(scores, 2) == [2, 3]
    assert worst_and_best(np.array([np.nan]), 3) == [0]


def test_parts_are_kept_as_they_are_and_damage_is_told(binary: Made, tmp_path: Path) -> None:
    assert read_report(binary.parts).sections[0].title == "Scores"
    for damaged in ([], {"note": "x"}, {"note": "x", "sections": [{"title": "y"}]}):
        write_json(tmp_path / "page.json", damaged)
        with pytest.raises(DataError, match=r"page\.json"):
            read_report(tmp_path / "page.json")
    assert isinstance(read_report(binary.parts), Report)


_SCRIPT = """<script>addEventListener("load", () => {
  const out = {}, article = () => document.querySelector(".list article").dataset.title;
  const select = document.querySelector(".shown select");
  select.value = "best"; select.dispatchEvent(new Event("change")); out.best = article();
  const slider = document.querySelector(".threshold input");
  slider.value = 0; slider.dispatchEvent(new Event("input"));
  out.recall = document.querySelector("#at tbody td:nth-child(5)").textContent;
  out.dot = document.querySelector("#roc .at").getAttribute("cx");
  document.querySelector(".rows tbody tr td:last-child").click(); out.hash = location.hash;
  document.querySelector("figure.picture img").click();
  const told = () => document.querySelector("dialog.enlarged[open] b").textContent;
  const press = key => document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  out.enlarged = told(); press("ArrowRight"); out.right = told(); press("ArrowDown"); out.down = told();
  document.title = JSON.stringify(out);
});</script>"""


def test_in_a_browser_rows_pictures_and_the_threshold_react(binary: Made, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium")
    parts = read_report(binary.parts)
    path = tmp_path / "report.html"
    path.write_text(page.document("t", [*parts.sections, page.Section("x", _SCRIPT)]), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--dump-dom"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--virtual-time-budget=3000", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([browser, *flags, path.as_uri()], capture_output=True, text=True, timeout=90, check=True)
    out = json.loads(re.findall(r"<title>(.*?)</title>", done.stdout)[0])
    best = binary.scores.per_image.sort_values("dice").iloc[-1]
    name = f"{best['dataset']}/{best['image']}"
    assert out["best"] == name
    assert out["recall"] == "1.0000", "all is called positive"
    assert float(out["dot"]) == 354, "and the ring is at the end of the curve"
    assert out["hash"] == "#image-1", "the worst image is in the first row"
    assert out["enlarged"] == f"{name} · Input"
    assert out["right"].startswith(f"{name} · Truth")
    assert "· Truth" in out["down"] and not out["down"].startswith(name)
