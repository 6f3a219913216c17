"""Inference modes by name, and what their documented JSON may hold. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from segsweep.errors import Problems
from segsweep.typed import Strict, parse

__all__ = ["ALL", "MODES", "InferenceSettings", "check_mode", "settings_from_mode"]

ALL = "__all__"
_UNET_SUFFIX = "_unet"


def _names(value: object) -> object:
    if value is None or value == ALL:
        return value
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise ValueError(f"must be {ALL} or a list of names")


Names = Annotated[Any, BeforeValidator(_names)]


class Renamer(Strict):
    """Which of the model's classes (or tags) are saved, and what their names end in.

    `save_names` is the newer spelling of `save_classes` and wins.
    """

    save_classes: Names = None
    save_names: Names = None
    add_suffix: str | None = None


class FullImage(Strict):
    """`full_image`: the whole image, squeezed to the input size of the training."""

    name: Literal["full_image"] = "full_image"
    model_classes: Renamer = Renamer()
    model_tags: Renamer = Renamer()
    save_probabilities: bool = False


class Native(FullImage):
    """`native` (ours): the whole image at its own resolution, mirrored outwards to what the network divides by."""

    name: Literal["native"] = "native"  # type: ignore[assignment]


MODES: dict[str, type[FullImage]] = {"full_image": FullImage, "native": Native}
"""Mode -> the type of its JSON object."""

_NOT_YET = ("bboxes", "objects", "roi", "sliding_window")
_DETECTION = "sliding_window_det"


@dataclass(frozen=True)
class InferenceSettings:
    """How to predict.

    Attributes:
        mode: A key of `MODES`.
        save_classes: The model's classes to save; None for all, the background included.
        add_suffix: What their names end in.
        probability_maps: Whether to keep the probability of each saved class beside the images.
        device: Index of a GPU, `auto` or `cpu`.
        precision: `auto` takes bfloat16 where the hardware computes with it.
        flip_average: Whether to average the probabilities over the image and its three flips.
        threshold: For two classes: the probability from which on a pixel is of class 1; None takes the likelier class.
    """

    mode: str = "full_image"
    save_classes: tuple[str, ...] | None = None
    add_suffix: str = _UNET_SUFFIX
    probability_maps: bool = False
    device: int | Literal["auto", "cpu"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    flip_average: bool = False
    threshold: float | None = None


def check_mode(mode: Mapping[str, Any], problems: Problems, where: str = "inference.mode") -> None:
    """Notes everything that is wrong with a `mode` object of the documented inference JSON."""
    _read(mode, problems, where)


def settings_from_mode(
    mode: Mapping[str, Any],
    *,
    device: int | Literal["auto", "cpu"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    flip_average: bool = False,
    threshold: float | None = None,
    probability_maps: bool = False,
) -> InferenceSettings:
    """The settings that a documented `mode` object and our additions stand for.

    Args:
        mode: The documented object; without `name` it is `full_image`.
        device: Where to compute.
        precision: With what numbers.
        flip_average: Whether to average over flips.
        threshold: For two classes, the probability from which on a pixel is of class 1.
        probability_maps: Keeps probabilities also when `mode` does not ask for them.

    Raises:
        InvalidRequestError: Tells everything that is wrong with `mode`.
    """
    problems = Problems()
    read = _read(mode, problems, "inference.mode")
    problems.raise_if_any("the inference mode cannot be used")
    assert read is not None
    names = (
        read.model_classes.save_names if read.model_classes.save_names is not None else read.model_classes.save_classes
    )
    suffix = read.model_classes.add_suffix
    return InferenceSettings(
        mode=read.name,
        save_classes=None if names in {None, ALL} else names,
        add_suffix=_UNET_SUFFIX if suffix is None else suffix,
        probability_maps=read.save_probabilities or probability_maps,
        device=device,
        precision=precision,
        flip_average=flip_average,
        threshold=threshold,
    )


def _read(mode: Mapping[str, Any], problems: Problems, where: str) -> FullImage | None:
    name = mode.get("name", "full_image")
    if not isinstance(name, str):
        problems.add(f"{where}.name", f"{name!r} is not possible", f"must be one of {', '.join(MODES)}")
    elif name == _DETECTION:
        problems.add(f"{where}.name", f"{name} is for networks that detect rectangles", "use full_image or native")
    elif name in _NOT_YET:
        problems.add(f"{where}.name", f"mode {name!r} is not available yet", "use full_image or native")
    elif name not in MODES:
        problems.unknown(f"{where}.name", name, MODES, kind="mode")
    else:
        return parse(MODES[name], mode, problems, where)
    return None
