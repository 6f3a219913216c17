"""Which transforms of albumentations may be asked for, and whether a wish for some of them is right.

The tables list names and kinds of arguments, so that a wish is checked without importing albumentations and no name
from a file is ever looked up in a library. A wish maps names of the user's choice to `{"transform": a key of the table,
arguments…}`, applied in order; None drops an entry, which lets a configuration take one away.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from segsweep.errors import nearest

__all__ = [
    "INTERPOLATING",
    "MOVING",
    "RESIZING",
    "SCALING",
    "TRANSFORMS",
    "WARPING",
    "Flaw",
    "Spec",
    "find_flaws",
    "library",
    "make_transform",
]

Spec = Mapping[str, Mapping[str, Any] | None]

MAX_SIDE = 16384
"""The longest side, in pixels, that a picture may be asked to get."""

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
    "steps": ("a whole number up to 16", lambda value: _whole(value) and value <= 16),
    "side": (f"a whole number from 1 to {MAX_SIDE}", lambda value: _side(value)),
    "sides": (
        f"two whole numbers from 1 to {MAX_SIDE}, [height, width]",
        lambda value: _list_of_two(value) and all(map(_side, value)),
    ),
    "growth": ("a number from -1 to 9 or two in rising order", lambda value: _within(value, -1, 9)),
    "factor": ("a number from 0.01 to 10 or two in rising order", lambda value: _within(value, 0.01, 10)),
}

TRANSFORMS: dict[str, dict[str, str]] = {
    # flips and turns
    "HorizontalFlip": {},
    "VerticalFlip": {},
    "Transpose": {},
    "RandomRotate90": {},
    "D4": {},
    # geometry
    "Rotate": {"limit": "range"},
    "Affine": {
        "scale": "factor",
        "translate_percent": "range",
        "rotate": "range",
        "shear": "range",
        "keep_ratio": "flag",
        "balanced_scale": "flag",
    },
    "Perspective": {"scale": "range"},
    "ElasticTransform": {"alpha": "number", "sigma": "number", "approximate": "flag", "same_dxdy": "flag"},
    "GridDistortion": {"num_steps": "steps", "distort_limit": "range"},
    "OpticalDistortion": {"distort_limit": "range"},
    # light and colour
    "RandomBrightnessContrast": {"brightness_limit": "range", "contrast_limit": "range", "brightness_by_max": "flag"},
    "RandomGamma": {"gamma_limit": "range"},
    "RandomToneCurve": {"scale": "number", "per_channel": "flag"},
    "HueSaturationValue": {"hue_shift_limit": "range", "sat_shift_limit": "range", "val_shift_limit": "range"},
    "RGBShift": {"r_shift_limit": "range", "g_shift_limit": "range", "b_shift_limit": "range"},
    "ColorJitter": {"brightness": "range", "contrast": "range", "saturation": "range", "hue": "range"},
    "PlanckianJitter": {},
    "Illumination": {"intensity_range": "pair", "angle_range": "pair", "center_range": "pair", "sigma_range": "pair"},
    "CLAHE": {"clip_limit": "range", "tile_grid_size": "whole pair"},
    "Equalize": {"by_channels": "flag"},
    "AutoContrast": {"cutoff": "number"},
    "Posterize": {"num_bits": "whole range"},
    "Solarize": {"threshold_range": "pair"},
    "InvertImg": {},
    "ToGray": {},
    "ToSepia": {},
    "ChannelShuffle": {},
    "ChannelDropout": {"channel_drop_range": "whole pair", "fill": "number"},
    # blur and noise
    "Blur": {"blur_limit": "whole range"},
    "GaussianBlur": {"blur_limit": "whole range", "sigma_limit": "range"},
    "MedianBlur": {"blur_limit": "whole range"},
    "MotionBlur": {"blur_limit": "whole range"},
    "Defocus": {"radius": "whole range", "alias_blur": "range"},
    "Sharpen": {"alpha": "pair", "lightness": "pair"},
    "UnsharpMask": {"blur_limit": "whole range", "sigma_limit": "range", "alpha": "range", "threshold": "whole"},
    "Emboss": {"alpha": "pair", "strength": "pair"},
    "GaussNoise": {"std_range": "pair", "mean_range": "pair", "per_channel": "flag"},
    "ISONoise": {"color_shift": "pair", "intensity": "pair"},
    "SaltAndPepper": {"amount": "pair", "salt_vs_pepper": "pair"},
    "MultiplicativeNoise": {"multiplier": "range", "per_channel": "flag", "elementwise": "flag"},
    "ImageCompression": {"quality_range": "whole pair"},
    "Downscale": {"scale_range": "pair"},
    # holes in the picture; what is labelled stays
    "CoarseDropout": {"num_holes_range": "whole pair", "hole_height_range": "pair", "hole_width_range": "pair"},
    "PixelDropout": {"dropout_prob": "probability", "per_channel": "flag"},
}
"""Name of a transform that keeps the size of a square picture -> its arguments and their kinds; all also take `p`."""

RESIZING: dict[str, dict[str, str]] = {
    "Rotate": {**TRANSFORMS["Rotate"], "crop_border": "flag"},
    "SafeRotate": {"limit": "range"},
    "Affine": {**TRANSFORMS["Affine"], "scale": "factor", "fit_output": "flag"},
    "Perspective": {**TRANSFORMS["Perspective"], "keep_size": "flag", "fit_output": "flag"},
    "Resize": {"height": "side", "width": "side"},
    "RandomScale": {"scale_limit": "growth"},
    "LongestMaxSize": {"max_size": "side"},
    "SmallestMaxSize": {"max_size": "side"},
    "CenterCrop": {"height": "side", "width": "side", "pad_if_needed": "flag"},
    "RandomCrop": {"height": "side", "width": "side", "pad_if_needed": "flag"},
    "RandomSizedCrop": {"min_max_height": "whole pair", "size": "sides", "w2h_ratio": "number"},
    "RandomResizedCrop": {"size": "sides", "scale": "pair", "ratio": "pair"},
    "RandomCropFromBorders": dict.fromkeys(("crop_left", "crop_right", "crop_top", "crop_bottom"), "probability"),
    "PadIfNeeded": {"min_height": "side", "min_width": "side"},
}
"""Transforms and arguments that may give a picture another size, for those who can go on with one."""

WARPING = frozenset({"ElasticTransform", "GridDistortion", "OpticalDistortion"})
"""Transforms that bend straight lines."""

MOVING = (
    frozenset({"HorizontalFlip", "VerticalFlip", "Transpose", "RandomRotate90", "D4"}) | WARPING | frozenset(RESIZING)
)
"""Transforms that move what is in a picture; all others change colours only."""

SCALING = frozenset(
    {"Resize", "RandomScale", "LongestMaxSize", "SmallestMaxSize", "RandomSizedCrop", "RandomResizedCrop"}
)
"""Transforms that scale: they keep the edges of pictures in place, the others the centres of corner pixels."""

_REQUIRED = {
    **dict.fromkeys(("Resize", "CenterCrop", "RandomCrop"), ("height", "width")),
    **dict.fromkeys(("LongestMaxSize", "SmallestMaxSize"), ("max_size",)),
    "RandomSizedCrop": ("min_max_height", "size"),
    "RandomResizedCrop": ("size",),
}
INTERPOLATING = WARPING | frozenset({"Rotate", "SafeRotate", "Affine", "Perspective"})
"""Transforms that put pixels between pixels, and pull in what is outside the picture."""


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong with a wish.

    Attributes:
        path: The keys that lead to it.
        value: What stands there.
        what: What is wrong, where the value alone does not tell; may be empty.
        hint: What is allowed.
    """

    path: tuple[str, ...]
    value: Any
    what: str
    hint: str


