"""Downloads from a real server on loopback: checked, bounded, whole or not at all."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from segsweep.annotation import Project
from segsweep.datasets import check_source, make_projects
from segsweep.download import fetch, unpack
from segsweep.errors import DataError, InvalidRequestError, Problems
from segsweep.files import digest_bytes
from segsweep.reporting import SILENT


def encoded(extension: str, image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(extension, image)[1])


@pytest.fixture(scope="module")
def archive() -> bytes:
    """An archive like the published one, with small pictures of five children and some files that are not asked for."""
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in [f"Image_{child:02d}{eye}" for child in range(1, 6) for eye in "LR"]:
            file.writestr(f"{name}.jpg", encoded(".jpg", rng.integers(0, 255, (40, 50, 3), np.uint8)))
            for suffix in ("1stHO", "2ndHO"):
                mask = (rng.random((40, 50)) > 0.9).astype(np.uint8) * 255
                file.writestr(f"{name}_{suffix}.png", encoded(".png", mask))
        file.writestr("../../evil.jpg", b"out")
        file.writestr("readme.txt", b"hello")
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `files`; of the path `/broken` it sends one half and hangs up."""

    files: dict[str, bytes]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        if name not in self.server.files:
            self.send_error(404)
            return
        data = self.server.files[name]
        self.send_response(200)
        if name != "endless":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if name == "broken" else data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(archive: bytes) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Handler)
    server.files = {"CHASEDB1.zip": archive, "broken": archive, "endless": b"x" * 100_000, "text": b"no archive"}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_with_the_right_digest_becomes_projects(address: str, archive: bytes, tmp_path: Path) -> None:
    settings = {
        "root": str(tmp_path / "chase"),
        "download": True,
        "url": f"{address}/CHASEDB1.zip",
        "sha256": digest_bytes(archive).upper(),
    }
    made = make_projects("chase_db1", settings, lambda name, _: tmp_path / "projects" / name)
    assert [len(Project.open(path).items) for path in made.paths.values()] == [6, 2, 2]
    assert len(list((tmp_path / "chase").iterdir())) == 30
    assert not (tmp_path / "evil.jpg").exists()
    # the second time nothing is fetched
    settings["url"] = f"{address}/gone"
    assert make_projects("chase_db1", settings, lambda name, _: tmp_path / "projects" / name) == made


def test_a_download_with_the_wrong_digest_leaves_nothing(address: str, tmp_path: Path) -> None:
    settings = {
        "root": str(tmp_path / "chase"),
        "download": True,
        "url": f"{address}/CHASEDB1.zip",
        "sha256": "0" * 64,
    }
    with pytest.raises(DataError, match="its SHA-256 is"):
        make_projects("chase_db1", settings, lambda name, _: tmp_path / "projects" / name)
    assert not list(tmp_path.iterdir())


def test_a_download_without_a_digest_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    problems = Problems()
    check_source("chase_db1", {"root": str(tmp_path / "chase"), "download": True}, problems)
    [problem] = problems.found
    assert problem.where == "data.sha256"
    assert "the publisher names no digest" in problem.what


def test_a_download_does_not_touch_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    problems = Problems()
    check_source("chase_db1", {"root": str(tmp_path), "download": True, "sha256": "0" * 64}, problems)
    assert [problem.where for problem in problems.found] == ["data.root"]


def test_an_archive_with_too_few_images_is_told(address: str, archive: bytes, tmp_path: Path) -> None:
    settings = {
        "root": str(tmp_path / "chase"),
        "download": True,
        "url": f"{address}/CHASEDB1.zip",
        "sha256": digest_bytes(archive),
        "train_images": 20,
    }
    with pytest.raises(InvalidRequestError, match="more than the 10 images"):
        make_projects("chase_db1", settings, lambda name, _: tmp_path / "projects" / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "broke off after|IncompleteRead|cannot be fetched"),
        ("absent", "answers 404"),
        ("endless", "is longer than the 50000 bytes"),
    ],
)
def test_transfers_that_fail_say_how(address: str, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fetch(f"{address}/{name}", sha256="0" * 64, most_bytes=50_000, reporter=SILENT)


def test_a_server_that_is_not_there_and_other_schemes_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch("http://127.0.0.1:9/x.zip", sha256="0" * 64, most_bytes=10, reporter=SILENT)
    with pytest.raises(DataError, match="only http"):
        fetch("file:///etc/passwd", sha256="0" * 64, most_bytes=10, reporter=SILENT)


def zipped(files: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files:
            file.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no archive", "damaged"),
        (zipped([("a.jpg", b"x" * 5000)]), "more than the 1000 bytes"),
        (zipped([("a.jpg", b"x"), ("b/a.jpg", b"y")]), "twice"),
        (zipped([("readme.txt", b"x")]), "none of the expected"),
        (zipped([("a.jpg", bytes(900))]).replace(b"PK\x01\x02", b"PK\x01\x03"), "damaged"),
    ],
)
def test_bad_archives_leave_nothing(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        unpack(data, tmp_path / "out", wanted=lambda name: name.endswith(".jpg"), most_bytes=1000)
    assert not list(tmp_path.iterdir())
