"""Projects on disk: folders of images and annotations, read in a fixed order and written whole or not at all.

project/
  meta.json                    classes and tags
  segsweep.json                where the project came from (ours; may be missing)
  <dataset>/img/<name>         images
  <dataset>/ann/<name>.json    annotations
  <dataset>/<folder>/<name>.png    side files of an item, such as its field of view
  <dataset>/datasets/<child>/…     a nested data set, read as `<dataset>__<child>`; never written
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation.meta import ProjectMeta, meta_from_json, meta_to_json
from segsweep.annotation.objects import Annotation
from segsweep.annotation.parse import annotation_from_json, annotation_to_json, lacks_size
from segsweep.errors import DataError
from segsweep.files import (
    IMAGE_EXTENSIONS,
    atomic_directory,
    check_name,
    digest_files,
    encode_image,
    image_size,
    read_json,
)

__all__ = ["Dataset", "Item", "Project", "ProjectWriter", "move_item", "project_digest", "write_item"]

PROVENANCE = "segsweep.json"


@dataclass(frozen=True)
class Item:
    """An image and its annotation.

    Attributes:
        dataset: Name of its dataset.
        name: File name of the image, with its extension.
        image_path: The image.
        annotation_path: The annotation's JSON.
    """

    dataset: str
    name: str
    image_path: Path
    annotation_path: Path

    def annotation(self, meta: ProjectMeta) -> Annotation:
        """Reads the annotation exactly as it is stored.

        Raises:
            DataError: Tells everything that is wrong with it.
        """
        data = read_json(self.annotation_path)
        size = image_size(self.image_path) if lacks_size(data) else None
        return annotation_from_json(data, meta, str(self.annotation_path), size)

    def side_path(self, folder: str) -> Path | None:
        """The item's file in a folder beside `img`, such as `field_of_view`, if it is there."""
        path = self.image_path.parent.parent / folder / f"{self.name}.png"
        return path if path.is_file() else None


