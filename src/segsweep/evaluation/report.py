"""Scores as files: tables, the confusion matrix and ROC curves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.counts import Counts
from segsweep.files import write_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from segsweep.evaluation.evaluate import Scores

__all__ = ["write_scores"]

_MOST_CELLS_WITH_TEXT = 20
_INK = "#20242a"


def write_scores(scores: Scores, folder: Path) -> None:
    """Writes `per_image.csv`, `per_class.csv`, `confusion_matrix.csv` and `.png`; with probabilities also `roc.png`.

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
    if scores.roc:
        write_bytes(folder / "roc.png", _png(_roc_figure(scores)))


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


def _roc_figure(scores: Scores) -> Figure:
    figure = _figure(6.4, 6.0)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#b0b5bb", linewidth=1, linestyle="--")
    pooled = Counts.of(scores.confusion)
    for title, counts in scores.roc.items():
        false, true = _thinned(*counts.curve())
        (line,) = axes.plot(false, true, linewidth=1.8, label=f"{_plain(title)}, AUC {counts.auc:.4f}")
        place = scores.classes.index(title)
        negatives = int(pooled.fp[place] + pooled.tn[place])
        positives = int(pooled.tp[place] + pooled.fn[place])
        if negatives and positives:
            point = (pooled.fp[place] / negatives, pooled.tp[place] / positives)
            axes.plot(*point, marker="o", color=line.get_color(), markersize=6)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_title(f"ROC, {scores.region.replace('_', ' ')}; dots are the predicted masks", fontsize=11)
    axes.grid(color="#e6e8ea")
    axes.set_axisbelow(True)
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    return figure


def _thinned(
    false: NDArray[np.float64], true: NDArray[np.float64], steps: int = 1000
) -> tuple[Sequence[float], Sequence[float]]:
    """A curve without the points that fall on a pixel already drawn."""
    cells = np.stack([np.rint(false * steps), np.rint(true * steps)])
    kept = np.concatenate([[True], (np.diff(cells) != 0).any(axis=0)])
    kept[-1] = True
    return false[kept].tolist(), true[kept].tolist()
