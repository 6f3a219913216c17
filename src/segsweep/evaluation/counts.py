"""Pixel counts: the confusion matrix of two index maps, and from it tp, fp, fn, tn of every class.

Everything else in this package is a reduction of these counts. All functions take leading axes, so that one call does
one image (CxC) or many (NxCxC).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counts", "confusion_matrix"]

_STRIP = 2**22
"""Pixels that are counted at once: memory stays small however large an image is."""


def confusion_matrix(
    truth: NDArray[Any], prediction: NDArray[Any], classes: int, valid: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Counts the pixels of every (true class, predicted class).

    Args:
        truth: Class indices 0..classes-1, HxW, any integer type.
        prediction: The same, of the same shape.
        classes: The number of classes C.
        valid: Pixels to count, bool HxW; all when missing. The indices of other pixels may be anything.

    Returns:
        int64 CxC; rows are true classes, columns predicted ones.

    Raises:
        ValueError: The shapes differ, or a counted index is out of range.
    """
    if truth.shape != prediction.shape or (valid is not None and valid.shape != truth.shape):
        raise ValueError(
            f"maps of different shapes: {truth.shape}, {prediction.shape}, {getattr(valid, 'shape', None)}"
        )
    counts = np.zeros(classes * classes, dtype=np.int64)
    height = max(1, _STRIP // max(1, truth.shape[-1]))
    for start in range(0, len(truth), height):
        strip = slice(start, start + height)
        kept = slice(None) if valid is None else valid[strip]
        rows, columns = truth[strip][kept].ravel(), prediction[strip][kept].ravel()
        for indices in (rows, columns):
            if indices.size and (indices.min() < 0 or indices.max() >= classes):
                raise ValueError(f"class indices must be in 0..{classes - 1}, found {indices.min()}..{indices.max()}")
        counts += np.bincount(rows.astype(np.intp) * classes + columns, minlength=classes * classes)
    return counts.reshape(classes, classes)


@dataclass(frozen=True)
class Counts:
    """Pixels of each class against all others; int64 arrays of one shape (..., C).

    Attributes:
        tp: Pixels of the class that were predicted as it.
        fp: Pixels of other classes that were predicted as it.
        fn: Pixels of the class that were predicted as another.
        tn: All other pixels.
    """

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    tn: NDArray[np.int64]

    @classmethod
    def of(cls, confusion: NDArray[np.int64]) -> Counts:
        """The counts of every class of confusion matrices (..., C, C)."""
        tp = np.diagonal(confusion, axis1=-2, axis2=-1).copy()
        fp = confusion.sum(axis=-2) - tp
        fn = confusion.sum(axis=-1) - tp
        total = confusion.sum(axis=(-2, -1))[..., None]
        return cls(tp, fp, fn, total - tp - fp - fn)

    @property
    def total(self) -> NDArray[np.int64]:
        """All counted pixels, of every class alike; shape (..., C)."""
        return self.tp + self.fp + self.fn + self.tn
