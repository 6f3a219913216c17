"""Pictures that show at a glance what a prediction got right: the panels of an image in a row, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segsweep.evaluation.panels import (
    FAINT,
    FALSE_ALARM,
    HIT,
    MISS,
    PANEL,
    RIGHT,
    ClassStyle,
    Color,
    Drawn,
    Picture,
    draw,
    probability_colours,
)

__all__ = ["FALSE_ALARM", "HIT", "MISS", "PANEL", "RIGHT", "ClassStyle", "comparison_picture", "compose"]

PAGE: Color = (18, 20, 24)
TEXT: Color = (232, 234, 237)

_GAP = 12
_TITLE_SIZE, _NOTE_SIZE = 19, 15
_HEAD = _TITLE_SIZE + 15
_FOOT_LINE = _NOTE_SIZE + 12
_SCALE_WIDTH = 96


def comparison_picture(
    image: Picture,
    truth: NDArray[Any],
    prediction: NDArray[Any],
    classes: Sequence[ClassStyle],
    *,
    valid: NDArray[np.bool_] | None = None,
    probability: NDArray[np.uint16] | None = None,
    title: str = "",
    width: int = 480,
) -> Picture:
    """Draws input, truth, prediction, difference and, where it is given, probability side by side.

    Args:
        image: As all others up to `probability` for `panels.draw`.
        truth: Class indices HxW.
        prediction: Class indices HxW.
        classes: The classes without the background, at least one.
        valid: The pixels that were scored.
        probability: Of the class, or with several of the predicted class.
        title: A name for the picture, shown in the legend's line.
        width: Of one panel, in pixels; the panels' height follows from the image.

    Returns:
        uint8 RGB, about four or five panels wide.
    """
    return compose(draw(image, truth, prediction, classes, valid=valid, probability=probability), title, width)


def compose(drawn: Drawn, title: str = "", width: int = 480) -> Picture:
    """Lays panels in a row on a page, each `width` pixels wide, with the legend and the title below."""
    panels = drawn.panels
    legend = [*((f"{named} {score:.2f}", color) for named, color, score in drawn.classes), *drawn.legend]
    height = max(1, round(panels[0].picture.shape[0] * width / panels[0].picture.shape[1]))
    page_width = len(panels) * (width + _GAP) + _GAP
    lines = _wrap(legend, page_width - 2 * _GAP, title)
    page = Image.new("RGB", (page_width, _HEAD + height + _FOOT_LINE * len(lines) + _GAP), PAGE)
    brush = ImageDraw.Draw(page)
    left: float = _GAP
    for panel in panels:
        way = cv2.INTER_AREA if panel.picture.shape[1] > width else cv2.INTER_NEAREST
        scaled = cv2.resize(panel.picture, (width, height), interpolation=way)
        page.paste(Image.fromarray(scaled), (round(left), _HEAD))
        if panel.scale:
            noted: float = _draw_scale(page, brush, round(left + width), _HEAD - 10, width // 3)
        else:
            noted = brush.textlength(panel.note, _font(_NOTE_SIZE)) if panel.note else 0
            brush.text((left + width, _HEAD - 10), panel.note, FAINT, _font(_NOTE_SIZE), anchor="rs")
        heading = _shorten(panel.heading, width - noted - _GAP, _font(_TITLE_SIZE))
        brush.text((left, _HEAD - 10), heading, TEXT, _font(_TITLE_SIZE), anchor="ls")
        left += width + _GAP
    base = _HEAD + height + _FOOT_LINE - 6
    for line in lines:
        left = page_width - _GAP - _line_length(line)
        for text, color in line:
            brush.rectangle((left, base - _NOTE_SIZE + 3, left + _NOTE_SIZE - 2, base + 1), color)
            brush.text((left + _NOTE_SIZE + 6, base), text, TEXT, _font(_NOTE_SIZE), anchor="ls")
            left += _entry_length(text)
        base += _FOOT_LINE
    text = _shorten(title, page_width / 2, _font(_NOTE_SIZE))
    brush.text((_GAP, _HEAD + height + _FOOT_LINE - 6), text, FAINT, _font(_NOTE_SIZE), anchor="ls")
    return np.array(page)


def _draw_scale(page: Image.Image, brush: ImageDraw.ImageDraw, right: int, base: int, most: int) -> float:
    """Draws the colours of probabilities from 0 to 1, ending at `right` on a line of text; returns its width."""
    font = _font(_NOTE_SIZE)
    digit = font.getlength("0")
    length = max(1, min(_SCALE_WIDTH, round(most - 2 * digit - 12)))
    colours = probability_colours()[np.linspace(0, 255, length).astype(int)]
    bar = np.repeat(colours[None], _NOTE_SIZE - 4, axis=0)
    brush.text((right, base), "1", FAINT, font, anchor="rs")
    left = round(right - digit - 6 - length)
    page.paste(Image.fromarray(bar), (left, base - _NOTE_SIZE + 4))
    brush.text((left - 6, base), "0", FAINT, font, anchor="rs")
    return right - left + 6 + digit


def _wrap(legend: Sequence[tuple[str, Color]], room: float, title: str) -> list[list[tuple[str, Color]]]:
    """Breaks a legend into lines; the first one leaves room for the title."""
    room_of_line = room - min(_font(_NOTE_SIZE).getlength(title), room / 2) - 2 * _GAP
    lines: list[list[tuple[str, Color]]] = [[]]
    for entry in legend:
        if lines[-1] and _line_length([*lines[-1], entry]) > room_of_line:
            lines.append([])
            room_of_line = room
        lines[-1].append((_shorten(entry[0], room / 3, _font(_NOTE_SIZE)), entry[1]))
    return lines


def _entry_length(text: str) -> float:
    return _NOTE_SIZE + 6 + _font(_NOTE_SIZE).getlength(text) + 22


def _line_length(line: Sequence[tuple[str, Color]]) -> float:
    return sum(_entry_length(text) for text, _ in line) - 22


def _shorten(text: str, room: float, font: ImageFont.FreeTypeFont) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries: the same letters on every machine, with accents, Greek and Cyrillic."""
    from matplotlib import get_data_path

    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
