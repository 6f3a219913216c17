"""One class of one image as its true and its predicted pixels, for measures that look at shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.surfaces import Surfaces

__all__ = ["Case", "ShapeSettings", "near"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ShapeSettings:
    """What measures of shapes need to know.

    Attributes:
        boundary_width: Width of the bands of boundary IoU, as a share of the image's diagonal; at least a pixel.
        error_width: How near to right pixels an error at the boundary lies, as a share of the image's diagonal; at
            least a pixel.
        surface_tolerance: How far apart two outlines may be to agree, in pixels.
    """

    boundary_width: float = 0.02
    error_width: float = 0.01
    surface_tolerance: float = 2.0


@dataclass(frozen=True)
class Case:
    """One class of one image, cut to the pixels that count and to a box around them; masks are bool of one shape.

    Attributes:
        truth: True pixels of the class.
        prediction: Predicted pixels of the class.
        counted: Pixels that count; None is all.
        diagonal: Of the whole image, in pixels.
        settings: Widths and tolerances.
    """

    truth: Mask
    prediction: Mask
    counted: Mask | None
    diagonal: float
    settings: ShapeSettings = field(default_factory=ShapeSettings)

    @classmethod
    def of(cls, truth: Mask, prediction: Mask, valid: Mask | None, settings: ShapeSettings) -> Case:
        """Cuts the masks (bool HxW) of a whole image; only the surroundings that can matter are kept."""
        diagonal = math.hypot(*truth.shape)
        if valid is not None:
            truth, prediction = truth & valid, prediction & valid
        box = _box(truth | prediction, margin=_pixels(settings.error_width, diagonal) + 1)
        return cls(truth[box], prediction[box], None if valid is None else valid[box], diagonal, settings)

    @property
    def boundary_width(self) -> int:
        """Of the bands of boundary IoU, in pixels."""
        return _pixels(self.settings.boundary_width, self.diagonal)

    @property
    def error_width(self) -> int:
        """How near to right pixels an error at the boundary lies, in pixels."""
        return _pixels(self.settings.error_width, self.diagonal)

    @cached_property
    def surfaces(self) -> Surfaces:
        """The outlines of both masks."""
        return Surfaces.of(self.truth, self.prediction)

    @cached_property
    def rest(self) -> Mask:
        """Pixels that count and are of the class in neither."""
        outside = ~(self.truth | self.prediction)
        return outside if self.counted is None else outside & self.counted


def _pixels(share: float, diagonal: float) -> int:
    return max(1, round(share * diagonal))


def _box(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The bounding box of a mask, enlarged within the image; empty when the mask is."""
    sides = []
    for axis in (1, 0):
        found = np.flatnonzero(mask.any(axis=axis))
        sides.append(slice(max(0, int(found[0]) - margin), int(found[-1]) + margin + 1) if len(found) else slice(0, 0))
    return sides[0], sides[1]


def near(mask: Mask, width: float) -> Mask:
    """Pixels whose Euclidean distance from a mask, rounded, is at most `width`; the mask's own among them."""
    if not mask.any():
        return np.zeros_like(mask)
    distance = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance < width + 0.5)
