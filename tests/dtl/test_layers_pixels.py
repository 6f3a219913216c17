"""Layers that change colours only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segsweep.annotation import ProjectMeta, Tag
from segsweep.dtl.element import Picture
from tests.dtl.one_layer import apply, element, problems_of

PICTURES = arrays(np.uint8, (6, 9, 3))


def ranged(low: float, high: float | None = None, **more: Any) -> dict[str, Any]:
    return {"min": low, "max": low if high is None else high, **more}


def painted(action: str, settings: Mapping[str, Any], pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """The pixels after a layer; those that it was given, and all else, stay as they were."""
    before = pixels.copy()
    one = element(size=pixels.shape[1::-1], tags=[Tag("t")], picture=Picture(lambda: pixels))
    (made,) = apply(action, settings, one, seed=seed)
    assert made.annotation is one.annotation and made.picture is not one.picture
    result = made.picture.pixels
    assert result.dtype == np.uint8 and result.shape == pixels.shape
    assert np.array_equal(pixels, before)
    return result


def noisy_picture(height: int = 200, width: int = 200) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


SOME: list[tuple[str, dict[str, Any]]] = [
    ("blur", {"name": "gaussian", "sigma": ranged(1, 5)}),
    ("blur", {"name": "median", "kernel": 7}),
    ("noise", {"mean": 0, "std": 20}),
    ("contrast_brightness", {"contrast": ranged(0.5, 2), "brightness": ranged(-50, 50)}),
    ("random_color", {"strength": 0.5}),
]


@pytest.mark.parametrize(("action", "settings"), SOME)
def test_no_pixel_is_made_before_somebody_looks(action: str, settings: dict[str, Any]) -> None:
    (made,) = apply(action, settings, element())  # whose picture must not be looked at
    with pytest.raises(AssertionError, match="the picture was looked at"):
        _ = made.picture.pixels


@pytest.mark.parametrize(("action", "settings"), SOME)
def test_equal_seeds_give_equal_pixels(action: str, settings: dict[str, Any]) -> None:
    picture = noisy_picture(20, 30)
    one, again, other = (painted(action, settings, picture, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert np.array_equal(one, other) == (settings.get("name") == "median")


@pytest.mark.parametrize(("action", "settings"), SOME)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 1)])
def test_pictures_may_be_tiny(action: str, settings: dict[str, Any], size: tuple[int, int]) -> None:
    painted(action, settings, np.full((*size, 3), 99, dtype=np.uint8))


@pytest.mark.parametrize("sigma", [0.01, 0.3, 1, 2.5, 17])
@given(value=st.integers(0, 255))
def test_a_gaussian_leaves_even_surfaces_exactly_as_they_are(sigma: float, value: int) -> None:
    even = np.full((7, 9, 3), value, dtype=np.uint8)
    assert np.array_equal(painted("blur", {"name": "gaussian", "sigma": ranged(sigma)}, even), even)


def test_a_gaussian_spreads_a_point_by_its_sigma() -> None:
    picture = np.zeros((61, 61, 3), dtype=np.uint8)
    picture[30, 30] = picture[30, 31] = picture[31, 30] = picture[31, 31] = 255
    blurred = painted("blur", {"name": "gaussian", "sigma": ranged(2)}, picture)[..., 0].astype(float)
    x = np.arange(61) - 30.5
    spread = (blurred.sum(axis=0) * x**2).sum() / blurred.sum()
    assert abs(np.sqrt(spread) - 2) < 0.2


@pytest.mark.parametrize("kernel", [3, 5, 7, 31, 255])
def test_a_median_of_any_odd_kernel_is_the_middle_of_its_window(kernel: int) -> None:
    picture = noisy_picture(30, 30)
    result = painted("blur", {"name": "median", "kernel": kernel}, picture)
    half = kernel // 2
    padded = np.pad(picture, ((half, half), (half, half), (0, 0)), mode="edge")
    for row, column in [(0, 0), (7, 13), (29, 29)]:
        window = padded[row : row + kernel, column : column + kernel].reshape(-1, 3)
        assert np.array_equal(result[row, column], np.median(window, axis=0))


def test_noise_has_the_mean_and_deviation_asked_for_in_every_channel_by_itself() -> None:
    grey = np.full((300, 300, 3), 128, dtype=np.uint8)
    noise = painted("noise", {"mean": 10, "std": 8}, grey).astype(float) - 128
    assert np.allclose(noise.mean(axis=(0, 1)), 9.5, atol=0.1)  # half of a step less, because fractions are cut off
    assert np.allclose(noise.std(axis=(0, 1)), 8, atol=0.1)
    assert np.abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.02


@given(PICTURES, st.integers(-300, 300))
def test_noise_without_deviation_adds_its_mean_and_clips(picture: np.ndarray, mean: int) -> None:
    result = painted("noise", {"mean": mean, "std": 0}, picture)
    assert np.array_equal(result, np.clip(picture.astype(int) + mean, 0, 255))


@given(PICTURES, st.floats(0, 10), st.floats(-255, 255), st.booleans())
def test_contrast_and_brightness_are_their_formula(
    picture: np.ndarray, contrast: float, brightness: float, grey: bool
) -> None:
    settings = {"contrast": ranged(contrast, center_grey=grey), "brightness": ranged(brightness)}
    result = painted("contrast_brightness", settings, picture).astype(int)
    center = 128 if grey else 0
    exact = np.clip((picture.astype(float) - center) * contrast + brightness + center, 0, 255)
    assert np.all((result <= exact + 1e-3) & (exact - 1e-3 < result + 1))


@given(PICTURES, st.integers(0, 99))
def test_colours_are_mixed_alike_in_all_pixels(picture: np.ndarray, seed: int) -> None:
    assert np.array_equal(painted("random_color", {"strength": 0}, picture), picture)
    half, other = picture // 3 + 40, picture[::-1] // 3  # nothing is clipped
    one, two, both = (
        painted("random_color", {"strength": 0.1}, part, seed).astype(int) for part in (half, other, half + other)
    )
    assert np.abs(one + two - both)[other.min(axis=2) > 40].max(initial=0) <= 1  # each of the three lost a fraction


def test_colours_change_by_a_fifth_of_the_strength() -> None:
    red = np.array([[[150, 0, 0]]], dtype=np.uint8)
    changed = np.array([painted("random_color", {"strength": 0.5}, red, seed)[0, 0] for seed in range(400)], float)
    assert abs(changed[:, 0].mean() - 150) < 3
    assert abs(changed[:, 0].std() - 150 * 0.1) < 2
    assert abs((changed[:, 1] == 0).mean() - 0.5) < 0.1  # what becomes negative is clipped


def test_numbers_are_drawn_from_the_whole_range() -> None:
    even = np.full((1, 1, 3), 100, dtype=np.uint8)
    settings = {"contrast": ranged(1), "brightness": ranged(-20, 20)}
    drawn = [int(painted("contrast_brightness", settings, even, seed)[0, 0, 0]) for seed in range(200)]
    assert min(drawn) < 84 and max(drawn) > 116 and len(set(drawn)) > 30


@pytest.mark.parametrize(
    ("action", "settings", "problem"),
    [
        ("blur", {"name": "box"}, ".settings.name: 'box' is not possible; must be 'gaussian' or 'median'"),
        ("blur", {"name": "median", "kernel": 4}, ".settings: kernel 4 is even; it must be odd"),
        ("blur", {"name": "median", "kernel": 1}, ".settings.kernel: 1 is not possible; must be at least 3"),
        ("blur", {"name": "median"}, ".settings: a median blur needs 'kernel' and no 'sigma'"),
        ("blur", {"name": "gaussian", "kernel": 3}, ".settings: a gaussian blur needs 'sigma' and no 'kernel'"),
        (
            "blur",
            {"name": "gaussian", "sigma": ranged(3, 1)},
            ".settings.sigma: {'min': 3, 'max': 1} is not possible; min 3 is more than max 1",
        ),
        ("blur", {"name": "gaussian", "sigma": ranged(0, 1)}, ".settings.sigma.min: 0 is not possible; must be at lea"),
        ("noise", {"mean": 0, "std": -1}, ".settings.std: -1 is not possible; must be at least 0"),
        ("noise", {"mean": "0", "std": 1}, ".settings.mean: '0' is not possible; must be a number"),
        ("noise", {"std": 1}, ".settings.mean: must be given; add "),
        (
            "contrast_brightness",
            {"contrast": ranged(1, 11), "brightness": ranged(0)},
            ".settings.contrast.max: 11 is not possible; must be at most 10",
        ),
        (
            "contrast_brightness",
            {"contrast": ranged(1), "brightness": ranged(-256, 0)},
            ".settings.brightness.min: -256 is not possible; must be at least -255",
        ),
        ("random_color", {"strength": 1.5}, ".settings.strength: 1.5 is not possible; must be at most 1"),
    ],
)
def test_wrong_settings_are_told(action: str, settings: Any, problem: str) -> None:
    assert problems_of(action, settings, ProjectMeta())[0].startswith(f"layer 2 ({action}){problem}")
