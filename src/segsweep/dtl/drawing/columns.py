"""Where the cells of ordered rows lie from left to right: near what they are linked with, links straight."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf

from segsweep.dtl.drawing.grid import IN_SPACING, Grid, Link

__all__ = ["columns", "snap"]

_GAP = {(False, False): 30.0, (False, True): 22.0, (True, False): 22.0, (True, True): 16.0}
"""Pixels between neighbours in a row, by whether each of them is a bend."""
_STIFFNESS = (20.0,) * 14 + (1000.0,) * 6
"""How much more than others a link within a column wants to be straight, round by round."""
_STRAIGHTEN_ROUNDS = 24


def columns(grid: Grid, entries: dict[Link, float]) -> list[float]:
    """The x of every cell: its row's order and gaps are kept, and links are as straight as that allows."""
    gaps = [[_distance(grid, a, b) for a, b in pairwise(row)] for row in grid.rows]
    aligned = _aligned(grid, entries)
    column_of = {cell: number for number, column in enumerate(aligned) for cell in column}
    pulls: list[list[tuple[bool, int, float]]] = [[] for _ in grid.cells]  # in a column, cell that pulls, shift
    for link in grid.links:
        within = column_of[link.upper] == column_of[link.lower]
        shift = link.offset - entries[link]
        pulls[link.lower].append((within, link.upper, shift))
        pulls[link.upper].append((within, link.lower, -shift))
    xs = [0.0] * len(grid.cells)
    for row, between in zip(grid.rows, gaps, strict=True):
        total = sum(between)
        for cell, x in zip(row, _spread([-total / 2] * len(row), [1.0] * len(row), between), strict=True):
            xs[cell] = x

    def fit(number: int, stiff: float, from_row: int | None = None) -> None:
        wanted, weights = [], []
        for cell in grid.rows[number]:
            near = [pull for pull in pulls[cell] if from_row in (None, grid.row_of[pull[1]])]
            wishes = [(stiff if within else 1.0, xs[other] + shift) for within, other, shift in near]
            total = sum(strength for strength, _ in wishes)
            wanted.append(sum(strength * x for strength, x in wishes) / total if wishes else xs[cell])
            weights.append(total or 0.01)
        for cell, x in zip(grid.rows[number], _spread(wanted, weights, gaps[number]), strict=True):
            xs[cell] = x

    numbers = range(len(grid.rows))
    for stiff in _STIFFNESS:
        for number in numbers[1:]:
            fit(number, stiff, number - 1)
        for number in reversed(numbers[:-1]):
            fit(number, stiff, number + 1)
        for number in numbers:
            fit(number, stiff)
    _straighten(grid, aligned, gaps, pulls, xs)
    return [round(x, 1) for x in xs]


def snap(grid: Grid, xs: Sequence[float], entries: dict[Link, float]) -> None:
    """Lets links that would be straight but for a few pixels enter their box beside the proper place."""
    for cell in range(grid.nodes):
        links = grid.uppers[cell]
        most = IN_SPACING / 2 if len(links) == 1 else IN_SPACING / 4
        for link in links:
            straight = xs[link.upper] + link.offset - xs[cell]
            if abs(straight - entries[link]) <= most:
                entries[link] = straight


def _straighten(
    grid: Grid,
    aligned: Sequence[dict[int, float]],
    gaps: Sequence[Sequence[float]],
    pulls: Sequence[Sequence[tuple[bool, int, float]]],
    xs: list[float],
) -> None:
    """Moves columns of cells that belong under each other as one, to where they are pulled, within their room."""
    for turn in range(_STRAIGHTEN_ROUNDS):
        for column in aligned if turn % 2 == 0 else reversed(aligned):
            least, most = -inf, inf
            wishes = []
            for cell, shift in column.items():
                row, at = grid.rows[grid.row_of[cell]], grid.index[cell]
                between = gaps[grid.row_of[cell]]
                if at > 0:
                    least = max(least, xs[row[at - 1]] + between[at - 1] - shift)
                if at + 1 < len(row):
                    most = min(most, xs[row[at + 1]] - between[at] - shift)
                wishes += [xs[other] + aside - shift for within, other, aside in pulls[cell] if not within]
            if wishes and least <= most:
                x = min(max(sum(wishes) / len(wishes), least), most)
                for cell, shift in column.items():
                    xs[cell] = x + shift


def _aligned(grid: Grid, entries: dict[Link, float]) -> list[dict[int, float]]:
    """Columns: cells whose links are to be straight, with their x from the first one's; every cell is in one.

    A link is straight when it is the middle one of those that leave and of those that arrive, or goes on from a bend
    to a bend.
    """

    def middle(links: Sequence[Link]) -> Link | None:
        through = [link for link in links if grid.is_bend(link.upper) and grid.is_bend(link.lower)]
        if len(through) == 1:
            return through[0]
        return links[len(links) // 2] if len(links) % 2 else None

    found: list[dict[int, float]] = []
    column_of: dict[int, dict[int, float]] = {}
    for row in grid.rows:
        for cell in row:
            link = middle(sorted(grid.uppers[cell], key=entries.__getitem__))
            below = sorted(grid.lowers[link.upper], key=lambda k: (grid.index[k.lower], entries[k])) if link else []
            if link and middle(below) == link:
                column = column_of[link.upper]
                column[cell] = column[link.upper] + link.offset - entries[link]
            else:
                column = {cell: 0.0}
                found.append(column)
            column_of[cell] = column
    return found


def _distance(grid: Grid, left: int, right: int) -> float:
    gap = _GAP[grid.is_bend(left), grid.is_bend(right)]
    return grid.cells[left].right + gap + grid.cells[right].left


def _spread(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones (weighted least squares) that keep order and gaps.

    With the gaps subtracted this is isotonic regression, solved by pooling adjacent violators.
    """
    starts = [0.0]
    for gap in gaps:
        starts.append(starts[-1] + gap)
    pools: list[tuple[float, float, int]] = []  # mean, weight, cells
    for want, weight, start in zip(wanted, weights, starts, strict=False):
        mean, heavy, count = want - start, weight, 1
        while pools and pools[-1][0] > mean:
            other, more, cells = pools.pop()
            mean, heavy, count = (mean * heavy + other * more) / (heavy + more), heavy + more, count + cells
        pools.append((mean, heavy, count))
    flat = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + start for mean, start in zip(flat, starts, strict=False)]
