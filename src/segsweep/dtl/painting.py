"""Annotations as pictures: for machines, in the colours of classes, and for people, beside and over the image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Annotation, Bitmap, LabeledObject, Polygon, ProjectMeta
from segsweep.annotation.rasterize import geometry_mask, geometry_outline

__all__ = ["Color", "class_colors", "machine_mask", "overlay"]

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

Picture = NDArray[np.uint8]

_GREEN = (0, 255, 0)


def class_colors(meta: ProjectMeta) -> dict[str, Color]:
    """The colours of all classes."""
    return {item.title: _rgb(item.color) for item in meta.classes}


def _rgb(color: str) -> Color:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def machine_mask(annotation: Annotation, colors: Mapping[str, Color]) -> Picture:
    """Objects in the colours of their classes, later ones over earlier ones, on black; uint8 RGB, HxWx3.

    Classes without a colour are not drawn.
    """
    table, places = _palette(colors)
    return np.take(table, _classes(annotation, places, outlined=False), axis=0)  # much faster than indexing


def overlay(pixels: Picture, annotation: Annotation, colors: Mapping[str, Color]) -> Picture:
    """The image, a green column, and the image again under its objects: half its colours and half theirs.

    Bitmaps and polygons are filled, of other shapes the outline is drawn. Black classes are drawn in (1, 1, 1).

    Args:
        pixels: The image, uint8 RGB, HxWx3.
        annotation: Its objects.
        colors: Colours of classes; those without one are not drawn.

    Returns:
        uint8 RGB, Hx(2W + 1)x3.
    """
    table, places = _palette({title: color if any(color) else (1, 1, 1) for title, color in colors.items()})
    classes = _classes(annotation, places, outlined=True)
    width = annotation.width
    both = np.empty((annotation.height, 2 * width + 1, 3), dtype=np.uint8)
    both[:, :width] = pixels
    both[:, width] = _GREEN
    under = both[:, width + 1 :]
    under[:] = pixels
    drawn = classes > 0
    of_image, of_class = pixels[drawn], table[classes[drawn]]
    under[drawn] = (of_image & of_class) + ((of_image ^ of_class) >> 1)  # the mean, cut down, without wider numbers
    return both


def _palette(colors: Mapping[str, Color]) -> tuple[Picture, dict[str, int]]:
    """A table of colours, black at 0, and the place of each class in it."""
    table = np.array([(0, 0, 0), *colors.values()], dtype=np.uint8)
    return table, {title: place for place, title in enumerate(colors, start=1)}


def _classes(annotation: Annotation, places: Mapping[str, int], outlined: bool) -> NDArray[np.int32]:
    """The place of the class that is topmost at each pixel, 0 where there is none: int32, HxW."""
    image = np.zeros((annotation.height, annotation.width), dtype=np.int32)
    for item in annotation.objects:
        if item.class_title not in places:
            continue
        drawn = _drawn(item, annotation, outlined)
        if drawn is not None:
            window = image[drawn.y : drawn.y + drawn.mask.shape[0], drawn.x : drawn.x + drawn.mask.shape[1]]
            np.copyto(window, places[item.class_title], where=drawn.mask)
    return image


def _drawn(item: LabeledObject, annotation: Annotation, outlined: bool) -> Bitmap | None:
    width, height = annotation.width, annotation.height
    if not outlined or isinstance(item.geometry, Bitmap | Polygon):
        return geometry_mask(item.geometry, width, height)
    return geometry_outline(item.geometry, max(1, (max(width, height) + 1) // 300), width, height)
