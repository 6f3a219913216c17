"""Layers that work on the masks of bitmap objects.

`drop_noise`, `split_masks`, `merge_bitmap_masks`, `bitwise_masks`, `skeletonize`. They work on the part of the image
that a mask covers, not on the whole image. Objects that they make anew have a class and a shape, but no tags and no
other keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from segsweep.annotation import Bitmap, LabeledObject
from segsweep.annotation.geometry import trim
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Change, Layer, Strict
from segsweep.errors import DataError

__all__ = ["LAYERS"]

Mask = NDArray[np.bool_]


def _bitmap(item: LabeledObject) -> Bitmap:
    """The bitmap of an object.

    Raises:
        DataError: It has another shape.
    """
    if not isinstance(item.geometry, Bitmap):
        raise DataError(
            f"an object of class {item.class_title!r} is a {item.geometry.shape}, but this layer works on bitmaps"
        )
    return item.geometry


def _remade(
    element: Element, wanted: Callable[[LabeledObject], bool], change: Callable[[Bitmap], Iterable[Bitmap]]
) -> Iterable[Element]:
    """Replaces wanted objects by new ones, made of their tight bitmaps; empty ones vanish."""
    objects: list[LabeledObject] = []
    for item in element.annotation.objects:
        if not wanted(item):
            objects.append(item)
            continue
        pieces = (piece for tight in trim(_bitmap(item)) for made in change(tight) for piece in trim(made))
        objects.extend(LabeledObject(item.class_title, piece) for piece in pieces)
    yield replace(element, annotation=replace(element.annotation, objects=tuple(objects)))


def _components(mask: Mask, connectivity: Literal[4, 8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Labels (HxW, 0 where nothing is) and a row of (left, top, width, height, area) for each, label 0 included."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(mask).view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return np.asarray(labels, dtype=np.int32), np.asarray(stats[:count], dtype=np.int32)


class ClassesSettings(Strict):
    """Settings that name classes of bitmaps."""

    classes: list[str] = Field(description="classes of bitmaps")


def _of(settings: ClassesSettings) -> Callable[[LabeledObject], bool]:
    return lambda item: item.class_title in settings.classes


def _classes(settings: ClassesSettings) -> Iterable[str]:
    return settings.classes


def _area(value: str) -> str:
    if not re.fullmatch(r"[0-9]+(\.[0-9]{1,2})?(%|px)", value):
        raise ValueError("should be like '12px' or '1.5%', with two decimals at most")
    return value


class DropNoiseSettings(ClassesSettings):
    """Settings of `drop_noise`."""

    min_area: Annotated[str, AfterValidator(_area)] = Field(
        description="smaller parts are removed: '12px', or '1.5%' of what src_type says"
    )
    src_type: Literal["image", "bbox"] = Field(description="what a percentage is of: the image, or the object's bounds")


def _drop_noise(element: Element, settings: DropNoiseSettings, call: Call) -> Iterable[Element]:
    width, height = element.size

    def clean(bitmap: Bitmap) -> Iterable[Bitmap]:
        base = width * height if settings.src_type == "image" else bitmap.mask.size
        labels, stats = _components(bitmap.mask, 4)
        kept = stats[:, cv2.CC_STAT_AREA] >= _least_area(settings.min_area, base)
        kept[0] = False
        yield replace(bitmap, mask=kept[labels])

    return _remade(element, _of(settings), clean)


def _least_area(text: str, base: int) -> int:
    """The smallest area that is not below a limit; exact, unlike 0.07 * 100."""
    if text.endswith("%"):
        return math.ceil(Fraction(text[:-1]) * base / 100)
    return math.ceil(Fraction(text.removesuffix("px")))


def _split_masks(element: Element, settings: ClassesSettings, call: Call) -> Iterable[Element]:
    return _remade(element, _of(settings), _split)


def _split(bitmap: Bitmap) -> Iterable[Bitmap]:
    """The 8-connected parts of a bitmap."""
    labels, stats = _components(bitmap.mask, 8)
    for label, (left, top, width, height, _) in enumerate(stats.tolist()[1:], start=1):
        window = labels[top : top + height, left : left + width]
        yield Bitmap(window == label, bitmap.x + left, bitmap.y + top)


class MergeSettings(Strict):
    """Settings of `merge_bitmap_masks`."""

    class_: str = Field(alias="class", description="class whose bitmaps become one")


def _merge(element: Element, settings: MergeSettings, call: Call) -> Iterable[Element]:
    objects = element.annotation.objects
    merged = [item for item in objects if item.class_title == settings.class_]
    rest = tuple(item for item in objects if item.class_title != settings.class_)
    masks = [_bitmap(item) for item in merged]
    if len(masks) > 1:
        merged = [LabeledObject(settings.class_, _on(_bounds(masks), masks))]
    yield replace(element, annotation=replace(element.annotation, objects=(*rest, *merged)))


def _bounds(bitmaps: Sequence[Bitmap]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), half-open, around bitmaps."""
    return (
        min(item.x for item in bitmaps),
        min(item.y for item in bitmaps),
        max(item.x + item.mask.shape[1] for item in bitmaps),
        max(item.y + item.mask.shape[0] for item in bitmaps),
    )


