"""Augmentation on the fly: which transforms there are, whether a wish for some of them is right, and their use.

`TRANSFORMS` lists what may be asked for, with the arguments' kinds, so that a config is checked without importing
albumentations and no name from a file is ever looked up in a library. All of them keep the size of a square picture
and move masks along with pictures, masks by the nearest pixel. What a turn or warp pulls in from outside is the
reflection of the picture, in the mask too.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.errors import Problems, TrainingError

__all__ = ["TRANSFORMS", "Augmentation", "check_augmentation"]

Spec = Mapping[str, Mapping[str, Any] | None]

# The kinds of arguments: what is allowed, in words, and the check.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "probability": ("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1),
    "number": ("a number", lambda value: _number(value)),
    "whole": ("a whole number", lambda value: _whole(value)),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "range": ("a number or two in rising order, [low, high]", lambda value: _number(value) or _pair(value)),
    "pair": ("two numbers in rising order, [low, high]", lambda value: _pair(value)),
    "whole range": ("a whole number or two in rising order", lambda value: _whole(value) or _pair(value, _whole)),
    "whole pair": ("two whole numbers", lambda value: _list_of_two(value) and all(map(_whole, value))),
}

TRANSFORMS: dict[str, dict[str, str]] = {
    # flips and turns
    "HorizontalFlip": {},
    "VerticalFlip": {},
    "Transpose": {},
    "RandomRotate90": {},
    "D4": {},
    # geometry; the borders are reflected
    "Rotate": {"limit": "range"},
    "Affine": {
        "scale": "range",
        "translate_percent": "range",
        "rotate": "range",
        "shear": "range",
        "keep_ratio": "flag",
        "balanced_scale": "flag",
    },
    "Perspective": {"scale": "range"},
    "ElasticTransform": {"alpha": "number", "sigma": "number", "approximate": "flag", "same_dxdy": "flag"},
    "GridDistortion": {"num_steps": "whole", "distort_limit": "range"},
    "OpticalDistortion": {"distort_limit": "range"},
    # light and colour
    "RandomBrightnessContrast": {"brightness_limit": "range", "contrast_limit": "range", "brightness_by_max": "flag"},
    "RandomGamma": {"gamma_limit": "range"},
    "HueSaturationValue": {"hue_shift_limit": "range", "sat_shift_limit": "range", "val_shift_limit": "range"},
    "RGBShift": {"r_shift_limit": "range", "g_shift_limit": "range", "b_shift_limit": "range"},
    "ColorJitter": {"brightness": "range", "contrast": "range", "saturation": "range", "hue": "range"},
    "CLAHE": {"clip_limit": "range", "tile_grid_size": "whole pair"},
    "ToGray": {},
    # blur and noise
    "GaussianBlur": {"blur_limit": "whole range", "sigma_limit": "range"},
    "MotionBlur": {"blur_limit": "whole range"},
    "Sharpen": {"alpha": "pair", "lightness": "pair"},
    "GaussNoise": {"std_range": "pair", "mean_range": "pair", "per_channel": "flag"},
    "MultiplicativeNoise": {"multiplier": "range", "per_channel": "flag", "elementwise": "flag"},
    "ImageCompression": {"quality_range": "whole pair"},
    # holes in the picture; the mask stays
    "CoarseDropout": {"num_holes_range": "whole pair", "hole_height_range": "pair", "hole_width_range": "pair"},
}
"""Name of an albumentations transform -> its arguments and their kinds; every one also takes `p`."""

_NEEDS_SQUARE = frozenset({"Transpose", "RandomRotate90", "D4"})
_REFLECTS = frozenset({"Rotate", "Affine", "Perspective", "ElasticTransform", "GridDistortion", "OpticalDistortion"})


def check_augmentation(spec: Any, problems: Problems, where: str, *, square: bool = True) -> None:
    """Notes everything that is wrong with an augmentation setting.

    Args:
        spec: Name -> `{"transform": a key of TRANSFORMS, arguments…}`, or None to drop the entry.
        problems: Receives what is wrong.
        where: The key that holds `spec`.
        square: Whether the network's input is square; transforms that swap the sides need that.
    """
    if not isinstance(spec, Mapping):
        problems.add(where, "must map names to transforms", "for example flip: {transform: HorizontalFlip, p: 0.5}")
        return
    for name, entry in spec.items():
        if entry is not None:
            _check_entry(entry, problems, f"{where}.{name}", square)


def _check_entry(entry: Any, problems: Problems, where: str, square: bool) -> None:
    if not isinstance(entry, Mapping) or "transform" not in entry:
        problems.add(where, "must be a mapping with the key transform", f"one of {', '.join(TRANSFORMS)}")
        return
    transform = entry["transform"]
    if not isinstance(transform, str) or transform not in TRANSFORMS:
        problems.unknown(f"{where}.transform", transform, TRANSFORMS, kind="transform")
        return
    if transform in _NEEDS_SQUARE and not square:
        problems.add(where, f"{transform} swaps width and height", "it needs a square input_size")
    kinds = TRANSFORMS[transform] | {"p": "probability"}
    for key, value in entry.items():
        if key == "transform":
            continue
        if key not in kinds:
            problems.unknown(f"{where}.{key}", key, kinds, kind=f"argument of {transform}")
            continue
        allowed, right = _KINDS[kinds[key]]
        if not right(value):
            problems.add(f"{where}.{key}", f"{value!r} is not allowed", f"use {allowed}")


class Augmentation:
    """The transforms of a checked setting, ready for use by several threads.

    Args:
        spec: As `check_augmentation` takes it, without problems.

    Raises:
        TrainingError: A value is outside the range of its transform.
    """

    def __init__(self, spec: Spec) -> None:
        self._entries = {name: dict(entry) for name, entry in spec.items() if entry is not None}
        self._of_this_thread = threading.local()  # a pipeline carries its random state
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
        changed = pipeline(image=image, mask=mask)
        return changed["image"], changed["mask"]

    def _build(self) -> Any:
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer version
        import albumentations
        import cv2

        steps = []
        for name, entry in self._entries.items():
            transform = entry["transform"]
            arguments = {key: _as_tuple(value) for key, value in entry.items() if key != "transform"}
            if transform in _REFLECTS:
                arguments["border_mode"] = cv2.BORDER_REFLECT_101
            try:
                steps.append(getattr(albumentations, transform)(**arguments))
            except ValueError as error:
                reason = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
                raise TrainingError(f"augmentation.{name}: {transform} cannot be made: {reason}") from error
        return albumentations.Compose(steps)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) != float("inf")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _list_of_two(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _pair(value: Any, kind: Callable[[Any], bool] = _number) -> bool:
    return _list_of_two(value) and all(map(kind, value)) and value[0] <= value[1]
