"""Layers that cut and join lines: `drop_lines_under_polygon`, `merge_lines`.

All lines of the class are made anew: they have a class and a shape, but no tags and no other keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from segsweep.annotation import LabeledObject, Line, Polygon
from segsweep.annotation.geometry import Points
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Change, Layer, Strict
from segsweep.dtl.layers.geometry import Length
from segsweep.dtl.shapes import of_shape, share
from segsweep.errors import DataError

__all__ = ["LAYERS"]

_MOST_PAIRS = 2**22
"""More pairs of ends than this are not compared."""


class CutSettings(Strict):
    """Settings of `drop_lines_under_polygon`; an image without such polygons stays as it is."""

    lines_class: str = Field(description="class of the lines")
    polygons_class: str = Field(description="class of the polygons")


def _drop_under(element: Element, settings: CutSettings, call: Call) -> Iterable[Element]:
    objects = element.annotation.objects
    areas = [of_shape(item, Polygon) for item in objects if item.class_title == settings.polygons_class]
    if not areas:
        return (element,)
    import shapely  # here, because it takes 0.1 s to import

    try:
        # buffer(0) repairs self-touching rings, which difference refuses
        parts = [shapely.Polygon(area.exterior, area.interior).buffer(0) for area in areas]
        cover = shapely.union_all(parts)
        shapely.prepare(cover)
        result: list[LabeledObject] = []
        for item in objects:
            if item.class_title != settings.lines_class:
                result.append(item)
                continue
            points = of_shape(item, Line).points
            line = shapely.LineString(points)
            # a cut also parts lines where they touch a polygon, or cross themselves; merging undoes the former
            whole = cover.disjoint(line)
            pieces = [points] if whole else _lines_of(shapely.line_merge(line.difference(cover), directed=True))
            result.extend(LabeledObject(item.class_title, Line(piece)) for piece in pieces)
    except shapely.errors.ShapelyError as error:
        raise DataError(f"lines of class {settings.lines_class!r} cannot be cut: {error}") from error
    return (replace(element, annotation=replace(element.annotation, objects=tuple(result))),)


def _lines_of(geometry: object) -> Iterator[Points]:
    """The lines in what a cut left; points and nothing are left out."""
    for part in getattr(geometry, "geoms", [geometry]):
        if part.geom_type == "LineString" and not part.is_empty:
            yield np.array(part.coords)


class MergeSettings(Strict):
    """Settings of `merge_lines`: near ends are joined first, until no two lines fit.

    Ends that coincide have no offset. Lines are as long and lead as their first and last points say.
    """

    lines_class: str = Field(description="class of the lines")
    maximal_angle: float = Field(ge=0, le=180, description="how far directions of joined lines may differ, in degrees")
    max_ends_distance: Length = Field(
        description="how far ends may lie apart: '6px', or '5%' of the mean of width and height"
    )
    max_ortho_distance_coefficient: float = Field(
        ge=0, description="how far an end may lie beside the other line's direction, of the distance between the ends"
    )


def _merge_lines(element: Element, settings: MergeSettings, call: Call) -> Iterable[Element]:
    objects = element.annotation.objects
    places = [place for place, item in enumerate(objects) if item.class_title == settings.lines_class]
    lines = [of_shape(objects[place], Line).points for place in places]
    reach = share(settings.max_ends_distance, sum(element.size) / 2)
    joined = _joined(lines, reach, settings.max_ortho_distance_coefficient, settings.maximal_angle)
    made = {places[first]: LabeledObject(settings.lines_class, Line(points)) for first, points in joined.items()}
    result = tuple(
        made.get(place, item)
        for place, item in enumerate(objects)
        if place in made or item.class_title != settings.lines_class
    )
    return (replace(element, annotation=replace(element.annotation, objects=result)),)


def _joined(lines: Sequence[Points], reach: float, offset: float, angle: float) -> dict[int, Points]:
    """Joined lines, each under the number of the first of those that it is made of, whose direction it keeps."""
    chains = dict(enumerate(lines))
    while len(chains) > 1:
        numbers, points = list(chains), list(chains.values())
        changed: set[int] = set()
        waiting: set[int] = set()  # ends with a nearer partner, which is busy until the next round
        for one, other in _fitting(points, reach, offset, angle):
            if {one // 2, other // 2} & changed:
                waiting |= {one, other}
            elif not {one, other} & waiting:
                chains[numbers[one // 2]] = _chain(points, one, other)
                del chains[numbers[other // 2]]
                changed |= {one // 2, other // 2}
        if not changed:
            break
    return chains


def _fitting(lines: Sequence[Points], reach: float, offset: float, angle: float) -> list[tuple[int, int]]:
    """Pairs of ends that may be joined, the nearest first; end 2k is the first point of line k, 2k + 1 its last.

    Of two lines, only the ends that are nearest to each other are looked at.
    """
    from scipy.spatial import KDTree  # here, because it takes long to import

    ends = np.concatenate([line[[0, -1]] for line in lines])
    tree = KDTree(ends)
    if tree.count_neighbors(tree, reach) > _MOST_PAIRS:
        raise DataError("too many ends of lines lie near each other; lower max_ends_distance, or drop short lines")
    pairs = tree.query_pairs(reach, output_type="ndarray")  # the first end of a pair is always the lower one
    pairs = pairs[pairs[:, 0] // 2 != pairs[:, 1] // 2]
    distances = np.linalg.norm(ends[pairs[:, 0]] - ends[pairs[:, 1]], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0], distances))]
    _, nearest = np.unique(pairs[:, 0] // 2 * len(lines) + pairs[:, 1] // 2, return_index=True)
    pairs = pairs[np.sort(nearest)]

    ahead = (ends[1::2] - ends[0::2])[pairs // 2]  # from first to last point, for both lines of each pair
    lengths = np.linalg.norm(ahead, axis=2)
    gaps = ends[pairs[:, 1]] - ends[pairs[:, 0]]
    distances = np.linalg.norm(gaps, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        beside = np.abs(ahead[:, 0, 0] * gaps[:, 1] - ahead[:, 0, 1] * gaps[:, 0]) / lengths[:, 0]
        cosines = (ahead[:, 0] * ahead[:, 1]).sum(axis=1) / lengths.prod(axis=1)
    turned = pairs[:, 0] % 2 == pairs[:, 1] % 2  # where one line has to be walked backwards
    between = np.degrees(np.arccos(np.clip(np.where(turned, -cosines, cosines), -1, 1)))
    fits = (between <= angle) & ((distances == 0) | (beside < distances * offset))  # never for lines without length
    return [(one, other) for one, other in pairs[fits].tolist()]


def _chain(lines: Sequence[Points], one: int, other: int) -> Points:
    """Two lines joined at their ends; it leads as the first does."""
    first, second = lines[one // 2], lines[other // 2]
    if one % 2 == other % 2:
        second = second[::-1]
    before, after = (first, second) if one % 2 else (second, first)
    return np.concatenate([before, after[1:] if np.array_equal(before[-1], after[0]) else after])


_OBJECTS: frozenset[Change] = frozenset({"objects"})

LAYERS = (
    Layer(
        "drop_lines_under_polygon",
        CutSettings,
        "cuts the parts off lines that lie under polygons",
        _OBJECTS,
        _drop_under,
        mentions=lambda settings: (settings.lines_class, settings.polygons_class),
    ),
    Layer(
        "merge_lines",
        MergeSettings,
        "joins lines that continue each other",
        _OBJECTS,
        _merge_lines,
        mentions=lambda settings: (settings.lines_class,),
    ),
)
