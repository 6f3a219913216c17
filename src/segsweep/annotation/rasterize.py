"""Objects as pixels.

Polygons are filled after rounding their points; a hole's border belongs to the polygon. Rectangles include both corners
after rounding half up. Lines are one pixel wide, points and the nodes of graphs one pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.annotation.filling import inside
from segsweep.annotation.geometry import Bitmap, Geometry, Graph, Line, Point, Points, Polygon, Rectangle
from segsweep.annotation.objects import Annotation, LabeledObject
from segsweep.errors import DataError, nearest

__all__ = ["class_indices", "geometry_mask", "geometry_outline", "object_mask"]

_FAR = 2**24
"""Points are not taken to lie farther out than this, so that whole numbers of 32 bits can hold them."""


def object_mask(item: LabeledObject, width: int, height: int) -> NDArray[np.bool_]:
    """The pixels an object covers: bool, HxW."""
    mask = np.zeros((height, width), dtype=np.bool_)
    drawn = geometry_mask(item.geometry, width, height)
    if drawn is not None:
        mask[drawn.y : drawn.y + drawn.mask.shape[0], drawn.x : drawn.x + drawn.mask.shape[1]] = drawn.mask
    return mask


def class_indices(
    annotation: Annotation,
    class_to_index: Mapping[str, int],
    background: int = 0,
    background_title: str | None = None,
    dtype: type[np.integer[Any]] = np.int32,
) -> NDArray[Any]:
    """The class of every pixel: int32 (or the `dtype` that is asked), HxW.

    Objects are painted in order, later over earlier; those of the background's own class come first wherever they
    stand, so that a background rectangle on top of the list hides nothing.

    Args:
        annotation: The objects.
        class_to_index: Index of every class that occurs.
        background: Index of pixels that no object covers.
        background_title: Title of the background's class, if it has one.
        dtype: An integer type that holds every index; uint8 takes a quarter of the memory.

    Raises:
        DataError: An object's class has no index.
    """
    indices = np.full((annotation.height, annotation.width), background, dtype=dtype)
    for item in sorted(annotation.objects, key=lambda item: item.class_title != background_title):
        if item.class_title not in class_to_index:
            raise DataError(
                f"an object is of class {item.class_title!r}, which has no index here; "
                + nearest(item.class_title, class_to_index)
            )
        drawn = geometry_mask(item.geometry, annotation.width, annotation.height)
        if drawn is not None:
            window = indices[drawn.y : drawn.y + drawn.mask.shape[0], drawn.x : drawn.x + drawn.mask.shape[1]]
            window[drawn.mask] = class_to_index[item.class_title]
    return indices


def geometry_mask(geometry: Geometry, width: int, height: int) -> Bitmap | None:
    """The pixels of a shape inside an image, as a bitmap that lies within it; None if it has none there."""
    match geometry:
        case Bitmap(mask, x, y):
            x0, y0 = max(0, x), max(0, y)
            x1, y1 = min(width, x + mask.shape[1]), min(height, y + mask.shape[0])
            return Bitmap(mask[y0 - y : y1 - y, x0 - x : x1 - x], x0, y0) if x0 < x1 and y0 < y1 else None
        case Rectangle(left, top, right, bottom):
            (x0, x1), (y0, y1) = sorted(map(_half_up, (left, right))), sorted(map(_half_up, (top, bottom)))
            x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1 + 1), min(height, y1 + 1)
            return Bitmap(np.ones((y1 - y0, x1 - x0), dtype=np.bool_), x0, y0) if x0 < x1 and y0 < y1 else None
        case Polygon(exterior, interior):
            return _draw_polygon(exterior, interior, width, height)
        case Line(points):
            return _draw_line(points, width, height)
        case Point(x, y):
            return _draw_points(np.array([[x, y]], dtype=np.float64), width, height)
        case Graph(nodes):
            points = np.array([node["loc"] for node in nodes.values()], dtype=np.float64)
            return _draw_points(points.reshape(-1, 2), width, height)


def geometry_outline(geometry: Geometry, thickness: int, width: int, height: int) -> Bitmap | None:
    """The outline of a shape, drawn inside an image with lines of some thickness (pixels); None if none of it is there.

    Rings of polygons and contours of bitmaps are drawn whole, lines as they are, points and nodes as dots.
    """
    lines, closed = _lines(geometry)
    if not lines:
        return None
    place = _canvas(np.concatenate(lines), width, height, margin=thickness if thickness > 1 else 0)
    if place is None:
        return None
    canvas, x, y = place
    moved = [line - np.array([x, y], dtype=np.int32) for line in lines]
    cv2.polylines(canvas, moved, isClosed=closed, color=1, thickness=thickness)
    return Bitmap(canvas.view(np.bool_), x, y)


def _lines(geometry: Geometry) -> tuple[list[NDArray[np.int32]], bool]:
    """The lines that make the outline of a shape, and whether they are closed."""
    match geometry:
        case Bitmap(mask, x, y):
            cells = np.ascontiguousarray(mask).view(np.uint8)
            rings, _ = cv2.findContours(cells, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x, y))
            return [np.asarray(ring, dtype=np.int32).reshape(-1, 2) for ring in rings], True
        case Rectangle(left, top, right, bottom):
            corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)
            return [np.floor(np.clip(corners, -_FAR, _FAR) + 0.5).astype(np.int32)], True
        case Polygon(exterior, interior):
            return [_rounded(ring) for ring in (exterior, *interior) if len(ring)], True
        case Line(points):
            return [_rounded(points)] if len(points) else [], False
        case Point(x, y):
            return [_rounded(np.array([[x, y]] * 2, dtype=np.float64))], False  # a line from a point to itself is a dot
        case Graph(nodes):
            return [_rounded(np.array([node["loc"]] * 2, dtype=np.float64)) for node in nodes.values()], False


def _half_up(value: float) -> int:
    return int(np.floor(value + 0.5))


def _canvas(
    points: NDArray[np.int32], width: int, height: int, margin: int = 0
) -> tuple[NDArray[np.uint8], int, int] | None:
    """An empty canvas for the part of the points' bounds that lies in the image, and its place there."""
    if not len(points):
        return None
    x0, y0 = (max(0, int(low) - margin) for low in points.min(axis=0))
    ends = (int(high) + margin + 1 for high in points.max(axis=0))
    x1, y1 = (min(side, end) for side, end in zip((width, height), ends, strict=True))
    return (np.zeros((y1 - y0, x1 - x0), dtype=np.uint8), x0, y0) if x0 < x1 and y0 < y1 else None


