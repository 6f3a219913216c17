"""Layers that turn shapes into shapes of another kind, under a new class.

`bbox`, `bbox2poly`, `poly2bitmap`, `rasterize`, `line2bitmap`, `find_contours`, `bitmap2lines`, and `approx_vector`,
which keeps class and kind. Objects that are made anew have a class and a shape, but no tags and no other keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field

from segsweep.annotation import Bitmap, ClassMeta, Geometry, LabeledObject, Line, Polygon, ProjectMeta, Rectangle
from segsweep.annotation.geometry import Points, bounds, trim
from segsweep.annotation.rasterize import geometry_mask, geometry_outline
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Change, Layer, Strict
from segsweep.dtl.mapping import MetaError, add_class, require_classes
from segsweep.dtl.shapes import contours, of_shape, simplified
from segsweep.dtl.skeletons import longest_paths

__all__ = ["LAYERS"]


class ConversionSettings(Strict):
    """Settings of layers that make objects of new classes."""

    classes_mapping: dict[str, str] = Field(
        description="class -> class of the shapes that are made of its objects; it goes, and needs another name"
    )


def _replaced(shape: str) -> Callable[[ProjectMeta, ConversionSettings], ProjectMeta]:
    """Puts the new classes, of a shape, in the place of the old ones, behind all others."""

    def meta(meta: ProjectMeta, settings: ConversionSettings) -> ProjectMeta:
        mapping = settings.classes_mapping
        require_classes(meta, mapping)
        for item in meta.classes:
            if mapping.get(item.title) == item.title and item.shape != shape:
                raise MetaError(
                    f"class {item.title!r} would be both a {item.shape} and a {shape}",
                    "give what is made another name",
                    item.title,
                )
        result = replace(meta, classes=tuple(item for item in meta.classes if item.title not in mapping))
        for title in mapping.values():
            result = add_class(result, ClassMeta(title, shape))
        return result

    return meta


def _converted(
    element: Element, settings: ConversionSettings, convert: Callable[[LabeledObject], Iterable[Geometry]]
) -> Iterable[Element]:
    """Replaces objects of mapped classes, in their places, by what is made of them."""
    mapping, objects = settings.classes_mapping, list[LabeledObject]()
    for item in element.annotation.objects:
        if item.class_title in mapping:
            objects.extend(LabeledObject(mapping[item.class_title], shape) for shape in convert(item))
        else:
            objects.append(item)
    return (replace(element, annotation=replace(element.annotation, objects=tuple(objects))),)


def _bbox(element: Element, settings: ConversionSettings, call: Call) -> Iterable[Element]:
    return _converted(element, settings, lambda item: _box(item.geometry))


def _box(geometry: Geometry) -> Iterable[Geometry]:
    sides = bounds(geometry)
    return () if math.isnan(sides[0]) else (Rectangle(*sides),)


def _bbox2poly(element: Element, settings: ConversionSettings, call: Call) -> Iterable[Element]:
    def corners(item: LabeledObject) -> Iterable[Geometry]:
        left, top, right, bottom = bounds(of_shape(item, Rectangle))
        yield Polygon(np.array([[left, top], [left, bottom], [right, bottom], [right, top]], dtype=np.float64))

    return _converted(element, settings, corners)


def _poly2bitmap(element: Element, settings: ConversionSettings, call: Call) -> Iterable[Element]:
    return _converted(element, settings, lambda item: _tight(geometry_mask(item.geometry, *element.size)))


def _tight(bitmap: Bitmap | None) -> tuple[Bitmap, ...]:
    return () if bitmap is None else trim(bitmap)


class RasterizeSettings(ConversionSettings):
    """Settings of `rasterize`; unlike in the original, objects that cover the whole image lose none of them."""


def _rasterize(element: Element, settings: RasterizeSettings, call: Call) -> Iterable[Element]:
    """Draws the objects over each other, and gives each what of it can be seen."""
    mapping, (width, height) = settings.classes_mapping, element.size
    kept = [item for item in element.annotation.objects if item.class_title not in mapping]
    drawn = [item for item in element.annotation.objects if item.class_title in mapping]
    masks = [geometry_mask(item.geometry, width, height) for item in drawn]
    topmost = np.full((height, width), -1, dtype=np.int32)
    for index, mask in enumerate(masks):
        if mask is not None:
            _window(topmost, mask)[mask.mask] = index
    for index, (item, mask) in enumerate(zip(drawn, masks, strict=True)):
        if mask is not None:
            seen = replace(mask, mask=_window(topmost, mask) == index)
            kept.extend(LabeledObject(mapping[item.class_title], piece) for piece in trim(seen))
    return (replace(element, annotation=replace(element.annotation, objects=tuple(kept))),)


def _window(image: np.ndarray[Any, Any], bitmap: Bitmap) -> np.ndarray[Any, Any]:
    """The part of an image that a bitmap lies on."""
    return image[bitmap.y : bitmap.y + bitmap.mask.shape[0], bitmap.x : bitmap.x + bitmap.mask.shape[1]]


class OutlineSettings(ConversionSettings):
    """Settings of `line2bitmap`. OpenCV draws lines a little thicker than asked for: 5 pixels for 3."""

    width: int = Field(ge=1, description="thickness of the drawn lines")


def _line2bitmap(element: Element, settings: OutlineSettings, call: Call) -> Iterable[Element]:
    thickness = min(settings.width, 32767)  # more than OpenCV can draw
    return _converted(element, settings, lambda item: _tight(geometry_outline(item.geometry, thickness, *element.size)))


class ContourSettings(ConversionSettings):
    """Settings of `find_contours`. Points lie at the centres of pixels, and are cut down to corners if simplified."""

    approx_epsilon: float | None = Field(
        None, ge=0, description="how far contours may be simplified, in pixels (Douglas-Peucker)"
    )


def _find_contours(element: Element, settings: ContourSettings, call: Call) -> Iterable[Element]:
    def ring(points: Points) -> Points:
        centres = points + 0.5
        epsilon = settings.approx_epsilon
        return centres if epsilon is None else simplified(centres, epsilon, closed=True)

    def polygons(item: LabeledObject) -> Iterable[Geometry]:
        for outer, holes in contours(of_shape(item, Bitmap)):
            if len(outer) >= 3:
                yield Polygon(ring(outer), tuple(ring(hole) for hole in holes if len(hole) >= 3))

    return _converted(element, settings, polygons)


class LinesSettings(ConversionSettings):
    """Settings of `bitmap2lines`; masks should be thin, as `skeletonize` makes them."""

    min_points_cnt: int = Field(ge=2, description="lines of fewer pixels are left out")
    approx_epsilon: float | None = Field(
        None, ge=0, description="how far lines may be simplified, in pixels (Douglas-Peucker)"
    )


def _bitmap2lines(element: Element, settings: LinesSettings, call: Call) -> Iterable[Element]:
    def lines(item: LabeledObject) -> Iterable[Geometry]:
        bitmap = of_shape(item, Bitmap)
        for path in longest_paths(bitmap.mask):
            if len(path) >= settings.min_points_cnt:
                points = (path + np.array([bitmap.x, bitmap.y])).astype(np.float64)
                epsilon = settings.approx_epsilon
                yield Line(points if epsilon is None else simplified(points, epsilon, closed=False))

    return _converted(element, settings, lines)


class ApproxSettings(Strict):
    """Settings of `approx_vector`. Points are truncated to whole pixels; rings keep at least three."""

    classes: list[str] = Field(description="classes of polygons and lines")
    epsilon: float = Field(gt=0, description="how far the result may lie from the points, in pixels (Douglas-Peucker)")


def _approx_vector(element: Element, settings: ApproxSettings, call: Call) -> Iterable[Element]:
    objects = tuple(
        replace(item, geometry=_simpler(of_shape(item, Polygon, Line), settings.epsilon))
        if item.class_title in settings.classes
        else item
        for item in element.annotation.objects
    )
    return (replace(element, annotation=replace(element.annotation, objects=objects)),)


def _simpler(shape: Geometry, epsilon: float) -> Geometry:
    if isinstance(shape, Line):
        return Line(simplified(shape.points, epsilon, closed=False))
    assert isinstance(shape, Polygon)
    outer, *holes = (simplified(ring, epsilon, closed=True) for ring in (shape.exterior, *shape.interior))
    return Polygon(outer, tuple(holes))


_CLASSES_AND_OBJECTS: frozenset[Change] = frozenset({"classes", "objects"})

LAYERS = (
    Layer(
        "bbox",
        ConversionSettings,
        "makes rectangles: the bounds of objects of any shape",
        _CLASSES_AND_OBJECTS,
        _bbox,
        _replaced("rectangle"),
    ),
    Layer(
        "bbox2poly",
        ConversionSettings,
        "makes polygons of rectangles",
        _CLASSES_AND_OBJECTS,
        _bbox2poly,
        _replaced("polygon"),
        aliases=("bbox_to_polygon",),
    ),
    Layer(
        "poly2bitmap",
        ConversionSettings,
        "makes bitmaps of objects of any shape, each by itself",
        _CLASSES_AND_OBJECTS,
        _poly2bitmap,
        _replaced("bitmap"),
        aliases=("polygon_to_mask",),
    ),
    Layer(
        "rasterize",
        RasterizeSettings,
        "makes bitmaps of what can be seen of objects drawn over each other",
        _CLASSES_AND_OBJECTS,
        _rasterize,
        _replaced("bitmap"),
    ),
    Layer(
        "line2bitmap",
        OutlineSettings,
        "makes bitmaps of lines, and of outlines of other shapes",
        _CLASSES_AND_OBJECTS,
        _line2bitmap,
        _replaced("bitmap"),
        aliases=("line_to_mask",),
    ),
    Layer(
        "find_contours",
        ContourSettings,
        "makes polygons of the contours of bitmaps",
        _CLASSES_AND_OBJECTS,
        _find_contours,
        _replaced("polygon"),
        aliases=("mask_to_polygon",),
    ),
    Layer(
        "bitmap2lines",
        LinesSettings,
        "makes lines of thin bitmaps, the longest first",
        _CLASSES_AND_OBJECTS,
        _bitmap2lines,
        _replaced("line"),
        aliases=("mask_to_lines",),
    ),
    Layer(
        "approx_vector",
        ApproxSettings,
        "simplifies polygons and lines",
        frozenset({"objects"}),
        _approx_vector,
        mentions=lambda settings: settings.classes,
    ),
)