def _on(window: tuple[int, int, int, int], bitmaps: Iterable[Bitmap]) -> Bitmap:
    """The union of bitmaps, in a window (left, top, right, bottom) of the image."""
    left, top, right, bottom = window
    mask = np.zeros((bottom - top, right - left), dtype=np.bool_)
    for item in bitmaps:
        x0, y0 = max(left, item.x), max(top, item.y)
        x1, y1 = min(right, item.x + item.mask.shape[1]), min(bottom, item.y + item.mask.shape[0])
        if x0 < x1 and y0 < y1:
            part = item.mask[y0 - item.y : y1 - item.y, x0 - item.x : x1 - item.x]
            mask[y0 - top : y1 - top, x0 - left : x1 - left] |= part
    return Bitmap(mask, left, top)


class BitwiseSettings(Strict):
    """Settings of `bitwise_masks`; `nor` is an exclusive or, as it always was in spite of its name."""

    type: Literal["or", "and", "nor"] = Field(description="how masks are combined; 'nor' is an exclusive or")
    class_mask: str = Field(description="class whose first object is the mask to combine with")
    classes_to_correct: list[str] = Field(description="classes whose objects are changed")


def _bitwise(element: Element, settings: BitwiseSettings, call: Call) -> Iterable[Element]:
    found = next((item for item in element.annotation.objects if item.class_title == settings.class_mask), None)
    if found is None:
        return (element,)
    other = _bitmap(found)

    def combine(bitmap: Bitmap) -> Iterable[Bitmap]:
        both = [bitmap, other]
        if settings.type == "or":
            yield _on(_bounds(both), both)
        elif settings.type == "and":
            yield replace(bitmap, mask=bitmap.mask & _on(_bounds([bitmap]), [other]).mask)
        else:
            first, second = (_on(_bounds(both), [item]) for item in both)
            yield replace(first, mask=first.mask ^ second.mask)

    def wanted(item: LabeledObject) -> bool:
        return item.class_title in settings.classes_to_correct and item is not found

    return _remade(element, wanted, combine)


class SkeletonizeSettings(ClassesSettings):
    """Settings of `skeletonize`; unlike the original's, a medial axis is the same every time."""

    method: Literal["skeletonization", "medial_axis", "thinning"] = Field(
        description="scikit-image's skeletonize, medial_axis or thin"
    )


def _skeletonize(element: Element, settings: SkeletonizeSettings, call: Call) -> Iterable[Element]:
    return _remade(element, _of(settings), lambda bitmap: (_skeleton(bitmap, settings.method),))


def _skeleton(bitmap: Bitmap, method: str) -> Bitmap:
    from skimage.morphology import medial_axis, skeletonize, thin  # here, because it takes long to import

    methods: dict[str, Callable[..., Mask]] = {
        "skeletonization": skeletonize,
        "medial_axis": partial(medial_axis, rng=np.random.default_rng(0)),  # it breaks ties by chance
        "thinning": thin,
    }
    mask = np.pad(bitmap.mask, 1)  # so that the edge of the mask is no edge of the picture
    return replace(bitmap, mask=methods[method](mask)[1:-1, 1:-1])


_OBJECTS: frozenset[Change] = frozenset({"objects"})

LAYERS = (
    Layer(
        "drop_noise",
        DropNoiseSettings,
        "removes small 4-connected parts of masks",
        _OBJECTS,
        _drop_noise,
        mentions=_classes,
    ),
    Layer(
        "split_masks",
        ClassesSettings,
        "makes an object of every 8-connected part of a mask",
        _OBJECTS,
        _split_masks,
        mentions=_classes,
    ),
    Layer(
        "merge_bitmap_masks",
        MergeSettings,
        "unites all masks of a class",
        _OBJECTS,
        _merge,
        mentions=lambda settings: (settings.class_,),
        aliases=("merge_masks",),
    ),
    Layer(
        "bitwise_masks",
        BitwiseSettings,
        "combines masks with the mask of another object",
        _OBJECTS,
        _bitwise,
        mentions=lambda settings: (settings.class_mask, *settings.classes_to_correct),
    ),
    Layer(
        "skeletonize",
        SkeletonizeSettings,
        "thins masks to lines of one pixel",
        _OBJECTS,
        _skeletonize,
        mentions=_classes,
    ),
)
