"""Pictures that resemble photographs of the retina, painted around given vessels.

What makes vessel segmentation hard in real photographs is here: thin vessels that hardly differ from the ground,
uneven light, the bright disc, the dark macula, vessels of the choroid that shine through, streaks of nerve fibres,
bright and dark spots, blur and noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.datasets.vessel_trees import Eye, Vessel, draw_eye, draw_vessels, grow_vessels, vessel_mask

__all__ = ["Fundus", "make_fundus"]

Plane = NDArray[np.float32]

# Share of the light that a wide vessel takes from red, green and blue; measured on CHASE_DB1.
_ABSORPTION = {
    "vein": np.array([0.20, 0.44, 0.48], np.float32),
    "artery": np.array([0.07, 0.37, 0.42], np.float32),
}


@dataclass(frozen=True)
class Fundus:
    """One picture and what is known about it.

    Attributes:
        image: uint8 RGB, HxWx3.
        vessels: Pixels of vessels inside the field of view, bool HxW.
        field: The field of view, bool HxW.
    """

    image: NDArray[np.uint8]
    vessels: NDArray[np.bool_]
    field: NDArray[np.bool_]


def make_fundus(rng: np.random.Generator, width: int = 999, height: int = 960) -> Fundus:
    """Makes one picture with its exact masks.

    Args:
        rng: Source of everything random; an equal generator gives an equal picture.
        width: Pixels, 256 or more.
        height: Pixels, 256 or more.
    """
    eye = draw_eye(rng, width, height)
    vessels = grow_vessels(rng, eye)
    field = _circle(eye, *eye.field)
    picture = _ground(rng, eye)
    picture = _with_disc(rng, eye, picture)
    picture = _with_vessels(rng, eye, picture, vessels)
    picture = _with_spots(rng, eye, picture)
    image = _photographed(rng, eye, picture, field)
    mask = vessel_mask(vessels, width, height) & (field >= 0.5)
    return Fundus(image, mask, field >= 0.5)


def _circle(eye: Eye, x: float, y: float, radius: float, softness: float = 1.0) -> Plane:
    """1 inside a circle, 0 outside, with an edge of `softness` pixels."""
    across = np.arange(eye.width, dtype=np.float32) - np.float32(x)
    down = np.arange(eye.height, dtype=np.float32) - np.float32(y)
    distance = np.hypot(across[None, :], down[:, None])
    return np.asarray(np.clip((radius - distance) / softness + 0.5, 0, 1), dtype=np.float32)


def _spot(eye: Eye, x: float, y: float, sigma: float) -> Plane:
    """A Gaussian bump of height 1."""
    across = (np.arange(eye.width, dtype=np.float32) - np.float32(x)) ** 2
    down = (np.arange(eye.height, dtype=np.float32) - np.float32(y)) ** 2
    return np.asarray(np.exp(-across / (2 * sigma**2))[None, :] * np.exp(-down / (2 * sigma**2))[:, None])


def _clouds(rng: np.random.Generator, eye: Eye, size: float) -> Plane:
    """Smooth noise of mean 0 and deviation 1 whose clouds are about `size` pixels wide."""
    rows = max(2, round(eye.height / size) + 2)
    columns = max(2, round(eye.width / size) + 2)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    fine = cv2.resize(coarse, (eye.width, eye.height), interpolation=cv2.INTER_CUBIC)
    return np.asarray((fine - fine.mean()) / max(float(fine.std()), 1e-6), dtype=np.float32)


def _times(picture: NDArray[np.float32], plane: Plane, gains: tuple[float, float, float]) -> NDArray[np.float32]:
    """Brightens (or darkens) the three channels by exp(gain * plane)."""
    return np.asarray(picture * np.exp(plane[..., None] * np.array(gains, np.float32)), dtype=np.float32)


def _ground(rng: np.random.Generator, eye: Eye) -> NDArray[np.float32]:
    """The retina without vessels and disc: colour, light, macula, choroid, nerve fibres."""
    scale = eye.scale
    red = rng.uniform(135, 250)
    base = np.array([red, rng.uniform(60, 76) + 0.06 * (red - 150), rng.uniform(7, 13)], np.float32)
    picture = np.broadcast_to(base, (eye.height, eye.width, 3)).astype(np.float32)

    light = 0.13 * _clouds(rng, eye, 520 * scale) + 0.06 * _clouds(rng, eye, 190 * scale)
    x, y, radius = eye.field
    light -= 0.42 * (1 - _spot(eye, x, y, 0.9 * radius))
    picture = _times(picture, light, (0.85, 1.0, 0.9))

    macula = eye.disc[0] + eye.temporal * rng.uniform(4.0, 4.9) * eye.disc[2]
    below = eye.disc[1] + rng.uniform(0.1, 0.8) * eye.disc[2]
    picture = _times(picture, _spot(eye, macula, below, 62 * scale), (-0.2, -0.3, -0.1))
    picture = _times(picture, _spot(eye, macula, below, 150 * scale), (-0.12, -0.2, -0.1))

    # pigment: reddish and brownish patches, then grain
    picture = _times(picture, _clouds(rng, eye, 42 * scale), (0.035, 0.02, 0.0))
    picture = _times(picture, _clouds(rng, eye, 13 * scale), (0.025, 0.018, 0.0))
    picture = _times(picture, _clouds(rng, eye, 5 * scale), (0.015, 0.02, 0.02))
    picture = _times(picture, _choroid(rng, eye), (0.13, 0.13, 0.0))
    return _times(picture, _nerve_fibres(rng, eye), (0.04, 0.085, 0.085))


def _choroid(rng: np.random.Generator, eye: Eye) -> Plane:
    """Vessels of the choroid: broad, blurred bands, here brighter and there darker than the ground."""
    scale = eye.scale
    bands = []
    for _ in range(rng.integers(26, 46)):
        angle = rng.uniform(0, 2 * math.pi)
        distance = math.sqrt(rng.uniform(0.08, 1)) * eye.field[2]
        length = np.arange(0, rng.uniform(90, 260) * scale, 3.0)
        heading = angle + rng.normal(0, 0.6) + rng.normal(0, 0.004) * length
        heading = heading + 0.4 * np.sin(length / (rng.uniform(25, 50) * scale) + rng.uniform(0, 6))
        start = np.array([eye.field[0], eye.field[1]]) + distance * np.array([math.cos(angle), math.sin(angle)])
        points = start + 3.0 * np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0)
        bands.append(Vessel("vein", points, np.full(len(points), rng.uniform(6, 17) * scale)))
    values = [np.full(len(band.points), rng.uniform(0.3, 1.0)) for band in bands]
    bright = draw_vessels(bands[::2], eye.width, eye.height, values=values[::2])
    dark = draw_vessels(bands[1::2], eye.width, eye.height, values=values[1::2])
    blurred = cv2.GaussianBlur(bright - np.float32(0.6) * dark, (0, 0), 5 * scale)
    where = np.clip(0.6 + 0.5 * _clouds(rng, eye, 300 * scale), 0, 1.4)  # visible in some regions only
    return np.asarray(blurred * where * rng.uniform(0.5, 1.0), dtype=np.float32)


def _nerve_fibres(rng: np.random.Generator, eye: Eye) -> Plane:
    """Fine bright streaks that radiate from the disc and fade."""
    x, y, radius = eye.disc
    angles, rings = 1440, 128
    streaks = _around(rng.standard_normal((angles, rings), dtype=np.float32), along=9, across=1.4)
    broad = _around(rng.standard_normal((angles, rings), dtype=np.float32), along=25, across=45)
    polar = streaks / streaks.std() * np.clip(0.3 + 0.6 * broad / broad.std(), 0, 1.6)
    reach = 5.0 * radius
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS
    flat = cv2.warpPolar(polar.astype(np.float32), (eye.width, eye.height), (x, y), reach, flags)
    fade = _spot(eye, x, y, 1.5 * radius)
    return np.asarray(fade * (flat * 0.75 + 0.25), dtype=np.float32)


def _around(polar: NDArray[np.float32], along: float, across: float) -> NDArray[np.float32]:
    """Blurs a picture in polar coordinates (a row per angle), whose first and last rows are neighbours."""
    margin = math.ceil(4 * across)
    wrapped = np.pad(polar, ((margin, margin), (0, 0)), mode="wrap")
    return np.asarray(cv2.GaussianBlur(wrapped, (0, 0), sigmaX=along, sigmaY=across)[margin:-margin])


def _with_disc(rng: np.random.Generator, eye: Eye, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Paints the optic disc: a dim halo, a yellow rim, a brighter cup."""
    x, y, radius = eye.disc
    halo = _spot(eye, x + rng.uniform(-0.2, 0.2) * radius, y, 1.15 * radius)
    picture = _times(picture, halo, (-rng.uniform(0.12, 0.3), -rng.uniform(0.0, 0.12), 0.25))

    wobble = np.float32(radius) * 0.03 * _clouds(rng, eye, 60 * eye.scale)
    rim = _ellipse(rng, eye, x, y, radius, wobble, softness=rng.uniform(0.1, 0.28) * radius)
    glow = rng.uniform(0.94, 1.06)
    colour = np.array([268, rng.uniform(146, 186), rng.uniform(40, 70)], np.float32) * np.float32(glow)
    shade = np.exp(0.04 * _clouds(rng, eye, 70 * eye.scale))
    share = (np.float32(0.88) * rim)[..., None]
    picture = picture * (1 - share) + share * colour * shade[..., None]

    cup_radius = radius * rng.uniform(0.28, 0.48)
    cup = _ellipse(
        rng,
        eye,
        x + eye.temporal * rng.uniform(0.0, 0.3) * radius,
        y + rng.uniform(-0.1, 0.1) * radius,
        cup_radius,
        wobble,
        softness=rng.uniform(0.35, 0.8) * cup_radius,
    )
    share = (np.float32(rng.uniform(0.55, 0.95)) * cup)[..., None]
    bright = np.array([255, rng.uniform(228, 248), rng.uniform(80, 150)], np.float32)
    return np.asarray(picture * (1 - share) + share * bright, dtype=np.float32)


