"""Retinal vessel trees as geometry: centre lines with widths, grown from the optic disc.

Pure functions of a random generator. All lengths are pixels, angles radians with y down, points are (x, y).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Eye", "Vessel", "draw_eye", "draw_vessels", "grow_vessels", "vessel_mask"]

Kind = Literal["artery", "vein"]

_STEP = 2.0  # distance between points of a centre line
_GRID = 4  # side of a cell of the occupancy grid
_THINNEST = 1.9  # a vessel ends where it gets thinner
_SUPERSAMPLING = 2
_SUBPIXEL_BITS = 4  # OpenCV draws at 1/16 pixel


@dataclass(frozen=True)
class Eye:
    """Where things are in one fundus picture.

    Attributes:
        width: Picture width.
        height: Picture height.
        scale: Size relative to a picture of 960 pixels; all sizes of anatomy are multiplied by it.
        field: Centre and radius of the round field of view.
        disc: Centre and radius of the optic disc.
        temporal: +1 when the macula lies to the right of the disc, -1 when it lies to the left.
    """

    width: int
    height: int
    scale: float
    field: tuple[float, float, float]
    disc: tuple[float, float, float]
    temporal: int


@dataclass(frozen=True)
class Vessel:
    """One vessel between its origin and its end: `points` (N, 2) and `widths` (N,) in pixels, float64."""

    kind: Kind
    points: NDArray[np.float64]
    widths: NDArray[np.float64]


@dataclass(frozen=True)
class _Sprout:
    """A vessel that is still to grow."""

    kind: Kind
    x: float
    y: float
    heading: float
    bend: float  # change of heading per pixel
    width: float
    length: float
    generation: int


def draw_eye(rng: np.random.Generator, width: int, height: int) -> Eye:
    """Draws the layout of one eye: field of view, optic disc near its centre, side of the macula."""
    side = min(width, height)
    scale = side / 960
    field = (width / 2 - 6 * scale, height / 2 - 1 * scale, 0.47 * side)
    disc = (
        field[0] + rng.uniform(-70, 70) * scale,
        field[1] + rng.uniform(-45, 45) * scale,
        rng.uniform(82, 104) * scale,
    )
    return Eye(width, height, scale, field, disc, temporal=int(rng.choice([-1, 1])))


def grow_vessels(rng: np.random.Generator, eye: Eye) -> list[Vessel]:
    """Grows the arteries and veins of one eye, the widest generation first.

    Every quadrant gets an artery and a vein from the disc; they taper, wind, and give off side branches whose widths
    follow Murray's law (the cubes of the two children's widths add up to the parent's). Vessels of one kind do not
    cross each other, as in a real retina; arteries and veins do.
    """
    cells = (math.ceil(eye.height / _GRID), math.ceil(eye.width / _GRID))
    occupied: dict[Kind, NDArray[np.uint8]] = {kind: np.zeros(cells, np.uint8) for kind in ("artery", "vein")}
    queue = deque(_trunks(rng, eye))
    vessels = []
    while queue:
        sprout = queue.popleft()
        vessel, children = _grow(rng, eye, sprout, occupied[sprout.kind])
        if vessel is None:
            continue
        vessels.append(vessel)
        _occupy(occupied[sprout.kind], vessel)
        queue.extend(children)
    return vessels


def _trunks(rng: np.random.Generator, eye: Eye) -> Iterator[_Sprout]:
    """The vessels that leave the disc: per quadrant an artery and a vein, and some small ones to the sides."""
    x, y, radius = eye.disc
    scale = eye.scale
    kinds: tuple[Kind, Kind] = ("vein", "artery")
    for vertical in (-1, 1):
        for horizontal in (1, -1):  # temporal, nasal
            share = rng.uniform(0.85, 1.12)
            for kind in kinds:
                lean = rng.uniform(-4, 34) if horizontal == 1 else rng.uniform(14, 58)
                turn = rng.uniform(25, 75) if horizontal == 1 else rng.uniform(-5, 40)
                outward = horizontal * eye.temporal
                heading = vertical * math.pi / 2 - vertical * outward * math.radians(lean)
                bend = -vertical * outward * math.radians(turn) / (430 * scale)
                width = (rng.uniform(12.5, 17.0) if kind == "vein" else rng.uniform(10.0, 13.5)) * share
                yield _Sprout(
                    kind,
                    x + radius * (rng.uniform(-0.16, 0.16) - 0.12 * eye.temporal),
                    y + radius * (rng.uniform(-0.12, 0.12) + 0.1 * vertical),
                    heading,
                    bend,
                    width * scale if horizontal == 1 else 0.82 * width * scale,
                    900 * scale,
                    generation=0,
                )
    for _ in range(rng.integers(8, 13)):
        heading = (0.0 if rng.random() < 0.5 else math.pi) + rng.normal(0, 0.65)
        yield _Sprout(
            kinds[int(rng.integers(2))],
            x + radius * rng.uniform(0.05, 0.5) * math.cos(heading),
            y + radius * rng.uniform(0.05, 0.5) * math.sin(heading),
            heading,
            rng.normal(0, 0.7) / (430 * scale),
            rng.choice([rng.uniform(2.4, 4.5), rng.uniform(4.5, 9.0)]) * scale,
            rng.uniform(250, 600) * scale,
            generation=1,
        )


def _grow(
    rng: np.random.Generator, eye: Eye, sprout: _Sprout, occupied: NDArray[np.uint8]
) -> tuple[Vessel | None, list[_Sprout]]:
    """Grows one vessel until it is too thin, long enough, out of the field, or meets one of its own kind."""
    scale = eye.scale
    distance = np.arange(0, sprout.length, _STEP)
    heading = sprout.heading + sprout.bend * distance + _winding(rng, distance, sprout.width / scale, scale)
    widths = np.full_like(distance, sprout.width)
    taper = rng.uniform(0.25, 0.5) if sprout.generation == 0 else rng.uniform(0.45, 0.8)
    widths *= 1 - taper * distance / max(sprout.length, 300 * scale)

    forks: list[tuple[int, float, float]] = []  # index, turn, width of the child
    side = rng.choice([-1, 1])
    clear = eye.disc[2] if sprout.generation == 0 else 18 * scale  # no forks inside the disc
    gap = 70 * scale if sprout.generation == 0 else 48 * scale
    at = clear + rng.uniform(0.1, 1.0) * gap
    while at < distance[-1] and sprout.generation < 4:
        index = int(at / _STEP)
        here = widths[index]
        child = here * rng.uniform(0.35, 0.85)
        turn = side * math.radians(rng.uniform(28, 68))
        widths[index:] *= max(0.05, 1 - (child / here) ** 3) ** (1 / 3)
        heading[index:] -= 0.3 * turn * (child / here) ** 2
        forks.append((index, turn, child))
        side = -side if rng.random() < 0.7 else side
        at += gap * rng.uniform(0.6, 1.7)

    points = np.empty((len(distance), 2))
    points[0] = sprout.x, sprout.y
    points[1:] = points[0] + _STEP * np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1)[:-1], 0)
    end = _end(eye, sprout, points, widths, occupied)
    if end * _STEP < 2.2 * _free_of_parent(eye, sprout):
        return None, []
    children = [
        _Sprout(
            sprout.kind,
            float(points[index, 0]),
            float(points[index, 1]),
            heading[index] + turn,
            rng.normal(0, 0.5) / (300 * scale) - 0.4 * turn / (200 * scale),
            child,
            (22 + rng.uniform(30, 58) * child / scale) * scale,
            sprout.generation + 1,
        )
        for index, turn, child in forks
        if index < end - 2 and child > _THINNEST
    ]
    return Vessel(sprout.kind, points[:end], widths[:end]), children


def _winding(
    rng: np.random.Generator, distance: NDArray[np.float64], width: float, scale: float
) -> NDArray[np.float64]:
    """Tortuosity: smooth changes of heading that start at none; thin vessels wind more tightly."""
    waves = np.zeros_like(distance)
    tortuosity = rng.uniform(0.6, 1.4) * (1.0 if width > 6 else 1.35)
    for wavelength, amplitude in ((230, 0.26), (95, 0.13), (38, 0.07 if width > 6 else 0.14)):
        phase = rng.uniform(0, 2 * math.pi)
        length = wavelength * scale * rng.uniform(0.7, 1.4)
        waves += tortuosity * amplitude * (np.sin(2 * math.pi * distance / length + phase) - math.sin(phase))
    return waves


def _end(
    eye: Eye, sprout: _Sprout, points: NDArray[np.float64], widths: NDArray[np.float64], occupied: NDArray[np.uint8]
) -> int:
    """How many points of a centre line are grown."""
    x, y, radius = eye.field
    inside = np.hypot(points[:, 0] - x, points[:, 1] - y) < radius + 12
    column = np.clip(points[:, 0] / _GRID, 0, occupied.shape[1] - 1).astype(int)
    row = np.clip(points[:, 1] / _GRID, 0, occupied.shape[0] - 1).astype(int)
    blocked = occupied[row, column] > 0
    blocked[: int(_free_of_parent(eye, sprout) / _STEP)] = False
    good = inside & ~blocked & (widths >= _THINNEST)
    return len(good) if good.all() else int(np.argmin(good))


def _free_of_parent(eye: Eye, sprout: _Sprout) -> float:
    """How far from its origin a vessel may touch the one that it comes from."""
    return eye.disc[2] * 1.3 if sprout.generation == 0 else max(18 * eye.scale, 2.5 * sprout.width)


def _occupy(occupied: NDArray[np.uint8], vessel: Vessel) -> None:
    reach = max(2, round((vessel.widths[0] + 8) / _GRID))
    line = np.round(vessel.points / _GRID).astype(np.int32)
    cv2.polylines(occupied, [line], isClosed=False, color=1, thickness=reach)


def draw_vessels(
    vessels: list[Vessel], width: int, height: int, *, values: list[NDArray[np.float64]], narrow: float = 1.0
) -> NDArray[np.float32]:
    """Draws vessels with soft edges; where they overlap, the wider one hides the narrower.

    Args:
        vessels: What to draw.
        width: Picture width.
        height: Picture height.
        values: For each vessel one value in [0, 1] per point.
        narrow: Factor on every width (below 1 for the light reflex along the middle).

    Returns:
        float32 HxW in [0, 1]: the value times the share of the pixel that is covered.
    """
    unit = _SUPERSAMPLING * (1 << _SUBPIXEL_BITS)
    canvas = np.zeros((height * _SUPERSAMPLING, width * _SUPERSAMPLING), np.uint8)
    order = sorted(range(len(vessels)), key=lambda index: float(vessels[index].widths.max()))
    for index in order:
        vessel = vessels[index]
        # OpenCV puts the centre of the pixel (0, 0) at 0, supersampling moves it by half a fine pixel
        centre = np.round((vessel.points + 0.5) * unit - (1 << (_SUBPIXEL_BITS - 1))).astype(int).tolist()
        radius = np.maximum(1, np.round(vessel.widths * narrow / 2 * unit)).astype(int).tolist()
        value = np.round(values[index] * 255).astype(int).tolist()
        for point, size, colour in zip(centre, radius, value, strict=True):
            cv2.circle(canvas, point, size, colour, thickness=-1, lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def vessel_mask(vessels: list[Vessel], width: int, height: int) -> NDArray[np.bool_]:
    """The pixels that are covered by a vessel to at least one half; bool HxW."""
    full = [np.ones_like(vessel.widths) for vessel in vessels]
    return draw_vessels(vessels, width, height, values=full) >= 0.5
