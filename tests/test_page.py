from __future__ import annotations

import base64
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plotly.graph_objects import Figure, Parcoords, Scatter

from segsweep import page
from segsweep.page import Section

HOSTILE = [
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "\" onmouseover=\"document.title='taken'",
    "' autofocus onfocus='document.title=1",
    "<!--",
    "]]><style>*{display:none}</style>",
    "{{7*7}} &lt;b&gt; \\u003c",
]


class Elements(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def cells(html: str, column: int) -> list[str]:
    rows = re.findall(r"<tr>(<td.*?)</tr>", html)
    return [re.sub(r"<[^>]+>", "", re.findall(r"<td.*?</td>", row)[column]) for row in rows]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(name: str) -> None:
    frame = pd.DataFrame({name: [name, "other"], "score": [0.5, 0.25]})
    figure = Figure(Scatter(x=[1, 2], y=[3, 4], name=name, text=[name, name]))
    image = np.zeros((4, 4, 3), np.uint8)
    sections = [
        Section(name, page.table(frame, links={name: f"#{name}"})),
        Section("picture", page.picture(image, name)),
    ]
    plain = Elements(page.document("", [Section("", page.table(frame.iloc[:, 1:])), Section("p", page.picture(image))]))
    found = Elements(page.document(name, sections, note=name))
    tags = {tag for tag, _ in found.found}
    assert tags <= {tag for tag, _ in plain.found} | {"a", "figcaption", "p"}
    assert not [key for _, attributes in found.found for key in attributes if key.startswith("on")]
    assert "".join(found.text).count(name) >= 6, "it is shown as it is"
    [block] = re.findall(r'<script type="application/json">(.*)</script>', page.chart(figure))
    assert not set("<>&") & set(block)
    assert json.loads(block)["data"][0]["name"] == name


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "JavaScript:alert(1)", "\x01javascript:alert(1)", "data:text/html,x", "//elsewhere.org/x"],
)
def test_addresses_of_other_kinds_are_no_links(address: str) -> None:
    assert "<a" not in page.table(pd.DataFrame({"run": ["a"]}), links={"a": address})


@pytest.mark.parametrize("address", ["https://localhost:5000/#/runs/1?a=1&b=2", "#image-3", "evaluation/roc.png"])
def test_cells_lead_where_they_are_told_to(address: str) -> None:
    [link] = Elements(page.table(pd.DataFrame({"run": ["a", "b"]}), links={"a": address})).named("a")
    assert link["href"] == address
    assert ("target" in link) == address.startswith("https")


def test_a_page_allows_its_own_scripts_and_no_network() -> None:
    own = Section("a", "<script>document.title = 'é'</script>")
    html = page.document("t", [own])
    [policy] = [entry["content"] for entry in Elements(html).named("meta") if "http-equiv" in entry]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data: blob:; ")
    assert "http" not in policy and "'unsafe-inline'" not in policy.split("script-src")[1]
    assert policy.count("sha256-") == html.count("<script>") == 2
    assert "'unsafe-eval'" not in policy


def test_plotly_is_embedded_once_and_only_where_it_is_used() -> None:
    lines = page.chart(Figure(Scatter(x=[1, 2], y=[3, 4])))
    with_charts = page.document("t", [Section("a", lines), Section("b", lines)])
    assert 4_000_000 < len(with_charts) < 6_000_000
    assert len(page.document("t", [Section("a", "<p>chart</p>")])) < 20_000
    assert "'unsafe-eval'" not in with_charts[:2000]
    bundle = page.chart(Figure(Parcoords(dimensions=[{"values": [1, 2]}])))
    assert "'unsafe-eval'" in page.document("t", [Section("a", bundle)])[:2000], "plotly compiles what WebGL draws"


def test_sections_have_anchors_of_their_own() -> None:
    found = Elements(page.document("t", [Section(title, "") for title in ("Maße & Werte", "a-2", "a", "A", "–")]))
    anchors = [section["id"] for section in found.named("section")]
    assert len(set(anchors)) == 5
    assert [link["href"] for link in found.named("a")] == [f"#{anchor}" for anchor in anchors]


