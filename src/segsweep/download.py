"""Fetching a file whose digest is known, and unpacking archives safely.

Nothing appears under its own name before the digest has been checked.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from segsweep.errors import DataError
from segsweep.files import atomic_directory, digest_bytes, write_bytes
from segsweep.reporting import Reporter

__all__ = ["fetch", "fetch_file", "unpack"]

_CHUNK = 1 << 16
_TIMEOUT = 30  # seconds without an answer


def fetch(url: str, *, sha256: str, most_bytes: int, reporter: Reporter) -> bytes:
    """Fetches a file of at most `most_bytes` into memory.

    Args:
        url: An http or https address.
        sha256: What the file's SHA-256 must be, hexadecimal.
        most_bytes: A longer file is refused.
        reporter: Hears of the progress, in bytes.

    Raises:
        DataError: The server cannot be reached or answers with an error, the transfer breaks off, the file is too
            long, or its digest is another.
    """
    data = b"".join(_chunks(url, most_bytes, reporter))
    _check_digest(url, digest_bytes(data), sha256)
    return data


def fetch_file(url: str, path: Path, *, sha256: str, most_bytes: int, reporter: Reporter) -> str:
    """Fetches a file to `path`, which it replaces; takes no memory.

    Args:
        url: As for `fetch`.
        path: Where to; its folder is made when missing.
        sha256: What the file's SHA-256 must be or begin with, hexadecimal.
        most_bytes: As for `fetch`.
        reporter: As for `fetch`.

    Returns:
        The whole SHA-256, hexadecimal.

    Raises:
        DataError: As `fetch`; or the file cannot be written. `path` is as it was.
    """
    digest = hashlib.sha256()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name[:80]}.", dir=path.parent) as aside:
            partial = Path(aside) / path.name
            with partial.open("wb") as file:
                for chunk in _chunks(url, most_bytes, reporter):
                    digest.update(chunk)
                    file.write(chunk)
            _check_digest(url, digest.hexdigest()[: len(sha256)], sha256)
            partial.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error
    return digest.hexdigest()


def _check_digest(url: str, found: str, expected: str) -> None:
    if found != expected.lower():
        raise DataError(f"{url}: its SHA-256 is {found}, expected {expected.lower()}; nothing was kept")


def _chunks(url: str, most_bytes: int, reporter: Reporter) -> Iterator[bytes]:
    """The content of a file on a server, piece by piece."""
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url}: only http and https addresses are fetched")
    request = urllib.request.Request(url, headers={"User-Agent": "segsweep"})  # noqa: S310 - the scheme is checked
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            yield from _read(answer, url, most_bytes, reporter)
    except urllib.error.HTTPError as error:
        raise DataError(f"{url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url}: cannot be fetched: {error}") from error


def _read(answer: http.client.HTTPResponse, url: str, most_bytes: int, reporter: Reporter) -> Iterator[bytes]:
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    too_long = f"{url}: is longer than the {most_bytes} bytes that are allowed"
    if total is not None and total > most_bytes:
        raise DataError(too_long)
    done = 0
    with reporter.progress(f"fetching {url.rsplit('/', 1)[-1]}", total, "B") as advance:
        while chunk := answer.read(_CHUNK):
            done += len(chunk)
            if done > most_bytes:
                raise DataError(too_long)
            advance(len(chunk))
            yield chunk
    if total is not None and done < total:
        raise DataError(f"{url}: the transfer broke off after {done} of {total} bytes; try again")


def unpack(archive: bytes, folder: Path, *, wanted: Callable[[str], bool], most_bytes: int) -> int:
    """Unpacks the wanted files of a zip archive into a new folder, flat; the folder appears whole or not at all.

    Args:
        archive: The zip archive.
        folder: Where to; must not exist, or be empty.
        wanted: Says by its last component whether a file is unpacked. It must accept plain file names only.
        most_bytes: Bound on what the wanted files may take together, unpacked.

    Returns:
        How many files were unpacked.

    Raises:
        DataError: The archive is damaged, too large, holds a wanted name twice or none at all.
        FileExistsError: `folder` is there already.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file, atomic_directory(folder) as aside:
            left = most_bytes
            for member in file.infolist():
                name = member.filename.rsplit("/", 1)[-1]
                if member.is_dir() or not wanted(name):
                    continue
                if (aside / name).exists():
                    raise DataError(f"the archive holds {name} twice")
                with file.open(member) as stream:
                    data = stream.read(left + 1)  # the size in the header may lie
                if len(data) > left:
                    raise DataError(f"the archive unpacks to more than the {most_bytes} bytes that are allowed")
                left -= len(data)
                write_bytes(aside / name, data)
            count = len(list(aside.iterdir()))
            if not count:
                raise DataError("the archive holds none of the expected files")
            return count
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(f"the archive is damaged or of an unknown kind: {error}") from error
