"""Places the boxes of a directed graph in rows, and routes its edges so that none runs through a box.

The layered drawing of Sugiyama, Tagawa and Toda (1981): every box gets a row below those it reads from; in the rows
that an edge passes it gets a place of its own, a bend; rows are ordered to cut crossings (barycentres and swaps of
neighbours), and x is a least-squares fit to the neighbours in the rows above and below. The same graph always gives the
same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from segsweep.dtl.drawing.columns import columns, snap
from segsweep.dtl.drawing.grid import Edge, Grid, Link, Node
from segsweep.dtl.drawing.order import order_rows

__all__ = ["Placement", "Point", "place"]

Point = tuple[float, float]
"""(x, y) in pixels, to the right and downwards."""

_ZONE = (34.0, 96.0)
_ZONE_SLOPE = 0.12
"""Pixels between rows, least and most, and how they grow with the way that edges go to the side."""


@dataclass(frozen=True)
class Placement:
    """Where everything lies, in pixels; the picture begins at (0, 0).

    Attributes:
        middles: x of the middle of every node.
        tops: y of the upper side of every node, that of its row.
        heights: The height of every node's row; its boxes may be drawn as high as that.
        routes: For every edge the points that it passes: between two of them it is straight where x is equal, else a
            curve that leaves and arrives upright. Edges of one output share points, also those between their ends.
        width: Of the whole.
        height: Of the whole.
    """

    middles: tuple[float, ...]
    tops: tuple[float, ...]
    heights: tuple[float, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def place(nodes: Sequence[Node], edges: Sequence[Edge]) -> Placement:
    """Places nodes in rows, edges downwards.

    Raises:
        graphlib.CycleError: The edges form a loop.
    """
    grid = Grid.of(nodes, edges)
    order_rows(grid)
    entries = grid.entries()
    xs = columns(grid, entries)
    shift = -min((x - cell.left for x, cell in zip(xs, grid.cells, strict=True)), default=0.0)
    xs = [x + shift for x in xs]
    snap(grid, xs, entries)

    tops, heights, feet, y = [], [], [], 0.0
    for number, row in enumerate(grid.rows):
        tops.append(y)
        heights.append(max(grid.cells[cell].height for cell in row))
        feet.append(y + heights[-1] + max(grid.cells[cell].foot for cell in row))
        aside = max((abs(xs[a.lower] + entries[a] - xs[a.upper] - a.offset) for a in grid.below(number)), default=0.0)
        y = feet[-1] + min(_ZONE[1], _ZONE[0] + _ZONE_SLOPE * aside)

    def route(links: Sequence[Link]) -> tuple[Point, ...]:
        first = links[0]
        row = grid.row_of[first.upper]
        points = [(xs[first.upper] + first.offset, tops[row] + heights[row])]
        for link in links:
            row = grid.row_of[link.upper]
            points.append((xs[link.upper] + link.offset, feet[row]))
            points.append((xs[link.lower] + entries[link], tops[row + 1]))
        return tuple(b for a, b in pairwise([None, *points]) if a != b and b is not None)

    rows = [grid.row_of[index] for index in range(len(nodes))]
    return Placement(
        tuple(xs[: len(nodes)]),
        tuple(tops[row] for row in rows),
        tuple(heights[row] for row in rows),
        tuple(route(links) for links in grid.chains),
        max((x + cell.right for x, cell in zip(xs, grid.cells, strict=True)), default=0.0),
        feet[-1] if feet else 0.0,
    )
