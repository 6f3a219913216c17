"""Augmentation on the fly: transforms of `augmentations.TRANSFORMS`, drawn for pictures and their masks together.

All of them keep the size of a square picture and move masks along with pictures. Where pixels are not only swapped, the
masks of the classes are interpolated as pictures are and each pixel goes to the strongest: by the nearest pixel thin
lines would break. What a turn or warp pulls in from outside is the reflection of the picture, in the mask too.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.augmentations import INTERPOLATING, TRANSFORMS, Spec, find_flaws, library, make_transform
from segsweep.errors import Problems, TrainingError

__all__ = ["Augmentation", "check_augmentation"]

_NEEDS_SQUARE = ("Transpose", "RandomRotate90", "D4")


def check_augmentation(spec: Any, problems: Problems, where: str, *, square: bool = True) -> None:
    """Notes everything that is wrong with an augmentation setting.

    Args:
        spec: Name -> `{"transform": a key of TRANSFORMS, arguments…}`, or None to drop the entry.
        problems: Receives what is wrong.
        where: The key that holds `spec`.
        square: Whether the network's input is square; transforms that swap the sides need that.
    """
    for flaw in find_flaws(spec, TRANSFORMS):
        problems.add(".".join((where, *flaw.path)), flaw.what, flaw.hint)
    if isinstance(spec, Mapping) and not square:
        for name, entry in spec.items():
            transform = entry.get("transform") if isinstance(entry, Mapping) else None
            if transform in _NEEDS_SQUARE:
                what = f"{transform} swaps width and height"
                problems.add(f"{where}.{name}", what, "it needs a square input_size")


class Augmentation:
    """The transforms of a checked setting, ready for use by several threads.

    Args:
        spec: As `check_augmentation` takes it, without problems.

    Attributes:
        pulls_in: Whether a transform may need what is around the picture.

    Raises:
        TrainingError: A value is outside the range of its transform.
    """

    def __init__(self, spec: Spec) -> None:
        self._entries = {name: dict(entry) for name, entry in spec.items() if entry is not None}
        self._of_this_thread = threading.local()  # a pipeline carries its random state
        self.pulls_in = any(entry["transform"] in INTERPOLATING for entry in self._entries.values())
        if self._entries:
            self._of_this_thread.pipeline = self._build()

    def __call__(
        self, image: NDArray[np.uint8], mask: NDArray[Any], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Changes a picture (HxWx3) and its mask (HxW) together; equal seeds change them equally."""
        if not self._entries:
            return image, mask
        if not hasattr(self._of_this_thread, "pipeline"):
            self._of_this_thread.pipeline = self._build()
        pipeline = self._of_this_thread.pipeline
        # one stream for all transforms: with a seed each, all flips would fall together
        pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        if not self.pulls_in:
            changed = pipeline(image=image, mask=mask)
            return changed["image"], changed["mask"]
        classes = _classes(mask)
        changed = pipeline(image=image, mask=_layers(mask, classes))
        return changed["image"], classes[_strongest(changed["mask"])]

    def _build(self) -> Any:
        import cv2

        steps = []
        for name, entry in self._entries.items():
            try:
                steps.append(make_transform(entry, cv2.BORDER_REFLECT_101, mask_interpolation=cv2.INTER_LINEAR))
            except ValueError as error:
                raise TrainingError(f"augmentation.{name}: {error}") from error
        return library().Compose(steps)


def _classes(mask: NDArray[Any]) -> NDArray[Any]:
    """What is in a mask, in rising order."""
    if mask.dtype != np.uint8:
        return np.unique(mask)
    return np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).astype(np.uint8)


def _layers(mask: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.uint8]:
    """HxWxC: a channel for each class but the first, 255 where it is; all of them add up to 255."""
    others = classes[1:] if len(classes) > 1 else classes
    layers = (mask[..., None] == others).view(np.uint8) * np.uint8(255)
    return layers if len(classes) > 1 else np.zeros_like(layers)


def _strongest(layers: NDArray[np.uint8]) -> NDArray[Any]:
    """The place of the strongest class in each pixel, after `_layers` was moved and interpolated."""
    layers = layers.reshape(*layers.shape[:2], -1)  # a single channel may have been dropped
    if layers.shape[2] == 1:
        return (layers[..., 0] > 127).view(np.uint8)
    first = 255 - layers.sum(axis=2, keepdims=True, dtype=np.int16)
    return np.asarray(np.concatenate([first, layers], axis=2, dtype=np.int16).argmax(axis=2))
