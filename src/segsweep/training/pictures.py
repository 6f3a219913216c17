"""What a network sees while it learns: input, truth and prediction side by side."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.training.classes import ClassPlan

__all__ = ["side_by_side"]

_GAP = 4


def side_by_side(
    image: NDArray[np.uint8], truth: NDArray[Any], predicted: NDArray[Any], classes: ClassPlan, width: int = 512
) -> NDArray[np.uint8]:
    """The picture, then its true and its predicted classes painted over it in the classes' colours.

    The background stays unpainted; neutral pixels of the truth are grey.

    Args:
        image: uint8 RGB, HxWx3.
        truth: Class indices, HxW.
        predicted: Class indices, HxW.
        classes: Colours and indices.
        width: Largest width of the result in pixels.

    Returns:
        uint8 RGB, three panels in a row.
    """
    palette = np.zeros((classes.ignore_index + 1, 3), dtype=np.uint8)
    palette[classes.ignore_index] = 128
    for entry in classes.out_classes:
        palette[classes.class_title_to_idx[entry["title"]]] = _rgb(entry["color"])
    panels = [image, _painted(image, truth, palette), _painted(image, predicted, palette)]

    panel_width = min(image.shape[1], (width - 2 * _GAP) // 3)
    size = (panel_width, max(1, round(image.shape[0] * panel_width / image.shape[1])))
    small = [cv2.resize(panel, size, interpolation=cv2.INTER_AREA) for panel in panels]
    gap = np.full((size[1], _GAP, 3), 255, dtype=np.uint8)
    return np.hstack([small[0], gap, small[1], gap, small[2]]).astype(np.uint8)


def _painted(image: NDArray[np.uint8], indices: NDArray[Any], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Classes over the darkened picture, so that any class colour stands out."""
    painted: NDArray[np.uint8] = np.where((indices > 0)[..., None], palette[indices], image // 2).astype(np.uint8)
    return painted


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color.removeprefix("#")))
