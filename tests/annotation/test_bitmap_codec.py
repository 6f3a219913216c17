"""Masks as text, from people who may mean harm."""

from __future__ import annotations

import base64
import io
import resource
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from segsweep.annotation.bitmap_codec import decode_bitmap, encode_bitmap
from segsweep.errors import DataError


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_masks_come_back(mask: np.ndarray) -> None:
    assert np.array_equal(decode_bitmap(encode_bitmap(mask), mask.size), mask)
    assert np.array_equal(decode_bitmap(encode_bitmap(mask[::-1, ::-1]), mask.size), mask[::-1, ::-1])


def packed(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(zlib.compress(buffer.getvalue())).decode()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA"])
def test_other_kinds_of_png_are_read(mode: str) -> None:
    mask = np.array([[True, False, True], [False, False, True]])
    image = Image.fromarray((mask * 255).astype(np.uint8))
    if mode in {"LA", "RGBA"}:
        image = Image.merge("LA", (Image.new("L", image.size, 9), image)).convert(mode)
    assert np.array_equal(decode_bitmap(packed(image.convert(mode)), 6), mask)


def test_the_platforms_own_form_is_written() -> None:
    png = zlib.decompress(base64.b64decode(encode_bitmap(np.array([[True, False]]))))
    image = Image.open(io.BytesIO(png))
    assert image.mode == "P" and image.getpalette()[:6] == [0, 0, 0, 255, 255, 255]
    assert image.info["transparency"] == 0 or image.info["transparency"] == b"\x00"


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(1 << 28), 9)).decode()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="inflates to more than"):
        decode_bitmap(bomb, 100 * 100)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_a_picture_larger_than_its_image_is_refused_by_its_header() -> None:
    with pytest.raises(DataError, match="1000x1000 pixels"):
        decode_bitmap(packed(Image.new("1", (1000, 1000))), 100)


@pytest.mark.parametrize(
    "text",
    ["", "!!", "AAAA", base64.b64encode(zlib.compress(b"no picture")).decode(), packed(Image.new("RGB", (2, 2)))],
)
def test_what_holds_no_mask_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        decode_bitmap(text, 100)


@given(st.binary(max_size=60), st.integers(0, 80))
def test_damage_is_an_error_of_ours_or_a_mask(noise: bytes, place: int) -> None:
    raw = bytearray(base64.b64decode(encode_bitmap(np.ones((3, 5), dtype=np.bool_))))
    raw[place : place + len(noise)] = noise
    try:
        mask = decode_bitmap(base64.b64encode(bytes(raw)).decode(), 15)
    except DataError:
        return
    assert mask.size <= 15
