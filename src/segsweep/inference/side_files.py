"""Probability maps beside the images: 16-bit grey PNG files, written rows after rows."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segsweep.inference.placement import Box

__all__ = ["GreyPng", "ProbabilityFiles", "to_levels"]

Levels = NDArray[np.uint16]

_CERTAIN = 65535
_BAND = 1024
_UP = 2  # the PNG filter that stores differences to the row above


def to_levels(found: NDArray[np.float32]) -> Levels:
    """Probabilities as uint16, 65535 being 1."""
    return (found * np.float32(_CERTAIN) + np.float32(0.5)).astype(np.uint16)


class GreyPng:
    """Writes a 16-bit grey PNG as its rows come in, so that no large picture need be held.

    Args:
        path: The file; its folder is made.
        width: Pixels of a row.
        height: Number of rows that will come.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._above = np.zeros((1, 2 * width), np.uint8)
        # runs are what differences of probabilities are full of: finding those alone halves the time, at equal size
        self._packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
        self._file.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._chunk(b"IDAT", self._packer.flush())
                self._chunk(b"IEND", b"")

    def write(self, rows: Levels) -> None:
        """Adds rows, uint16 hxW."""
        values = rows.astype(">u2").view(np.uint8)
        lines = np.empty((len(values), 1 + values.shape[1]), np.uint8)
        lines[:, 0] = _UP
        np.subtract(values[:1], self._above, out=lines[:1, 1:])
        np.subtract(values[1:], values[:-1], out=lines[1:, 1:])
        self._above = values[-1:]
        packed = self._packer.compress(lines.data)
        if packed:
            self._chunk(b"IDAT", packed)

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._file.write(struct.pack(">I", len(data)) + kind)
        self._file.write(data)
        self._file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


class ProbabilityFiles:
    """A picture's probability maps, one file a class; where nothing was predicted they are 0.

    Args:
        paths: One for each class.
        width: Of the picture.
        height: Of the picture.
        in_order: Whether parts come from above to below and without overlap, and need not be held. Else the later
            part covers the earlier one.
    """

    def __init__(self, paths: Sequence[Path], width: int, height: int, *, in_order: bool) -> None:
        self._size = width, height
        self._parts: list[tuple[Box, Levels]] = []
        self._in_order = in_order
        self._written = 0
        self._stack = ExitStack()
        self._files = [self._stack.enter_context(GreyPng(path, width, height)) for path in paths]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is None:
                self._write_until(self._size[1])

    def add(self, box: Box, levels: Levels) -> None:
        """Takes a part: where it lies, and its values, uint16 C×h×w."""
        self._parts.append((box, levels))
        if self._in_order:
            self._write_until(box.bottom)
            self._parts.clear()

    def _write_until(self, end: int) -> None:
        width = self._size[0]
        for top in range(self._written, end, _BAND):
            bottom = min(top + _BAND, end)
            band = np.zeros((len(self._files), bottom - top, width), np.uint16)
            for box, levels in self._parts:
                first, last = max(top, box.top), min(bottom, box.bottom)
                if first < last:
                    rows = levels[:, first - box.top : last - box.top]
                    band[:, first - top : last - top, box.left : box.right] = rows
            for file, rows in zip(self._files, band, strict=True):
                file.write(rows)
        self._written = max(self._written, end)
