"""`report.html`: one page on what an evaluation found, that opens offline.

The evaluation makes its parts (`build_report`), which depend on nothing but what was compared, so that they can be kept
and used again; whoever runs it adds what is known of the run (`render_report`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segsweep import page
from segsweep.errors import DataError
from segsweep.evaluation.curves import THRESHOLDS, ClassCurves, class_curves
from segsweep.evaluation.panels import probability_colours
from segsweep.evaluation.showing import Shown
from segsweep.evaluation.svg import COLOURS, Line, unit_plot
from segsweep.evaluation.svg import STYLE as PLOT_STYLE
from segsweep.files import read_json, write_bytes

if TYPE_CHECKING:
    import pandas as pd

    from segsweep.evaluation.evaluate import Scores

__all__ = ["Report", "build_report", "read_report", "render_report", "write_report"]

_MOST_ROWS = 1000
_MOST_CLASS_ROWS = 48
_MOST_CURVES = 12
_COUNTS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class Report:
    """The parts of a page: a line on the whole (plain text), and sections."""

    note: str
    sections: tuple[page.Section, ...]


def build_report(scores: Scores, shown: Sequence[Shown], images: int) -> Report:
    """The parts of a page on an evaluation.

    Args:
        scores: What it found.
        shown: Images to be shown, in order.
        images: How many were scored.
    """
    protocol = _protocol(scores, images)
    links = {item.name: f"#{_anchor(place)}" for place, item in enumerate(shown)}
    curves = class_curves(scores.roc, scores.confusion, scores.classes)
    sections = [
        page.Section("Scores", _headline(scores)),
        page.Section("Classes", _class_table(scores)),
        page.Section("Pictures", _pictures(shown, images)) if shown else None,
        page.Section("Images", _image_table(scores, links)),
        page.Section("Curves", _curves(curves, scores.region)) if curves else None,
        page.Section("Confusion matrix", _confusion(scores)),
    ]
    return Report(protocol, tuple(section for section in sections if section is not None))


def write_report(path: Path, report: Report) -> None:
    """Keeps the parts of a page as JSON, atomically."""
    write_bytes(path, json.dumps(asdict(report), ensure_ascii=False).encode())


def read_report(path: Path) -> Report:
    """Reads what `write_report` wrote.

    Raises:
        DataError: The file is missing or damaged.
    """
    plain = read_json(path)
    try:
        return Report(plain["note"], tuple(page.Section(**section) for section in plain["sections"]))
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: holds no parts of a page ({error})") from error


def render_report(title: str, report: Report, facts: Mapping[str, Mapping[str, str]], *, note: str = "") -> str:
    """The whole page.

    Args:
        title: Of the page.
        report: What the evaluation found.
        facts: What is known of the run, by heading: names and values. Groups that are empty are left out.
        note: What is to be said of the protocol besides.
    """
    groups = [f"<h3>{escape(heading)}</h3>{_facts(values)}" for heading, values in facts.items() if values]
    run = [page.Section("How it was made", "".join(groups))] if groups else []
    return page.document(title, [*report.sections, *run], note=", ".join(filter(None, [report.note, note])))


def _facts(values: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in values.items() if value)
    return f'<dl class="facts">{rows}</dl>'


def _protocol(scores: Scores, images: int) -> str:
    """The headline with what it is of."""
    count = f"{images:,} images" if images != 1 else "one image"
    how = f"mean over {count}" if scores.average == "image" else f"pixels of {count} pooled"
    classes = scores.classes[1:]
    what = f"mean of {len(classes)} classes" if len(classes) > 1 else classes[0]
    around = f" ({_between(*scores.intervals['dice'])})" if "dice" in scores.intervals else ""
    return f"Dice {_shown(scores.metrics['dice'])}{around} · {what}, {how}, {scores.region.replace('_', ' ')}"


_NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "mcc": "MCC",
    "auc": "AUC",
    "boundary_iou": "boundary IoU",
    "cldice": "clDice",
    "hd95": "Hausdorff 95",
    "surface_dice": "surface Dice",
    "union_iou": "union IoU",
    "object_ap": "object AP",
}


def _named(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " "))


def _headline(scores: Scores) -> str:
    """The scores of all classes, each with its interval where there is one."""
    cards = []
    for name, value in scores.metrics.items():
        if "/" not in name and not math.isnan(value):
            between = _between(*scores.intervals[name]) if name in scores.intervals else ""
            label = escape(_named(name))
            cards.append(f"<div><dt>{label}</dt><dd>{_shown(value)}<small>{between}</small></dd></div>")
    notes = ["Means over the classes."] if len(scores.classes) > 2 else []
    notes += ["Small: 95 % intervals, where scores lie for other images of the kind."] if scores.intervals else []
    notes += [
        f"In the {region.replace('_', ' ')} Dice is {_shown(metrics['dice'])}."
        for region, metrics in scores.other.items()
    ]
    style = f"<style>{page.asset('report.css')}{PLOT_STYLE}</style><script>{page.asset('report.js')}</script>"
    return f'{style}<p class="about">{escape(" ".join(notes))}</p><dl class="cards">{"".join(cards)}</dl>'


def _shown(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def _between(low: float, high: float) -> str:
    return f"{_shown(low)} – {_shown(high)}"


def _class_table(scores: Scores) -> str:
    table = scores.per_class
    table = table[[name for name in table.columns if not str(name).endswith(("_low", "_high"))]]
    if len(table) > _MOST_CLASS_ROWS:
        table = table[(table["region"] == scores.region) & (table["average"] == scores.average)]
    about = "Average “image” is the mean of the images' scores, “pooled” the score of all their pixels."
    if len(scores.classes) > 2:
        about += " “(macro)” is the mean over the classes, “(micro)” the score of all of them added up."
    if scores.intervals:
        about += " Their intervals are in evaluation/per_class.csv."
    return f'<p class="about">{about}</p>{page.table(_readable(table))}'


def _image_table(scores: Scores, links: Mapping[str, str]) -> str:
    table = scores.per_image[scores.per_image["region"] == scores.region].sort_values("dice", kind="stable")
    table = table.assign(image=table["dataset"].astype(str) + "/" + table["image"].astype(str))
    unneeded = {"dataset", "region", *_COUNTS} | ({"class"} if len(scores.classes) == 2 else set())
    cut = table[[name for name in table.columns if name not in unneeded]].head(_MOST_ROWS)
    about = "The worst first. A click on a row shows the image, where it is among the pictures." if links else ""
    if len(table) > len(cut):
        about += f" Here are {_MOST_ROWS:,} of {len(table):,} rows; all are in evaluation/per_image.csv."
    return f'<p class="about">{about}</p><div class="rows">{page.table(_readable(cut), links=links)}</div>'


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """With words instead of underscores, and without columns that say nothing."""
    kept = table[[name for name in table.columns if not table[name].isna().all()]]
    kept = kept.assign(region=kept["region"].str.replace("_", " ")) if "region" in kept.columns else kept
    return kept.rename(columns={name: _named(str(name)) for name in kept.columns})


def _anchor(place: int) -> str:
    return f"image-{place + 1}"


_ORDERS = {
    "turn": "worst and best in turn",
    "worst": "worst first",
    "best": "best first",
    "name": "by name",
}


def _pictures(shown: Sequence[Shown], images: int) -> str:
    options = "".join(f'<option value="{key}">{text}</option>' for key, text in _ORDERS.items())
    legend = dict(entry for item in shown for entry in item.legend)
    keys = "".join(_key(text, "#" + bytes(colour).hex()) for text, colour in legend.items())
    if any(item.scale for item in shown):
        stops = ",".join("#" + bytes(colour).hex() for colour in probability_colours()[::32])
        keys += (
            f'<span><i class="scale" style="background:linear-gradient(90deg,{stops})"></i>probability 0 to 1</span>'
        )
    articles = "\n".join(_article(item, place, images) for place, item in enumerate(shown))
    about = f"{len(shown)} of {images:,} images. " if len(shown) < images else ""
    about += "A click enlarges; then ← → go through the panels of an image, ↑ ↓ through the images."
    return f"""<div class="shown"><p class="about how">{about}</p>
