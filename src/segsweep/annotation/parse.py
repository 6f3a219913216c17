"""Annotations from and to JSON, in both generations of the Supervisely format.

Reading is liberal in form (`"bitmap": null`, float coordinates, missing `geometryType`, tags as strings, unknown keys
kept) and strict in content: classes must be known, numbers finite, bitmaps no larger than their image needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from segsweep.annotation.bitmap_codec import decode_bitmap, encode_bitmap
from segsweep.annotation.geometry import (
    Bitmap,
    Geometry,
    Graph,
    Line,
    Point,
    Points,
    Polygon,
    Rectangle,
)
from segsweep.annotation.meta import SHAPES, ProjectMeta
from segsweep.annotation.objects import Annotation, LabeledObject, Tag
from segsweep.errors import DataError, nearest
from segsweep.files import MAX_IMAGE_PIXELS

__all__ = ["annotation_from_json", "annotation_to_json", "lacks_size", "tag_from_json", "tag_to_json"]

_MAX_COORDINATE = 1e7
_OBJECT_KEYS = {"classTitle", "description", "tags", "points", "bitmap", "nodes", "type", "geometryType", "shape"}
_ANNOTATION_KEYS = {"size", "description", "tags", "objects"}


def annotation_from_json(data: Any, meta: ProjectMeta, where: str, size: tuple[int, int] | None = None) -> Annotation:
    """Reads an annotation as it is stored; `objects.normalise` cuts it to its image.

    Args:
        data: The parsed JSON.
        meta: The project's classes, which say the shape of every object.
        where: The file, for messages.
        size: (width, height) of the image, for annotations that do not say it.

    Raises:
        DataError: Tells everything that is wrong, with the file and the key.
    """
    if not isinstance(data, dict):
        raise DataError(f"{where}: should hold an object with `size` and `objects`, not {type(data).__name__}")
    wrong: list[str] = []
    width, height = _size(None if lacks_size(data) else data["size"], size, wrong)
    objects: list[LabeledObject] = []
    items = data.get("objects", [])
    if not isinstance(items, list):
        wrong.append("`objects` should be a list")
        items = []
    for index, item in enumerate(items):
        try:
            objects.append(_object(item, meta, width, height))
        except _WrongError as error:
            wrong.append(f"objects[{index}]{error}")
    try:
        tags = _tags(data.get("tags"))
    except _WrongError as error:
        wrong.append(str(error).lstrip("."))
        tags = ()
    if wrong:
        raise DataError("\n".join(f"{where}: {line}" for line in wrong))
    extra = {key: value for key, value in data.items() if key not in _ANNOTATION_KEYS}
    return Annotation(width, height, tuple(objects), tags, _text(data.get("description")), extra)


def lacks_size(data: Any) -> bool:
    """Whether an annotation leaves its size to the image; the SDK writes nulls when it has not seen the image."""
    return isinstance(data, dict) and data.get("size") in (None, {"width": None, "height": None})


class _WrongError(Exception):
    """What is wrong below a key; the caller knows the way to it."""


def _size(value: Any, fallback: tuple[int, int] | None, wrong: list[str]) -> tuple[int, int]:
    if value is None:
        if fallback is None:
            wrong.append("`size` is missing")
        return fallback or (1, 1)
    sides = (value.get("width"), value.get("height")) if isinstance(value, dict) else (None, None)
    if not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides):
        wrong.append(f"`size` is {value!r}; it should be like {{'width': 640, 'height': 480}}")
        return 1, 1
    width, height = int(sides[0] or 1), int(sides[1] or 1)
    if width * height > MAX_IMAGE_PIXELS:
        wrong.append(f"`size` of {width}x{height} is more than the {MAX_IMAGE_PIXELS} pixels that are allowed")
        return 1, 1
    return width, height


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _object(item: Any, meta: ProjectMeta, width: int, height: int) -> LabeledObject:
    if not isinstance(item, dict):
        raise _WrongError(" should be an object")
    title = item.get("classTitle")
    known = meta.get(title) if isinstance(title, str) else None
    if known is None:
        raise _WrongError(f".classTitle {title!r} is no class of the project; {nearest(title, meta.titles)}")
    shape: Any = known.shape
    if shape == "any":
        shape = item.get("geometryType") or item.get("shape") or item.get("type")
    extra = {key: value for key, value in item.items() if key not in _OBJECT_KEYS}
    return LabeledObject(
        known.title,
        _geometry(item, shape, width, height),
        _tags(item.get("tags")),
        _text(item.get("description")),
        extra,
    )


def _tags(value: Any) -> tuple[Tag, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _WrongError(".tags should be a list")
    return tuple(_tag(item, index) for index, item in enumerate(value))


def _tag(item: Any, index: int) -> Tag:
    tag = tag_from_json(item)
    if tag is None:
        raise _WrongError(f".tags[{index}] should be a text, or an object with a `name` and perhaps a `value`")
    return tag


def tag_from_json(item: Any) -> Tag | None:
    """Reads a tag of either generation; None if it is none. An explicit `"value": null` is kept among `extra`."""
    if isinstance(item, str) and item:
        return Tag(item, plain=True)
    if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"]:
        return None
    value = item.get("value")
    if value is not None and not isinstance(value, str | int | float):
        return None
    known = {"name"} if value is None else {"name", "value"}
    return Tag(item["name"], value, {key: other for key, other in item.items() if key not in known})


def tag_to_json(tag: Tag) -> str | dict[str, Any]:
    """A tag in the form it was read in."""
    if tag.plain:
        return tag.name
    return {"name": tag.name, **({} if tag.value is None else {"value": tag.value}), **tag.extra}


def _geometry(item: Mapping[str, Any], shape: Any, width: int, height: int) -> Geometry:
    if shape == "bitmap":
        return _bitmap(item.get("bitmap"), width, height)
    if shape == "graph":
        return _graph(item.get("nodes"))
    points = item.get("points")
    if not isinstance(points, dict):
        raise _WrongError(f".points is missing; an object of shape {shape} needs it")
    exterior = _points(points.get("exterior"), ".points.exterior")
    match shape:
        case "polygon":
            rings = points.get("interior") or []
            if not isinstance(rings, list):
                raise _WrongError(".points.interior should be a list of rings")
            holes = (_points(ring, f".points.interior[{index}]") for index, ring in enumerate(rings))
            return Polygon(exterior, tuple(holes))
        case "line":
            return Line(exterior)
        case "rectangle":
            if len(exterior) < 2:
                raise _WrongError(".points.exterior of a rectangle needs two corners")
            return Rectangle(*(float(value) for value in exterior[:2].ravel()))
        case "point":
            if len(exterior) < 1:
                raise _WrongError(".points.exterior of a point needs one point")
            return Point(float(exterior[0, 0]), float(exterior[0, 1]))
        case _:
            raise _WrongError(f".geometryType {shape!r} is not supported; {nearest(shape, set(SHAPES) - {'any'})}")


def _points(value: Any, key: str) -> Points:
    try:
        points = np.array(value or [], dtype=np.float64).reshape(-1, 2) if _is_pairs(value) else None
    except (TypeError, ValueError, OverflowError):
        points = None
    if points is None:
        raise _WrongError(f"{key} should be a list of [x, y]")
    if not np.all(np.abs(points) <= _MAX_COORDINATE):  # also false for NaN
        raise _WrongError(f"{key} holds a coordinate that is no number, or beyond {_MAX_COORDINATE:.0e}")
    return points


def _is_pairs(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(
            isinstance(pair, list)
            and len(pair) == 2
            and type(pair[0]) in (int, float)
            and type(pair[1]) in (int, float)
            for pair in value
        )
    )


def _bitmap(value: Any, width: int, height: int) -> Bitmap:
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, str):
        raise _WrongError(".bitmap.data is missing; an object of shape bitmap needs it")
    origin = _points([value.get("origin") or [0, 0]], ".bitmap.origin")
    try:
        # A mask may reach beyond its image; four times the image is beyond use.
        mask = decode_bitmap(data, 4 * width * height + (1 << 16))
    except DataError as error:
        raise _WrongError(f".bitmap: {error}") from error
    return Bitmap(mask, *(math.floor(value + 0.5) for value in origin[0].tolist()))


def _graph(nodes: Any) -> Graph:
    if not isinstance(nodes, dict):
        raise _WrongError(".nodes is missing; an object of shape graph needs it")
    for key, node in nodes.items():
        if not isinstance(node, dict) or len(_points([node.get("loc")], f".nodes.{key}.loc")) != 1:
            raise _WrongError(f".nodes.{key} should be like {{'loc': [x, y]}}")
    return Graph(nodes)


def annotation_to_json(annotation: Annotation, meta: ProjectMeta) -> dict[str, Any]:
    """The JSON of an annotation; the inverse of `annotation_from_json`.

    Raises:
        DataError: An object's class is missing from `meta`, or has another shape there.
    """
    return {
        "description": annotation.description,
        "tags": [tag_to_json(tag) for tag in annotation.tags],
        "size": {"width": annotation.width, "height": annotation.height},
        "objects": [_object_to_json(item, meta) for item in annotation.objects],
        **annotation.extra,
    }


def _object_to_json(item: LabeledObject, meta: ProjectMeta) -> dict[str, Any]:
    known = meta.get(item.class_title)
    if known is None:
        raise DataError(f"class {item.class_title!r} is not in the project; {nearest(item.class_title, meta.titles)}")
    if known.shape not in {item.geometry.shape, "any"}:
        raise DataError(f"an object of class {known.title!r} is a {item.geometry.shape}, its class a {known.shape}")
    return {
        "classTitle": item.class_title,
        "description": item.description,
        "tags": [tag_to_json(tag) for tag in item.tags],
        "geometryType": item.geometry.shape,
        **_geometry_to_json(item.geometry),
        **item.extra,
    }


def _geometry_to_json(geometry: Geometry) -> dict[str, Any]:
    match geometry:
        case Bitmap(mask, x, y):
            return {"bitmap": {"origin": [x, y], "data": encode_bitmap(mask)}}
        case Graph(nodes):
            return {"nodes": dict(nodes)}
        case Polygon(exterior, interior):
            return _points_to_json(exterior, interior)
        case Line(points):
            return _points_to_json(points)
        case Point(x, y):
            return _points_to_json(np.array([[x, y]], dtype=np.float64))
        case Rectangle(left, top, right, bottom):
            return _points_to_json(np.array([[left, top], [right, bottom]], dtype=np.float64))


def _points_to_json(exterior: Points, interior: tuple[Points, ...] = ()) -> dict[str, Any]:
    return {"points": {"exterior": _pairs(exterior), "interior": [_pairs(ring) for ring in interior]}}


def _pairs(points: Points) -> list[list[float]]:
    """Whole numbers as integers, which the platform's own tools expect."""
    whole = np.rint(points)
    pairs: list[list[float]] = (whole.astype(np.int64) if np.array_equal(points, whole) else points).tolist()
    return pairs