def _rounded(points: Points) -> NDArray[np.int32]:
    return np.rint(np.clip(points, -_FAR, _FAR)).astype(np.int32)


def _draw_polygon(exterior: Points, interior: tuple[Points, ...], width: int, height: int) -> Bitmap | None:
    outer = _rounded(exterior)
    place = _canvas(outer, width, height)
    if place is None:
        return None
    canvas, x, y = place
    window = x, y, x + canvas.shape[1], y + canvas.shape[0]
    canvas |= inside([outer], (width, height), window)
    _outline(canvas, outer, x, y)
    holes = [_rounded(ring) for ring in interior if len(ring)]
    if holes:
        canvas &= 1 - inside(holes, (width, height), window)
        for hole in holes:
            _outline(canvas, hole, x, y)
    return Bitmap(canvas.view(np.bool_), x, y)


def _outline(canvas: NDArray[np.uint8], ring: NDArray[np.int32], x: int, y: int) -> None:
    cv2.polylines(canvas, [ring - np.array([x, y], dtype=np.int32)], isClosed=True, color=1)


def _draw_line(points: Points, width: int, height: int) -> Bitmap | None:
    rounded = _rounded(points)
    place = _canvas(rounded, width, height)
    if place is None:
        return None
    canvas, x, y = place
    cv2.polylines(canvas, [rounded - np.array([x, y], dtype=np.int32)], isClosed=False, color=1)
    return Bitmap(canvas.view(np.bool_), x, y)


def _draw_points(points: Points, width: int, height: int) -> Bitmap | None:
    cells = _rounded(points)
    cells = cells[((cells >= 0) & (cells < (width, height))).all(axis=1)]
    place = _canvas(cells, width, height)
    if place is None:
        return None
    canvas, x, y = place
    canvas[cells[:, 1] - y, cells[:, 0] - x] = 1
    return Bitmap(canvas.view(np.bool_), x, y)
