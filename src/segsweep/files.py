"""Files as they should be handled everywhere: atomic writes, safe names, bounded images.

Images are uint8 RGB arrays of shape HxWx3. They are read as people see them: EXIF orientation applied, grey
replicated, alpha dropped, 16 bits scaled to 8.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import platform
import re
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from segsweep.errors import DataError

__all__ = [
    "IMAGE_EXTENSIONS",
    "MAX_IMAGE_PIXELS",
    "atomic_directory",
    "check_name",
    "decode_image",
    "digest_bytes",
    "digest_files",
    "digest_json",
    "encode_image",
    "image_size",
    "read_image",
    "read_json",
    "read_mask",
    "replace_directory",
    "write_bytes",
    "write_image",
    "write_json",
]

IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".mpo", ".bmp", ".png", ".webp", ".tif", ".tiff", ".gif"})
MAX_IMAGE_PIXELS = 2**30
"""Images with more pixels are refused before memory is taken (a 20,000 x 20,000 image has 4e8)."""

Image.MAX_IMAGE_PIXELS = None  # our own bound is checked on every header; Pillow's would only warn

_ROWS = 1024
_EXIF_ORIENTATION = 0x0112
_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f]")
_UMASK = os.umask(0)
os.umask(_UMASK)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file so that a reader, or a crash, sees the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_UMASK)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes JSON (UTF-8, two spaces) atomically."""
    write_bytes(path, (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        DataError: The file is missing, is no UTF-8 or no JSON; the message names the file and the place in it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise DataError(f"{path}: is nested too deeply") from error
    except ValueError as error:
        raise DataError(f"{path}: holds a number of too many digits") from error


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Builds a directory aside and puts it at `path` when the block ends well; else leaves nothing.

    A process that is killed leaves a hidden directory, which the next one that builds the same path removes.

    Raises:
        FileExistsError: `path` exists and is not an empty directory, also when it came to be meanwhile.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} exists already")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(path)
    prefix = f".{path.name[:80]}.{_owner(os.getpid())}."
    aside = Path(tempfile.mkdtemp(prefix=prefix, suffix=".partial", dir=path.parent))
    try:
        aside.chmod(0o777 & ~_UMASK)
        yield aside
        try:
            aside.rename(path)
        except OSError as error:
            raise FileExistsError(f"{path} exists already") from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _owner(pid: int) -> str:
    return f"{re.sub(r'[^A-Za-z0-9-]', '-', platform.node())}-{pid}"


def _remove_orphans(path: Path) -> None:
    """Removes what processes of this machine left that were killed while they built `path`."""
    for found in path.parent.glob(f".{glob.escape(path.name[:80])}.*.partial"):
        owner = found.name.removesuffix(".partial").rpartition(".")[0].rpartition(".")[2]
        pid = owner.rpartition("-")[2]
        if pid.isdigit() and owner == _owner(int(pid)) and not psutil.pid_exists(int(pid)):
            shutil.rmtree(found, ignore_errors=True)


def replace_directory(old: Path, new: Path) -> None:
    """Puts the finished directory `new` in the place of `old`, which is removed; both are of one file system."""
    with tempfile.TemporaryDirectory(prefix=f".{old.name[:80]}.", dir=old.parent) as aside:
        old.rename(Path(aside) / old.name)
        new.rename(old)


def check_name(name: str, what: str = "name") -> str:
    """Returns `name` if it can be used as one path component, whatever file it came from.

    Raises:
        DataError: It is empty, `.` or `..`, too long, or holds a separator or a control character.
    """
    bad = not name or name in {".", ".."} or len(name.encode()) > 240 or _NOT_IN_NAMES.search(name)
    if bad:
        raise DataError(f"{what} {name!r} cannot be used as a file name: no separators, control characters, '..'")
    return name


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as `read_image` would return it; reads the header only.

    Raises:
        DataError: No image, or more than `MAX_IMAGE_PIXELS` pixels.
    """
    with _open_header(path) as image:
        width, height = image.size
        return (height, width) if _swaps_sides(image) else (width, height)


def _swaps_sides(image: Image.Image) -> bool:
    if image.format == "PNG" and "exif" not in image.info:
        return False  # Pillow would decode the whole file in search of it
    return image.getexif().get(_EXIF_ORIENTATION, 1) in {5, 6, 7, 8}


@contextmanager
def _open_header(path: Path) -> Iterator[Image.Image]:
    with _opened(path, str(path), MAX_IMAGE_PIXELS) as image:
        yield image


@contextmanager
def _opened(source: Path | io.BytesIO, name: str, most_pixels: int) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(source)
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: is no image that can be read") from error
    except Exception as error:
        raise DataError(f"{name}: is no image that can be read ({error})") from error
    with image:
        width, height = image.size
        if width * height > most_pixels:
            raise DataError(f"{name}: {width}x{height} pixels are more than the {most_pixels} that are allowed")
        yield image


def read_image(path: Path) -> NDArray[np.uint8]:
    """Reads an image as uint8 RGB, HxWx3.

    Raises:
        DataError: The file is missing, damaged, no image, or too large.
    """
    image_size(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str, most_pixels: int = MAX_IMAGE_PIXELS) -> NDArray[np.uint8]:
    """Decodes the content of an image file as `read_image` does.

    Args:
        data: The content.
        name: What it is called in messages.
        most_pixels: A larger image is refused before memory is taken.

    Raises:
        DataError: It is damaged, no image, or too large.
    """
    with _opened(io.BytesIO(data), name, most_pixels):
        pass
    _check_whole(name, data)
    decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if decoded is not None:
        for top in range(0, len(decoded), _ROWS):  # in place: a large image should not be in memory twice
            rows = decoded[top : top + _ROWS]
            rows[:] = cv2.cvtColor(rows, cv2.COLOR_BGR2RGB)
        return np.asarray(decoded, dtype=np.uint8)
    with _opened(io.BytesIO(data), name, most_pixels) as image:  # what OpenCV cannot read (GIF in some builds)
        try:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
        except Exception as error:
            raise DataError(f"{name}: is damaged: {error}") from error


def _check_whole(name: str, data: bytes) -> None:
    """Refuses PNG and JPEG files that OpenCV would fill up with whatever it could read of them."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        at, kind = 8, b""
        while at + 12 <= len(data) and kind != b"IEND":
            length = int.from_bytes(data[at : at + 4], "big")
            kind, end = data[at + 4 : at + 8], at + 8 + length
            if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                raise DataError(f"{name}: is damaged: the checksum of a part does not fit")
            at = end + 4
        if kind != b"IEND":
            raise DataError(f"{name}: is damaged: its end is missing")
    elif data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise DataError(f"{name}: is damaged: its end is missing")  # no end of image after the last start of a scan


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Reads a picture of labels without interpolating colours: uint8, HxW for indexed or grey files, else HxWx3 RGB.

    Palette files give their palette's colours (HxWx3); 1-bit files give 0 and 255.

    Raises:
        DataError: As `read_image`.
    """
    with _open_header(path) as image:
        try:
            plain = image.convert("RGB") if image.mode in {"P", "RGBA", "CMYK", "LA", "PA"} else image
            plain = plain.convert("L") if plain.mode == "1" else plain
            if plain.mode not in {"L", "RGB"}:
                raise DataError(f"{path}: masks of {plain.mode} pixels are not supported; use 8 bits")
            return np.array(plain)
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{path}: is damaged: {error}") from error


def encode_image(image: NDArray[np.uint8], extension: str = ".png") -> bytes:
    """Encodes a uint8 picture (HxW grey or HxWx3 RGB) as `.png` or `.jpg` (quality 95); also uint16 grey as `.png`."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, data = cv2.imencode(extension, pixels)
    if not done:
        raise DataError(f"a picture of shape {image.shape} cannot be encoded as {extension}")
    return bytes(data)


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes a picture in the format that the extension of `path` names, atomically."""
    write_bytes(path, encode_image(image, path.suffix.lower()))


def digest_bytes(data: bytes) -> str:
    """SHA-256 of bytes, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of keys."""
    return digest_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode())


def digest_files(root: Path, paths: Iterator[Path] | list[Path]) -> str:
    """SHA-256 over the relative names and contents of files, independent of their order."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
