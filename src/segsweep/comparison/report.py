"""`comparison.html`: one page that opens offline and says which settings won, by how much, and what that looks like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from segsweep import page
from segsweep.comparison import charts
from segsweep.comparison.compared import Compared, seed_scatter
from segsweep.comparison.gallery import gallery_html
from segsweep.comparison.importance import LEAST_R2, Importance, importance
from segsweep.comparison.leaderboard import SAME, WORSE, Place, between, letter
from segsweep.comparison.masks import Gallery, gather
from segsweep.comparison.reading import Curve, Files, peak_memory, read_curves
from segsweep.comparison.settings import Setting, told
from segsweep.reporting import SILENT, Reporter, track

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]

__all__ = ["Material", "collect", "render"]

_SETTINGS_SHOWN = 10
_ROWS_SHOWN = 500


@dataclass(frozen=True)
class Material:
    """What a page is made of beside the comparison itself.

    Attributes:
        curves: By run id, the curves of the best runs.
        memory: By run id, the metric of memory that was measured, and its peak in megabytes.
        importance: What each setting matters, where there are enough runs.
        gallery: The masks, where there are any.
    """

    curves: Mapping[str, Mapping[str, Curve]]
    memory: Mapping[str, tuple[str, float]]
    importance: Importance | None
    gallery: Gallery | None


def collect(compared: Compared, files: Files, *, images: int, masks: int, reporter: Reporter = SILENT) -> Material:
    """Reads curves, memory and masks of runs, and weighs their settings."""
    runs = compared.by_id
    drawn = [place.run_id for place in compared.places][: charts.MOST_CURVES]
    client = compared.chosen.client
    curves = {run: read_curves(client, runs[run]) for run in track(drawn, reporter, "compare: curves", unit="run")}
    scored = [place.run_id for place in compared.scored]
    peaks = {run: peak_memory(client, runs[run]) for run in track(scored, reporter, "compare: memory", unit="run")}
    memory = {run: peak for run, peak in peaks.items() if peak is not None}
    weighed = None if compared.score is None else importance(compared.alike_rows, compared.settings, compared.score)
    gallery = gather(compared, files, images=images, runs=masks, reporter=reporter)
    return Material({run: found for run, found in curves.items() if found}, memory, weighed, gallery)


def render(compared: Compared, material: Material) -> str:
    """The page as HTML."""
    sections = [
        page.Section("Leaderboard", _leaderboard(compared)),
        _charted("How sure that is", charts.forest_chart(compared), _ABOUT_FOREST),
        _charted("Score against each setting", charts.settings_chart(compared), _about_settings(compared)),
        _masks(compared, material.gallery),
        _importance(compared, material.importance),
        _charted("Through the settings", charts.parallel_chart(compared), "Drag along an axis to pick runs."),
        _charted("Learning curves", charts.curves_chart(compared, material.curves), _about_curves(compared)),
        _charted("Cost", charts.cost_chart(compared, material.memory), _ABOUT_COST),
        _missing(compared, material),
        page.Section("How to read this", _reading(compared)),
    ]
    title = f"Comparison: {compared.chosen.title}"
    return page.document(title, [item for item in sections if item is not None], note=_headline(compared))


_ABOUT_FOREST = (
    "Scores with 95 % intervals. Orange is the best, blue cannot be told apart from it on the same images, grey is "
    "worse; intervals of single runs may overlap though their paired difference is clear."
)
_ABOUT_COST = (
    "Orange: the runs that no other beats in both. Time is that of the whole run; where a training or a "
    "transformation was there already, only the rest of it."
)


def _charted(title: str, figure: Figure | None, about: str = "") -> page.Section | None:
    return None if figure is None else page.Section(title, _paragraph(about) + page.chart(figure))


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""


def _headline(compared: Compared) -> str:
    """Who won, in a sentence."""
    runs, scored = len(compared.places), compared.scored
    count = f"{runs} runs" if runs != 1 else "One run"
    if not scored:
        return f"{count}; none has a score."
    labels, best = compared.labels(), scored[0]
    between = f" ({best.interval.low:.3f} to {best.interval.high:.3f})" if best.interval else ""
    lines = [f"{count}. Best {compared.score}: {best.score:.4f}{between}, by {labels[best.run_id]}."]
    worse = sum(place.verdict == WORSE for place in compared.alike)
    same = [place for place in compared.alike if place.verdict == SAME]
    if worse or same:
        lines.append(f"{worse} {'runs are' if worse != 1 else 'run is'} worse beyond the chance of the test images")
        names = ", ".join(labels[place.run_id] for place in same[:3])
        names += f" and {len(same) - 3} more" if len(same) > 3 else ""
        lines[-1] += f"; {len(same)} cannot be told apart from it: {names}." if same else "."
    scatter = seed_scatter(compared)
    if scatter is not None:
        lines.append(f"Runs that differ in nothing but the seed scatter by {scatter[0]:.4f} (standard deviation).")
    return " ".join(lines)


def _leaderboard(compared: Compared) -> str:
    """A table for each test, since scores of different tests say nothing about each other."""
    tests = sorted({place.test for place in compared.scored if place.test is not None})
    parts: list[str] = []
    for test in tests:
        places = [place for place in compared.scored if place.test == test]
        heading = f"<h3>Test {letter(test)}: {escape(_about_test(compared, places[0]))}</h3>" if len(tests) > 1 else ""
        parts.append(heading + _table(compared, places))
    if len(tests) > 1:
        apart = "The runs were tested on different images, classes or regions: only runs of one table can be compared."
        parts.insert(0, _paragraph(f"{apart} The charts and masks below are of test A, which has the most runs."))
    elif tests:
        parts.insert(0, _paragraph(_about_test(compared, compared.scored[0])))
    unscored = [place for place in compared.places if place.rank is None]
    if unscored:
        parts.append(f"<h3>Without a score</h3>{_table(compared, unscored)}")
    return "".join(parts)


def _table(compared: Compared, places: Sequence[Place]) -> str:
    settings = compared.settings[:_SETTINGS_SHOWN]
    cut = places[:_ROWS_SHOWN]
    hidden = compared.settings[_SETTINGS_SHOWN:]
    more = f"{len(hidden)} more settings differ: {', '.join(item.key for item in hidden)}. " if hidden else ""
    more += f"{len(places) - len(cut)} more runs are in leaderboard.csv." if len(places) > len(cut) else ""
    links = {place.run_id[:8]: compared.url(place.run_id) for place in cut}
    return page.table(_board(compared, settings, cut), links=links) + _paragraph(more)


def _board(compared: Compared, settings: Sequence[Setting], places: Sequence[Place]) -> pd.DataFrame:
    """The leaderboard with numbers as numbers, so that a page can sort it."""
    import pandas as pd

    rows = compared.frame.set_index("run_id").loc[[place.run_id for place in places]]
    columns: dict[str, Any] = {"#": [place.rank for place in places], "id": [place.run_id[:8] for place in places]}
    if compared.named:
        columns["run"] = rows["name"].to_list()
    columns |= {item.name: _cells(rows[item.key], item) for item in settings}
    if compared.score is not None:
        columns[compared.score] = [place.score for place in places]
        columns["95 %"] = [between(place.interval) for place in places]
        columns["to the best"] = [place.difference for place in places]
        columns["95 % of it"] = [between(place.difference_interval, "+") for place in places]
        columns["verdict"] = [place.verdict for place in places]
    columns |= {key: rows[key].to_list() for key in compared.other_scores}
    columns["seconds"] = rows["seconds"].round(1 if rows["seconds"].max() < 10 else 0).to_list()
    columns["status"] = rows["status"].to_list()
    columns["reason"] = rows["reason"].to_list()
    said = {
        key: cells
        for key, cells in columns.items()
        if any(value not in ("", None) and value == value for value in cells)
    }
    return pd.DataFrame({key: pd.Series(cells, dtype=object) for key, cells in said.items()})


def _cells(column: pd.Series, setting: Setting) -> list[Any]:
    values = column.to_list()
    return values if setting.kind == "number" else [told(value) for value in values]


def _about_test(compared: Compared, place: Place) -> str:
    tested = compared.tested.get(place.run_id)
    if tested is None or compared.score is None or not compared.score.startswith("test/"):
        return f"by {compared.score}"
    how = "mean over images" if tested.average == "image" else "pixels of all images pooled"
    classes = ", ".join(tested.classes[:8]) + (" …" if len(tested.classes) > 8 else "")
    images = f"{len(tested.images)} test images" if len(tested.images) != 1 else "one test image"
    return f"{compared.score} on {images} ({tested.region.replace('_', ' ')}, {how}); classes: {classes}"


def _about_settings(compared: Compared) -> str:
    in_step = [f"{item.name} stands for {', '.join(item.also)} too" for item in compared.settings if item.also]
    told = "Each point is a run, bars are 95 % intervals, orange marks the mean of a value."
    return " ".join([told, *([f"{'; '.join(in_step)}: they change together."] if in_step else [])])


def _about_curves(compared: Compared) -> str:
    which = "" if len(compared.places) <= charts.MOST_CURVES else f"The best {charts.MOST_CURVES} runs. "
    how = "A click in the legend hides a run, a double click shows it alone. Curves of training are running means."
    return which + how


def _masks(compared: Compared, gallery: Gallery | None) -> page.Section | None:
    if gallery is None or not gallery.images:
        return None
    count = f"{len(gallery.images)} of {gallery.total} test images" if gallery.total > 1 else "The test image"
    about = f"{count}, the same for every run; a click enlarges, arrow keys then flip through runs and images."
    return page.Section(
        "Masks side by side",
        _paragraph(about) + "".join(map(_paragraph, gallery.notes)) + gallery_html(gallery, compared.labels()),
    )


def _importance(compared: Compared, found: Importance | None) -> page.Section | None:
    if found is None or found.r2 < LEAST_R2:
        return None
    about = (
        f"Shares of the variance of a random forest that learnt the score from {found.runs} runs, after functional "
        f"ANOVA (Hutter, Hoos, Leyton-Brown 2014). Of runs that it had not seen it predicts the score with "
        f"R² = {found.r2:.2f} (out of bag; 1 is perfect, 0 knows nothing). It tells of the values that were tried only."
    )
    figure = charts.importance_chart(found, compared.settings)
    return page.Section("What matters", _paragraph(about) + page.chart(figure))


def _missing(compared: Compared, material: Material) -> page.Section | None:
    notes = [*compared.notes]
    if material.gallery is None and compared.scored:
        notes.append("No run has kept its masks, so none are shown.")
    if material.importance is not None and material.importance.r2 < LEAST_R2:
        told = f"no better than R² = {max(material.importance.r2, 0.0):.2f}"
        notes.append(f"How much each setting matters is not shown: these runs do not tell ({told}).")
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return page.Section("What is missing", f"<ul>{items}</ul>") if items else None


def _reading(compared: Compared) -> str:
    points = [
        "“95 %” is where the score lies for other test images of the same kind: a bootstrap over the images, widened "
        "for few images (Hesterberg 2015).",
        "“To the best” is the difference to the best run on the same images, paired image by image, with its 95 % "
        "interval: “worse” where that leaves out 0, “not told apart” where it does not. Of many runs, one in twenty "
        "that is as good will be called worse.",
        "Both tell of the choice of test images alone. A training with another seed gives another score too: repeat "
        "the best settings with several seeds (seed=0,1,2) before a small difference is believed.",
        "The best of many runs looks better than it is: its score was chosen for being high.",
    ]
    if math.isfinite(sum(place.score for place in compared.scored)) and any(
        place.interval is None for place in compared.scored
    ):
        points.append("No interval: the run left no table of its test images, or the score does not follow from it.")
    return "<ul>" + "".join(f"<li>{escape(point)}</li>" for point in points) + "</ul>"
