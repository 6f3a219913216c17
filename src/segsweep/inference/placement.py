"""Which parts of a picture the network looks at: pure functions on sizes and shapes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from segsweep.annotation.geometry import Bitmap, Geometry, Rectangle, bounds
from segsweep.errors import DataError

__all__ = [
    "Amount",
    "Box",
    "Boxes",
    "Place",
    "Roi",
    "Sides",
    "Whole",
    "Windows",
    "box_of",
    "grown",
    "offsets",
    "roi_box",
]

_AMOUNT = re.compile(r"(-?[0-9]{1,9})(%|px)")


class Amount(NamedTuple):
    """A number of pixels, or of per cents of some side."""

    value: int
    unit: str = "px"

    @classmethod
    def parse(cls, text: str) -> Amount:
        """Reads `12px` or `-5%`.

        Raises:
            ValueError: It is neither.
        """
        found = _AMOUNT.fullmatch(text)
        if found is None:
            raise ValueError("must be a whole number and its unit, such as 10px or 5%")
        return cls(int(found[1]), found[2])

    def of(self, side: int) -> int:
        """Pixels; per cents of `side` are cut off to whole pixels towards zero."""
        if self.unit == "px":
            return self.value
        return math.trunc(self.value * side / 100)


class Sides(NamedTuple):
    """An amount for each side of a rectangle."""

    left: Amount = Amount(0)
    top: Amount = Amount(0)
    right: Amount = Amount(0)
    bottom: Amount = Amount(0)


class Box(NamedTuple):
    """A rectangle of pixels; `right` and `bottom` are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    def within(self, width: int, height: int) -> Box:
        """The part that lies in a picture of this size; empty or turned inside out where there is none."""
        return Box(max(0, self.left), max(0, self.top), min(width, self.right), min(height, self.bottom))

    def rectangle(self) -> Rectangle:
        """It as an annotation has it: by its first and its last pixels."""
        return Rectangle(self.left, self.top, self.right - 1, self.bottom - 1)


@dataclass(frozen=True)
class Whole:
    """The whole picture at once."""


@dataclass(frozen=True)
class Roi:
    """The picture without what is cut off its sides; as an object of class `saved_as`, if that is given."""

    bounds: Sides
    saved_as: str | None = None


@dataclass(frozen=True)
class Boxes:
    """The bounding boxes of the picture's own objects, each by itself.

    Attributes:
        from_classes: The classes of those objects; None is all of them.
        padding: How much larger than the object a box is; per cents are of the box's own sides.
        saved_suffix: Boxes become objects of a class whose name ends in this; None keeps none.
    """

    from_classes: tuple[str, ...] | None
    padding: Sides
    saved_suffix: str | None = None


@dataclass(frozen=True)
class Windows:
    """Windows of one size all over the picture, whose probabilities are averaged.

    Attributes:
        width: Of a window in pixels.
        height: Of a window in pixels.
        overlap_x: How many pixels neighbours share at least.
        overlap_y: How many pixels neighbours share at least.
        saved_as: The class that windows become objects of; None keeps none.
    """

    width: int
    height: int
    overlap_x: int
    overlap_y: int
    saved_as: str | None = None


Place = Whole | Roi | Boxes | Windows


def roi_box(bounds: Sides, width: int, height: int) -> Box:
    """What is left of a picture when `bounds` are cut off its sides.

    Raises:
        DataError: Nothing is left; does not name the picture.
    """
    box = Box(
        bounds.left.of(width),
        bounds.top.of(height),
        width - bounds.right.of(width),
        height - bounds.bottom.of(height),
    )
    if box.width <= 0 or box.height <= 0:
        cut = ", ".join(f"{name} {value}{unit}" for name, (value, unit) in bounds._asdict().items())
        raise DataError(f"the bounds of the region of interest ({cut}) leave nothing of {width}x{height} pixels")
    return box


def box_of(geometry: Geometry) -> Box | None:
    """The pixels from a shape's first to its last, in both directions; None for an empty shape."""
    left, top, right, bottom = bounds(geometry)
    if math.isnan(left):
        return None
    if isinstance(geometry, Bitmap):
        return Box(int(left), int(top), int(right), int(bottom))
    first_x, first_y, last_x, last_y = (math.floor(value + 0.5) for value in (left, top, right, bottom))
    return Box(first_x, first_y, last_x + 1, last_y + 1)


def grown(box: Box, padding: Sides, width: int, height: int) -> Box | None:
    """A box with `padding` (of its own sides) around it, cut to the picture; None where nothing is left."""
    larger = Box(
        box.left - padding.left.of(box.width),
        box.top - padding.top.of(box.height),
        box.right + padding.right.of(box.width),
        box.bottom + padding.bottom.of(box.height),
    )
    if larger.width <= 0 or larger.height <= 0:
        return None
    inside = larger.within(width, height)
    return inside if inside.width > 0 and inside.height > 0 else None


def offsets(side: int, window: int, overlap: int) -> list[int]:
    """Where windows begin along one side: every `window - overlap` pixels, the last one flush with the end.

    Args:
        side: Length of the picture's side, at least `window`.
        window: Length of the window's side.
        overlap: How many pixels neighbours share at least; less than `window`.
    """
    last = side - window
    return [*range(0, last, window - overlap), last]
