"""Scores as files: tables, the confusion matrix and curves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segsweep.evaluation.curves import ClassCurves, class_curves
from segsweep.files import write_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from segsweep.evaluation.evaluate import Scores

__all__ = ["write_scores"]

_MOST_CELLS_WITH_TEXT = 20
_INK = "#20242a"


def write_scores(scores: Scores, folder: Path) -> None:
    """Writes `per_image.csv`, `per_class.csv`, `confusion_matrix.csv` and `.png`, and pictures of the curves.

    With probabilities there are `roc.png`, `precision_recall.png` and `calibration.png`.

    Args:
        scores: What an evaluation found.
        folder: Receives the files, each replaced atomically; is made if missing.
    """
    import pandas as pd

    _write_table(folder / "per_image.csv", scores.per_image)
    _write_table(folder / "per_class.csv", scores.per_class)
    matrix = pd.DataFrame(scores.confusion, columns=list(scores.classes))
    matrix.insert(0, "true class", list(scores.classes), allow_duplicates=True)
    _write_table(folder / "confusion_matrix.csv", matrix)
    write_bytes(folder / "confusion_matrix.png", _png(_confusion_figure(scores)))
    curves = class_curves(scores.roc, scores.confusion, scores.classes)
    for name, draw in _CURVES.items() if curves else ():
        write_bytes(folder / name, _png(draw(curves, scores.region.replace("_", " "))))


def _write_table(path: Path, table: pd.DataFrame) -> None:
    write_bytes(path, table.to_csv(index=False).encode())


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _figure(width: float, height: float) -> Figure:
    """A figure in inches that draws by Agg and is known to no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(text: str, most: int = 28) -> str:
    """A title as it is, without formulas, and short enough to stand beside others."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return short.replace("$", r"\$")


def _confusion_figure(scores: Scores) -> Figure:
    count = len(scores.classes)
    totals = scores.confusion.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, scores.confusion / np.maximum(totals, 1), np.nan)
    side = min(3.6 + 0.85 * count, 20.0)
    figure = _figure(side + 1.0, side)
    axes = figure.add_subplot()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    labels = [_plain(title) for title in scores.classes]
    size = 10 if count <= _MOST_CELLS_WITH_TEXT else 6
    axes.set_xticks(range(count), labels, rotation=0 if count <= 3 else 45, ha="center" if count <= 3 else "right")
    axes.set_yticks(range(count), labels)
    axes.tick_params(labelsize=size, length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"Pixels, {scores.region.replace('_', ' ')}: share of the true class", fontsize=11)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if count <= _MOST_CELLS_WITH_TEXT:
        for row, column in np.ndindex(count, count):
            share = float(shares[row, column])
            text = f"{_percent(share)}\n{scores.confusion[row, column]:,}"
            color, fontsize = "white" if share > 0.55 else _INK, 9 if count <= 8 else 7
            axes.text(column, row, text, ha="center", va="center", fontsize=fontsize, color=color)
    bar = figure.colorbar(picture, ax=axes, shrink=0.8)
    bar.outline.set_visible(False)
    return figure


def _percent(share: float) -> str:
    if np.isnan(share):
        return "–"
    return f"{100 * share:.1f} %"


def _unit_axes(x_label: str, y_label: str, title: str) -> tuple[Figure, Any]:
    """A figure with one pair of axes from 0 to 1."""
    figure = _figure(6.4, 6.0)
    axes = figure.add_subplot()
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, fontsize=11)
    axes.grid(color="#e6e8ea")
    axes.set_axisbelow(True)
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)
    return figure, axes


def _roc_figure(curves: Sequence[ClassCurves], region: str) -> Figure:
    title = f"ROC, {region}; dots are the predicted masks"
    figure, axes = _unit_axes("false positive rate", "true positive rate", title)
    axes.plot([0, 1], [0, 1], **_EVEN)
    for curve in curves:
        (line,) = axes.plot(*curve.roc, linewidth=1.8, label=f"{_plain(curve.title)}, AUC {curve.area:.4f}")
        if curve.mask is not None:
            axes.plot(curve.mask[0], curve.mask[1], marker="o", color=line.get_color(), markersize=6)
    axes.legend(loc="lower right", frameon=False)
    return figure


def _precision_recall_figure(curves: Sequence[ClassCurves], region: str) -> Figure:
    title = f"Precision and recall, {region}; dots are the predicted masks"
    figure, axes = _unit_axes("recall", "precision", title)
    for curve in curves:
        label = f"{_plain(curve.title)}, average precision {curve.average_precision:.4f}"
        (line,) = axes.plot(*curve.precision_recall, linewidth=1.8, label=label)
        if curve.mask is not None:
            axes.plot(curve.mask[1], curve.mask[2], marker="o", color=line.get_color(), markersize=6)
    axes.legend(loc="lower left", frameon=False)
    return figure


def _calibration_figure(curves: Sequence[ClassCurves], region: str) -> Figure:
    title = f"Calibration, {region}; on the dashed line probabilities mean what they say"
    figure, axes = _unit_axes("probability", "share of pixels that are of the class", title)
    axes.plot([0, 1], [0, 1], **_EVEN)
    for curve in curves:
        known = curve.calibration.pixels > 0
        points = curve.calibration.probability[known], curve.calibration.frequency[known]
        label = f"{_plain(curve.title)}, expected error {curve.calibration_error:.4f}"
        axes.plot(*points, marker="o", markersize=4, linewidth=1.8, label=label)
    axes.legend(loc="upper left", frameon=False)
    return figure


_EVEN: dict[str, Any] = {"color": "#b0b5bb", "linewidth": 1, "linestyle": "--"}
_CURVES = {
    "roc.png": _roc_figure,
    "precision_recall.png": _precision_recall_figure,
    "calibration.png": _calibration_figure,
}
