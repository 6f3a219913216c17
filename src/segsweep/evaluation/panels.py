"""One test image as panels: input, truth, prediction, difference, probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.counts import Counts, confusion_matrix
from segsweep.evaluation.scores import dice, mean, pixel_accuracy

__all__ = [
    "FAINT",
    "FALSE_ALARM",
    "HIT",
    "MISS",
    "PANEL",
    "RIGHT",
    "ClassStyle",
    "Color",
    "Drawn",
    "Panel",
    "Picture",
    "certainty",
    "draw",
    "probability_colours",
]

Color: TypeAlias = tuple[int, int, int]
Picture: TypeAlias = NDArray[np.uint8]

HIT: Color = (236, 236, 230)
MISS: Color = (64, 150, 255)
FALSE_ALARM: Color = (255, 82, 54)
"""Light, blue and red are told apart by colour-blind readers too, which green and red are not."""
RIGHT: Color = (48, 184, 160)
"""A green with enough blue in it to stay apart from red."""
PANEL: Color = (6, 7, 9)
FAINT: Color = (154, 160, 168)

_MOST_SIDE = 3072
"""Pixels of the longer side of what is drawn; larger images are shrunk first, so that memory stays small."""


@dataclass(frozen=True)
class ClassStyle:
    """How a class is named and drawn: its title and its RGB colour."""

    title: str
    color: Color


@dataclass(frozen=True)
class Panel:
    """A picture with its heading; `note` says more in a few words, and `scale` that its colours are probabilities."""

    heading: str
    note: str
    picture: Picture
    scale: bool = False


@dataclass(frozen=True)
class Drawn:
    """An image drawn.

    Attributes:
        panels: In order.
        classes: Title, colour and Dice of each class where colours stand for classes.
        legend: What other colours mean.
    """

    panels: tuple[Panel, ...]
    classes: tuple[tuple[str, Color, float], ...]
    legend: tuple[tuple[str, Color], ...]


def draw(
    image: Picture,
    truth: NDArray[Any],
    prediction: NDArray[Any],
    classes: Sequence[ClassStyle],
    *,
    valid: NDArray[np.bool_] | None = None,
    probability: NDArray[np.uint16] | None = None,
) -> Drawn:
    """Draws input, truth, prediction, difference and, where it is known, probability.

    With one class the masks are light on dark, and the difference shows hits light, misses blue and false alarms red.
    With several, classes have their own colours, and the difference lays right pixels green and wrong ones red over
    the dimmed picture. What was not scored is faded.

    Args:
        image: uint8 RGB, HxWx3.
        truth: Class indices HxW: 0 is the background, n is `classes[n - 1]`. Any other index does not count.
        prediction: The same.
        classes: The classes without the background, at least one.
        valid: The pixels that were scored, bool HxW; all when missing.
        probability: Of the class, or with several of the predicted class (`certainty`); uint16 HxW, 65535 is 1.
    """
    counted = (truth >= 0) & (truth <= len(classes)) & (prediction >= 0) & (prediction <= len(classes))
    counted = counted if valid is None else counted & valid
    confusion = confusion_matrix(truth, prediction, len(classes) + 1, counted)
    scores = dice(Counts.of(confusion))[1:]
    image, truth, prediction, counted = _shrunk(image, truth, prediction, counted)
    unscored = [] if counted.all() else [("not scored", _faded(FAINT))]
    if len(classes) == 1:
        palette = _palette([ClassStyle(classes[0].title, HIT)])
        difference = _binary_difference(truth == 1, prediction == 1)
        legend = [("hit", HIT), ("missed", MISS), ("false alarm", FALSE_ALARM)]
        subject, found = f": {classes[0].title}", f"Dice {scores[0]:.3f}"
        accuracy = f"accuracy {float(pixel_accuracy(confusion)):.3f}"
    else:
        palette = _palette(classes)
        difference = _many_class_difference(image, truth, prediction, counted)
        legend = [("right", RIGHT), ("wrong", FALSE_ALARM)]
        subject, found, accuracy = "", f"mean Dice {float(mean(scores)):.3f}", ""
    panels = [
        Panel("Input", "", image),
        Panel("Truth" + subject, "", _dim(_paint(truth, palette), counted)),
        Panel("Prediction", found, _dim(_paint(prediction, palette), counted)),
        Panel("Difference", accuracy, _dim(difference, counted)),
    ]
    if probability is not None:
        (levels,) = _shrunk(probability)
        title, note = ("Probability", "") if len(classes) == 1 else ("Certainty", "of the predicted class")
        panels.append(Panel(title, note, probability_colours()[levels >> 8], scale=True))
    named = ((style.title, style.color, float(score)) for style, score in zip(classes, scores, strict=True))
    return Drawn(tuple(panels), tuple(named) if len(classes) > 1 else (), (*legend, *unscored))


def certainty(
    probabilities: Mapping[int, NDArray[np.uint16]], prediction: NDArray[Any], classes: int
) -> NDArray[np.uint16] | None:
    """How probable the predicted class was said to be, pixel by pixel; with one class, how probable that one is.

    Args:
        probabilities: By class index, uint16 HxW; what lacks to 1 is the background's.
        prediction: Class indices HxW.
        classes: The number of classes without the background.

    Returns:
        uint16 HxW; None where a class has no probabilities.
    """
    if any(index not in probabilities for index in range(1, classes + 1)):
        return None
    if classes == 1:
        return probabilities[1]
    rest = np.full(prediction.shape, 65535, dtype=np.uint16)
    found = np.zeros(prediction.shape, dtype=np.uint16)
    for index in range(1, classes + 1):
        levels = probabilities[index]
        rest -= np.minimum(rest, levels)
        np.copyto(found, levels, where=prediction == index)
    np.copyto(found, rest, where=prediction == 0)
    return found


@lru_cache(maxsize=1)
def probability_colours() -> Picture:
    """256 RGB colours from 0 to 1 (256x3): matplotlib's magma, even in lightness, which everybody can read."""
    from matplotlib import colormaps

    return np.asarray(colormaps["magma"](np.arange(256), bytes=True)[:, :3], dtype=np.uint8)


def _shrunk(*maps: NDArray[Any]) -> list[NDArray[Any]]:
    """Maps of one image with at most `_MOST_SIDE` pixels a side: pictures averaged, indices and flags picked."""
    height, width = maps[0].shape[:2]
    scale = _MOST_SIDE / max(height, width)
    if scale >= 1:
        return list(maps)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    rows, columns = (
        np.arange(count) * whole // count for count, whole in zip(size[::-1], (height, width), strict=True)
    )
    return [
        cv2.resize(found, size, interpolation=cv2.INTER_AREA)
        if found.ndim == 3
        else np.ascontiguousarray(found[rows][:, columns])
        for found in maps
    ]


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
    return colors[2 * truth.astype(np.uint8) + prediction]


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


def _faded(color: Color) -> Color:
    red, green, blue = (round(0.35 * part + 0.15 * faint) for part, faint in zip(color, FAINT, strict=True))
    return red, green, blue
