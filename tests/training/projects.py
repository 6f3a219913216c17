"""Small projects to train on: bright discs and squares on noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    LabeledObject,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    Tag,
    TagMeta,
)

Paint = Callable[[np.random.Generator, NDArray[np.uint8]], tuple[LabeledObject, ...]]

DISC = ClassMeta("disc", "bitmap", "#ff0000")
SQUARE = ClassMeta("square", "rectangle", "#00ff00")
NEUTRAL = ClassMeta("neutral", "rectangle", "#808080")


def disc(rng: np.random.Generator, image: NDArray[np.uint8]) -> tuple[LabeledObject, ...]:
    height, width = image.shape[:2]
    mask = np.zeros((height, width), dtype=np.uint8)
    center = (int(rng.integers(14, width - 14)), int(rng.integers(14, height - 14)))
    cv2.circle(mask, center, int(rng.integers(7, 13)), 1, -1)
    image[mask > 0] += 110
    return (LabeledObject("disc", Bitmap(mask.astype(bool), 0, 0)),)


def disc_and_square(rng: np.random.Generator, image: NDArray[np.uint8]) -> tuple[LabeledObject, ...]:
    left, top = (int(rng.integers(0, side - 16)) for side in (image.shape[1], image.shape[0]))
    image[top : top + 16, left : left + 16] = (0, 0, 230)
    return (*disc(rng, image), LabeledObject("square", Rectangle(left, top, left + 15, top + 15)))


def make_project(
    path: Path,
    paint: Paint = disc,
    classes: Sequence[ClassMeta] = (DISC,),
    train: int = 6,
    val: int = 2,
    size: tuple[int, int] = (64, 64),
) -> Path:
    """A project of `train` + `val` images of `size` (width, height), tagged `train` and `val`."""
    meta = ProjectMeta(tuple(classes), (TagMeta("train"), TagMeta("val")))
    width, height = size
    with ProjectWriter(path, meta) as writer:
        for number in range(train + val):
            rng = np.random.default_rng(number)
            image = rng.integers(0, 90, (height, width, 3)).astype(np.uint8)
            objects = paint(rng, image)
            tags = (Tag("train" if number < train else "val"),)
            writer.add("ds", f"image_{number}.png", Annotation(width, height, objects, tags), image)
    return path
