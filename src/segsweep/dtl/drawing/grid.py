"""The rows of a layered drawing: nodes, the bends of edges that pass a row, and the links between neighbouring rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

__all__ = ["IN_SPACING", "Edge", "Grid", "Link", "Node"]

IN_SPACING = 16.0
"""Pixels between two edges that end at the same box."""


@dataclass(frozen=True)
class Node:
    """A box to place.

    Attributes:
        left: How far it reaches to the left of its middle, with its labels, in pixels.
        right: How far it reaches to the right.
        height: Its height.
        foot: Room below it for the labels of its outputs.
        outs: Where its outputs leave, from its middle.
    """

    left: float
    right: float
    height: float
    foot: float = 0.0
    outs: tuple[float, ...] = (0.0,)


@dataclass(frozen=True)
class Edge:
    """From an output of a node to a node, by their indices."""

    source: int
    out: int
    target: int


@dataclass(frozen=True)
class Link:
    """A piece of an edge, between two neighbouring rows; `offset` is where it leaves the upper cell."""

    upper: int
    offset: float
    lower: int


class Grid:
    """Rows of cells: the nodes, by their indices, and after them the bends; and the links between rows.

    Edges of one output share their bends, as branches of one line.
    """

    def __init__(self, cells: list[Node], nodes: int, row_of: list[int], chains: list[list[Link]]) -> None:
        self.cells = cells
        self.nodes = nodes
        self.row_of = row_of
        self.chains = chains
        self.links = list(dict.fromkeys(link for chain in chains for link in chain))
        self.uppers: list[list[Link]] = [[] for _ in cells]
        self.lowers: list[list[Link]] = [[] for _ in cells]
        for link in self.links:
            self.uppers[link.lower].append(link)
            self.lowers[link.upper].append(link)
        self.rows: list[list[int]] = [[] for _ in range(max(row_of, default=-1) + 1)]
        self.index = [0] * len(cells)

    @classmethod
    def of(cls, nodes: Sequence[Node], edges: Sequence[Edge]) -> Grid:
        """Puts nodes into rows and bends where edges pass one.

        Raises:
            graphlib.CycleError: The edges form a loop.
        """
        row_of = _rank(len(nodes), edges)
        cells = list(nodes)
        bends: dict[tuple[int, int, int], int] = {}
        chains = []
        for edge in edges:
            chain, above, offset = [], edge.source, nodes[edge.source].outs[edge.out]
            for row in range(row_of[edge.source] + 1, row_of[edge.target]):
                bend = bends.setdefault((edge.source, edge.out, row), len(cells))
                if bend == len(cells):
                    cells.append(Node(0.0, 0.0, 0.0))
                    row_of.append(row)
                chain.append(Link(above, offset, bend))
                above, offset = bend, 0.0
            chains.append([*chain, Link(above, offset, edge.target)])
        return cls(cells, len(nodes), row_of, chains)

    def is_bend(self, cell: int) -> bool:
        """Whether a cell is a bend, not a node."""
        return cell >= self.nodes

    def below(self, row: int) -> list[Link]:
        """The links that leave a row."""
        return [link for cell in self.rows[row] for link in self.lowers[cell]]

    def set_rows(self, rows: Iterable[Sequence[int]]) -> None:
        """Orders all rows."""
        for number, row in enumerate(rows):
            self.set_row(number, row)

    def set_row(self, number: int, row: Sequence[int]) -> None:
        """Orders one row."""
        self.rows[number] = list(row)
        for index, cell in enumerate(row):
            self.index[cell] = index

    def start(self, link: Link) -> float:
        """Where a link leaves its row: the place in the row, and within the cell."""
        cell = self.cells[link.upper]
        return self.index[link.upper] + link.offset / (2 * max(cell.left, cell.right) + 1)

    def entries(self) -> dict[Link, float]:
        """Where links arrive, from the middle of their lower cell, from left to right as they come."""
        found = {}
        for links in self.uppers:
            ordered = sorted(links, key=self.start)
            for number, link in enumerate(ordered):
                found[link] = (number - (len(ordered) - 1) / 2) * IN_SPACING
        return found


def _rank(count: int, edges: Sequence[Edge]) -> list[int]:
    """A row for every node: as high as those that it reads from allow, then moved down where edges get shorter.

    A node moves together with all that would come too near below it, and as a tie, so that a side stream that begins
    late stays together. The number of rows stays that of the longest path.
    """
    leaving: dict[int, list[int]] = defaultdict(list)
    arriving: dict[int, list[int]] = defaultdict(list)
    for edge in edges:
        leaving[edge.source].append(edge.target)
        arriving[edge.target].append(edge.source)
    order = list(TopologicalSorter({node: arriving[node] for node in range(count)}).static_order())
    rank = [0] * count
    for node in order:
        rank[node] = max((rank[above] + 1 for above in arriving[node]), default=0)
    last = max(rank, default=0)
    moved = True
    while moved:
        moved = False
        for node in reversed(order):
            group, todo = {node}, [node]
            while todo:
                above = todo.pop()
                tight = {below for below in leaving[above] if rank[below] == rank[above] + 1} - group
                group |= tight
                todo += tight
            shorter = [rank[b] - rank[a] - 1 for a in group for b in leaving[a] if b not in group]
            longer = sum(a not in group for b in group for a in arriving[b])
            step = min([last - max(rank[member] for member in group), *shorter])
            if len(shorter) >= max(longer, 1) and step > 0:
                moved = True
                for member in group:
                    rank[member] += step
    return rank