def _ellipse(
    rng: np.random.Generator, eye: Eye, x: float, y: float, radius: float, wobble: Plane, softness: float
) -> Plane:
    """A soft, slightly irregular ellipse: 1 inside, 0 outside."""
    stretch = rng.uniform(0.93, 1.08)
    tilt = rng.uniform(-0.3, 0.3)
    across = np.arange(eye.width, dtype=np.float32)[None, :] - np.float32(x)
    down = np.arange(eye.height, dtype=np.float32)[:, None] - np.float32(y)
    first = (across * math.cos(tilt) + down * math.sin(tilt)) * stretch
    second = (down * math.cos(tilt) - across * math.sin(tilt)) / stretch
    distance = np.hypot(first, second) + wobble
    return np.asarray(1 / (1 + np.exp(np.clip((distance - radius) / (softness / 4), -30, 30))), dtype=np.float32)


def _with_vessels(
    rng: np.random.Generator, eye: Eye, picture: NDArray[np.float32], vessels: list[Vessel]
) -> NDArray[np.float32]:
    """Darkens the ground under the vessels, thin ones less, and puts the light reflex on wide arteries."""
    scale = eye.scale
    overall = rng.uniform(0.8, 1.08)
    for kind, absorption in _ABSORPTION.items():
        own = [vessel for vessel in vessels if vessel.kind == kind]
        values = []
        for vessel in own:
            depth = np.clip(0.28 + 0.72 * (vessel.widths / scale - 1.5) / 8.0, 0.25, 1.0)
            fade = 1 + 0.22 * np.sin(np.arange(len(depth)) * 2.0 / (rng.uniform(30, 70) * scale) + rng.uniform(0, 6))
            values.append(np.clip(depth * fade * rng.uniform(0.75, 1.1) * overall, 0, 1))
        layer = draw_vessels(own, eye.width, eye.height, values=values)
        layer = cv2.GaussianBlur(layer, (0, 0), 1.1 * max(scale, 0.6))
        picture = picture * (1 - layer[..., None] * absorption)
        wide = [(vessel, value) for vessel, value in zip(own, values, strict=True) if vessel.widths[0] > 5 * scale]
        shine = [np.clip(value * (vessel.widths > 4.5 * scale) * rng.uniform(0.3, 1.0), 0, 1) for vessel, value in wide]
        reflex = draw_vessels([vessel for vessel, _ in wide], eye.width, eye.height, values=shine, narrow=0.3)
        reflex = cv2.GaussianBlur(reflex, (0, 0), 0.9 * max(scale, 0.6))
        strength = np.array([0.15, 0.38, 0.25] if kind == "artery" else [0.10, 0.20, 0.10], np.float32)
        picture = picture * (1 + reflex[..., None] * strength)
    return np.asarray(picture, dtype=np.float32)


