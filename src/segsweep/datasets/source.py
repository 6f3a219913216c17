"""What a source of data is: settings that can be checked cheaply, and a plan of the projects they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict

from segsweep.annotation import Annotation, Bitmap, LabeledObject, ProjectMeta, ProjectWriter
from segsweep.annotation.geometry import trim
from segsweep.errors import DataError, Problems
from segsweep.files import check_name, digest_files, image_size
from segsweep.reporting import Reporter

__all__ = [
    "Content",
    "InPlace",
    "MadeProjects",
    "PlannedProject",
    "Role",
    "Settings",
    "Source",
    "check_folder",
    "check_project_names",
    "file_digest",
    "item_place",
    "mask_annotation",
    "whole_image_size",
]

Role = Literal["train", "val", "test"]


class Settings(BaseModel):
    """Base of the settings of all sources: no unknown keys, no changes; lists may come as lists or tuples."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Content:
    """A project that is to be written.

    Attributes:
        identity: A JSON value that determines the content: settings that matter, digests of input files.
        meta: The classes and tags.
        write: Adds all items to the writer it gets.
        credit: Who made the data and under which terms; kept with the project.
    """

    identity: Mapping[str, Any]
    meta: ProjectMeta
    write: Callable[[ProjectWriter, Reporter], None]
    credit: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InPlace:
    """A project that lies somewhere already and is used there; `digest` is that of its files."""

    path: Path
    digest: str


@dataclass(frozen=True)
class PlannedProject:
    """One project of a source: its name, what it is for, and where it comes from."""

    name: str
    role: Role
    origin: Content | InPlace


@dataclass(frozen=True)
class Source:
    """A kind of data.

    Attributes:
        settings: The type of its settings.
        check: Notes what is wrong with settings beyond their types (missing folders, counts); quick, writes nothing.
            Gets the settings, the problems, and the key under which the settings stand (`data`).
        plan: The projects that the settings make; may read and digest input files.
    """

    settings: type[Settings]
    check: Callable[[Any, Problems, str], None]
    plan: Callable[[Any, Reporter], list[PlannedProject]]


@dataclass(frozen=True)
class MadeProjects:
    """Where the projects of a source lie.

    Attributes:
        paths: Project name -> folder.
        train: Name of the project to train on.
        val: Name of the project to validate on, if there is one of its own.
        test: Name of the project to test on, if there is one.
        digest: SHA-256 of everything that determines the content of the projects.
    """

    paths: Mapping[str, Path]
    train: str
    val: str | None
    test: str | None
    digest: str


def check_folder(path: str | Path, problems: Problems, where: str) -> bool:
    """Notes a folder that is not there; returns whether it is."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return True
    problems.add(where, f"no such folder: {folder}", "" if not folder.exists() else "this is a file")
    return False


def check_project_names(names: Mapping[str, str | None], problems: Problems, where: str) -> None:
    """Notes names (setting -> project name) that cannot be folders, and projects that share a name."""
    seen: dict[str, str] = {}
    for setting, name in names.items():
        if name is None:
            continue
        try:
            check_name(name, "project name")
        except DataError as error:
            problems.add(f"{where}.{setting}", str(error))
        if name in seen:
            problems.add(f"{where}.{setting}", f"{name!r} is the name of {where}.{seen[name]} too", "give another name")
        seen.setdefault(name, setting)


def file_digest(path: Path) -> str:
    """Digest of a file's name and content; where it lies does not matter."""
    return digest_files(path.parent, [path])


def item_place(relative: str, what: str) -> tuple[str, str, Path]:
    """The data set, the name and the relative path of a picture that a file names `folder/…/name`.

    Raises:
        DataError: A part of it cannot be a file's name (so the path cannot leave its folder).
    """
    *folders, name = relative.split("/")
    for part in (*folders, name):
        check_name(part, what)
    return check_name("_".join(folders), "data set") if folders else "ds0", name, Path(*folders, name)


def whole_image_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture as it is shown, after decoding all of it.

    Pillow decodes here because OpenCV fills what is missing of a truncated or damaged file and says nothing.

    Raises:
        DataError: The file is missing, no image, too large, or damaged anywhere.
    """
    size = image_size(path)
    try:
        with Image.open(path) as image:
            image.verify()  # check sums of PNG
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is damaged: {error}") from error
    return size


def mask_annotation(masks: Mapping[str, NDArray[np.bool_]], width: int, height: int) -> Annotation:
    """An annotation with one bitmap object for each class that occurs; `masks` are HxW, painted in their order."""
    objects = tuple(
        LabeledObject(title, bitmap) for title, mask in masks.items() for bitmap in trim(Bitmap(mask, x=0, y=0))
    )
    return Annotation(width, height, objects)