<div class="bar"><label>order <select>{options}</select></label>
<label>size <input type="range" min="140" max="620" value="236" aria-label="size of pictures"></label>
<span class="legend">{keys}</span></div>
<div class="list">{articles}</div></div>"""


def _key(text: str, background: str) -> str:
    return f'<span><i style="background:{background}"></i>{escape(text)}</span>'


def _article(item: Shown, place: int, images: int) -> str:
    score = "" if math.isnan(item.score) else f"{item.score:.6f}"
    told = [f"Dice {item.score:.4f}" if score else "no pixel counts"]
    if item.place is not None and images > 1:
        told.append(_rank(item.place, images))
    facts = "".join(f"<span>{text}</span>" for text in told)
    name = escape(item.name)
    return (
        f'<article id="{_anchor(place)}" data-title="{name}" data-score="{score}" data-turn="{place}">'
        f'<h3>{name}{facts}</h3><div class="tiles">{"".join(item.panels)}</div></article>'
    )


def _rank(place: int, images: int) -> str:
    """In words: `the worst`, `2nd worst of 12`, …, `the best`; place 1 is the worst."""
    place, end = (place, "worst") if 2 * place <= images + 1 else (images + 1 - place, "best")
    if place == 1:
        return f"the {end}"
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place:,}{ending} {end} of {images:,}"


def _curves(curves: Sequence[ClassCurves], region: str) -> str:
    cut = curves[:_MOST_CURVES]
    places = range(len(cut))
    rings = [curve.mask for curve in cut]
    share = cut[0].positives / max(1, cut[0].positives + cut[0].negatives)
    roc = unit_plot(
        [Line(*_points(curve.roc), place) for place, curve in enumerate(cut)],
        title="ROC curve",
        x_label="false positive rate",
        y_label="true positive rate",
        even=(0, 0, 1, 1),
        rings=[(ring[0], ring[1], place) for place, ring in enumerate(rings) if ring],
        moving=places,
    )
    precision_recall = unit_plot(
        [Line(*_points(curve.precision_recall), place) for place, curve in enumerate(cut)],
        title="precision-recall curve",
        x_label="recall",
        y_label="precision",
        even=(0, share, 1, share) if len(cut) == 1 else None,
        rings=[(ring[1], ring[2], place) for place, ring in enumerate(rings) if ring],
        moving=places,
    )
    calibration = unit_plot(
        [
            Line(curve.calibration.probability.tolist(), curve.calibration.frequency.tolist(), place, dots=True)
            for place, curve in enumerate(cut)
        ],
        title="calibration curve",
        x_label="probability",
        y_label="share of pixels that are of the class",
        even=(0, 0, 1, 1),
    )
    plots = [("ROC", "roc", roc), ("Precision and recall", "precision-recall", precision_recall)]
    plots.append(("Calibration", "calibration", calibration))
    figures = "".join(f'<div id="{name}"><h3>{title}</h3>{svg}</div>' for title, name, svg in plots)
    called = [
        {"called": curve.called.tolist(), "positives": curve.positives, "negatives": curve.negatives} for curve in cut
    ]
    data = json.dumps(called, separators=(",", ":"))
    about = (
        f"Pixels of all images, {region.replace('_', ' ')}. Dots are the predicted masks, rings what a threshold of "
        "the probability would give; the dashed lines are chance, or perfect calibration."
    )
    more = f" The first {len(cut)} of {len(curves)} classes." if len(curves) > len(cut) else ""
    return f"""<p class="about">{about}{more}</p>
