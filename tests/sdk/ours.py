"""What Segsweep finds in a project, in the words of `sdk_side.describe`."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from segsweep.annotation import (
    Annotation,
    Bitmap,
    Geometry,
    Graph,
    LabeledObject,
    Line,
    Point,
    Polygon,
    Project,
    Rectangle,
    Tag,
    object_mask,
)
from segsweep.annotation.geometry import bounds, crop, map_points
from segsweep.files import read_image


def describe(project: Project) -> dict[str, Any]:
    items = {
        f"{item.dataset}/{item.name}": {
            "image": _image(read_image(item.image_path)),
            **_annotation(item.annotation(project.meta)),
        }
        for item in project.items
    }
    counts: Counter[str] = sum((item["counts"] for item in items.values()), Counter())
    return {
        "classes": [[item.title, item.shape, item.color.lower()] for item in project.meta.classes],
        "tags": [[item.name, item.value_type] for item in project.meta.tags],
        "counts": {title: counts[title] for title in project.meta.titles},
        "items": items,
    }


def _image(pixels: np.ndarray) -> list[Any]:
    return [*pixels.shape, _digest(pixels)]


def _annotation(annotation: Annotation) -> dict[str, Any]:
    width, height = annotation.width, annotation.height
    objects = [replace(own, geometry=_whole(own.geometry)) for own in annotation.objects]
    return {
        "size": [width, height],
        "description": annotation.description,
        "tags": _tags(annotation.tags),
        "objects": [
            {
                "class": own.class_title,
                "description": own.description,
                "tags": _tags(own.tags),
                **_geometry(own.geometry),
                **_mask(own, width, height),
            }
            for own in objects
        ],
        "counts": Counter(
            own.class_title for own in objects for _ in range(_kept(own.geometry, width - 1, height - 1))
        ),
    }


def _tags(tags: tuple[Tag, ...]) -> list[list[Any]]:
    return sorted([tag.name, tag.value] for tag in tags)


def _whole(geometry: Geometry) -> Geometry:
    """A shape as the SDK takes it, which rounds every coordinate down."""
    return geometry if isinstance(geometry, Bitmap) else map_points(geometry, np.floor)


def _kept(geometry: Geometry, right: int, bottom: int) -> int:
    """In how many pieces the SDK keeps a shape, for which an image ends at the middle of its last pixel.

    The format lets coordinates reach W and H: half a pixel on, where a flip takes 0.
    """
    low_x, low_y, high_x, high_y = bounds(geometry)
    if isinstance(geometry, Bitmap) or (low_x >= 0 and low_y >= 0 and high_x <= right and high_y <= bottom):
        return 1
    if isinstance(geometry, Rectangle):
        return int(low_x <= right and low_y <= bottom and high_x >= 0 and high_y >= 0)
    return len(crop(geometry, 0, 0, right, bottom))


def _geometry(geometry: Geometry) -> dict[str, Any]:
    shape, holes = geometry.shape, []
    match geometry:
        case Bitmap(mask, x, y):
            return {"shape": shape, "origin": [x, y], "sides": [*mask.shape]}
        case Graph(nodes):
            places = {key: [int(value) for value in node["loc"]] for key, node in nodes.items()}
            return {"shape": shape, "nodes": places, "off": [key for key in nodes if nodes[key].get("disabled")]}
        case Polygon(exterior, interior):
            points, holes = exterior, [ring.astype(int).tolist() for ring in interior]
        case Line():
            points = geometry.points
        case Point(x, y):
            points = np.array([[x, y]])
        case Rectangle(left, top, right, bottom):
            points = np.array([[min(left, right), min(top, bottom)], [max(left, right), max(top, bottom)]])
    return {"shape": shape, "exterior": points.astype(int).tolist(), "interior": holes}


def _mask(own: LabeledObject, width: int, height: int) -> dict[str, Any]:
    """Pixels of shapes that leave nothing to a way of drawing; of polygons and lines the points are compared."""
    if not isinstance(own.geometry, Bitmap | Rectangle):
        return {}
    mask = object_mask(own, width, height)
    return {"mask": [int(mask.sum()), _digest(np.packbits(mask))]}


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def differences(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """What differs between two descriptions, a line each."""
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        theirs, ours = dict(enumerate(theirs)), dict(enumerate(ours))
    if isinstance(theirs, dict) and isinstance(ours, dict):
        sides = [f"{where}[{key!r}]: only theirs" for key in theirs.keys() - ours.keys()]
        sides += [f"{where}[{key!r}]: only ours" for key in ours.keys() - theirs.keys()]
        both = theirs.keys() & ours.keys()
        inner = [line for key in both for line in differences(theirs[key], ours[key], f"{where}[{key!r}]")]
        return sorted(sides + inner)
    return [] if theirs == ours else [f"{where}: theirs {theirs!r}, ours {ours!r}"]
