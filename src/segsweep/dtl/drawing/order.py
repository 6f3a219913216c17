"""Orders the rows of a layered drawing so that few edges cross."""

from __future__ import annotations

from bisect import bisect_right, insort
from math import inf

from segsweep.dtl.drawing.grid import Grid

__all__ = ["order_rows"]

_ROUNDS = 12


def order_rows(grid: Grid) -> None:
    """Orders every row: depth first, then by barycentres and swaps, down and up; the best order is kept."""
    best: list[list[int]] = []
    fewest = inf
    for start in (_depth_first(grid, 1), _depth_first(grid, -1)):
        grid.set_rows(start)
        for number in range(_ROUNDS):
            count = _crossings(grid)
            if count < fewest:
                best, fewest = [list(row) for row in grid.rows], count
            if fewest == 0:
                break
            _sweep(grid, downwards=number % 2 == 0)
            _swap(grid)
    grid.set_rows(best)


def _depth_first(grid: Grid, step: int) -> list[list[int]]:
    """The rows in the order of a walk: as the layers are written with step 1, from the last to the first with -1."""
    rows: list[list[int]] = [[] for _ in grid.rows]
    seen: set[int] = set()
    for root in range(len(grid.cells))[::step]:
        todo = [] if grid.uppers[root] else [root]
        while todo:
            cell = todo.pop()
            if cell not in seen:
                seen.add(cell)
                rows[grid.row_of[cell]].append(cell)
                todo += [link.lower for link in sorted(grid.lowers[cell], key=lambda link: link.offset)][::-step]
    return rows


def _sweep(grid: Grid, *, downwards: bool) -> None:
    """Orders the rows by the mean place of what each cell is linked with in the row before."""
    numbers = range(1, len(grid.rows)) if downwards else range(len(grid.rows) - 2, -1, -1)
    for number in numbers:
        other = max(len(grid.rows[number - 1 if downwards else number + 1]), 1)
        own = max(len(grid.rows[number]), 1)

        def centre(cell: int, own: int = own, other: int = other) -> float:
            links = grid.uppers[cell] if downwards else grid.lowers[cell]
            if not links:
                return (grid.index[cell] + 0.5) / own
            places = [grid.start(link) if downwards else grid.index[link.lower] - link.offset * 1e-4 for link in links]
            return (sum(places) / len(places) + 0.5) / other

        grid.set_row(number, sorted(grid.rows[number], key=centre))


def _swap(grid: Grid) -> None:
    """Swaps neighbours while that makes crossings fewer."""
    for number, row in enumerate(grid.rows):
        for _ in range(len(row)):
            better = False
            for at in range(len(row) - 1):
                a, b = grid.rows[number][at : at + 2]
                now = _between(grid, a, b)
                if now and _between(grid, b, a) < now:
                    order = list(grid.rows[number])
                    order[at : at + 2] = [b, a]
                    grid.set_row(number, order)
                    better = True
            if not better:
                break


def _between(grid: Grid, left: int, right: int) -> int:
    """How often the links of two neighbours cross when they stand in this order."""
    crossed = 0
    for places in (
        [[grid.start(link) for link in grid.uppers[cell]] for cell in (left, right)],
        [[grid.index[link.lower] for link in grid.lowers[cell]] for cell in (left, right)],
    ):
        first, second = places
        crossed += sum(a > b for a in first for b in second)
    return crossed


def _crossings(grid: Grid) -> int:
    """How many pairs of links cross."""
    count = 0
    for row in range(len(grid.rows)):
        ends: list[int] = []
        for _, lower in sorted((grid.start(link), grid.index[link.lower]) for link in grid.below(row)):
            count += len(ends) - bisect_right(ends, lower)
            insort(ends, lower)
    return count
