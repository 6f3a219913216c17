"""COCO's run lengths, against the reference implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as reference

from segsweep.annotation import Bitmap
from segsweep.datasets.run_lengths import (
    check_runs,
    compress,
    decompress,
    fill_polygons,
    mask_to_runs,
    runs_to_mask,
)
from segsweep.errors import DataError

masks = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))
coordinates = (
    st.floats(-20, 60, width=32) | st.integers(-5, 45).map(float) | st.integers(-50, 450).map(lambda v: v / 10)
)
rings = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=12)


@given(masks)
def test_masks_survive_and_texts_are_those_of_the_reference(mask: np.ndarray) -> None:
    height, width = mask.shape
    runs = mask_to_runs(Bitmap(mask, 0, 0), width, height)
    check_runs(runs, width, height)
    text = compress(runs)
    assert text.encode() == reference.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    assert decompress(text).tolist() == runs.tolist()
    assert np.array_equal(runs_to_mask(runs, width, height), mask)


@given(masks, st.integers(0, 9), st.integers(0, 9))
def test_a_bitmap_is_counted_where_it_lies(mask: np.ndarray, x: int, y: int) -> None:
    whole = np.zeros((60, 70), np.bool_)
    whole[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    assert np.array_equal(mask_to_runs(Bitmap(mask, x, y), 70, 60), mask_to_runs(Bitmap(whole, 0, 0), 70, 60))


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=30))
def test_runs_of_any_length_survive_compression(runs: list[int]) -> None:
    assert decompress(compress(np.array(runs, dtype=np.int64))).tolist() == runs


@given(st.text(max_size=30))
def test_a_text_that_is_none_is_refused_or_has_runs(text: str) -> None:
    try:
        runs = decompress(text)
    except DataError:
        return
    assert len(runs) >= 1


@pytest.mark.parametrize("text", ["", "P", "!!", "é", "oooooooooo0", "01P"])
def test_damaged_texts_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="compressed run lengths"):
        decompress(text)


@pytest.mark.parametrize("runs", [[11], [13], [-1, 13], [6, 7], [2**40, 1], [2**63 - 1, 2**63 - 1, 14]])
def test_runs_that_do_not_cover_their_image_are_refused(runs: list[int]) -> None:
    with pytest.raises(DataError, match="their image has 4x3"):
        check_runs(np.array(runs, dtype=np.int64), 4, 3)


@given(st.lists(rings, min_size=1, max_size=3), st.integers(1, 40), st.integers(1, 40))
def test_polygons_are_filled_as_the_reference_fills_them(
    parts: list[list[tuple[float, float]]], width: int, height: int
) -> None:
    flat = [[value for point in ring for value in point] for ring in parts]
    expected = reference.decode(reference.merge(reference.frPyObjects(flat, height, width)))
    found = fill_polygons([np.array(ring) for ring in parts], width, height)
    assert np.array_equal(found, expected.astype(bool))
