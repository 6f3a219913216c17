"""Files: atomic writes, safe names, pictures as people see them."""

from __future__ import annotations

import io
import json
import shutil
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segsweep import files
from segsweep.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT.parent / "shared" / "data" / "images"
PNGS = sorted((IMAGES / "pngsuite").rglob("*.png"))
EXIF = sorted((IMAGES / "exif_orientation").glob("*.jpg"))


@pytest.mark.parametrize("path", [path for path in PNGS if not path.name.startswith("x")], ids=lambda path: path.stem)
def test_every_kind_of_png_is_read(path: Path) -> None:
    pixels = files.read_image(path)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert files.image_size(path) == pixels.shape[1::-1]


@pytest.mark.parametrize("path", [path for path in PNGS if path.name.startswith("x")], ids=lambda path: path.stem)
def test_corrupt_png_is_refused_by_name(path: Path) -> None:
    with pytest.raises(DataError) as raised:
        files.read_image(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("path", EXIF, ids=lambda path: path.stem)
def test_pictures_stand_upright(path: Path) -> None:
    pixels = files.read_image(path)
    upright = files.read_image(path.with_name(path.stem.split("_")[0] + "_1.jpg"))
    assert files.image_size(path) == pixels.shape[1::-1]
    if not path.stem.endswith("_0"):  # 0 is no orientation
        assert pixels.shape == upright.shape
        assert np.abs(pixels.astype(int) - upright.astype(int)).mean() < 12


def test_sixteen_bits_grey_and_alpha_become_eight_bit_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((2, 3), 0x8000, dtype=np.uint16))
    assert np.abs(files.read_image(tmp_path / "deep.png").astype(int) - 128).max() <= 1
    Image.new("LA", (3, 2), (77, 0)).save(tmp_path / "alpha.png")
    assert (files.read_image(tmp_path / "alpha.png") == 77).all()


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"not a picture"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for read in (files.read_image, files.image_size, files.read_mask):
        with pytest.raises(DataError, match=r"a\.png"):
            read(path)
    with pytest.raises(DataError, match="no such file"):
        files.read_image(tmp_path / "none.png")


def test_a_picture_too_large_is_refused_by_its_header(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(buffer, "PNG")
    png = bytearray(buffer.getvalue())
    png[16:24] = (100_000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(png)
    with pytest.raises(DataError, match="100000x100000"):
        files.read_image(tmp_path / "bomb.png")


def test_masks_keep_their_values(tmp_path: Path) -> None:
    values = np.array([[0, 1, 200], [7, 7, 255]], dtype=np.uint8)
    files.write_image(tmp_path / "grey.png", values)
    assert np.array_equal(files.read_mask(tmp_path / "grey.png"), values)
    Image.fromarray(values > 6).save(tmp_path / "bits.png")
    assert np.array_equal(files.read_mask(tmp_path / "bits.png"), (values > 6) * np.uint8(255))


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_pictures_come_back(tmp_path: Path, extension: str) -> None:
    pixels = np.zeros((40, 50, 3), dtype=np.uint8)
    pixels[:, 25:] = (200, 100, 30)
    files.write_image(tmp_path / f"a{extension}", pixels)
    difference = np.abs(files.read_image(tmp_path / f"a{extension}").astype(int) - pixels)
    assert difference.max() == 0 if extension == ".png" else difference.mean() < 3


def test_a_failed_directory_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), files.atomic_directory(tmp_path / "d") as aside:
        aside.write_text("a part that fails")
    assert not list(tmp_path.iterdir())


def test_an_existing_directory_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "mine").write_text("x")
    with pytest.raises(FileExistsError), files.atomic_directory(tmp_path / "d"):
        pass
    with pytest.raises(FileExistsError), files.atomic_directory(tmp_path / "new"):
        shutil.copytree(tmp_path / "d", tmp_path / "new")  # someone else was quicker
    assert (tmp_path / "d" / "mine").read_text() == "x"
    assert (tmp_path / "new" / "mine").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "new"]


def test_written_files_replace_old_ones_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    files.write_json(path, {"ä": 1})
    files.write_json(path, {"b": 2})
    assert files.read_json(path) == {"b": 2}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]
    assert path.stat().st_mode & 0o400


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "is no JSON"),
        (b"\xff", "is no UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "too many digits"),
        (None, "cannot be read"),
    ],
)
def test_broken_json_is_told_with_its_file(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        files.read_json(path)


@given(st.text(max_size=20))
def test_a_checked_name_is_one_harmless_component(name: str) -> None:
    try:
        checked = files.check_name(name)
    except DataError:
        return
    assert checked == name and Path(name).name == name and name not in {".", ".."}


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=4))
def test_digest_of_json_ignores_the_order_of_keys(value: dict[str, int]) -> None:
    shuffled = dict(reversed(value.items()))
    assert files.digest_json(shuffled) == files.digest_json(json.loads(json.dumps(value)))


def test_digest_of_files_follows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    paths = [tmp_path / "a", tmp_path / "b"]
    first = files.digest_files(tmp_path, paths)
    assert files.digest_files(tmp_path, paths[::-1]) == first
    (tmp_path / "b").write_text("3")
    assert files.digest_files(tmp_path, paths) != first
