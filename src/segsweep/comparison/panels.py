"""Pictures of one test image under several runs; pure functions on arrays.

Masks are class indices, uint8 HxW: 0 is the background, n the n-th scored class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.errors import DataError
from segsweep.evaluation.counts import Counts, confusion_matrix
from segsweep.evaluation.panels import PANEL
from segsweep.evaluation.scores import SCORES

__all__ = [
    "Original",
    "dice",
    "disagreement",
    "indices_of",
    "rgb",
    "to_webp",
]

Picture = NDArray[np.uint8]
Indices = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Original:
    """A test image as it is.

    Attributes:
        image: uint8 RGB, HxWx3.
        truth: Class indices, HxW; pixels of the neutral class have the number after the last.
        counted: The pixels that count; None is all of them.
    """

    image: Picture
    truth: Indices
    counted: Mask | None


WIDTH = 640
"""Of a picture's longer side, in pixels, at most."""
_QUALITY = 80
_DIM = np.float32(0.35)
_FEW_AGAINST = np.array((255, 176, 32), dtype=np.float32)
_HALF_AGAINST = np.array((255, 246, 214), dtype=np.float32)


def rgb(colour: object) -> tuple[int, int, int] | None:
    """`#rrggbb` as numbers; None for anything else."""
    try:
        red, green, blue = bytes.fromhex(str(colour).removeprefix("#"))
    except ValueError:
        return None
    return red, green, blue


def indices_of(colours: Picture, classes: Sequence[str | None]) -> Indices:
    """Class indices of a mask in colours: n is the n-th class, 0 all else."""
    if colours.ndim == 2:
        colours = np.repeat(colours[..., None], 3, axis=2)
    packed = colours.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    found = np.zeros(packed.shape, dtype=np.uint8)
    for index, colour in enumerate(classes, 1):
        if colour is not None and (parts := rgb(colour)) is not None:
            found[packed == (parts[0] << 16 | parts[1] << 8 | parts[2])] = index
    return found


def disagreement(votes: Indices, runs: int, original: Original | None) -> tuple[float, bytes]:
    """How far runs disagree on an image.

    Args:
        votes: For each class, how many runs say so; uint8 CxHxW, the background first.
        runs: The number of runs, at least two.
        original: The image, for the picture's ground and for the pixels that count.

    Returns:
        How many runs are against what most say, on the average of the pixels that any run marks: 0 where all agree, 1
        where half are against. And its map: light where half are against, orange where few are.
    """
    against = runs - votes.max(axis=0).astype(np.int64)
    marked = votes[0] < runs
    if original is not None and original.counted is not None:
        against, marked = np.where(original.counted, against, 0), marked & original.counted
    share = float(against.sum() / max(1, marked.sum() * (runs // 2)))
    ground = np.full((*against.shape, 3), PANEL, dtype=np.float32)
    if original is not None:
        ground = np.repeat(_DIM * _grey(original.image), 3, axis=2)
    strength = (against / (runs // 2))[..., None].clip(0, 1)  # 1: as many are against as can be with two answers
    tint = _FEW_AGAINST + (_HALF_AGAINST - _FEW_AGAINST) * strength
    return share, to_webp(np.where(against[..., None] > 0, tint, ground).astype(np.uint8))


def dice(original: Original, prediction: Indices, classes: int) -> float:
    """Dice of a mask, the mean over `classes` less the background."""
    valid = original.truth < classes if original.counted is None else original.counted
    found = SCORES["dice"](Counts.of(confusion_matrix(original.truth, prediction, classes, valid)))
    return float(found[1:].mean())


def to_webp(picture: Picture) -> bytes:
    """A picture as WebP, at most `WIDTH` pixels wide or high."""
    height, width = picture.shape[:2]
    scale = min(1.0, WIDTH / max(width, height))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    if not done:
        raise DataError(f"a picture of shape {picture.shape} cannot be encoded as WebP")
    return bytes(data)


def _grey(image: Picture) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], dtype=np.float32)