def _with_spots(rng: np.random.Generator, eye: Eye, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Adds small bright and dark spots and whitish glints, which are no vessels."""
    scale = eye.scale
    plane = np.zeros((eye.height, eye.width), np.float32)
    for _ in range(rng.integers(14, 30)):
        angle, distance = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random()) * eye.field[2]
        centre = (
            round(eye.field[0] + distance * math.cos(angle)),
            round(eye.field[1] + distance * math.sin(angle)),
        )
        axes = (round(rng.uniform(1.5, 6) * scale) + 1, round(rng.uniform(1.5, 6) * scale) + 1)
        value = float(rng.uniform(-0.9, 0.9))
        cv2.ellipse(plane, centre, axes, float(rng.uniform(0, 180)), 0, 360, value, thickness=-1)
    picture = _times(picture, cv2.GaussianBlur(plane, (0, 0), 2.2 * scale), (0.14, 0.24, 0.2))

    glints = np.zeros((eye.height, eye.width), np.float32)
    for _ in range(rng.integers(3, 9)):
        angle, distance = rng.uniform(0, 2 * math.pi), rng.uniform(1.2, 3.2) * eye.disc[2]
        along = np.linspace(0, rng.uniform(20, 70) * scale, 12)
        heading = angle + rng.normal(0, 0.7) + along * rng.normal(0, 0.01)
        start = np.array(eye.disc[:2]) + distance * np.array([math.cos(angle), math.sin(angle)])
        points = start + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0) * along[1]
        thickness = max(1, round(rng.uniform(1, 4) * scale))
        value = float(rng.uniform(0.2, 1))
        cv2.polylines(glints, [np.round(points).astype(np.int32)], isClosed=False, color=value, thickness=thickness)
    glints = cv2.GaussianBlur(glints, (0, 0), 2.4 * scale) * np.clip(1 + 0.6 * _clouds(rng, eye, 8 * scale), 0, 2)
    return np.asarray(picture + glints[..., None] * np.array([38, 42, 22], np.float32), dtype=np.float32)


def _photographed(rng: np.random.Generator, eye: Eye, picture: NDArray[np.float32], field: Plane) -> NDArray[np.uint8]:
    """The camera: blur, sensor noise with a little correlation, dark surround, 8 bits."""
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.7, 1.1) * max(eye.scale, 0.5))
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.75)
    picture = picture + noise / noise.std() * np.array([4.2, 3.0, 2.6], np.float32) * rng.uniform(0.75, 1.25)
    surround = np.array([3, 1, 1], np.float32)
    picture = surround + (picture - surround) * field[..., None]
    return np.asarray(np.clip(np.round(picture), 0, 255), dtype=np.uint8)
