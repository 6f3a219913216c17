"""The shapes an object can have, and what happens to them when an image is flipped, cropped or resized.

Coordinates are pixels, x to the right, y down. Vector points are continuous: the image covers [0, W] x [0, H], so a
mirror takes x to W - x. A bitmap is made of pixel cells, so its mirror is exact. Shapes are values: nothing here
changes an array, and results may share arrays with what they were made from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.errors import DataError

__all__ = [
    "Axis",
    "Bitmap",
    "Geometry",
    "Graph",
    "Line",
    "Point",
    "Points",
    "Polygon",
    "Rectangle",
    "area",
    "bounds",
    "crop",
    "flip",
    "map_points",
    "normalise",
    "resize",
    "shift",
    "trim",
]

Points: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Size: TypeAlias = tuple[int, int]
Axis = Literal["vertical", "horizontal"]


class _ByValue:
    """Equality by content, which the generated one cannot do for arrays."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            _equal(getattr(self, item.name), getattr(other, item.name))
            for item in fields(self)  # type: ignore[arg-type]
        )

    __hash__ = None  # type: ignore[assignment]


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    if isinstance(first, np.ndarray):
        return bool(np.array_equal(first, second))
    return bool(first == second)


@dataclass(frozen=True, eq=False)
class Bitmap(_ByValue):
    """A mask (bool, HxW) whose top-left pixel lies at (x, y) of the image; it may reach beyond the image."""

    mask: Mask
    x: int
    y: int
    shape: ClassVar[str] = "bitmap"


@dataclass(frozen=True, eq=False)
class Polygon(_ByValue):
    """A ring of points (Nx2) with rings for its holes."""

    exterior: Points
    interior: tuple[Points, ...] = ()
    shape: ClassVar[str] = "polygon"


@dataclass(frozen=True)
class Rectangle:
    """An axis-parallel rectangle; as read from a file its corners may be in any order."""

    left: float
    top: float
    right: float
    bottom: float
    shape: ClassVar[str] = "rectangle"


@dataclass(frozen=True, eq=False)
class Line(_ByValue):
    """A polyline of points (Nx2)."""

    points: Points
    shape: ClassVar[str] = "line"


@dataclass(frozen=True)
class Point:
    """One point."""

    x: float
    y: float
    shape: ClassVar[str] = "point"


@dataclass(frozen=True)
class Graph:
    """A keypoint graph: node id -> {"loc": [x, y], …}, as it stands in the file."""

    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shape: ClassVar[str] = "graph"


Geometry: TypeAlias = Bitmap | Polygon | Rectangle | Line | Point | Graph


def bounds(geometry: Geometry) -> tuple[float, float, float, float]:
    """(left, top, right, bottom); half-open for a bitmap, so that right - left is its width. NaN when empty."""
    match geometry:
        case Bitmap(mask, x, y):
            return x, y, x + mask.shape[1], y + mask.shape[0]
        case Rectangle():
            return (
                min(geometry.left, geometry.right),
                min(geometry.top, geometry.bottom),
                max(geometry.left, geometry.right),
                max(geometry.top, geometry.bottom),
            )
        case Point(x, y):
            return x, y, x, y
        case Polygon(points) | Line(points):
            return _bounds_of(points)
        case Graph(nodes):
            return _bounds_of(_locations(nodes))


def _bounds_of(points: Points) -> tuple[float, float, float, float]:
    if not len(points):
        return math.nan, math.nan, math.nan, math.nan
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _locations(nodes: Mapping[str, Mapping[str, Any]]) -> Points:
    return np.array([node["loc"] for node in nodes.values()], dtype=np.float64).reshape(-1, 2)


def area(geometry: Geometry) -> float:
    """Square pixels: a bitmap's pixels, a polygon's exterior (holes are not subtracted), 0 for lines and points."""
    match geometry:
        case Bitmap(mask):
            return int(np.count_nonzero(mask))
        case Rectangle():
            return abs(geometry.right - geometry.left) * abs(geometry.bottom - geometry.top)
        case Polygon(exterior):
            x, y = exterior.T  # the shoelace formula
            return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
        case _:
            return 0.0


