"""Measures beyond counting pixels: of boundaries, outlines, skeletons, kinds of errors, and objects.

Each measure takes from every image and class a few numbers, its parts, and its scores follow from them: from one
image's parts a score of the image, from the sums over images a pooled score, from sums over classes a micro average.
The first part is always 1, or 0 for an image without a pixel that counts, which has no score (NaN). Where there is
nothing to divide by, `scores.share` decides, as it does for pixels. `docs/evaluation.md` has all formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.errors import Problems
from segsweep.evaluation.cases import Case
from segsweep.evaluation.decomposition import decompose
from segsweep.evaluation.scores import share

__all__ = [
    "MEASURES",
    "Measure",
    "check_measures",
    "chosen_measures",
    "count_shapes",
    "score_names",
]

Values = NDArray[np.float64]
Parts = tuple[float, ...]


@dataclass(frozen=True)
class Measure:
    """What a measure is made of.

    Attributes:
        parts: How many numbers an image and class gives, after the first.
        scores: By name, what follows from (sums of) parts (..., 1 + parts): values (...).
        count: Takes the parts, without the first, from the pixels of a case; None where they come from objects
            (`objects`).
        pooled: Whether the headline is that of all images pooled, as the original's plugins have it, however other
            scores are averaged.
    """

    parts: int
    scores: Mapping[str, Callable[[Values], Values]]
    count: Callable[[Case], Parts] | None = None
    pooled: bool = False


def _boundary_iou(case: Case) -> Parts:
    """Pixels in both bands and in either; a band is what lies within a distance of its mask's own outline, inside."""
    bands = [_band(mask, case.boundary_width) for mask in (case.truth, case.prediction)]
    return _pixels(bands[0] & bands[1]), _pixels(bands[0] | bands[1])


def _band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    inner = cv2.erode(mask.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(mask & ~inner.view(np.bool_))


def _cldice(case: Case) -> Parts:
    """Skeleton pixels of the prediction in the truth, all of them, and the other way round."""
    from skimage.morphology import skeletonize

    predicted, true = (skeletonize(mask) for mask in (case.prediction, case.truth))
    return _pixels(predicted & case.truth), _pixels(predicted), _pixels(true & case.prediction), _pixels(true)


def _hd95(case: Case) -> Parts:
    """The distance in pixels; the image's diagonal, than which none is larger, when only one mask has an outline."""
    if not (case.truth.any() or case.prediction.any()):
        return (0.0,)
    if not (case.truth.any() and case.prediction.any()):
        return (case.diagonal,)
    return (case.surfaces.hausdorff(0.95),)


def _surface_dice(case: Case) -> Parts:
    """The length of both outlines that lies near the other, and all of it."""
    return case.surfaces.agreeing(case.settings.surface_tolerance)


def _errors(case: Case) -> Parts:
    """Pixels of the union by kind: right, boundary, extent, segment."""
    return tuple(map(_pixels, decompose(case)))


def _pixels(mask: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(mask))


def _ratio(part: int, whole: int) -> Callable[[Values], Values]:
    """One part by another; 1 where both are 0: nothing was there, and nothing was said to be."""
    return lambda parts: share(parts[..., part], parts[..., whole], 0.0, parts[..., 0])


def _mean_part(parts: Values) -> Values:
    return np.where(parts[..., 0] > 0, parts[..., 1] / np.maximum(parts[..., 0], 1), np.nan)


def _cldice_score(parts: Values) -> Values:
    """The harmonic mean of topology precision and topology sensitivity (Shit et al. 2021, equation 2)."""
    counted, right, predicted, found, true = np.moveaxis(parts, -1, 0)
    precision = share(right, predicted, true, counted)
    sensitivity = share(found, true, predicted, counted)
    both = precision + sensitivity
    return np.where(both > 0, 2 * precision * sensitivity / np.where(both > 0, both, 1), both)


def _error_share(kind: int) -> Callable[[Values], Values]:
    """The share of the union that is wrong in one way; 0 where the union is empty."""

    def score(parts: Values) -> Values:
        union = parts[..., 1:].sum(axis=-1)
        return np.where(parts[..., 0] > 0, parts[..., kind] / np.maximum(union, 1), np.nan)

    return score


def _error_renormalised(kind: int) -> Callable[[Values], Values]:
    """An error's share of what it and the finer kinds leave: of itself, the right pixels, and the kinds before it.

    0 where the union is empty; NaN where the union holds coarser errors alone, which say nothing about this kind.
    """

    def score(parts: Values) -> Values:
        whole, union = parts[..., 1 : kind + 1].sum(axis=-1), parts[..., 1:].sum(axis=-1)
        defined = (parts[..., 0] > 0) & ((whole > 0) | (union == 0))
        return np.where(defined, parts[..., kind] / np.maximum(whole, 1), np.nan)

    return score


def _object_precision(parts: Values) -> Values:
    counted, matched, predicted, true = np.moveaxis(parts, -1, 0)
    return share(matched, predicted, true, counted)


def _object_recall(parts: Values) -> Values:
    counted, matched, predicted, true = np.moveaxis(parts, -1, 0)
    return share(matched, true, predicted, counted)


MEASURES: dict[str, Measure] = {
    "boundary_iou": Measure(2, {"boundary_iou": _ratio(1, 2)}, _boundary_iou),
    "cldice": Measure(4, {"cldice": _cldice_score}, _cldice),
    "hd95": Measure(1, {"hd95": _mean_part}, _hd95),
    "surface_dice": Measure(2, {"surface_dice": _ratio(1, 2)}, _surface_dice),
    "errors": Measure(
        4,
        {
            "error_boundary": _error_share(2),
            "error_extent": _error_share(3),
            "error_segment": _error_share(4),
            "error_boundary_renormalised": _error_renormalised(2),
            "error_extent_renormalised": _error_renormalised(3),
        },
        _errors,
    ),
    "union_iou": Measure(2, {"union_iou": _ratio(1, 2)}, pooled=True),
    "objects": Measure(3, {"object_precision": _object_precision, "object_recall": _object_recall}, pooled=True),
}
"""What may be asked for beside the scores of pixels."""

ALL = "all"


def check_measures(names: Iterable[object], problems: Problems, where: str) -> None:
    """Notes every name that is no measure, with the nearest ones."""
    for name in names:
        if name not in MEASURES and name != ALL:
            problems.unknown(where, name, [*MEASURES, ALL], kind="measure")


def chosen_measures(names: Iterable[str]) -> tuple[str, ...]:
    """The measures that are asked for, each once and in the order of `MEASURES`; `all` stands for all.

    Raises:
        InvalidRequestError: Tells every unknown name with the nearest ones.
    """
    asked = set(names)
    problems = Problems()
    check_measures(sorted(asked), problems, "measures")
    problems.raise_if_any("predictions cannot be scored")
    return tuple(name for name in MEASURES if ALL in asked or name in asked)


def score_names(measures: Iterable[str]) -> list[str]:
    """The names of the scores that measures give."""
    return [score for name in measures for score in MEASURES[name].scores]


def count_shapes(case: Case, measures: Iterable[str]) -> dict[str, Parts]:
    """The parts of those measures that look at pixels; the pixels of the case's image must count somewhere."""
    counted = {name: count for name in measures if (count := MEASURES[name].count) is not None}
    if not case.truth.size:  # the class is nowhere
        return {name: (1.0, *[0.0] * MEASURES[name].parts) for name in counted}
    return {name: (1.0, *count(case)) for name, count in counted.items()}