<div class="plot"><div class="plots">{figures}</div>
<label class="threshold">threshold <input type="range" min="0" max="{THRESHOLDS}" value="{THRESHOLDS // 2}">
<output></output></label>
{_readout(cut)}</div>
<script type="application/json" id="called">{data}</script>"""


def _points(line: tuple[NDArray[np.float64], NDArray[np.float64]]) -> tuple[list[float], list[float]]:
    return line[0].tolist(), line[1].tolist()


def _readout(curves: Sequence[ClassCurves]) -> str:
    """A table of what the threshold gives, which a script fills, and of what does not depend on it."""
    names = (
        "class",
        "Dice",
        "IoU",
        "precision",
        "recall",
        "specificity",
        "AUC",
        "average precision",
        "calibration error",
    )
    head = "".join(f'<th scope="col"{"" if name == "class" else _NUMBER}><span>{name}</span></th>' for name in names)
    rows = "".join(
        f'<tr><td><i class="key" style="background:var(--c{place % COLOURS})"></i>{escape(curve.title)}</td>'
        f"{f'<td{_NUMBER}></td>' * 5}"
        + "".join(
            f"<td{_NUMBER}>{'–' if math.isnan(value) else f'{value:.4f}'}</td>"
            for value in (curve.area, curve.average_precision, curve.calibration_error)
        )
        + "</tr>"
        for place, curve in enumerate(curves)
    )
    return f'<div class="table" id="at"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


_NUMBER = ' class="number"'


def _confusion(scores: Scores) -> str:
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in scores.classes)
    rows = []
    for title, counts in zip(scores.classes, scores.confusion.tolist(), strict=True):
        total = sum(counts)
        cells = "".join(_cell(count, count / total if total else math.nan) for count in counts)
        rows.append(f'<tr><th scope="row">{escape(title)}</th>{cells}</tr>')
    about = (
        f"Pixels, {scores.region.replace('_', ' ')}: true classes in rows, predicted ones in columns. "
        "The share is that of the true class."
    )
    return (
        f'<p class="about">{about}</p><div class="confusion-box"><table class="confusion"><thead><tr><th></th>{heads}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(count: int, share: float) -> str:
    if math.isnan(share):
        return '<td style="--share:0"><b>–</b><small>0</small></td>'
    strong = ' class="strong"' if share > 0.5 else ""
    return f'<td{strong} style="--share:{share:.3f}"><b>{100 * share:.1f} %</b><small>{count:,}</small></td>'