def map_points(geometry: Geometry, move: Callable[[Points], Points]) -> Geometry:
    """Applies `move` (Nx2 -> Nx2) to a vector shape; a rectangle becomes the bounds of its four moved corners.

    Raises:
        TypeError: The shape is a bitmap, which has no points.
    """
    match geometry:
        case Polygon(exterior, interior):
            return Polygon(move(exterior), tuple(move(ring) for ring in interior))
        case Line(points):
            return Line(move(points))
        case Point(x, y):
            return Point(*(float(value) for value in move(np.array([[x, y]], dtype=np.float64))[0]))
        case Rectangle(left, top, right, bottom):
            corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)
            return Rectangle(*_bounds_of(move(corners)))
        case Graph(nodes):
            moved = move(_locations(nodes)).tolist()
            return Graph({key: {**node, "loc": loc} for (key, node), loc in zip(nodes.items(), moved, strict=True)})
        case Bitmap():
            raise TypeError("a bitmap has no points to move")


def shift(geometry: Geometry, dx: int, dy: int) -> Geometry:
    """Moves a shape by whole pixels."""
    if isinstance(geometry, Bitmap):
        return Bitmap(geometry.mask, geometry.x + dx, geometry.y + dy)
    offset = np.array([dx, dy], dtype=np.float64)
    return map_points(geometry, lambda points: points + offset)


def flip(geometry: Geometry, axis: Axis, size: Size) -> Geometry:
    """Mirrors a shape in an image of `size` (width, height).

    `axis` names the mirror line: `vertical` exchanges left and right, `horizontal` top and bottom.
    """
    width, height = size
    if isinstance(geometry, Bitmap):
        rows, columns = geometry.mask.shape
        # contiguous, because what comes next reads it often
        if axis == "vertical":
            return Bitmap(np.ascontiguousarray(geometry.mask[:, ::-1]), width - geometry.x - columns, geometry.y)
        return Bitmap(np.ascontiguousarray(geometry.mask[::-1]), geometry.x, height - geometry.y - rows)
    sign, offset = ((-1.0, 1.0), (width, 0)) if axis == "vertical" else ((1.0, -1.0), (0, height))
    return map_points(geometry, lambda points: points * np.array(sign) + np.array(offset, dtype=np.float64))


def crop(geometry: Geometry, left: int, top: int, right: int, bottom: int) -> tuple[Geometry, ...]:
    """What of a shape lies in the half-open window, in the window's coordinates: no, one or several pieces."""
    return tuple(shift(piece, -left, -top) for piece in _clip(geometry, left, top, right, bottom))


def _clip(geometry: Geometry, left: int, top: int, right: int, bottom: int) -> tuple[Geometry, ...]:
    match geometry:
        case Bitmap(mask, x, y):
            x0, y0 = max(left, x), max(top, y)
            x1, y1 = min(right, x + mask.shape[1]), min(bottom, y + mask.shape[0])
            return trim(Bitmap(mask[y0 - y : y1 - y, x0 - x : x1 - x], x0, y0)) if x0 < x1 and y0 < y1 else ()
        case Rectangle():
            x_min, y_min, x_max, y_max = bounds(geometry)
            cut = Rectangle(max(left, x_min), max(top, y_min), min(right, x_max), min(bottom, y_max))
            return (cut,) if cut.left < cut.right and cut.top < cut.bottom else ()
        case Point(x, y):
            return (geometry,) if left <= x <= right and top <= y <= bottom else ()
        case Line(points):
            return tuple(Line(piece) for piece in _clip_line(points, left, top, right, bottom))
        case Polygon():
            return _clip_polygon(geometry, left, top, right, bottom)
        case Graph():
            x_min, y_min, x_max, y_max = bounds(geometry)
            inside = left <= x_min and top <= y_min and x_max <= right and y_max <= bottom
            return (geometry,) if inside else ()  # a graph that lost nodes would be another one


def trim(bitmap: Bitmap) -> tuple[Bitmap, ...]:
    """Cuts empty margins off a bitmap; an empty one gives nothing."""
    mask = bitmap.mask
    if not mask.size:
        return ()
    if mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any():
        return (bitmap,)
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(bitmap.mask).view(np.uint8))
    if not width:
        return ()
    return (Bitmap(bitmap.mask[top : top + height, left : left + width], bitmap.x + left, bitmap.y + top),)


