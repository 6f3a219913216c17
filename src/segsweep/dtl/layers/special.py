"""Layers for special purposes: `contour_sliding_box`, `generate_hints`, `road_lines`, `find_cracknets`.

What they add has a class and a shape, and lies above what it was made of. What was there stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, Field

from segsweep.annotation import Bitmap, ClassMeta, Geometry, LabeledObject, Line, Point, Polygon, ProjectMeta, Rectangle
from segsweep.annotation.geometry import Points, area
from segsweep.annotation.rasterize import geometry_mask
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Change, Layer, Strict
from segsweep.dtl.layers.geometry import Length
from segsweep.dtl.mapping import add_class
from segsweep.dtl.shapes import contours, of_shape, share, truncated
from segsweep.errors import DataError

__all__ = ["LAYERS"]


def _on_top(element: Element, title: str, shapes: Iterable[Geometry]) -> Element:
    """The element with more objects above all others."""
    added = tuple(LabeledObject(title, shape) for shape in shapes)
    return replace(element, annotation=replace(element.annotation, objects=(*element.annotation.objects, *added)))


def _after_each(
    element: Element, classes: Sequence[str], title: str, make: Callable[[Polygon], Iterable[Geometry]]
) -> Element:
    """The element with more objects right above the polygons that they are made of."""
    objects: list[LabeledObject] = []
    for item in element.annotation.objects:
        objects.append(item)
        if item.class_title in classes:
            objects.extend(LabeledObject(title, shape) for shape in make(of_shape(item, Polygon)))
    return replace(element, annotation=replace(element.annotation, objects=tuple(objects)))


def _positive(length: str) -> str:
    if not share(length, 1):
        raise ValueError("must be more than 0")
    return length


PositiveLength = Annotated[Length, AfterValidator(_positive)]


class Box(Strict):
    """The size of a box; the language leaves it open, so what it does not know is passed over."""

    model_config = ConfigDict(extra="ignore")

    width: PositiveLength = Field(description="pixels, or per cent of the image's width")
    height: PositiveLength = Field(description="pixels, or per cent of the image's height")


class SlidingBoxSettings(Strict):
    """Settings of `contour_sliding_box`."""

    box: Box = Field(description="size of the boxes: '10px' or '12.5%'")
    distance: PositiveLength = Field(
        description="how far boxes lie apart on the contour: pixels, or per cent of the image's shorter side"
    )
    classes: list[str] = Field(description="classes of polygons")
    box_class: str = Field(min_length=1, description="class of the boxes, which are rectangles")


_STEP = 0.1
"""Contours are walked in steps of this many pixels; a box comes at the first step beyond the distance."""


_MOST_BOXES = 2**17
"""More boxes than this are not made for one contour."""


def _sliding_box(element: Element, settings: SlidingBoxSettings, call: Call) -> Iterable[Element]:
    size = np.array(element.size, dtype=np.float64)
    box = np.array([share(settings.box.width, size[0]), share(settings.box.height, size[1])])
    interval = (int(share(settings.distance, min(size)) / _STEP) + 1) * _STEP

    def boxes(polygon: Polygon) -> Iterable[Geometry]:
        corners = np.clip(_along(polygon.exterior, interval) - box / 2, 0, np.maximum(size - box, 0))
        return [Rectangle(*sides) for sides in np.hstack([corners, corners + box]).tolist()]

    return (_after_each(element, settings.classes, settings.box_class, boxes),)


def _along(ring: Points, interval: float) -> Points:
    """Points on a ring, an interval apart, the first an interval from its start."""
    closed = np.concatenate([ring, ring[:1]])
    walked = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    if walked[-1] / interval > _MOST_BOXES:
        raise DataError(f"a contour of {walked[-1]:.0f} pixels would get a box every {interval:g} pixels: too many")
    places = np.arange(1, int(walked[-1] / interval) + 1) * interval
    return np.stack([np.interp(places, walked, closed[:, axis]) for axis in (0, 1)], axis=1)


class HintsSettings(Strict):
    """Settings of `generate_hints`. Unlike in the original, as many points as there are pixels may be asked for."""

    class_: str = Field(alias="class", description="class of the objects that are hinted at")
    positive_class: str = Field(min_length=1, description="class of points on the objects")
    negative_class: str = Field(min_length=1, description="class of points beside the objects")
    min_points_number: int = Field(ge=0, description="how many points of each at least, where there are enough pixels")


def _hints(element: Element, settings: HintsSettings, call: Call) -> Iterable[Element]:
    width, height = element.size
    mask = np.zeros((height, width), dtype=np.bool_)
    for item in element.annotation.objects:
        drawn = geometry_mask(item.geometry, width, height) if item.class_title == settings.class_ else None
        if drawn is not None:
            mask[drawn.y : drawn.y + drawn.mask.shape[0], drawn.x : drawn.x + drawn.mask.shape[1]] |= drawn.mask
    random = call.random(element)
    for title, pixels in ((settings.positive_class, mask), (settings.negative_class, ~mask)):
        places = np.flatnonzero(pixels)
        count = min(len(places), settings.min_points_number + int(random.exponential(2)))
        chosen = random.choice(places, count, replace=False)
        points = (Point(float(place % width), float(place // width)) for place in chosen.tolist())
        element = _on_top(element, title, points)
    return (element,)


def _hints_meta(meta: ProjectMeta, settings: HintsSettings) -> ProjectMeta:
    meta = add_class(meta, ClassMeta(settings.positive_class, "point"))
    return add_class(meta, ClassMeta(settings.negative_class, "point"))


class RoadSettings(Strict):
    """Settings of `road_lines`. A road is taken for the four corners that say most of its convex hull."""

    road_class: str = Field(description="class of the roads, which are polygons")
    road_lines_class: str = Field(min_length=1, description="class of the lines along their left and right edges")
    min_road_area: float = Field(1, ge=1, description="smaller roads are passed over, in square pixels")


def _road_lines(element: Element, settings: RoadSettings, call: Call) -> Iterable[Element]:
    def edges(road: Polygon) -> Iterable[Geometry]:
        return _edges(road.exterior) if area(road) >= settings.min_road_area else ()

    return (_after_each(element, [settings.road_class], settings.road_lines_class, edges),)


def _edges(ring: Points) -> Iterator[Line]:
    """The left and the right edge of what a ring encloses, from top to bottom."""
    if len(ring) < 3:
        return
    hull = ring[cv2.convexHull(ring.astype(np.float32), returnPoints=False).ravel()]
    while len(hull) > 4:  # after Visvalingam: the corner goes that encloses least with its neighbours
        before, after = np.roll(hull, 1, axis=0) - hull, np.roll(hull, -1, axis=0) - hull
        hull = np.delete(hull, np.argmin(np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0])), axis=0)
    if len(hull) < 3:
        return
    corners = hull[np.argsort(hull[:, 1], kind="stable")]
    if len(corners) == 3:  # the end that comes to a point lies on both edges
        pointed = 0 if corners[1, 1] - corners[0, 1] > corners[2, 1] - corners[1, 1] else 2
        corners = np.insert(corners, pointed, corners[pointed], axis=0)
    top, bottom = (pair[np.argsort(pair[:, 0], kind="stable")] for pair in (corners[:2], corners[2:]))
    yield from (Line(np.stack([start, end])) for start, end in zip(top, bottom, strict=True))


class CracknetSettings(Strict):
    """Settings of `find_cracknets`.

    Cracks are drawn on a coarse mask, gaps of a cell are closed, and what they enclose is filled. What is still there
    without parts that are narrower than loop_devide_eps are the nets.
    """

    crack_class: str = Field(description="class of the cracks, which are lines")
    cracknet_class: str = Field(min_length=1, description="class of the nets, which are polygons")
    mask_resolution: int = Field(
        ge=1, description="cells along the longer side of the image; there are never more than pixels"
    )
    loop_devide_eps: float = Field(ge=0.001, description="narrower parts are taken off, in cells")
    min_area_in_bbox_coef: float = Field(description="how much of its bounds a net fills at least, 0 to 1")
    min_poly_bbox_area_coef: float = Field(
        ge=1e-5, description="how much of the image the bounds of a net cover at least, 0 to 1"
    )
    enable_subclustering: bool = Field(description="looks for nets in dense groups of points, each by itself")
    min_points_in_cluster: int = Field(ge=1, description="points of the smallest such group")


_MOST_STRETCHED = 8
"""What is longer, in widths, is no net."""


def _cracknets(element: Element, settings: CracknetSettings, call: Call) -> Iterable[Element]:
    lines = [
        of_shape(item, Line).points for item in element.annotation.objects if item.class_title == settings.crack_class
    ]
    groups = _dense_groups(lines, settings.min_points_in_cluster) if settings.enable_subclustering else [lines]
    nets = [net for group in groups if group for net in _nets(group, element.size, settings)]
    return (_on_top(element, settings.cracknet_class, nets),)


def _dense_groups(lines: Sequence[Points], least: int) -> Iterator[list[Points]]:
    """Pieces of lines whose points lie in one group."""
    points = np.concatenate([np.empty((0, 2)), *lines])
    if len(points) < max(2, least):
        return
    from sklearn.cluster import HDBSCAN  # here, because it takes long to import

    labels = HDBSCAN(min_cluster_size=max(2, least), copy=True).fit(points).labels_
    owners = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    cuts = np.flatnonzero((np.diff(labels) != 0) | (np.diff(owners) != 0)) + 1
    groups: dict[int, list[Points]] = {}
    for label, piece in zip(labels[[0, *cuts]].tolist(), np.split(points, cuts), strict=True):
        groups.setdefault(label, []).append(piece)
    groups.pop(-1, None)  # points of no group
    yield from (groups[label] for label in sorted(groups))


def _nets(lines: Sequence[Points], size: tuple[int, int], settings: CracknetSettings) -> Iterator[Polygon]:
    scale = min(1.0, settings.mask_resolution / max(size))  # from pixels to cells
    width, height = (max(1, round(side * scale)) for side in size)
    cells = np.zeros((height, width), dtype=np.uint8)
    cv2.polylines(cells, [truncated(np.rint(line * scale)) for line in lines], isClosed=False, color=1)
    filled = _opened(_filled(cv2.morphologyEx(cells, cv2.MORPH_CLOSE, np.ones((3, 3)))), settings.loop_devide_eps)
    for outer, _ in contours(Bitmap(filled.view(np.bool_), 0, 0)):
        _, _, columns, rows = cv2.boundingRect(outer.astype(np.int32))
        if len(outer) < 3 or max(columns, rows) > _MOST_STRETCHED * min(columns, rows):
            continue
        net = Polygon((outer + 0.5) / scale)
        bounds = columns * rows / scale**2
        fills = area(net) >= settings.min_area_in_bbox_coef * bounds
        if fills and bounds >= settings.min_poly_bbox_area_coef * size[0] * size[1]:
            yield net


def _filled(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cells with all holes filled."""
    rings, _ = cv2.findContours(cells, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(cv2.drawContours(cells.copy(), rings, -1, 1, cv2.FILLED), dtype=np.uint8)


def _opened(cells: NDArray[np.uint8], width: float) -> NDArray[np.uint8]:
    """Cells without parts that are narrower than a width; a single row is always taken off."""
    side = min(max(2, int(np.ceil(width))), max(cells.shape) + 1)
    kernel, first, last = np.ones((side, side)), (0, 0), (side - 1, side - 1)
    # OpenCV's own opening moves everything by a cell where the side is even
    eroded = cv2.erode(cells, kernel, anchor=first, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(cv2.dilate(eroded, kernel, anchor=last), dtype=np.uint8)


_CLASSES_AND_OBJECTS: frozenset[Change] = frozenset({"classes", "objects"})

LAYERS = (
    Layer(
        "contour_sliding_box",
        SlidingBoxSettings,
        "adds boxes along the contours of polygons",
        _CLASSES_AND_OBJECTS,
        _sliding_box,
        lambda meta, settings: add_class(meta, ClassMeta(settings.box_class, "rectangle", "#00EE00")),
        mentions=lambda settings: settings.classes,
    ),
    Layer(
        "generate_hints",
        HintsSettings,
        "adds random points on objects and beside them",
        _CLASSES_AND_OBJECTS,
        _hints,
        _hints_meta,
        mentions=lambda settings: (settings.class_,),
    ),
    Layer(
        "road_lines",
        RoadSettings,
        "adds lines along the left and right edges of roads",
        _CLASSES_AND_OBJECTS,
        _road_lines,
        lambda meta, settings: add_class(meta, ClassMeta(settings.road_lines_class, "line", "#000088")),
        mentions=lambda settings: (settings.road_class,),
    ),
    Layer(
        "find_cracknets",
        CracknetSettings,
        "adds polygons around nets of cracks",
        _CLASSES_AND_OBJECTS,
        _cracknets,
        lambda meta, settings: add_class(meta, ClassMeta(settings.cracknet_class, "polygon")),
        mentions=lambda settings: (settings.crack_class,),
    ),
)
