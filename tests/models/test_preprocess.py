"""Pictures and masks are scaled alike, and nothing thin is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segsweep.models.preprocess import scale_image, scale_mask, scaled_size

MASKS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))


def test_sizes_are_rounded_and_never_nothing() -> None:
    assert scaled_size(999, 960, 0.5) == (500, 480)
    assert scaled_size(3, 1, 0.05) == (1, 1)
    assert scaled_size(10, 7, 1) == (10, 7)


@given(MASKS, st.integers(2, 4))
def test_a_mask_of_blocks_shrinks_to_its_blocks(mask: np.ndarray, times: int) -> None:
    blocks = mask.repeat(times, axis=0).repeat(times, axis=1)
    assert (scale_mask(blocks, 1 / times) == mask).all()
    image = np.repeat(blocks[..., None] * 80, 3, axis=2)
    assert (scale_image(image, 1 / times)[..., 0] == mask * 80).all()


@given(MASKS)
def test_the_largest_share_has_the_pixel_and_of_equal_ones_the_later_class(mask: np.ndarray) -> None:
    even = np.pad(mask, ((0, mask.shape[0] % 2), (0, mask.shape[1] % 2)))
    height, width = even.shape
    quads = even.reshape(height // 2, 2, width // 2, 2).transpose(0, 2, 1, 3).reshape(height // 2, width // 2, 4)
    expected = [[max((list(quad).count(index), index) for index in range(4))[1] for quad in row] for row in quads]
    assert scale_mask(even, 0.5).tolist() == expected


def test_neutral_pixels_and_many_classes_survive() -> None:
    mask = np.array([[70_000, 70_000, 3, 3]] * 2, np.int32)
    found = scale_mask(mask, 0.5)
    assert found.tolist() == [[70_000, 3]] and found.dtype == np.int32


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.7])
def test_pictures_and_masks_stay_aligned(scale: float) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[20:45, 30:62] = 1
    image = np.repeat(mask[..., None] * 255, 3, axis=2)
    small = scale_mask(mask, scale)
    assert small.shape == scale_image(image, scale).shape[:2]
    assert (small == (scale_image(image, scale)[..., 0] > 127)).mean() > 0.97
    assert small.mean() == pytest.approx(mask.mean(), rel=0.1)


def test_what_is_not_scaled_is_left_alone() -> None:
    image = np.zeros((5, 4, 3), np.uint8)
    assert scale_image(image, 1.0) is image
    assert scale_mask(image[..., 0], 1.0).base is image
