"""Which images of an evaluation are shown, the worst and the best first, and how they are told to a reporter."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.comparison import Comparison
from segsweep.evaluation.panels import ClassStyle, Color, Drawn, Picture, certainty, draw
from segsweep.evaluation.pictures import compose
from segsweep.files import read_image
from segsweep.page import picture as embedded
from segsweep.reporting import Reporter, track

__all__ = ["MOST_ON_PAGE", "Shown", "class_styles", "show_images", "worst_and_best"]

T = TypeVar("T")

MOST_ON_PAGE = 40
"""Images that a page shows at most, so that it stays one that a browser opens at once."""
_MOST_THREADS = 4
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
    comparison: Comparison,
    scores: NDArray[np.float64],
    region: str,
    most: int,
    reporter: Reporter,
    *,
    page: bool = False,
) -> list[Shown]:
    """Draws the worst, the best, the second worst … image, and reports each.

    Args:
        comparison: What was compared.
        scores: Dice of each image, the mean over the classes; (N,).
        region: Where it was scored.
        most: How many images are shown at most.
        reporter: Gets the pictures `predictions/<dataset>/<image's stem>`, and the same as a series `test/…` at step 0.
        page: Whether they are prepared for a page too.

    Returns:
        The images for a page in the same order, at most `MOST_ON_PAGE`; none without `page`.
    """
    stems = Counter((item.dataset, Path(item.name).stem) for item, _ in comparison.pairs)
    styles = class_styles(comparison)
    ranks = {place: number for number, place in enumerate(_ranked(scores), 1)}
    chosen = worst_and_best(scores, most)
    on_page = set(chosen[:MOST_ON_PAGE] if page else ())

    def drawn(place: int) -> tuple[Picture, Shown | None]:
        item = comparison.pairs[place][0]
        found = _drawn(comparison, place, styles, region)
        picture = compose(found, item.name)
        if place not in on_page:
            return picture, None
        return picture, _for_page(found, f"{item.dataset}/{item.name}", ranks.get(place), float(scores[place]))

    shown: list[Shown] = []
    pictures = track(_ahead(drawn, chosen), reporter, "comparison pictures", total=len(chosen), unit="img")
    for place, (picture, prepared) in zip(chosen, pictures, strict=True):
        item = comparison.pairs[place][0]
        name = Path(item.name).stem if stems[item.dataset, Path(item.name).stem] == 1 else item.name
        reporter.image(f"predictions/{item.dataset}/{name}", picture)
        # again as a series, by which runs can be laid side by side
        reporter.image(f"test/{item.dataset}/{name}", picture, step=0)
        shown += [prepared] if prepared is not None else []
    return shown


def _ahead(work: Callable[[int], T], places: Sequence[int]) -> Iterator[T]:
    """The results of work in order, a few ahead: most of it leaves Python's lock alone."""
    threads = max(1, min(_MOST_THREADS, os.cpu_count() or 1))
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads, "segsweep-pictures") as pool:
        try:
            for place in places:
                if len(waiting) > threads:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, place))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


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
        embedded(panel.picture, " · ".join(filter(None, [panel.heading, panel.note])), width=_PANEL_WIDTH)
        for panel in drawn.panels
    )
    legend = (*((title, color) for title, color, _ in drawn.classes), *drawn.legend)
    return Shown(name, place, score, panels, legend, any(panel.scale for panel in drawn.panels))


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
