"""Objects against objects: which true object was found by which predicted one, and what follows.

Definitions are those of the original's evaluation plugins. Objects are compared as pixels, cut to those that count; an
object of which none is left is no object. Pairs are formed greedily by descending IoU, each object in at most one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Annotation, Bitmap, LabeledObject, geometry_mask

__all__ = [
    "Detections",
    "ObjectCounts",
    "ObjectSettings",
    "Piece",
    "annotated_pieces",
    "connected_pieces",
    "count_objects",
    "interpolated_precision",
    "match",
    "union_parts",
]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ObjectSettings:
    """How objects are compared; the first three are the plugins' own settings.

    Attributes:
        iou: From which IoU on two objects can be a pair; above 0.
        confidence_tag_name: The numeric tag of predicted objects that orders them for average precision; `confidence`
            when missing.
        confidence_threshold: Predicted objects that are less confident do not take part in average precision.
        source: What an object is: each one that was `annotated`, or each of the `components` of a class's pixels
            (connected over sides and corners), whose confidence is their mean probability. A network of semantic
            segmentation gives one bitmap a class, so only the latter tell its objects apart.
    """

    iou: float = 0.5
    confidence_tag_name: str | None = None
    confidence_threshold: float = 0.0
    source: Literal["annotated", "components"] = "annotated"


@dataclass(frozen=True)
class Piece:
    """One object: its class's index, its pixels inside the image (never none), and how sure the prediction is of it."""

    index: int
    bitmap: Bitmap
    confidence: float | None = None

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom; the last two lie beyond it."""
        height, width = self.bitmap.mask.shape
        return self.bitmap.x, self.bitmap.y, self.bitmap.x + width, self.bitmap.y + height


@dataclass(frozen=True)
class Detections:
    """Predicted objects as average precision sees them; arrays of one length.

    Attributes:
        index: The class that each is filed under: its true partner's, or its own when it has none.
        right: Whether it has a partner of its own class.
        confidence: How sure the prediction is of it.
        unrated: How many more there were, without a confidence.
    """

    index: NDArray[np.int64]
    right: Mask
    confidence: NDArray[np.float64]
    unrated: int = 0


@dataclass(frozen=True)
class ObjectCounts:
    """What the objects of one image (or, added up, of many) give.

    Attributes:
        confusion: Pairs across classes by (true class, predicted class), int64 CxC. Index 0 stands for none: the first
            column are true objects that nothing found, the first row predicted ones that found nothing.
        parts: By class: pairs within the class, predicted objects, true objects; int64 Cx3.
        detections: For average precision.
    """

    confusion: NDArray[np.int64]
    parts: NDArray[np.int64]
    detections: Detections


def annotated_pieces(
    annotation: Annotation, titles: Sequence[str | None], valid: Mask | None, confidence_tag: str | None = None
) -> list[Piece]:
    """The objects of an annotation whose class is one of `titles[1:]`, in its order.

    Args:
        annotation: The objects.
        titles: Classes by index; the first is the background.
        valid: Pixels that count, bool HxW; all when missing.
        confidence_tag: The tag that holds an object's confidence.
    """
    places = {title: index for index, title in enumerate(titles) if index and title is not None}
    found = []
    for item in annotation.objects:
        bitmap = (
            geometry_mask(item.geometry, annotation.width, annotation.height) if item.class_title in places else None
        )
        if bitmap is not None and valid is not None:
            bitmap = Bitmap(bitmap.mask & _window(valid, bitmap), bitmap.x, bitmap.y)
        if bitmap is not None and bitmap.mask.any():
            found.append(Piece(places[item.class_title], bitmap, _confidence(item, confidence_tag)))
    return found


def _confidence(item: LabeledObject, tag_name: str | None) -> float | None:
    values = (tag.value for tag in item.tags if tag.name == tag_name)
    return next((float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)), None)


def _window(mask: NDArray[Any], bitmap: Bitmap) -> NDArray[Any]:
    """The part of a map of the image that a bitmap covers."""
    height, width = bitmap.mask.shape
    return mask[bitmap.y : bitmap.y + height, bitmap.x : bitmap.x + width]


def connected_pieces(
    indices: NDArray[Any], classes: int, valid: Mask | None, probabilities: Mapping[int, NDArray[np.uint16]]
) -> list[Piece]:
    """The pieces, connected over sides and corners, of each class from 1 on in a map of class indices.

    Args:
        indices: Class indices HxW.
        classes: The number of classes C.
        valid: Pixels that count, bool HxW; all when missing.
        probabilities: By class index; the mean over a piece is its confidence.
    """
    found = []
    for index in range(1, classes):
        mask = indices == index if valid is None else (indices == index) & valid
        count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        for label in range(1, count):
            x, y, width, height = (int(value) for value in boxes[label, :4])
            bitmap = Bitmap(labels[y : y + height, x : x + width] == label, x, y)
            confidence = None
            if index in probabilities:
                confidence = float(_window(probabilities[index], bitmap)[bitmap.mask].mean() / 65535)
            found.append(Piece(index, bitmap, confidence))
    return found


def match(truth: Sequence[Piece], prediction: Sequence[Piece], least: float) -> list[tuple[int, int]]:
    """Pairs of places (in truth, in prediction) with an IoU of at least `least`, the highest first, none twice.

    Of equal ones the first true object comes first, then the first predicted one.
    """
    pairs = sorted(_overlaps(truth, prediction, least), key=lambda pair: -pair[0])
    free = [set(range(len(truth))), set(range(len(prediction)))]
    found = []
    for _, *places in pairs:
        if all(place in left for place, left in zip(places, free, strict=True)):
            for place, left in zip(places, free, strict=True):
                left.remove(place)
            found.append((places[0], places[1]))
    return found


def _overlaps(truth: Sequence[Piece], prediction: Sequence[Piece], least: float) -> Iterator[tuple[float, int, int]]:
    """IoU and places of all pairs that reach it; only those whose boxes meet are looked at."""
    if not prediction:
        return
    boxes = np.array([piece.box for piece in prediction])
    areas = [int(np.count_nonzero(piece.bitmap.mask)) for piece in prediction]
    for place, piece in enumerate(truth):
        left, top, right, bottom = piece.box
        meets = (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom) & (boxes[:, 3] > top)
        area = int(np.count_nonzero(piece.bitmap.mask)) if meets.any() else 0
        for other in np.flatnonzero(meets).tolist():
            both = _common(piece.bitmap, prediction[other].bitmap)
            iou = both / (area + areas[other] - both)
            if iou >= least:
                yield iou, place, other


def _common(first: Bitmap, second: Bitmap) -> int:
    """The number of pixels in both bitmaps, whose boxes meet."""
    (h1, w1), (h2, w2) = first.mask.shape, second.mask.shape
    x0, y0 = max(first.x, second.x), max(first.y, second.y)
    x1, y1 = min(first.x + w1, second.x + w2), min(first.y + h1, second.y + h2)
    masks = (item.mask[y0 - item.y : y1 - item.y, x0 - item.x : x1 - item.x] for item in (first, second))
    return int(np.count_nonzero(np.logical_and(*masks)))


def count_objects(
    truth: Sequence[Piece], prediction: Sequence[Piece], classes: int, settings: ObjectSettings
) -> ObjectCounts:
    """Counts one image.

    Args:
        truth: True objects.
        prediction: Predicted objects.
        classes: The number of classes C, the background among them.
        settings: From which IoU on objects are pairs, and which predictions take part in average precision.
    """
    confusion = np.zeros((classes, classes), dtype=np.int64)
    pairs = match(truth, prediction, settings.iou)
    for true, predicted in pairs:
        confusion[truth[true].index, prediction[predicted].index] += 1
    _count_left(confusion[:, 0], truth, {true for true, _ in pairs})
    _count_left(confusion[0, :], prediction, {predicted for _, predicted in pairs})
    parts = np.zeros((classes, 3), dtype=np.int64)
    for index in range(1, classes):
        ours, theirs = ([piece for piece in pieces if piece.index == index] for pieces in (truth, prediction))
        parts[index] = len(match(ours, theirs, settings.iou)), len(theirs), len(ours)
    return ObjectCounts(confusion, parts, _detections(truth, prediction, settings))


def _count_left(counts: NDArray[np.int64], pieces: Sequence[Piece], matched: set[int]) -> None:
    for place, piece in enumerate(pieces):
        if place not in matched:
            counts[piece.index] += 1


def _detections(truth: Sequence[Piece], prediction: Sequence[Piece], settings: ObjectSettings) -> Detections:
    rated = [(piece, piece.confidence) for piece in prediction if piece.confidence is not None]
    taken = [(piece, confidence) for piece, confidence in rated if confidence >= settings.confidence_threshold]
    pieces = [piece for piece, _ in taken]
    partners = {predicted: truth[true].index for true, predicted in match(truth, pieces, settings.iou)}
    return Detections(
        np.array([partners.get(place, piece.index) for place, piece in enumerate(pieces)], dtype=np.int64),
        np.array([partners.get(place) == piece.index for place, piece in enumerate(pieces)], dtype=np.bool_),
        np.array([confidence for _, confidence in taken], dtype=np.float64),
        len(prediction) - len(rated),
    )


def interpolated_precision(right: Mask, confidence: NDArray[np.float64], true: int) -> float:
    """Average precision at 11 recalls (PASCAL VOC 2007): the mean of the best precision at recalls of 0, 0.1 … 1.

    Args:
        right: Which detections are right, bool (N,).
        confidence: Of each, float64 (N,); equal ones stay in their order.
        true: How many objects there were to find.

    Returns:
        0..1; 0 when no detection is right, but 1 when there is nothing to find and nothing was detected.
    """
    if not right.any():
        return float(not true and not len(right))
    found = np.cumsum(right[np.argsort(-confidence, kind="stable")])
    recall, precision = found / true, found / np.arange(1, len(found) + 1)
    return float(np.mean([precision[recall >= least].max(initial=0) for least in np.linspace(0, 1, 11)]))


def union_parts(
    truth: Iterable[Piece], prediction: Iterable[Piece], index: int, shape: tuple[int, int]
) -> tuple[int, int]:
    """Pixels in the intersection and in the union of all true and all predicted objects of a class.

    Objects do not hide each other here, as they do in maps of class indices.
    """
    masks = np.zeros((2, *shape), dtype=np.bool_)
    for mask, pieces in zip(masks, (truth, prediction), strict=True):
        for piece in pieces:
            if piece.index == index:
                _window(mask, piece.bitmap)[piece.bitmap.mask] = True
    return int(np.count_nonzero(masks[0] & masks[1])), int(np.count_nonzero(masks[0] | masks[1]))
