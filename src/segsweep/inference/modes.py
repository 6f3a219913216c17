"""Inference modes by name, and what their documented JSON may hold. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from segsweep.errors import Problems
from segsweep.inference.placement import Amount, Boxes, Place, Roi, Sides, Whole, Windows
from segsweep.inference.settings import InferenceSettings
from segsweep.typed import Strict, parse

__all__ = ["ALL", "MODES", "check_mode", "settings_from_mode"]

ALL = "__all__"
_NO_ADDITIONS = InferenceSettings(resolution="auto")
_UNET_SUFFIX = "_unet"
_UNET_MODES = ("full_image", "native")
"""Where the original's UNet has a suffix of its own. Its other modes leave names as they are unless told otherwise."""


def _names(value: object) -> object:
    if value is None or value == ALL:
        return value
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise ValueError(f"must be {ALL} or a list of names")


def _is_amount(text: str) -> str:
    Amount.parse(text)
    return text


def _is_cut(text: str) -> str:
    if Amount.parse(text).value < 0:
        raise ValueError("must not be negative: a region of interest lies inside the image")
    return text


Names = Annotated[Any, BeforeValidator(_names)]
Title = Annotated[str, Field(min_length=1)]
Extent = Annotated[str, AfterValidator(_is_amount)]
Cut = Annotated[str, AfterValidator(_is_cut)]
Side = Annotated[int, Field(ge=1, le=16384)]
Shared = Annotated[int, Field(ge=0)]


class Renamer(Strict):
    """Which of the model's classes (or tags) are saved, and what their names end in.

    `save_names` is the newer spelling of `save_classes` and wins.
    """

    save_classes: Names = None
    save_names: Names = None
    add_suffix: str | None = None


class _Mode(Strict):
    """What all modes have. Networks that label pixels give no tags, so `model_tags` changes nothing."""

    name: str
    model_classes: Renamer = Renamer()
    model_tags: Renamer = Renamer()
    save_probabilities: bool = False

    def place(self) -> Place:
        """The parts of a picture that the mode looks at."""
        return Whole()


class FullImage(_Mode):
    """`full_image`: the whole image, squeezed to the input size of the training."""

    name: Literal["full_image"] = "full_image"


class Native(_Mode):
    """`native` (ours): the whole image at its own resolution, mirrored outwards to what the network divides by."""

    name: Literal["native"] = "native"


class Bounds(Strict):
    """How much is cut off each side: pixels, or per cents of the image's side."""

    left: Cut = "0px"
    top: Cut = "0px"
    right: Cut = "0px"
    bottom: Cut = "0px"


class RegionOfInterest(_Mode):
    """`roi`: the image without what is cut off its sides."""

    name: Literal["roi"] = "roi"
    bounds: Bounds = Bounds()
    save: bool = False
    class_name: Title = "inference_roi"

    def place(self) -> Roi:
        """The region."""
        return Roi(_sides(self.bounds), self.class_name if self.save else None)


class Padding(Strict):
    """How much a box is larger than its object: pixels, or per cents of the box's own side; negative ones shrink it."""

    left: Extent = "0px"
    top: Extent = "0px"
    right: Extent = "0px"
    bottom: Extent = "0px"


class BoundingBoxes(_Mode):
    """`bboxes`, also `objects`: the bounding box of each object of the image, by itself."""

    name: Literal["bboxes", "objects"] = "bboxes"
    from_classes: Names = ALL
    padding: Padding = Padding()
    save: bool = False
    add_suffix: str = "_input_bbox"

    def place(self) -> Boxes:
        """The boxes."""
        return Boxes(_named(self.from_classes), _sides(self.padding), self.add_suffix if self.save else None)


class WindowSize(Strict):
    """The size of a window in pixels."""

    width: Side = 128
    height: Side = 128


class MinOverlap(Strict):
    """How many pixels neighbouring windows share at least."""

    x: Shared = 0
    y: Shared = 0


class SlidingWindow(_Mode):
    """`sliding_window`: windows all over the image, whose probabilities are averaged."""

    name: Literal["sliding_window"] = "sliding_window"
    window: WindowSize = WindowSize()
    min_overlap: MinOverlap = MinOverlap()
    save: bool = False
    class_name: Title = "sliding_window"

    def place(self) -> Windows:
        """The windows."""
        window, overlap = self.window, self.min_overlap
        return Windows(window.width, window.height, overlap.x, overlap.y, self.class_name if self.save else None)