def find_flaws(spec: Any, known: Mapping[str, Mapping[str, str]]) -> Iterator[Flaw]:
    """Everything that is wrong with a wish for transforms out of the table `known`."""
    if not isinstance(spec, Mapping):
        example = "for example flip: {transform: HorizontalFlip, p: 0.5}"
        yield Flaw((), spec, "must map names to transforms", example)
        return
    for name, entry in spec.items():
        if entry is not None:
            yield from _flaws_of_entry(str(name), entry, known)


def _flaws_of_entry(name: str, entry: Any, known: Mapping[str, Mapping[str, str]]) -> Iterator[Flaw]:
    if not isinstance(entry, Mapping) or "transform" not in entry:
        yield Flaw((name,), entry, "must be a mapping with the key transform", f"one of {', '.join(sorted(known))}")
        return
    transform = entry["transform"]
    if not isinstance(transform, str) or transform not in known:
        hint = nearest(transform, known)
        yield Flaw((name, "transform"), transform, f"unknown transform {transform!r}", hint)
        return
    kinds = {**known[transform], "p": "probability"}
    missing = [key for key in _REQUIRED.get(transform, ()) if key not in entry]
    if missing:
        yield Flaw((name,), entry, f"the transform {transform} needs {' and '.join(missing)}", f"add {missing[0]}: …")
    for key, value in entry.items():
        if key == "transform":
            continue
        if key not in kinds:
            yield Flaw((name, str(key)), value, f"unknown argument of {transform} {key!r}", nearest(key, kinds))
            continue
        allowed, right = _KINDS[kinds[key]]
        if not right(value):
            yield Flaw((name, key), value, f"{value!r} is not allowed", f"use {allowed}")


def library() -> Any:
    """albumentations, imported when it is needed, because that takes a second."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer version
    import albumentations

    return albumentations


def make_transform(entry: Mapping[str, Any], border_mode: int, mask_interpolation: int | None = None) -> Any:
    """The transform of albumentations that a flawless entry asks for.

    Args:
        entry: `{"transform": …, arguments…}`.
        border_mode: OpenCV's number for what comes from outside the picture where it turns or bends.
        mask_interpolation: OpenCV's number for masks where it turns or bends; the library's nearest when missing.

    Raises:
        ValueError: A value is outside the range of its transform; the text says why in one line.
    """
    name = entry["transform"]
    arguments = {key: _as_tuple(value) for key, value in entry.items() if key != "transform"}
    if name in INTERPOLATING:
        arguments["border_mode"] = border_mode
        if mask_interpolation is not None:
            arguments["mask_interpolation"] = mask_interpolation
    if name in SCALING:
        import cv2

        arguments["mask_interpolation"] = cv2.INTER_NEAREST_EXACT  # OpenCV's plain one is off by half a pixel
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # an argument that it does not know is only warned about
        try:
            return getattr(library(), name)(**arguments)
        except (ValueError, UserWarning) as error:
            lines = [line.strip() for line in str(error).splitlines()]
            reason = "; ".join(lines[1:3] or lines)
            raise ValueError(f"{name} cannot be made: {reason}") from error


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _list_of_two(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _side(value: Any) -> bool:
    return _whole(value) and 1 <= value <= MAX_SIDE


def _within(value: Any, low: float, high: float) -> bool:
    numbers = value if _pair(value) else [value]
    return all(_number(number) and low <= number <= high for number in numbers)


def _pair(value: Any, kind: Callable[[Any], bool] = _number) -> bool:
    return _list_of_two(value) and all(map(kind, value)) and value[0] <= value[1]
