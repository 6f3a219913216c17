"""Masks as text, from people who may mean harm."""

from __future__ import annotations

import base64
import io
import resource
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from segsweep.annotation.bitmap_codec import decode_bitmap, encode_bitmap
from segsweep.errors import DataError
from segsweep.files import read_json


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


def chunk(kind: bytes, data: bytes, damaged: bool = False) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ damaged)


@st.composite
def pngs(draw: st.DrawFn) -> bytes:
    """PNGs near the form that we write: another depth, palette, transparency, filter, number of chunks, or damage."""

    def mostly(usual: Any, *others: Any) -> Any:
        return draw(st.sampled_from([usual] * 2 * len(others) + list(others)))

    height, width = draw(st.tuples(st.integers(1, 6), st.integers(1, 20)))
    depth, color = mostly(1, 2, 4, 8), mostly(3, 0)
    rows = draw(arrays.arrays(np.uint8, (height, 1 + -(-width * depth // 8))))
    rows[:, 0] = mostly(0, 1, 2, 3, 4, 9)
    raw = rows.tobytes()
    raw = mostly(raw, raw[:-1], raw + b"a")
    data = zlib.compress(raw, draw(st.sampled_from([0, 1, 9])))
    data = mostly(data, data[:-1], data[:-5], data + b"more", b"\0" + data)
    cut = draw(st.integers(0, len(data)))
    entries = mostly(2, 1) if depth == 1 else 2**depth
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)),
        *([(b"PLTE", bytes(range(3 * entries)))] if color == 3 and entries <= 85 else []),
        *mostly([(b"tRNS", b"\0")], [(b"tRNS", b"\0\0")], [(b"tRNS", b"\7\0")], []),
        *mostly([], [(b"tEXt", b"a\0b")]),
        *mostly([(b"IDAT", data)], [(b"IDAT", data[:cut]), (b"IDAT", data[cut:])]),
        *mostly([(b"IEND", b"")], [], [(b"IEND", b""), (b"more", b"")]),
    ]
    damaged = mostly(b"", b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content, kind == damaged) for kind, content in chunks)


def as_opencv_reads(png: bytes) -> np.ndarray | None:
    pixels = cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or (pixels.ndim == 3 and pixels.shape[2] == 3):
        return None
    return pixels > 0 if pixels.ndim == 2 else pixels[:, :, 3] > 0


@given(pngs())
def test_all_forms_of_png_are_read_as_opencv_reads_them(png: bytes) -> None:
    try:
        mask = decode_bitmap(base64.b64encode(zlib.compress(png)).decode(), 1000)
    except DataError:
        mask = None
    expected = as_opencv_reads(png)
    assert (mask is None) == (expected is None)
    assert mask is None or np.array_equal(mask, expected)


def test_recorded_masks_are_read_as_opencv_reads_them(shared: Path) -> None:
    seen = 0
    for path in sorted((shared / "golden" / "dtl" / "projects").glob("*/*/ann/*.json")):
        for item in read_json(path)["objects"]:
            data = (item.get("bitmap") or {}).get("data")
            if data:
                expected = as_opencv_reads(zlib.decompress(base64.b64decode(data)))
                assert np.array_equal(decode_bitmap(data, 1 << 16), expected)
                seen += 1
    assert seen > 10


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
