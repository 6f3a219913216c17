"""`chase_db1`: 28 retinas of 14 children with the vessels drawn by two observers.

Fraz et al., "An ensemble classification-based approach applied to retinal blood vessel segmentation", IEEE
Transactions on Biomedical Engineering 59(9), 2012.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segsweep.annotation import ClassMeta, ProjectMeta, ProjectWriter
from segsweep.datasets.source import (
    Content,
    PlannedProject,
    Role,
    Settings,
    Source,
    check_folder,
    check_project_names,
    file_digest,
    mask_annotation,
    whole_image_size,
)
from segsweep.download import fetch, unpack
from segsweep.errors import DataError, Problems
from segsweep.files import encode_image, read_mask
from segsweep.reporting import Reporter, track

__all__ = ["CREDIT", "SOURCE", "ChaseDb1Settings"]

CREDIT = {
    "name": "CHASE_DB1 retinal vessel reference dataset",
    "licence": "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
    "publisher": "Kingston University, London, and St George's, University of London",
    "cite": "Fraz et al., An ensemble classification-based approach applied to retinal blood vessel segmentation, "
    "IEEE Transactions on Biomedical Engineering 59(9), 2538-2548, 2012, doi:10.1109/TBME.2012.2205687; Owen et al., "
    "Measuring retinal vessel tortuosity in 10-year-old children, Investigative Ophthalmology & Visual Science 50(5), "
    "2004-2010, 2009",
    "changes": "images unchanged; masks stored as bitmap objects",
}

_VERSION = 1
_URL = "https://staffnet.kingston.ac.uk/~ku15565/CHASE_DB1/assets/CHASEDB1.zip"
_IMAGE = re.compile(r"Image_(\d\d)([LR])\.jpg")
_PUBLISHED = re.compile(r"Image_\d\d[LR](\.jpg|_1stHO\.png|_2ndHO\.png)")
_MOST_BYTES = 64 << 20  # the published archive has 2.5 MB
_OBSERVERS = {1: ("first_observer", "1stHO"), 2: ("second_observer", "2ndHO")}
_NO_SHA256 = (
    "is needed for a download: the publisher names no digest of the archive, and what is fetched is not used unchecked",
    "give the SHA-256 of an archive that you trust, or fetch it by hand, unpack it and set root",
)


class ChaseDb1Settings(Settings):
    """Settings of `chase_db1`."""

    root: str = Field(
        min_length=1,
        description="the folder of the data set, flat as published (Image_01L.jpg, Image_01L_1stHO.png …) or with the "
        "folders images, first_observer, second_observer and field_of_view",
    )
    project: str = Field("vessels", description="name of the project to train on")
    val_project: str = Field("vessels_val", description="name of the project to validate on")
    test_project: str = Field("vessels_test", description="name of the project to test on: all other images")
    train_images: int = Field(6, ge=1, le=28, description="how many to train on, in the order 01L, 01R, 02L …")
    val_images: int = Field(2, ge=0, le=27, description="how many of the next ones to validate on")
    observer: Literal[1, 2] = Field(1, description="whose masks to take")
    split_eyes: bool = Field(False, description="allow the two eyes of a child on different sides of a split")
    download: bool = Field(False, description="fetch the archive into root when root is not there")
    url: str = Field(_URL, pattern="^https?://", description="where to fetch the archive from")
    sha256: str | None = Field(
        None, pattern="^[0-9a-fA-F]{64}$", description="SHA-256 of the archive, hexadecimal; needed for a download"
    )


@dataclass(frozen=True)
class _Eye:
    """The files of one image; `field` is None where no field of view is given."""

    child: int
    image: Path
    mask: Path
    field: Path | None


def _eyes(root: Path, observer: int) -> list[_Eye]:
    """All images under a root of either layout, sorted; their masks need not exist."""
    split = (root / "images").is_dir()
    folder, suffix = _OBSERVERS[observer]
    images = root / "images" if split else root
    masks = root / folder if split else root
    eyes = []
    for image in sorted(images.iterdir()):
        if match := _IMAGE.fullmatch(image.name):
            fields = [root / "field_of_view" / f"{image.stem}{extension}" for extension in (".gif", ".png")]
            field = next((path for path in fields if path.is_file()), None)
            eyes.append(_Eye(int(match[1]), image, masks / f"{image.stem}_{suffix}.png", field))
    return eyes


def _check(settings: ChaseDb1Settings, problems: Problems, where: str) -> None:
    root = Path(settings.root).expanduser()
    names = {
        "project": settings.project,
        "val_project": settings.val_project if settings.val_images else None,
        "test_project": settings.test_project,
    }
    check_project_names(names, problems, where)
    if _to_fetch(settings):
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            problems.add(f"{where}.root", f"{root} holds other files", "a download needs a folder that is not there")
        if settings.sha256 is None:
            problems.add(f"{where}.sha256", *_NO_SHA256)
        _check_split([child for child in range(1, 15) for _ in "LR"], settings, problems, where)
        return
    if not check_folder(root, problems, f"{where}.root"):
        return
    eyes = _eyes(root, settings.observer)
    if not eyes:
        problems.add(f"{where}.root", f"{root} holds no Image_01L.jpg …, neither itself nor in a folder 'images'")
        return
    missing = [eye.mask.name for eye in eyes if not eye.mask.is_file()]
    if missing:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        problems.add(f"{where}.root", f"{len(missing)} masks of observer {settings.observer} are missing: {shown}")
    _check_split([eye.child for eye in eyes], settings, problems, where)


def _to_fetch(settings: ChaseDb1Settings) -> bool:
    root = Path(settings.root).expanduser()
    return settings.download and not (root.is_dir() and _eyes(root, settings.observer))


def _check_split(children: list[int], settings: ChaseDb1Settings, problems: Problems, where: str) -> None:
    """Notes a split that asks for more images than there are, or that parts the two eyes of a child."""
    train, val = settings.train_images, settings.val_images
    if train + val > len(children):
        problems.add(
            f"{where}.train_images",
            f"{train} to train on and {val} to validate on are more than the {len(children)} images there are",
        )
        return
    for setting, cut in {"train_images": train, "val_images": train + val}.items():
        parted = 0 < cut < len(children) and children[cut - 1] == children[cut]
        if parted and not settings.split_eyes and (setting == "train_images" or val):
            problems.add(
                f"{where}.{setting}",
                f"the eyes of child {children[cut]:02d} fall on different sides, which makes scores too good",
                f"move the split by one image, or set {where}.split_eyes",
            )


def _plan(settings: ChaseDb1Settings, reporter: Reporter) -> list[PlannedProject]:
    root = Path(settings.root).expanduser()
    if _to_fetch(settings):
        _download(settings, root, reporter)
    eyes = _eyes(root, settings.observer)
    last = settings.train_images + settings.val_images
    parts: list[tuple[str, Role, list[_Eye]]] = [
        (settings.project, "train", eyes[: settings.train_images]),
        (settings.val_project, "val", eyes[settings.train_images : last]),
        (settings.test_project, "test", eyes[last:]),
    ]
    return [PlannedProject(name, role, _content(name, part)) for name, role, part in parts if part]


def _download(settings: ChaseDb1Settings, root: Path, reporter: Reporter) -> None:
    if settings.sha256 is None:
        raise DataError(f"sha256 {_NO_SHA256[0]}")
    archive = fetch(settings.url, sha256=settings.sha256, most_bytes=_MOST_BYTES, reporter=reporter)
    try:
        unpack(archive, root, wanted=lambda name: bool(_PUBLISHED.fullmatch(name)), most_bytes=_MOST_BYTES)
    except FileExistsError:
        reporter.message(f"{root} was made by another process meanwhile; it is used as it is")
    problems = Problems()
    _check(settings, problems, "data")
    problems.raise_if_any("the archive does not hold what was asked for")


def _content(project: str, eyes: list[_Eye]) -> Content:
    files = [path for eye in eyes for path in (eye.image, eye.mask, eye.field) if path is not None]
    identity = {"version": _VERSION, "files": [file_digest(path) for path in files]}
    meta = ProjectMeta(classes=(ClassMeta("vessel", "bitmap", "#14B8A6"),))
    return Content(identity, meta, partial(_write, project, eyes), CREDIT)


def _write(project: str, eyes: list[_Eye], writer: ProjectWriter, reporter: Reporter) -> None:
    for eye in track(eyes, reporter, f"making {project}", unit="image"):
        width, height = whole_image_size(eye.image)
        annotation = mask_annotation({"vessel": _mask(eye.mask, width, height)}, width, height)
        writer.add("ds0", eye.image.name, annotation, eye.image)
        if eye.field is not None:
            field = _mask(eye.field, width, height)
            writer.add_side("ds0", "field_of_view", eye.image.name, encode_image(field.astype("uint8") * 255))


def _mask(path: Path, width: int, height: int) -> NDArray[np.bool_]:
    mask = read_mask(path)
    if mask.shape[:2] != (height, width):
        raise DataError(f"{path}: has {mask.shape[1]}x{mask.shape[0]} pixels, but its image has {width}x{height}")
    return (mask if mask.ndim == 2 else mask.max(axis=2)) > 127


SOURCE = Source(ChaseDb1Settings, _check, _plan)