def _clip_line(points: Points, left: float, top: float, right: float, bottom: float) -> list[Points]:
    """Pieces of a polyline inside a window; segments by Liang and Barsky, consecutive ones joined."""
    pieces: list[list[tuple[float, float]]] = []
    current: list[tuple[float, float]] = []
    low, high = np.array([left, top], dtype=np.float64), np.array([right, bottom], dtype=np.float64)
    for start, end in itertools.pairwise(points):
        cut = _clip_segment(start, end - start, low, high)
        if cut is None:
            continue
        first, last = cut
        from_, to = tuple((start + first * (end - start)).tolist()), tuple((start + last * (end - start)).tolist())
        if last == 1:
            to = tuple(end.tolist())  # exact, so that the next segment joins
        if not current or current[-1] != from_:
            current = [from_]
            pieces.append(current)
        if to != from_:
            current.append(to)
    return [np.array(piece, dtype=np.float64) for piece in pieces if len(piece) >= 2]


def _clip_segment(start: Points, step: Points, low: Points, high: Points) -> tuple[float, float] | None:
    first, last = 0.0, 1.0
    for axis in (0, 1):
        if step[axis] == 0:
            if not low[axis] <= start[axis] <= high[axis]:
                return None
            continue
        near, far = sorted(((low[axis] - start[axis]) / step[axis], (high[axis] - start[axis]) / step[axis]))
        first, last = max(first, float(near)), min(last, float(far))
    return (first, last) if first <= last else None


def _clip_polygon(polygon: Polygon, left: int, top: int, right: int, bottom: int) -> tuple[Polygon, ...]:
    x_min, y_min, x_max, y_max = bounds(polygon)
    if left <= x_min and top <= y_min and x_max <= right and y_max <= bottom:
        return (polygon,)
    if not (x_min < right and x_max > left and y_min < bottom and y_max > top):
        return ()
    import shapely  # here, because it takes 0.1 s to import and few graphs cut polygons

    try:
        # buffer(0) repairs self-touching rings, which intersection refuses
        whole = shapely.Polygon(polygon.exterior, polygon.interior).buffer(0)
        cut = whole.intersection(shapely.box(left, top, right, bottom))
    except shapely.errors.ShapelyError as error:
        raise DataError(f"a polygon of {len(polygon.exterior)} points cannot be cut: {error}") from error
    pieces = [piece for piece in getattr(cut, "geoms", [cut]) if isinstance(piece, shapely.Polygon) and piece.area > 0]
    return tuple(
        Polygon(np.array(piece.exterior.coords), tuple(np.array(ring.coords) for ring in piece.interiors))
        for piece in pieces
    )


def resize(geometry: Geometry, old: Size, new: Size, scale: tuple[float, float] | None = None) -> tuple[Geometry, ...]:
    """Follows an image from size `old` (width, height) to `new`; a mask by nearest neighbour, which may vanish.

    `scale` (x, y) says the exact factors of points where `new` is a rounded size.
    """
    if not isinstance(geometry, Bitmap):
        factors = np.array(scale or (new[0] / old[0], new[1] / old[1]), dtype=np.float64)
        return (map_points(geometry, lambda points: points * factors),)
    rows, y = _nearest(geometry.y, geometry.mask.shape[0], old[1], new[1])
    columns, x = _nearest(geometry.x, geometry.mask.shape[1], old[0], new[0])
    if not len(rows) or not len(columns):
        return ()
    return trim(Bitmap(geometry.mask[np.ix_(rows, columns)], x, y))


def _nearest(origin: int, length: int, old: int, new: int) -> tuple[NDArray[np.intp], int]:
    """Which cells of a mask (`length` cells from `origin`) the new cells show, and the first new cell that does.

    The centre of new cell i lies at (i + 1/2) old / new.
    """
    source = (2 * np.arange(new, dtype=np.intp) + 1) * old // (2 * new) - origin
    inside = np.flatnonzero((source >= 0) & (source < length))
    return source[inside], int(inside[0]) if len(inside) else 0


def normalise(geometry: Geometry, width: int, height: int) -> tuple[Geometry, ...]:
    """Makes a shape what an image of this size can hold: no, one or several shapes.

    Bitmaps are cut to the image and trimmed, rectangles sorted and cut, lines cut, points outside dropped (the far
    edge is inside). Polygons lose rings of fewer than three points but are not cut; graphs stay as they are.
    """
    match geometry:
        case Polygon(exterior, interior):
            holes = tuple(ring for ring in interior if len(ring) >= 3)
            return (Polygon(exterior, holes),) if len(exterior) >= 3 else ()
        case Graph():
            return (geometry,)
        case _:
            return _clip(geometry, 0, 0, width, height)
