"""The files of a Pascal VOC data set: lists of images, and annotations in XML."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from segsweep.annotation import Rectangle
from segsweep.errors import DataError

__all__ = ["FLAGS", "VocObject", "VocXml", "read_ids", "read_text", "read_xml"]

FLAGS = ("difficult", "truncated", "occluded")
"""What an object of an XML may be, beside its box."""

_MOST_BYTES = 16 << 20
_MOST_DEPTH = 20
_MOST_COORDINATE = 1e7


@dataclass(frozen=True)
class VocObject:
    """An object of an XML: its class, its box (continuous coordinates), and which of `FLAGS` are set."""

    title: str
    box: Rectangle
    flags: tuple[str, ...]


@dataclass(frozen=True)
class VocXml:
    """What an XML says: the image's (width, height), if it does, and the objects."""

    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]


def read_ids(path: Path) -> list[str]:
    """The ids of a list of images, one a line.

    Raises:
        DataError: The file cannot be read, is no text or empty.
    """
    ids = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not ids:
        raise DataError(f"{path}: names no image")
    return ids


def read_text(path: Path) -> str:
    """Reads a text.

    Raises:
        DataError: The file cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text (byte {error.start})") from error


def read_xml(path: Path) -> VocXml:
    """Reads an annotation. Files with a document type, which could define entities, are refused.

    Raises:
        DataError: The file is missing, too large or no XML, or an object lacks a name or a box.
    """
    root = _parse(path)
    size = root.find("size")
    width, height = (_number(size, key) for key in ("width", "height")) if size is not None else (None, None)
    objects: list[VocObject] = []
    wrong: list[str] = []
    for index, item in enumerate(root.findall("object")):
        name, box = (item.findtext("name") or "").strip(), _box(item.find("bndbox"))
        if not name or box is None:
            wrong.append(f"{path}: object {index} should have a name and a bndbox of xmin, ymin, xmax and ymax")
        else:
            flags = tuple(flag for flag in FLAGS if (item.findtext(flag) or "").strip() == "1")
            objects.append(VocObject(name, box, flags))
    if wrong:
        raise DataError("\n".join(wrong))
    return VocXml((int(width), int(height)) if width and height else None, tuple(objects))


def _parse(path: Path) -> Element:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: is larger than the {_MOST_BYTES} bytes that are allowed")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    builder, depth = TreeBuilder(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MOST_DEPTH:
            raise DataError(f"{path}: is nested too deeply")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: Any) -> None:
        raise DataError(f"{path}: has a document type, which annotations do not need; remove it")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise DataError(f"{path}: is no XML: {error}") from error
    return builder.close()


def _number(parent: Element, key: str) -> float | None:
    try:
        value = float(parent.findtext(key) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= _MOST_COORDINATE else None


def _box(item: Element | None) -> Rectangle | None:
    """A box in continuous coordinates; VOC counts pixels from 1 and names the last one inside."""
    if item is None:
        return None
    left, top, right, bottom = (_number(item, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    if left is None or top is None or right is None or bottom is None:
        return None
    return Rectangle(left - 1, top - 1, right, bottom)