MODES: dict[str, type[_Mode]] = {
    "full_image": FullImage,
    "native": Native,
    "roi": RegionOfInterest,
    "bboxes": BoundingBoxes,
    "objects": BoundingBoxes,
    "sliding_window": SlidingWindow,
}
"""Mode -> the type of its JSON object."""

_OTHER_NETWORKS = {
    "sliding_window_det": (
        "is for networks that detect rectangles, and those here label pixels",
        "sliding_window takes the same windows",
    ),
    "bboxes_ocr": ("is for networks that read text, and those here label pixels", "bboxes takes the same boxes"),
}


def check_mode(
    mode: Mapping[str, Any],
    problems: Problems,
    where: str = "inference.mode",
    resolution: Literal["auto", "input_size", "native"] = "auto",
) -> None:
    """Notes everything that is wrong with a `mode` object of the documented inference JSON.

    `resolution` is the one asked for beside it, under `inference.resolution`.
    """
    read = _read(mode, problems, where)
    if isinstance(read, Native) and resolution == "input_size":
        problems.add("inference.resolution", "input_size contradicts mode native", "use full_image, or resolution=auto")


def settings_from_mode(mode: Mapping[str, Any], additions: InferenceSettings = _NO_ADDITIONS) -> InferenceSettings:
    """The settings that a documented `mode` object and our additions stand for.

    Args:
        mode: The documented object; without `name` it is `full_image`.
        additions: What the documented object does not speak of; `probability_maps` holds when either asks for them.
            Its `resolution` `auto` means that of the mode: `full_image` is always squeezed, `native` never.

    Raises:
        InvalidRequestError: Tells everything that is wrong with `mode`.
    """
    problems = Problems()
    read = _read(mode, problems, "inference.mode")
    problems.raise_if_any("the inference mode cannot be used")
    assert read is not None
    classes = read.model_classes
    suffix = _UNET_SUFFIX if read.name in _UNET_MODES else ""
    fixed: dict[str, Literal["input_size", "native"]] = {"full_image": "input_size", "native": "native"}
    resolution = fixed.get(read.name, additions.resolution) if additions.resolution == "auto" else additions.resolution
    return replace(
        additions,
        place=read.place(),
        resolution=resolution,
        save_classes=_named(classes.save_classes if classes.save_names is None else classes.save_names),
        add_suffix=suffix if classes.add_suffix is None else classes.add_suffix,
        probability_maps=read.save_probabilities or additions.probability_maps,
    )


def _named(names: tuple[str, ...] | str | None) -> tuple[str, ...] | None:
    """A list of names, or None for all."""
    return names if isinstance(names, tuple) else None


def _sides(amounts: Bounds | Padding) -> Sides:
    return Sides(*(Amount.parse(text) for text in (amounts.left, amounts.top, amounts.right, amounts.bottom)))


def _read(mode: Mapping[str, Any], problems: Problems, where: str) -> _Mode | None:
    name = mode.get("name", "full_image")
    if not isinstance(name, str):
        problems.add(f"{where}.name", f"{name!r} is not possible", f"must be one of {', '.join(MODES)}")
    elif name in _OTHER_NETWORKS:
        what, hint = _OTHER_NETWORKS[name]
        problems.add(f"{where}.name", f"{name} {what}", hint)
    elif name not in MODES:
        problems.unknown(f"{where}.name", name, MODES, kind="mode")
    else:
        read = parse(MODES[name], mode, problems, where)
        if isinstance(read, SlidingWindow):
            _check_stride(read, problems, where)
        if isinstance(read, RegionOfInterest):
            _check_bounds(read.bounds, problems, where)
        return read
    return None


def _check_stride(mode: SlidingWindow, problems: Problems, where: str) -> None:
    for axis, side in (("x", "width"), ("y", "height")):
        overlap, window = getattr(mode.min_overlap, axis), getattr(mode.window, side)
        if overlap >= window:
            what = f"{overlap} leaves no step between windows of {side} {window}"
            problems.add(f"{where}.min_overlap.{axis}", what, f"must be less than {window}")


def _check_bounds(bounds: Bounds, problems: Problems, where: str) -> None:
    """What crosses in every image; pixels may cross in some, which is told when they are known."""
    for first, second in (("left", "right"), ("top", "bottom")):
        amounts = [Amount.parse(getattr(bounds, side)) for side in (first, second)]
        share = sum(amount.value for amount in amounts if amount.unit == "%")
        if share >= 100:
            problems.add(f"{where}.bounds", f"{first} and {second} cut off {share} %", "nothing would be left")
