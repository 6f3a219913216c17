"""Layers that change colours only: `blur`, `noise`, `contrast_brightness`, `random_color`.

They calculate with 32-bit floats, clip to 0…255 and cut off the fraction, as the original does. What is drawn is drawn
at once, and pixels are made when somebody looks at them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Change, Layer, Strict

__all__ = ["LAYERS", "Range"]

Pixels = NDArray[np.uint8]


class Range(Strict):
    """A range that a number is drawn from uniformly."""

    min: float = Field(description="the lowest")
    max: float = Field(description="the highest")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is more than max {self.max:g}")
        return self

    def draw(self, random: np.random.Generator) -> float:
        """A number from the range."""
        return float(random.uniform(self.min, self.max))


def _painted(element: Element, paint: Callable[[Pixels], Pixels]) -> Iterable[Element]:
    return (replace(element, picture=element.picture.changed(paint)),)


def _to_bytes(values: NDArray[Any]) -> Pixels:
    """Clips to 0…255 and cuts off the fraction; changes its argument, which must be an intermediate result."""
    np.clip(values, 0, 255, out=values)
    return values.astype(np.uint8)


class SigmaRange(Range):
    """Standard deviation of a Gaussian, in pixels."""

    min: float = Field(ge=0.01, le=1000, description="the lowest")
    max: float = Field(ge=0.01, le=1000, description="the highest")


class BlurSettings(Strict):
    """Settings of `blur`. Unlike in the original, which fails on kernels above 5, a median may be of any odd kernel."""

    name: Literal["gaussian", "median"] = Field(description="kind of blur")
    sigma: SigmaRange | None = Field(None, description="gaussian: its standard deviation in pixels, drawn from a range")
    kernel: Annotated[int, Field(ge=3, le=255)] | None = Field(
        None, description="median: side of its window in pixels, odd"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        own, other = ("sigma", "kernel") if self.name == "gaussian" else ("kernel", "sigma")
        if getattr(self, own) is None or getattr(self, other) is not None:
            raise ValueError(f"a {self.name} blur needs {own!r} and no {other!r}")
        if self.kernel is not None and self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; it must be odd")
        return self


def _blur(element: Element, settings: BlurSettings, call: Call) -> Iterable[Element]:
    if settings.kernel is not None:
        kernel = settings.kernel
        return _painted(element, lambda pixels: np.asarray(cv2.medianBlur(pixels, kernel), dtype=np.uint8))
    assert settings.sigma is not None
    sigma = settings.sigma.draw(call.random(element))

    def paint(pixels: Pixels) -> Pixels:
        blurred = np.asarray(cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), sigma))
        blurred += 1e-3  # or else the weights, which sum to a little less than 1, would darken an even surface by one
        return _to_bytes(blurred)

    return _painted(element, paint)


class NoiseSettings(Strict):
    """Settings of `noise`: what is added is drawn anew for every pixel and channel."""

    mean: float = Field(description="mean of the normal distribution; pixels have 0…255")
    std: float = Field(ge=0, description="its standard deviation")


def _noise(element: Element, settings: NoiseSettings, call: Call) -> Iterable[Element]:
    mean, std = np.float32(settings.mean), np.float32(settings.std)
    seed = int(call.random(element).integers(2**63))

    def paint(pixels: Pixels) -> Pixels:
        # SFC64 is the fastest generator that numpy has
        noise = np.random.Generator(np.random.SFC64(seed)).standard_normal(pixels.shape, dtype=np.float32)
        noise *= std
        noise += mean
        noise += pixels
        return _to_bytes(noise)

    return _painted(element, paint)


class ContrastRange(Range):
    """Factor of the contrast."""

    min: float = Field(ge=0, le=10, description="the lowest")
    max: float = Field(ge=0, le=10, description="the highest")
    center_grey: bool = Field(False, description="whether grey (128) stays as it is, instead of black")


class BrightnessRange(Range):
    """What is added."""

    min: float = Field(ge=-255, le=255, description="the lowest")
    max: float = Field(ge=-255, le=255, description="the highest")


class ContrastSettings(Strict):
    """Settings of `contrast_brightness`: pixels are multiplied by one number and another is added."""

    contrast: ContrastRange = Field(description="the factor, drawn from a range")
    brightness: BrightnessRange = Field(description="what is added, drawn from a range")


def _contrast(element: Element, settings: ContrastSettings, call: Call) -> Iterable[Element]:
    random = call.random(element)
    factor, shift = (np.float32(part.draw(random)) for part in (settings.contrast, settings.brightness))
    center = np.float32(128 if settings.contrast.center_grey else 0)
    values = np.arange(256, dtype=np.float32)
    table = _to_bytes((values - center) * factor + shift + center)
    return _painted(element, lambda pixels: np.asarray(cv2.LUT(pixels, table), dtype=np.uint8))


class ColorSettings(Strict):
    """Settings of `random_color`: every channel becomes a mixture of all three, a little off its own.

    Other keys mean nothing, as in the original.
    """

    model_config = ConfigDict(extra="allow")

    strength: float = Field(0.25, ge=0, le=1, description="how far off")


def _random_color(element: Element, settings: ColorSettings, call: Call) -> Iterable[Element]:
    mixture = np.eye(3) + call.random(element).standard_normal((3, 3)) * (settings.strength / 5)

    def paint(pixels: Pixels) -> Pixels:
        # OpenCV has columns where the definition has rows
        return _to_bytes(np.asarray(cv2.transform(pixels.astype(np.float32), mixture.T)))

    return _painted(element, paint)


_PIXELS: frozenset[Change] = frozenset({"pixels"})

LAYERS = (
    Layer("blur", BlurSettings, "blurs by a Gaussian or a median", _PIXELS, _blur),
    Layer("noise", NoiseSettings, "adds normally distributed noise", _PIXELS, _noise),
    Layer("contrast_brightness", ContrastSettings, "changes contrast and brightness", _PIXELS, _contrast),
    Layer("random_color", ColorSettings, "shifts colours", _PIXELS, _random_color),
)
