"""Pictures that show at a glance what a prediction got right: input, truth, prediction and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segsweep.evaluation.counts import Counts, confusion_matrix
from segsweep.evaluation.scores import dice, mean, pixel_accuracy

__all__ = ["FALSE_ALARM", "HIT", "MISS", "ClassStyle", "comparison_picture"]

Color: TypeAlias = tuple[int, int, int]
Picture: TypeAlias = NDArray[np.uint8]

HIT: Color = (236, 236, 230)
MISS: Color = (64, 150, 255)
FALSE_ALARM: Color = (255, 82, 54)
"""Light, blue and red are told apart by colour-blind readers too, which green and red are not."""
RIGHT: Color = (70, 190, 120)
PAGE: Color = (18, 20, 24)
PANEL: Color = (6, 7, 9)
TEXT: Color = (232, 234, 237)
FAINT: Color = (154, 160, 168)

_GAP = 12
_TITLE_SIZE, _NOTE_SIZE = 19, 15
_HEAD = _TITLE_SIZE + 15
_FOOT_LINE = _NOTE_SIZE + 12


@dataclass(frozen=True)
class ClassStyle:
    """How a class is named and drawn: its title and its RGB colour."""

    title: str
    color: Color


def comparison_picture(
    image: Picture,
    truth: NDArray[Any],
    prediction: NDArray[Any],
    classes: Sequence[ClassStyle],
    *,
    valid: NDArray[np.bool_] | None = None,
    title: str = "",
    width: int = 480,
) -> Picture:
    """Draws input, truth, prediction and difference side by side, with captions, a legend and the Dice score.

    With one class the masks are light on dark, and the difference shows hits light, misses blue and false alarms red.
    With several, classes have their own colours, and the difference lays right pixels green and wrong ones red over
    the dimmed picture.

    Args:
        image: uint8 RGB, HxWx3.
        truth: Class indices HxW: 0 is the background, n is `classes[n - 1]`. Any other index does not count.
        prediction: The same.
        classes: The classes without the background, at least one.
        valid: The pixels that were scored, bool HxW; others are drawn dim.
        title: A name for the picture, shown in the legend's line.
        width: Of one panel, in pixels; the panels' height follows from the image.

    Returns:
        uint8 RGB, about four panels wide.
    """
    counted = (truth >= 0) & (truth <= len(classes)) & (prediction >= 0) & (prediction <= len(classes))
    counted = counted if valid is None else counted & valid
    confusion = confusion_matrix(truth, prediction, len(classes) + 1, counted)
    scores = dice(Counts.of(confusion))[1:]
    binary = len(classes) == 1
    if binary:
        palette = _palette([ClassStyle(classes[0].title, HIT)])
        difference = _binary_difference(truth == 1, prediction == 1)
        notes = [f"accuracy {float(pixel_accuracy(confusion)):.3f}"]
        legend = [("hit", HIT), ("missed", MISS), ("false alarm", FALSE_ALARM)]
        found = f"Dice {scores[0]:.3f}"
        subject = f": {classes[0].title}"
    else:
        palette = _palette(classes)
        difference = _many_class_difference(image, truth, prediction, counted)
        notes = []
        legend = [
            *((f"{style.title} {score:.2f}", style.color) for style, score in zip(classes, scores, strict=True)),
            ("right", RIGHT),
            ("wrong", FALSE_ALARM),
        ]
        found = f"mean Dice {float(mean(scores)):.3f}"
        subject = ""
    panels = [
        ("Input", "", image),
        ("Truth" + subject, "", _dim(_paint(truth, palette), counted)),
        ("Prediction", found, _dim(_paint(prediction, palette), counted)),
        ("Difference", ", ".join(notes), _dim(difference, counted)),
    ]
    return _compose(panels, legend, title, width)


def _palette(classes: Sequence[ClassStyle]) -> NDArray[np.uint8]:
    return np.array([PANEL, *(style.color for style in classes), FAINT], dtype=np.uint8)


def _paint(indices: NDArray[Any], palette: NDArray[np.uint8]) -> Picture:
    """Colours an index map; the palette's last colour stands for every index that it does not know."""
    last = len(palette) - 1
    return palette[np.where((indices >= 0) & (indices < last), indices, last)]


def _color(color: Color) -> NDArray[np.float32]:
    return np.array(color, dtype=np.float32)


def _binary_difference(truth: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> Picture:
    colors = np.array([PANEL, FALSE_ALARM, MISS, HIT], dtype=np.uint8)
    return colors[2 * truth.astype(np.intp) + prediction]


def _many_class_difference(
    image: Picture, truth: NDArray[Any], prediction: NDArray[Any], counted: NDArray[np.bool_]
) -> Picture:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    right = truth == prediction
    tint = np.where(right[..., None], _color(RIGHT), _color(FALSE_ALARM))
    strength = np.where(right, np.where(truth == 0, 0.0, 0.3), 0.8).astype(np.float32)
    strength = np.where(counted, strength, 0)[..., None]
    return np.asarray(0.6 * grey * (1 - strength) + tint * strength, dtype=np.uint8)


def _dim(picture: Picture, counted: NDArray[np.bool_]) -> Picture:
    """Pixels that were not scored: faded, on a field slightly lighter than the panel."""
    if counted.all():
        return picture
    faded = (picture * np.float32(0.35) + _color(FAINT) * np.float32(0.15)).astype(np.uint8)
    return np.where(counted[..., None], picture, faded)


def _compose(
    panels: Sequence[tuple[str, str, Picture]], legend: Sequence[tuple[str, Color]], title: str, width: int
) -> Picture:
    """Lays panels (heading, note, picture) in a row on a page, with the legend and the title below."""
    height = max(1, round(panels[0][2].shape[0] * width / panels[0][2].shape[1]))
    page_width = len(panels) * (width + _GAP) + _GAP
    lines = _wrap(legend, page_width - 2 * _GAP, title)
    page = Image.new("RGB", (page_width, _HEAD + height + _FOOT_LINE * len(lines) + _GAP), PAGE)
    draw = ImageDraw.Draw(page)
    left: float = _GAP
    for heading, note, picture in panels:
        shrinks = picture.shape[1] > width
        scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)
        page.paste(Image.fromarray(scaled), (round(left), _HEAD))
        noted = draw.textlength(note, _font(_NOTE_SIZE)) if note else 0
        heading = _shorten(heading, width - noted - _GAP, _font(_TITLE_SIZE))
        draw.text((left, _HEAD - 10), heading, TEXT, _font(_TITLE_SIZE), anchor="ls")
        draw.text((left + width, _HEAD - 10), note, FAINT, _font(_NOTE_SIZE), anchor="rs")
        left += width + _GAP
    base = _HEAD + height + _FOOT_LINE - 6
    for line in lines:
        left = page_width - _GAP - _line_length(line)
        for text, color in line:
            draw.rectangle((left, base - _NOTE_SIZE + 3, left + _NOTE_SIZE - 2, base + 1), color)
            draw.text((left + _NOTE_SIZE + 6, base), text, TEXT, _font(_NOTE_SIZE), anchor="ls")
            left += _entry_length(text)
        base += _FOOT_LINE
    text = _shorten(title, page_width / 2, _font(_NOTE_SIZE))
    draw.text((_GAP, _HEAD + height + _FOOT_LINE - 6), text, FAINT, _font(_NOTE_SIZE), anchor="ls")
    return np.array(page)


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
