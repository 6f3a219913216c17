"""Pictures whose colours say classes: reading them without touching a colour."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator

from segsweep.errors import DataError
from segsweep.files import image_size, read_mask

__all__ = [
    "NOTHING",
    "Color",
    "color_text",
    "has_indices",
    "parse_color",
    "read_colors",
    "split_by_class",
    "tell_unknown",
    "unknown_colors_error",
]

NOTHING = ""
"""The class of pixels that belong to no class."""

_MOST_SHOWN = 5
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def parse_color(value: str | int) -> int:
    """0xRRGGBB of `#rrggbb`, or an index from 0 to 255 as it is.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, str):
        if _HEX.fullmatch(value):
            return int(value[1:], 16)
    elif 0 <= value <= 255:
        return value
    raise ValueError("a colour is '#rrggbb' (in quotes), or an index from 0 to 255")


def _color(value: str | int) -> str | int:
    parse_color(value)
    return value


Color = Annotated[str | int, AfterValidator(_color)]
"""A colour in settings, as `parse_color` reads it."""


def color_text(color: int, *, indexed: bool) -> str:
    """A colour as people write it."""
    return str(color) if indexed else f"#{color:06x}"


def has_indices(path: Path, *, palettes: bool) -> bool:
    """Whether a mask is a grey file, or (if `palettes`) a palette file, so that its stored indices count.

    Raises:
        DataError: The file is no image, or too large.
    """
    image_size(path)
    with Image.open(path) as image:
        return image.mode in {"L", "1"} or (palettes and image.mode == "P")


def read_colors(path: Path, *, indexed: bool) -> NDArray[np.uint32]:
    """Reads a mask: uint32 HxW, 0xRRGGBB, or the stored indices (of a palette file, or of a grey one).

    Raises:
        DataError: The file is no image, is damaged, or has no indices although they are asked for.
    """
    if indexed:
        return _read_indices(path)
    pixels = read_mask(path).astype(np.uint32)
    if pixels.ndim == 2:
        return pixels * np.uint32(0x010101)
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return (red << np.uint32(16)) | (green << np.uint32(8)) | blue


def _read_indices(path: Path) -> NDArray[np.uint32]:
    image_size(path)  # refuses what is no image, or too large, before memory is taken
    with Image.open(path) as image:
        if image.mode not in {"P", "L", "1"}:
            raise DataError(f"{path}: holds {image.mode} colours, not indices; give the colours as '#rrggbb'")
        try:
            return np.array(image).astype(np.uint32)
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{path}: is damaged: {error}") from error


def split_by_class(
    colors: NDArray[np.uint32], table: Mapping[int, str], titles: Sequence[str], other: str
) -> tuple[dict[str, NDArray[np.bool_]], dict[int, int]]:
    """Takes a mask apart.

    Args:
        colors: As `read_colors` gives them.
        table: Colour or index -> class.
        titles: The classes that are looked for.
        other: The class of what is not in the table.

    Returns:
        Masks of the classes that occur, in the order of `titles`; and unknown colours with their pixel counts.
    """
    values, places, counts = np.unique(colors, return_inverse=True, return_counts=True)
    owners = [table.get(int(value), other) for value in values]
    unknown = {int(value): int(count) for value, count in zip(values, counts, strict=True) if int(value) not in table}
    places = places.reshape(colors.shape)
    masks = {title: np.array([owner == title for owner in owners])[places] for title in titles if title in owners}
    return masks, unknown


def tell_unknown(mask: Path, unknown: Mapping[int, int], *, indexed: bool) -> str:
    """A line about the unknown colours of a mask, with their pixel counts."""
    most = sorted(unknown.items(), key=lambda item: -item[1])[:_MOST_SHOWN]
    shown = ", ".join(f"{color_text(color, indexed=indexed)} ({count} pixels)" for color, count in most)
    more = f" and {len(unknown) - _MOST_SHOWN} more" if len(unknown) > _MOST_SHOWN else ""
    lossy = "; JPEG changes colours, masks must be PNG" if mask.suffix.lower() in {".jpg", ".jpeg"} else ""
    return f"  {mask}: {shown}{more}{lossy}"


def unknown_colors_error(lines: Sequence[str], hint: str) -> DataError:
    """One error about all masks with unknown colours; `lines` are those of `tell_unknown`."""
    more = [f"… and {len(lines) - _MOST_SHOWN} more masks"] if len(lines) > _MOST_SHOWN else []
    return DataError("\n".join(["masks with unknown colours:", *lines[:_MOST_SHOWN], *more, hint]))
