"""The pictures in what MLflow hands over: arrays, files, texts, lists of them, tables, in all forms of JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.errors import DataError
from segsweep.files import decode_image

__all__ = ["COLUMN", "decoded", "pictures_in"]

COLUMN = "image"
"""The column of a table, or the key of a record, that holds pictures."""

_BYTES_A_PIXEL = 8
_HEADER = 2**20
"""A text that stands for more bytes than these is refused before it is decoded."""


def pictures_in(given: Any) -> tuple[list[Any], bool]:
    """Single pictures, each an array or list HxWx3, bytes of a file, or a text; and whether there was just one.

    Args:
        given: One picture; a list or an array of them; a table, records, or a mapping, with pictures as `image`.

    Raises:
        DataError: There is no column or key `image`, or nothing that could be a picture.
    """
    if _is_one(given):
        return [_plain(given)], True
    if hasattr(given, "columns") or isinstance(given, Mapping):
        return _column(given)
    if isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim > 0):
        found = []
        for item in given:
            found += _column(item)[0] if isinstance(item, Mapping) else [_plain(item)]
        return found, False
    raise DataError(f"the input is no picture, no list of pictures and no table of them, but {_kind(given)}")


def decoded(picture: Any, most_pixels: int) -> NDArray[np.uint8]:
    """A picture as uint8 RGB HxWx3.

    Args:
        picture: What `pictures_in` found.
        most_pixels: Larger ones are refused, encoded ones before memory is taken.

    Raises:
        DataError: It cannot be read, is too large, or has another shape or type.
    """
    if isinstance(picture, str):
        picture = _from_base64(picture, most_pixels)
    if isinstance(picture, bytes):
        return decode_image(picture, "the file", most_pixels)
    if not isinstance(picture, np.ndarray | list | tuple):
        raise DataError(f"must be an array, or a PNG or JPEG file in base64, not {_kind(picture)}")
    try:
        image = np.asarray(picture)
    except ValueError as error:
        raise DataError("its rows are not of one length") from error
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(f"must be HxWx3 RGB, not of shape {'x'.join(map(str, image.shape)) or 'of a number'}")
    if image.shape[0] * image.shape[1] > most_pixels:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise DataError(f"{size} pixels are more than the {most_pixels} that are allowed")
    if not np.issubdtype(image.dtype, np.integer) or image.min() < 0 or image.max() > 255:
        raise DataError(f"must hold whole numbers from 0 to 255 (uint8), not {image.dtype}")
    return np.ascontiguousarray(image, dtype=np.uint8)


def _is_one(given: Any) -> bool:
    if isinstance(given, np.ndarray):
        return given.ndim == 3 or (given.ndim == 0 and isinstance(given.item(), str | bytes))
    return isinstance(given, str | bytes) or _depth(given) == 3


def _depth(given: Any) -> int:
    """How deep lists are nested: rows of pixels, as JSON has a picture, are three deep."""
    return 1 + _depth(given[0]) if isinstance(given, list) and given else 0


def _column(table: Any) -> tuple[list[Any], bool]:
    """The pictures of a table, of a mapping with one column, or of one record."""
    if COLUMN not in table:
        names = ", ".join(map(str, table)) or "none"
        raise DataError(f"there is no column or key {COLUMN!r}; there is {names}")
    column = table[COLUMN]
    if hasattr(column, "tolist") and not isinstance(column, np.ndarray):
        return [_plain(item) for item in column], False
    return pictures_in(column)


def _plain(item: Any) -> Any:
    """MLflow's arrays of one text as the text."""
    return item.item() if isinstance(item, np.ndarray | np.generic) and item.ndim == 0 else item


def _from_base64(text: str, most_pixels: int) -> bytes:
    most = 4 * (_BYTES_A_PIXEL * most_pixels + _HEADER) // 3
    if len(text) > most:
        raise DataError(f"its {len(text)} characters are more than the {most} that are allowed")
    head, comma, _ = text[:100].partition(",")
    start = len(head) + 1 if comma and head.startswith("data:") else 0  # as browsers name a picture
    try:
        return base64.b64decode("".join(text[start:].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"is no base64: {error}") from error


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return type(value).__name__
