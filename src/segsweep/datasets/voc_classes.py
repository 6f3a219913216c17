"""What the values of Pascal VOC's masks mean: its palette, its twenty classes, and label maps that name others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segsweep.datasets.color_masks import NOTHING, parse_color
from segsweep.datasets.voc_files import read_text
from segsweep.errors import DataError

__all__ = [
    "NEUTRAL",
    "VOC_CLASSES",
    "VOID",
    "VOID_COLOR",
    "VocClasses",
    "palette_color",
    "read_classes",
    "read_label_map",
]

NEUTRAL = "neutral"
_BACKGROUND = "background"

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The classes of the challenge; their indices in masks start at 1."""

VOID = 255
"""The index of pixels that no score counts: the rims of objects, and what is too hard."""

VOID_COLOR = 0xE0E0C0


def palette_color(index: int) -> int:
    """The colour (0xRRGGBB) of an index in VOC's palette: its bits, dealt out to red, green and blue."""
    red, green, blue = (
        sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(3)) for channel in range(3)
    )
    return red << 16 | green << 8 | blue


@dataclass(frozen=True)
class VocClasses:
    """The known classes, and what says them in masks; the background is the class `NOTHING`.

    Attributes:
        titles: The classes in order, the neutral one last unless it has a place of its own.
        indices: Index -> class.
        colors: Colour (0xRRGGBB) -> class.
        by_palette: Whether of a palette file the colours count, not the indices.
    """

    titles: tuple[str, ...]
    indices: Mapping[int, str]
    colors: Mapping[int, str]
    by_palette: bool

    def shown(self, title: str) -> str:
        """The colour of a class as `#rrggbb`."""
        return next((f"#{color:06x}" for color, owner in self.colors.items() if owner == title), "")


def read_label_map(path: Path) -> dict[str, int]:
    """Class -> colour (0xRRGGBB) of a `labelmap.txt`, in its order; lines are `name:r,g,b:parts:actions`.

    Raises:
        DataError: A line is of another form, or a class or a colour is there twice.
    """
    table: dict[str, int] = {}
    wrong: list[str] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, color = line.split(":")[0].strip(), _color(line)
        if not name or color is None:
            wrong.append(f"{path}: line {number} should look like name:r,g,b:: with numbers from 0 to 255")
        elif name in table or color in table.values():
            wrong.append(f"{path}: line {number} has a class or a colour that is there already")
        else:
            table[name] = color
    if wrong:
        raise DataError("\n".join(wrong))
    return table


def _color(line: str) -> int | None:
    fields = line.split(":")
    parts = [part.strip() for part in fields[1].split(",")] if len(fields) > 1 else []
    if len(parts) != 3 or not all(part.isdecimal() and int(part) <= 255 for part in parts):
        return None
    red, green, blue = map(int, parts)
    return red << 16 | green << 8 | blue


def read_classes(given: Mapping[str, str | int] | None, root: Path) -> VocClasses:
    """The table of classes: the one given, or that of `labelmap.txt`, or the challenge's own.

    Raises:
        DataError: `labelmap.txt` is damaged.
    """
    label_map = root / "labelmap.txt"
    if given is not None:
        titles = list(given)
        owners = {parse_color(value): title for title, value in given.items()}
        if isinstance(next(iter(given.values())), int):
            return _with_defaults(titles, owners, _colors_of(owners), by_palette=False)
        return _with_defaults(titles, {}, owners, by_palette=True)
    if label_map.is_file():
        table = read_label_map(label_map)
        titles = [title for title, color in table.items() if title != _BACKGROUND and color != VOID_COLOR]
        named = {title: title for title in titles} | {_BACKGROUND: NOTHING}
        indices = {index: named.get(title, NEUTRAL) for index, title in enumerate(table)}
        colors = {color: named.get(title, NEUTRAL) for title, color in table.items()}
        return _with_defaults(titles, indices, colors, by_palette=True)
    indices = dict(enumerate(VOC_CLASSES, 1))
    return _with_defaults(list(VOC_CLASSES), indices, _colors_of(indices), by_palette=False)


def _colors_of(indices: Mapping[int, str]) -> dict[int, str]:
    return {palette_color(index): title for index, title in indices.items()}


def _with_defaults(
    titles: list[str], indices: Mapping[int, str], colors: Mapping[int, str], *, by_palette: bool
) -> VocClasses:
    """Adds the background and what is void, where nothing else has their place."""
    known = titles if NEUTRAL in titles else [*titles, NEUTRAL]
    return VocClasses(
        tuple(known),
        {0: NOTHING, VOID: NEUTRAL, **indices},
        {0: NOTHING, VOID_COLOR: NEUTRAL, **colors},
        by_palette,
    )
