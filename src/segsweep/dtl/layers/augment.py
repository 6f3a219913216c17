"""Layers that the original lacks: `albumentations`, `elastic_transformation`, `perspective_transform`.

All of them move objects along with the picture. What comes from outside the picture is black (or a grey that was asked
for) and not labelled: reflections, which training uses, would show objects that no vector shape follows.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from segsweep.annotation import Annotation, Bitmap
from segsweep.annotation.geometry import Points
from segsweep.augmentations import (
    MOVING,
    RESIZING,
    SCALING,
    TRANSFORMS,
    WARPING,
    Flaw,
    find_flaws,
    library,
    make_transform,
)
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Change, Given, Layer, Strict
from segsweep.dtl.layers.pixels import Range
from segsweep.dtl.warping import Displacement, Homography, Labels, Warp, corners_of, follow
from segsweep.errors import DataError, Problems
from segsweep.randomness import generator, seed_of

__all__ = ["LAYERS"]

Pixels = NDArray[np.uint8]

# albumentations

_KNOWN = {**TRANSFORMS, **RESIZING}


_STRETCHING = frozenset({"Resize", "RandomScale", "LongestMaxSize", "SmallestMaxSize"})
"""Transforms that take the corners of the picture to the corners of the new one."""


class AlbumentationsSettings(Strict):
    """Settings of `albumentations`: names of your choice, and under each a transform of that library.

    They are applied in order, each by its own chance, drawn from the seed and its name: taking one away changes nothing
    about the others. Bitmaps are moved by the nearest pixel, vector shapes exactly, and what leaves the picture is cut
    off. Transforms of colours leave objects as they are, and an image that no transform fell upon stays untouched.
    """

    transforms: dict[str, dict[str, Any] | None] = Field(
        description="name -> {transform: …, its arguments, p: its probability}, or null to leave it out. There are: "
        + ", ".join(f"{name} ({', '.join(_KNOWN[name])})" if _KNOWN[name] else name for name in sorted(_KNOWN))
    )

    @field_validator("transforms", mode="before")
    @classmethod
    def _flawless(cls, value: Any) -> Any:
        flaws = list(find_flaws(value, _KNOWN))
        if flaws:
            raise ValidationError.from_exception_data("transforms", [_detail(flaw) for flaw in flaws])
        return value


def _detail(flaw: Flaw) -> InitErrorDetails:
    text = flaw.hint if repr(flaw.value) in flaw.what else f"{flaw.what}; {flaw.hint}"
    error = PydanticCustomError("transform", "{text}", {"text": text})
    return InitErrorDetails(type=error, loc=flaw.path, input=flaw.value)


@dataclass(frozen=True)
class _Step:
    """One transform, ready for use.

    Attributes:
        name: The name that its user gave it.
        transform: Its own name.
        p: Its probability.
        pipeline: It alone, always applied.
        probe: For one that bends lines: the same with borders that continue what is at the edge.
    """

    name: str
    transform: str
    p: float
    pipeline: Any
    probe: Any = None


def _prepare(settings: AlbumentationsSettings, given: Given) -> tuple[_Step, ...]:
    problems, steps = Problems(), []
    for name, entry in settings.transforms.items():
        if entry is None:
            continue
        try:
            transform = make_transform(entry, cv2.BORDER_CONSTANT)
            probe = make_transform(entry, cv2.BORDER_REPLICATE) if entry["transform"] in WARPING else None
        except ValueError as error:
            problems.add(f"{given.where}.settings.transforms.{name}", str(error))
            continue
        p = float(transform.p)
        steps.append(_Step(name, entry["transform"], p, _pipeline(transform), probe and _pipeline(probe)))
    problems.raise_if_any()
    return tuple(steps)


def _pipeline(transform: Any) -> Any:
    transform.p = 1.0  # whether it is applied is drawn before
    points = library().KeypointParams(format="xy", remove_invisible=False)
    moves = type(transform).__name__ in MOVING
    return library().Compose([transform], keypoint_params=points if moves else None)


def _albumentations(element: Element, settings: AlbumentationsSettings, call: Call) -> Iterable[Element]:
    seed = int(call.random(element).integers(2**63))
    steps: tuple[_Step, ...] = call.prepared
    chosen = [step for step in steps if generator(seed, step.name, "p").random() < step.p]
    if not chosen:
        return (element,)
    annotation = element.annotation
    for step in chosen:
        if step.transform in MOVING:
            annotation = _followed(annotation, step, seed)

    def paint(pixels: Pixels) -> Pixels:
        for step in chosen:
            pixels = np.ascontiguousarray(_run(step, step.pipeline, seed, image=pixels)["image"])
        return pixels

    return (replace(element, annotation=annotation, picture=element.picture.changed(paint)),)


def _run(step: _Step, pipeline: Any, seed: int, **targets: Any) -> dict[str, Any]:
    """What a transform makes of a picture and others; equal seeds treat all pictures of a size equally."""
    pipeline.set_random_state(generator(seed, step.name), random.Random(seed_of(seed, step.name)))
    try:
        made: dict[str, Any] = pipeline(**targets)
    except (ValueError, cv2.error, library().augmentations.crops.transforms.CropSizeError) as error:
        text = " ".join(str(error).split())
        raise DataError(f"transforms.{step.name} ({step.transform}) cannot be applied: {text}") from error
    return made


def _followed(annotation: Annotation, step: _Step, seed: int) -> Annotation:
    """Objects after a transform that moves them."""
    size = (annotation.width, annotation.height)
    blank = np.zeros(size[::-1], dtype=np.uint8)

    def labels(picture: Labels) -> Labels:
        masks = _run(step, step.pipeline, seed, image=blank, masks=[picture])["masks"]
        return np.ascontiguousarray(masks[0])

    if step.probe is None:
        offset = 0.0 if step.transform in SCALING else 0.5  # the library has the centres of pixels at whole numbers
        corners = corners_of(size)
        made = _run(step, step.pipeline, seed, image=blank, keypoints=corners - offset)
        new = made["image"].shape[::-1]
        # the library moves points by a drawn factor, but the picture by that of its rounded size
        moved = corners_of(new) if step.transform in _STRETCHING else np.asarray(made["keypoints"]) + offset
        warp = Homography.of_corners(corners, moved, new).warp()
    elif all(isinstance(item.geometry, Bitmap) for item in annotation.objects):
        warp = Warp(size, lambda points: points, labels, lambda shape: ())
    else:
        warp = _probed(step, seed, size).warp()
    return follow(annotation, replace(warp, labels=labels))


def _probed(step: _Step, seed: int, size: tuple[int, int]) -> Displacement:
    """The displacement of a transform that bends lines, seen in a picture whose colours are its coordinates."""
    width, height = size
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = _run(step, step.probe, seed, image=np.dstack([x, y, np.zeros_like(x)]))["image"]
    return Displacement(moved[..., 0] - x, moved[..., 1] - y)


# Elastic transformation


class AlphaRange(Range):
    """Strength of a warp."""

    min: float = Field(ge=0, description="the lowest")
    max: float = Field(ge=0, description="the highest")


class SmoothingRange(Range):
    """Smoothness of a warp."""

    min: float = Field(ge=0, le=1000, description="the lowest")
    max: float = Field(ge=0, le=1000, description="the highest")


class ElasticSettings(Strict):
    """Settings of `elastic_transformation`: every pixel shows what was nearby, in directions that change smoothly.

    Displacements are random numbers from -1 to 1, smoothed by a Gaussian and multiplied by `alpha`: typically 0.16
    alpha / sigma pixels. Above about 2 sigma² alpha folds the picture, which bitmaps follow exactly and other shapes
    as well as they can. Every shape follows, so that, unlike in the successor, none needs to become a bitmap before.
    """

    alpha: AlphaRange = Field(description="strength, drawn from a range")
    sigma: SmoothingRange = Field(description="standard deviation of the Gaussian in pixels, drawn from a range")


def _elastic(element: Element, settings: ElasticSettings, call: Call) -> Iterable[Element]:
    numbers = call.random(element)
    alpha, sigma = settings.alpha.draw(numbers), settings.sigma.draw(numbers)
    seed = int(numbers.integers(2**63))
    if alpha == 0:
        return (element,)

    @functools.cache  # the picture and its objects share it; it is made when one of them is looked at
    def displacement() -> Displacement:
        return _elastic_displacement(element.size, alpha, sigma, seed)

    def paint(pixels: Pixels) -> Pixels:
        return np.asarray(cv2.remap(pixels, *displacement().maps, cv2.INTER_CUBIC), dtype=np.uint8)

    annotation = element.annotation
    if annotation.objects:
        annotation = follow(annotation, displacement().warp())
    return (replace(element, annotation=annotation, picture=element.picture.changed(paint)),)


def _elastic_displacement(size: tuple[int, int], alpha: float, sigma: float, seed: int) -> Displacement:
    """White noise of the variance 1/3 (uniform from -1 to 1), smoothed and scaled (Simard, Steinkraus, Platt 2003).

    A smooth field is made on a coarser grid, which takes a fraction of the time: `step` cells' mean varies by
    1/(3 step²), and the grid's Gaussian is narrower by `step`.
    """
    width, height = size
    step = max(1, int(sigma / 2))
    shape = (-(-height // step), -(-width // step))
    numbers = np.random.Generator(np.random.SFC64(seed))

    def field() -> NDArray[np.float32]:
        noise = numbers.standard_normal(shape, dtype=np.float32) * np.float32(alpha / (np.sqrt(3) * step))
        if sigma > 0:
            noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma / step, borderType=cv2.BORDER_REFLECT))
        if step > 1:
            noise = np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC))
        return noise.astype(np.float32, copy=False)

    return Displacement(field(), field())


# Perspective


class ScaleRange(Range):
    """How far corners move."""

    min: float = Field(ge=0, le=0.5, description="the lowest")
    max: float = Field(ge=0, le=0.5, description="the highest")


class SizeBox(Strict):
    """The size of the result."""

    keep: bool = Field(True, description="whether the result gets the size of the image")
    fit: bool = Field(False, description="whether the whole image stays in view, instead of the part that fills it")


class Grey(Strict):
    """What is where the image is not."""

    value: float = Field(ge=0, le=255, description="grey of what is outside the image")


class PerspectiveSettings(Strict):
    """Settings of `perspective_transform`: the image as a plane that is seen from aside.

    Every corner is moved inwards, by normally distributed parts of the width and the height. Either the part between
    the new corners fills the result, or, to fit, the image shrinks into them. Every shape follows, so that, unlike in
    the successor, none needs to become a bitmap before.
    """

    scale: ScaleRange = Field(description="standard deviation of the parts, drawn from a range")
    size_box: SizeBox = Field(SizeBox(), description="size of the result")
    cval: Grey = Field(Grey(value=0), description="colour of what is outside the image, where it is to fit")


def _perspective(element: Element, settings: PerspectiveSettings, call: Call) -> Iterable[Element]:
    numbers = call.random(element)
    scale = settings.scale.draw(numbers)
    inwards = np.mod(np.abs(numbers.normal(0, 1, (4, 2)) * scale), 0.5)
    if not inwards.any():
        return (element,)
    homography = _perspective_homography(element.size, inwards, settings.size_box)
    value = float(settings.cval.value)

    def paint(pixels: Pixels) -> Pixels:
        matrix, size = homography.of_pixels, homography.size
        moved = cv2.warpPerspective(pixels, matrix, size, flags=cv2.INTER_CUBIC, borderValue=(value, value, value))
        return np.asarray(moved, dtype=np.uint8)

    annotation = follow(element.annotation, homography.warp())
    return (replace(element, annotation=annotation, picture=element.picture.changed(paint)),)


def _perspective_homography(size: tuple[int, int], inwards: Points, box: SizeBox) -> Homography:
    """The map for corners that move by parts (4x2, from 0 to below 1/2) of `size`, clockwise from the top left."""
    corners = corners_of(size)
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    quad = corners + signs * inwards * size
    if not _is_convex(quad):
        quad = corners + signs * inwards * size / 2  # below a quarter it always is
    if box.fit:
        low, high = quad.min(axis=0), quad.max(axis=0)
        before, after, fitted = corners, quad - low, high - low
    else:
        top, right, bottom, left = np.hypot(*(np.roll(quad, -1, axis=0) - quad).T)
        fitted = np.array([max(top, bottom), max(left, right)])
        before, after = quad, corners / size * fitted
    whole = (max(1, round(float(fitted[0]))), max(1, round(float(fitted[1]))))
    result = size if box.keep else whole
    return Homography.of_corners(before, after / fitted * result, result)


def _is_convex(quad: Points) -> bool:
    edges = np.roll(quad, -1, axis=0) - quad
    following = np.roll(edges, -1, axis=0)
    return bool((edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 0).all())


_MOVES: frozenset[Change] = frozenset({"objects", "geometry", "pixels"})

LAYERS = (
    Layer(
        "albumentations",
        AlbumentationsSettings,
        "applies transforms of albumentations to images and their objects",
        _MOVES,
        _albumentations,
        prepare=_prepare,
        ours=True,
    ),
    Layer(
        "elastic_transformation",
        ElasticSettings,
        "warps images smoothly and at random",
        _MOVES,
        _elastic,
        ours=True,
    ),
    Layer(
        "perspective_transform",
        PerspectiveSettings,
        "shows images in a random perspective",
        _MOVES,
        _perspective,
        ours=True,
    ),
)
