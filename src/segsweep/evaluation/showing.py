"""Which images of an evaluation are shown, the worst and the best first, and how they are told to a reporter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsweep import page
from segsweep.evaluation.comparison import Comparison
from segsweep.evaluation.panels import ClassStyle, Color, Drawn, certainty, draw
from segsweep.evaluation.pictures import compose
from segsweep.files import read_image
from segsweep.reporting import Reporter, track

__all__ = ["Shown", "class_styles", "show_images", "worst_and_best"]

_PANEL_WIDTH = 360
"""Of a panel on the page, in CSS pixels; twice as many are kept, so that it can be looked at enlarged."""


@dataclass(frozen=True)
class Shown:
    """An image as a page shows it.

    Attributes:
        name: `<dataset>/<image>`, as in the tables.
        place: 1 for the worst of all images, and so on; None without a score.
        score: Dice, the mean over the classes; NaN without a pixel that counts.
        panels: As HTML.
        legend: What its colours mean.
        scale: Whether there is a panel of probabilities.
    """

    name: str
    place: int | None
    score: float
    panels: tuple[str, ...]
    legend: tuple[tuple[str, Color], ...]
    scale: bool


def show_images(
    comparison: Comparison, scores: NDArray[np.float64], region: str, most: int, reporter: Reporter
) -> list[Shown]:
    """Draws the worst, the best, the second worst … image, and reports each.

    Args:
        comparison: What was compared.
        scores: Dice of each image, the mean over the classes; (N,).
        region: Where it was scored.
        most: How many images are shown at most.
        reporter: Gets the pictures `predictions/<dataset>/<image's stem>`, and the same as a series `test/…` at step 0.

    Returns:
        The same images in the same order, for a page.
    """
    stems = Counter((item.dataset, Path(item.name).stem) for item, _ in comparison.pairs)
    styles = class_styles(comparison)
    places = {place: number for number, place in enumerate(_ranked(scores), 1)}
    shown: list[Shown] = []
    for place in track(worst_and_best(scores, most), reporter, "comparison pictures", unit="img"):
        item = comparison.pairs[place][0]
        drawn = _drawn(comparison, place, styles, region)
        picture = compose(drawn, item.name)
        name = Path(item.name).stem if stems[item.dataset, Path(item.name).stem] == 1 else item.name
        reporter.image(f"predictions/{item.dataset}/{name}", picture)
        # again as a series, by which runs can be laid side by side
        reporter.image(f"test/{item.dataset}/{name}", picture, step=0)
        shown.append(_for_page(drawn, f"{item.dataset}/{item.name}", places.get(place), float(scores[place])))
    return shown


def worst_and_best(scores: NDArray[np.float64], most: int) -> list[int]:
    """Places of the worst, the best, the second worst … image; those without a score come last."""
    order = _ranked(scores)
    turns = [order[turn // 2] if turn % 2 == 0 else order[-1 - turn // 2] for turn in range(len(order))]
    return [*turns, *(int(place) for place in np.flatnonzero(np.isnan(scores)))][:most]


def class_styles(comparison: Comparison) -> list[ClassStyle]:
    """The scored classes with the colours that the truth gives them."""
    colors = {entry.title: entry.color for entry in comparison.truth.meta.classes}
    return [ClassStyle(title, _rgb(colors[title])) for title in comparison.classes.titles[1:]]


def _ranked(scores: NDArray[np.float64]) -> list[int]:
    """Places of the images with a score, the worst first."""
    return [int(place) for place in np.argsort(scores, kind="stable") if not np.isnan(scores[place])]


def _drawn(comparison: Comparison, place: int, styles: Sequence[ClassStyle], region: str) -> Drawn:
    pair = comparison.pairs[place]
    maps = comparison.read(pair)
    return draw(
        read_image(pair[0].image_path),
        maps.truth,
        maps.prediction,
        styles,
        valid=maps.valid[region],
        probability=certainty(maps.probabilities, maps.prediction, len(styles)),
    )


def _for_page(drawn: Drawn, name: str, place: int | None, score: float) -> Shown:
    panels = tuple(
        page.picture(panel.picture, " · ".join(filter(None, [panel.heading, panel.note])), width=_PANEL_WIDTH)
        for panel in drawn.panels
    )
    legend = (*((title, color) for title, color, _ in drawn.classes), *drawn.legend)
    return Shown(name, place, score, panels, legend, any(panel.scale for panel in drawn.panels))


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