@dataclass(frozen=True)
class Dataset:
    """A part of a project; its items are sorted by name."""

    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Project:
    """A project as it lies on disk; datasets are sorted by name.

    Attributes:
        path: Its folder.
        meta: Classes and tags.
        datasets: Its datasets; none is empty.
        warnings: What was left out on reading, a line each.
    """

    path: Path
    meta: ProjectMeta
    datasets: tuple[Dataset, ...]
    warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Reads the classes and lists the items of a project; annotations are read when they are asked for.

        Raises:
            DataError: Tells everything that is wrong with the folder.
        """
        if not path.is_dir():
            raise DataError(f"{path}: there is no such project folder")
        meta = _read_meta(path)
        wrong: list[str] = []
        warnings: list[str] = []
        datasets: dict[str, Dataset] = {}
        for name, folder in _dataset_folders(path, "", warnings):
            dataset = Dataset(name, _items(folder, name, wrong, warnings))
            if name in datasets:
                wrong.append(f"{folder}: is read as data set {name!r}, which is there already; rename one of them")
            elif dataset.items:
                datasets[name] = dataset
        if not datasets and not wrong:
            wrong.append(f"{path}: holds no images; a project has <dataset>/img/ and <dataset>/ann/")
        if wrong:
            raise DataError("\n".join(wrong))
        return cls(path, meta, tuple(datasets[name] for name in sorted(datasets)), tuple(warnings))

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.name

    @property
    def items(self) -> tuple[Item, ...]:
        """The items of all datasets."""
        return tuple(item for dataset in self.datasets for item in dataset.items)

    @property
    def provenance(self) -> dict[str, Any]:
        """What made the project (`segsweep.json`); empty if nothing says so."""
        path = self.path / PROVENANCE
        if not path.is_file():
            return {}
        value = read_json(path)
        if not isinstance(value, dict):
            raise DataError(f"{path}: should hold an object")
        return value


def _read_meta(path: Path) -> ProjectMeta:
    for name in ("meta.json", "classes.json"):
        if (path / name).is_file():
            return meta_from_json(read_json(path / name), str(path / name))
    raise DataError(f"{path}: is no project, because it has no meta.json")


def _dataset_folders(parent: Path, prefix: str, warnings: list[str]) -> Iterator[tuple[str, Path]]:
    """Names and folders of the data sets in a folder, and of those nested in them (`<parent>__<child>`)."""
    for folder in sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        name = prefix + folder.name
        nested = folder / "datasets"
        if (folder / "img").is_dir() and (folder / "ann").is_dir():
            yield name, folder
        elif not nested.is_dir():
            warnings.append(f"{folder} is no dataset (it lacks img/ or ann/) and is left out")
        if nested.is_dir():
            yield from _dataset_folders(nested, f"{name}__", warnings)


def _items(folder: Path, dataset: str, wrong: list[str], warnings: list[str]) -> tuple[Item, ...]:
    items: list[Item] = []
    owners: dict[Path, str] = {}
    for image in sorted(entry for entry in (folder / "img").iterdir() if not entry.name.startswith(".")):
        if image.suffix.lower() not in IMAGE_EXTENSIONS:
            warnings.append(f"{image} is no image and is left out")
            continue
        candidates = [folder / "ann" / f"{image.name}.json", folder / "ann" / f"{image.stem}.json"]
        annotation = next((path for path in candidates if path.is_file()), None)
        if annotation is None:
            wrong.append(f"{image}: has no annotation; {candidates[0]} is missing")
        elif annotation in owners:
            wrong.append(f"{image}: shares its annotation {annotation} with {owners[annotation]}")
        else:
            owners[annotation] = image.name
            items.append(Item(dataset, image.name, image, annotation))
    return tuple(items)


class ProjectWriter(AbstractContextManager["ProjectWriter"]):
    """Writes a project that appears whole at the end of the `with` block, or not at all.

    Args:
        path: The project's folder; it must not exist yet, or be empty.
        meta: Classes and tags.
        provenance: Where the project comes from; kept in its `segsweep.json`.
    """

    def __init__(self, path: Path, meta: ProjectMeta, provenance: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self.meta = meta
        self.provenance = dict(provenance or {})
        """Written at the end, if there is anything; what is found out while building may be added."""
        self._building = atomic_directory(path)
        self.folder = path
        """The folder being built, while the block runs."""

    def __enter__(self) -> Self:
        self.folder = self._building.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            _write_json(self.folder / "meta.json", meta_to_json(self.meta))
            if self.provenance:
                _write_json(self.folder / PROVENANCE, self.provenance)
        self._building.__exit__(kind, error, trace)
        self.folder = self.path

    def add(self, dataset: str, name: str, annotation: Annotation, image: NDArray[np.uint8] | Path | bytes) -> None:
        """Adds an item; see `write_item`."""
        write_item(self.folder, self.meta, dataset, name, annotation, image)

    def add_side(self, dataset: str, folder: str, name: str, data: bytes) -> None:
        """Adds an item's PNG to a folder beside `img`, such as `field_of_view`.

        Raises:
            DataError: A name cannot be a file's.
        """
        path = self.side_file(dataset, folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def side_file(self, dataset: str, folder: str, name: str) -> Path:
        """Where an item's PNG in a folder beside `img` belongs, while the block runs; its folder may be missing.

        Raises:
            DataError: A name cannot be a file's.
        """
        if folder in {"img", "ann"}:
            raise DataError(f"side files cannot go to {folder!r}")
        names = (check_name(dataset, "dataset"), check_name(folder, "folder"), check_name(name, "image") + ".png")
        return self.folder.joinpath(*names)


def write_item(
    project: Path,
    meta: ProjectMeta,
    dataset: str,
    name: str,
    annotation: Annotation,
    image: NDArray[np.uint8] | Path | bytes,
    *,
    link: bool = True,
) -> None:
    """Writes one item into a project that is being built; several processes may do so at once.

    Args:
        project: The folder being built.
        meta: The project's classes.
        dataset: Name of the dataset.
        name: File name of the image; its extension says the format of an array.
        annotation: What the image is annotated with.
        image: uint8 RGB HxWx3, encoded here; or encoded bytes; or a file, taken as it is.
        link: Whether a file is hard-linked where that is possible, or else copied.

    Raises:
        DataError: A name cannot be a file's or is taken, or the annotation does not fit the classes.
    """
    check_name(dataset, "dataset")
    check_name(name, "image")
    images, annotations = f"{project}/{dataset}/img", f"{project}/{dataset}/ann"
    image_path, annotation_path = Path(f"{images}/{name}"), Path(f"{annotations}/{name}.json")
    if annotation_path.exists():
        raise DataError(f"the project already has an image {dataset}/{name}")
    content = annotation_to_json(annotation, meta)
    for folder in (images, annotations):
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 – several times faster than by Path, and called for every item
    if isinstance(image, Path):
        if not (link and _linked(image, image_path)):
            shutil.copyfile(image, image_path)
    else:
        image_path.write_bytes(image if isinstance(image, bytes) else encode_image(image, Path(name).suffix.lower()))
    _write_json(annotation_path, content)


def move_item(
    source: Path,
    dataset: str,
    name: str,
    target: Path,
    new_dataset: str,
    new_name: str,
    folders: Iterable[str] = (),
) -> None:
    """Moves an item that `write_item` wrote from one folder being built to another of the same file system.

    `folders` beside `img` hold pictures of it, `<folder>/<base name>.png`, which move along.

    Raises:
        DataError: A new name cannot be a file's.
    """
    check_name(new_dataset, "dataset")
    check_name(new_name, "image")
    moves = [("img", name, new_name), ("ann", f"{name}.json", f"{new_name}.json")]
    moves += [(folder, f"{Path(name).stem}.png", f"{Path(new_name).stem}.png") for folder in folders]
    for folder, old, new in moves:
        new_folder = f"{target}/{new_dataset}/{folder}"
        os.makedirs(new_folder, exist_ok=True)  # noqa: PTH103
        os.rename(f"{source}/{dataset}/{folder}/{old}", f"{new_folder}/{new}")  # noqa: PTH104


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        return False
    return True


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def edited_since_made(path: Path) -> list[Path]:
    """The files of a project that are newer than its provenance, which is written last; all, if some came or went.

    Raises:
        DataError: As `Project.open`.
    """
    made = (path / PROVENANCE).stat().st_mtime_ns
    files = [
        path / "meta.json",
        *(each for item in Project.open(path).items for each in (item.image_path, item.annotation_path)),
    ]
    if any(folder.stat().st_mtime_ns > made for folder in {file.parent for file in files[1:]}):
        return files
    return [file for file in files if file.stat().st_mtime_ns > made]


def project_digest(path: Path) -> str:
    """SHA-256 over what a network can learn from: classes, annotations and images, by name and content.

    Provenance and side files do not count: they tell how a project came to be and what was found in it.

    Raises:
        DataError: As `Project.open`.
    """
    project = Project.open(path)
    head = [path / name for name in ("meta.json", "classes.json") if (path / name).is_file()][:1]
    return digest_files(
        path, [*head, *(file for item in project.items for file in (item.image_path, item.annotation_path))]
    )
