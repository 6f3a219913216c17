"""How to predict, as the stage takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from segsweep.inference.placement import Place, Whole

__all__ = ["InferenceSettings"]

_WHOLE = Whole()


@dataclass(frozen=True)
class InferenceSettings:
    """How to predict.

    Attributes:
        place: Which parts of a picture the network looks at.
        resolution: Whether each part is squeezed to the training's input size, or left at its own resolution and
            mirrored outwards to what the network divides by; `auto` does what the network was trained on.
        save_classes: The model's classes to save; None for all, the background included.
        add_suffix: What their names end in.
        keep_classes: The project's own classes whose objects are kept; None for all.
        keep_suffix: What their names end in from then on.
        probability_maps: Whether to keep the probability of each saved class beside the images.
        blend: How overlapping windows are averaged: all pixels alike, or those in the middle of a window more.
        flip_average: Whether to average the probabilities over a part and its three flips.
        threshold: The probability from which on a pixel is of a class: of each but the background, or by class; see
            `deciding.winners`. None takes the likeliest class.
        min_component: Connected pixels of a class that are fewer than this become background.
        shape: Of the predicted objects: one bitmap a class, or a polygon (with holes) for each connected part.
        batch_size: How many parts go through the network at once; `auto` looks at their size and the device.
        device: Index of a GPU, `auto` or `cpu`.
        precision: `auto` takes bfloat16 where the hardware computes with it.
    """

    place: Place = _WHOLE
    resolution: Literal["auto", "input_size", "native"] = "input_size"
    save_classes: tuple[str, ...] | None = None
    add_suffix: str = "_unet"
    keep_classes: tuple[str, ...] | None = None
    keep_suffix: str = ""
    probability_maps: bool = False
    blend: Literal["uniform", "gaussian"] = "uniform"
    flip_average: bool = False
    threshold: float | Mapping[str, float] | None = None
    min_component: int = 0
    shape: Literal["bitmap", "polygon"] = "bitmap"
    batch_size: int | Literal["auto"] = "auto"
    device: int | Literal["auto", "cpu"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