def test_numbers_are_shown_alike_within_a_column() -> None:
    frame = pd.DataFrame(
        {
            "dice": [0.81234, 1.0, math.nan],
            "lr": [1e-5, 0.1, 0.02],
            "pixels": [1234567.0, 0.0, math.nan],
            "flag": [True, False, None],
            "none": [None, math.nan, pd.NaT],
            "mixed": ["a", 1, None],
            "weak": [0.7123456, 0.0000123456, 0.5],
            "tiny": [1.23456e-7, 0.0, 5e-8],
            "all": [0.0, 1.0, 0.0],
            "flags": [0, 1, 0],
        }
    )
    html = page.table(frame, digits=3)
    assert cells(html, 0) == ["0.812", "1.000", "–"]
    assert cells(html, 1) == ["1e-05", "0.1", "0.02"]
    assert cells(html, 2) == ["1,234,567", "0", "–"]
    assert cells(html, 3) == ["yes", "no", "–"]
    assert cells(html, 4) == ["–", "–", "–"]
    assert cells(html, 5) == ["a", "1", "–"]
    assert cells(html, 6) == ["0.712", "0.000", "0.500"], "measured values are not settings"
    assert cells(html, 7) == ["1.23e-07", "0", "5e-08"]
    assert cells(html, 8) == ["0.000", "1.000", "0.000"], "scores that happen to be whole"
    assert cells(html, 9) == ["0", "1", "0"]
    aligned = [head.get("class") for head in Elements(html).named("th")]
    assert aligned == ["number", "number", "number", None, None, None, *["number"] * 4]


@given(st.lists(st.floats(allow_subnormal=True) | st.integers(-(2**80), 2**80), max_size=6), st.integers(0, 6))
@settings(deadline=None, max_examples=60)
def test_every_number_can_be_shown_and_sorted_by(values: list[float], digits: int) -> None:
    html = page.table(pd.DataFrame({"value": pd.Series(values, dtype=object)}), digits=digits)
    known = [float(value) for value in values if not math.isnan(value)]
    assert [float(found) for found in re.findall(r'data-value="([^"]*)"', html)] == known


def test_an_empty_table_keeps_its_head() -> None:
    assert len(Elements(page.table(pd.DataFrame(columns=["a", "b"]))).named("th")) == 2


def decoded(html: str) -> np.ndarray:
    found = re.search(r'src="data:image/webp;base64,([^"]+)"', html)
    assert found is not None
    data = np.frombuffer(base64.b64decode(found[1]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def test_masks_are_kept_exactly_and_photos_small() -> None:
    generator = np.random.default_rng(0)
    mask = np.array([[0, 0, 0], [255, 82, 54]], np.uint8)[generator.integers(0, 2, (60, 80))]
    assert np.array_equal(decoded(page.picture(mask)), mask)
    photo = cv2.GaussianBlur(generator.integers(0, 256, (300, 400, 3)).astype(np.uint8), (0, 0), 5)
    html = page.picture(photo)
    assert np.abs(decoded(html).astype(int) - photo).mean() < 3
    assert len(html) < photo.size / 20
    grey = np.full((5, 6), 7, np.uint8)
    assert np.array_equal(decoded(page.picture(grey)), np.full((5, 6, 3), 7))


@pytest.mark.parametrize(
    ("shape", "width", "expected"),
    [
        ((3200, 100), None, (1600, 50)),
        ((10, 4000), None, (4, 1600)),
        ((300, 400), None, (300, 400)),
        ((300, 400), 100, (150, 200)),
        ((5000, 1), None, (1600, 1)),
    ],
)
def test_large_pictures_are_scaled_down(shape: tuple[int, int], width: int | None, expected: tuple[int, int]) -> None:
    assert decoded(page.picture(np.zeros(shape, np.uint8), width=width)).shape[:2] == expected


def test_other_arrays_are_no_pictures() -> None:
    with pytest.raises(ValueError, match="uint8 HxW or HxWx3"):
        page.picture(np.zeros((4, 4, 4), np.uint8))


def test_a_browser_sorts_by_a_click_and_runs_nothing_else(tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium")
    frame = pd.DataFrame({"n": [10.0, 9.0, math.nan, 100.0], **{name: ["x"] * 4 for name in HOSTILE}})
    figure = Figure(Scatter(x=[1, 2], y=[3, 4], name=HOSTILE[0]))
    click = "<script>addEventListener('load', () => document.querySelector('th button').click())</script>"
    handler = '<img src="data:," onerror="document.title=1">'  # as if some text had not been escaped
    path = tmp_path / "page.html"
    html = page.document("kept", [Section("a", page.table(frame) + page.chart(figure) + click + handler)])
    path.write_text(html, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--dump-dom"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([browser, *flags, path.as_uri()], capture_output=True, text=True, timeout=90, check=True)
    assert re.findall(r'data-value="([\d.]+)"', done.stdout) == ["100.0", "10.0", "9.0"]
    assert "<title>kept</title>" in done.stdout
    assert done.stdout.count('class="main-svg"') >= 1, "the chart was drawn"
