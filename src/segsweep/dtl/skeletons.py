"""Lines in thin masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["longest_paths"]

_LEAST_EDGES = 3
"""What hangs together by fewer edges is too short to be a line."""


def longest_paths(mask: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """Takes a mask, which should be thin, apart into lines: the longest of each part, then of each part that is left.

    Pixels are joined with their eight neighbours; loops are opened where that costs least (a minimum spanning tree).
    Lines branch off at pixels of longer ones. All parts are worked on together, so that the time depends on how often
    lines branch, not on how many there are.

    Yields:
        Pixels (x, y) of a line, in order, Nx2.
    """
    from scipy.sparse import csgraph  # here, because it takes long to import

    pixels = np.argwhere(mask)[:, ::-1]
    edges = _spanning_edges(mask)
    while edges.size:
        nodes, edges = np.unique(edges, return_inverse=True)
        _, labels = csgraph.connected_components(_graph(edges, len(nodes)), directed=False)
        large = np.bincount(labels[edges[0]]) >= _LEAST_EDGES
        edges = edges[:, large[labels[edges[0]]]]
        parts, any_edge = np.unique(labels[edges[0]], return_index=True)
        starts, _ = _farthest(edges, edges[0, any_edge], labels, parts)
        ends, towards = _farthest(edges, starts, labels, parts)
        used = np.zeros(len(nodes), dtype=np.bool_)
        steps = towards.tolist()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            path = [end]
            while path[-1] != start:
                path.append(steps[path[-1]])
            used[path] = True
            yield pixels[nodes[path]]
        left = np.flatnonzero((towards >= 0) & ~used)
        edges = nodes[np.stack([left, towards[left]])]


def _spanning_edges(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Edges between neighbouring pixels that join all that hangs together without loops: numbers of pixels, 2xE."""
    from scipy.sparse import csgraph

    count = int(np.count_nonzero(mask))
    numbers = np.full((mask.shape[0] + 1, mask.shape[1] + 2), -1, dtype=np.intp)
    inner = numbers[:-1, 1:-1]
    inner[mask] = np.arange(count)
    right, below = numbers[:-1, 2:], numbers[1:, 1:-1]
    slanted = numbers[1:, 2:], numbers[1:, :-2]
    pairs, lengths = [], []
    for other, length in ((right, 1.0), (below, 1.0), (slanted[0], 2**0.5), (slanted[1], 2**0.5)):
        both = (inner >= 0) & (other >= 0)
        pairs.append(np.stack([inner[both], other[both]]))
        lengths.append(np.full(pairs[-1].shape[1], length))
    graph = _graph(np.concatenate(pairs, axis=1), count, np.concatenate(lengths))
    return np.stack(csgraph.minimum_spanning_tree(graph).nonzero())


def _graph(edges: NDArray[np.intp], count: int, lengths: NDArray[np.float64] | None = None) -> Any:
    from scipy.sparse import coo_array

    weights = np.ones(edges.shape[1]) if lengths is None else lengths
    return coo_array((weights, (edges[0], edges[1])), shape=(count, count)).tocsr()


def _farthest(
    edges: NDArray[np.intp], starts: NDArray[np.intp], labels: NDArray[np.int32], parts: NDArray[np.int32]
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """The node of each part that is most edges away from its start, and the next node on every node's way back."""
    from scipy.sparse import csgraph

    root = len(labels)  # one more node, from which all parts are searched at once
    rooted = np.concatenate([edges, np.stack([np.full(len(starts), root), starts])], axis=1)
    order, towards = csgraph.breadth_first_order(_graph(rooted, root + 1), root, directed=False)
    last = np.empty(len(labels), dtype=np.intp)
    last[labels[order[1:]]] = order[1:]  # farther nodes come later, and the last one of each part stays
    return last[parts], towards[:root]
