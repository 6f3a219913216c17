"""`coco`: instances in COCO's JSON, with polygons, run lengths or boxes, and the folder of their images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    Geometry,
    LabeledObject,
    Polygon,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    Tag,
    TagMeta,
    normalise,
)
from segsweep.annotation.geometry import bounds, trim
from segsweep.datasets.coco_file import Category, CocoFile, CocoImage, CocoObject, Findings, object_runs, read_coco
from segsweep.datasets.run_lengths import fill_polygons, runs_to_mask
from segsweep.datasets.source import (
    Content,
    PlannedProject,
    Role,
    Settings,
    Source,
    check_folder,
    check_project_names,
    file_digest,
    whole_image_size,
)
from segsweep.errors import DataError, Problems
from segsweep.files import image_size
from segsweep.reporting import Reporter, track

__all__ = ["CROWD", "INSTANCE", "NEUTRAL", "SOURCE", "CocoSettings"]

_VERSION = 1
CROWD = "iscrowd"
"""The tag of objects that cover a group."""
INSTANCE = "instance"
"""The key by which the format joins objects that are parts of one."""
NEUTRAL = "neutral"


class CocoSettings(Settings):
    """Settings of `coco`."""

    annotations: str = Field(min_length=1, description="the instances JSON")
    images: str = Field(min_length=1, description="folder that the JSON's file names are relative to")
    val_annotations: str | None = Field(None, min_length=1, description="instances to validate on")
    val_images: str | None = Field(None, min_length=1, description="folder of their images")
    test_annotations: str | None = Field(None, min_length=1, description="instances to test on")
    test_images: str | None = Field(None, min_length=1, description="folder of their images")
    shape: Literal["auto", "bitmap", "polygon", "rectangle"] = Field(
        "auto",
        description="shape of the classes; auto: the simplest that holds all annotations of a category: rectangle where"
        " they are boxes, polygon where none has run lengths, else bitmap",
    )
    crowds: Literal["keep", "neutral", "skip"] = Field(
        "keep", description="what iscrowd annotations become: objects with the tag iscrowd, neutral ones, or nothing"
    )
    project: str = Field("coco", description="name of the project to train on")
    val_project: str = Field("coco_val", description="name of the project to validate on")
    test_project: str = Field("coco_test", description="name of the project to test on")


@dataclass(frozen=True)
class _Set:
    role: Role
    prefix: str
    project: str
    annotations: Path
    file: CocoFile


def _given(settings: CocoSettings) -> list[tuple[Role, str, str, str | None, str | None]]:
    """Role, prefix of its settings, project name, JSON and folder of every set that is asked for."""
    sets: list[tuple[Role, str, str, str | None, str | None]] = [
        ("train", "", settings.project, settings.annotations, settings.images),
        ("val", "val_", settings.val_project, settings.val_annotations, settings.val_images),
        ("test", "test_", settings.test_project, settings.test_annotations, settings.test_images),
    ]
    return [item for item in sets if item[3] is not None or item[4] is not None]


def _read(settings: CocoSettings, problems: Problems, where: str) -> list[_Set]:
    """The sets that can be read, with everything noted that is wrong with any of them."""
    read: list[_Set] = []
    used: dict[Path, str] = {}
    for role, prefix, project, instances, images in _given(settings):
        if instances is None or images is None:
            absent, there = ("annotations", "images") if instances is None else ("images", "annotations")
            problems.add(f"{where}.{prefix}{absent}", f"is missing beside {where}.{prefix}{there}")
            continue
        key, path = f"{where}.{prefix}annotations", Path(instances).expanduser()
        if not check_folder(images, problems, f"{where}.{prefix}images"):
            continue
        file = read_coco(path, Path(images).expanduser(), problems, key)
        if file is None:
            continue
        shared = sorted({used[image.path.resolve()] for image in file.images if image.path.resolve() in used})
        if shared:
            problems.add(key, f"shares pictures with {', '.join(shared)}")
        used.update({image.path.resolve(): key for image in file.images})
        if not file.images:
            problems.add(key, f"{path}: holds no images")
        read.append(_Set(role, prefix, project, path, file))
    _check_shapes(settings, read, problems, where)
    return read


def _check(settings: CocoSettings, problems: Problems, where: str) -> None:
    names: dict[str, str | None] = {f"{prefix}project": project for _, prefix, project, _, _ in _given(settings)}
    check_project_names(names, problems, where)
    _read(settings, problems, where)


def _check_shapes(settings: CocoSettings, sets: list[_Set], problems: Problems, where: str) -> None:
    if settings.shape != "polygon":
        return
    shapes = _shapes(settings, sets)
    titles = sorted(title for title, found in shapes.items() if "bitmap" in found)
    if titles:
        hint = "choose auto or bitmap" + (", or leave the crowds out with crowds=skip" if _has_crowds(sets) else "")
        problems.add(f"{where}.shape", f"the run lengths of {', '.join(map(repr, titles[:5]))} are no polygons", hint)


def _has_crowds(sets: list[_Set]) -> bool:
    return any(item.crowd for each in sets for image in each.file.images for item in image.objects)


def _title(item: CocoObject, settings: CocoSettings) -> str | None:
    """The class of an object; None where it is left out."""
    if not item.crowd or settings.crowds == "keep":
        return item.title
    return NEUTRAL if settings.crowds == "neutral" else None


def _shapes(settings: CocoSettings, sets: list[_Set]) -> dict[str, set[str]]:
    """The shapes that occur in each class."""
    shapes: dict[str, set[str]] = {}
    for each in sets:
        for image in each.file.images:
            for item in image.objects:
                title = _title(item, settings)
                if title is not None:
                    shapes.setdefault(title, set()).add(item.shape)
    return shapes


def _meta(settings: CocoSettings, sets: list[_Set]) -> ProjectMeta:
    """The classes of all sets: equal ones in all projects, in the order of the files."""
    categories: dict[str, Category] = {}
    for each in sets:
        for category in each.file.categories:
            categories.setdefault(category.title, category)
    shapes = _shapes(settings, sets)
    if NEUTRAL in shapes:
        categories.setdefault(NEUTRAL, Category(NEUTRAL, "", "#9b9b9b"))
    classes = tuple(
        ClassMeta(
            title,
            _class_shape(settings, shapes.get(title, set())),
            category.color,
            {"supercategory": category.supercategory} if category.supercategory else {},
        )
        for title, category in categories.items()
    )
    crowds = settings.crowds == "keep" and _has_crowds(sets)
    return ProjectMeta(classes, (TagMeta(CROWD),) if crowds else ())


def _class_shape(settings: CocoSettings, found: set[str]) -> str:
    """The simplest shape that can be all of those found: boxes can be polygons, polygons bitmaps."""
    if settings.shape != "auto":
        return settings.shape
    return next((shape for shape in ("bitmap", "polygon", "rectangle") if shape in found), "bitmap")


def _plan(settings: CocoSettings, reporter: Reporter) -> list[PlannedProject]:
    problems = Problems()
    sets = _read(settings, problems, "data")
    problems.raise_if_any("the data cannot be made")
    meta = _meta(settings, sets)
    mixed = [title for title, found in _shapes(settings, sets).items() if len(found) > 1 and "bitmap" in found]
    if mixed and settings.shape == "auto":
        told = ", ".join(map(repr, mixed[:5])) + (" …" if len(mixed) > 5 else "")
        reporter.message(f"{told}: some annotations are run lengths, others polygons or boxes; all become bitmaps")
    planned = []
    for each in sets:
        for what, count in each.file.left_out.items():
            reporter.message(f"{each.annotations}: {count} {what}", "warning")
        planned.append(PlannedProject(each.project, each.role, _content(settings, each, meta, problems, reporter)))
    problems.raise_if_any("the data cannot be made")
    return planned


def _content(settings: CocoSettings, each: _Set, meta: ProjectMeta, problems: Problems, reporter: Reporter) -> Content:
    """What is to be written; notes images that are no images, or not of the size that the JSON tells."""
    digests = []
    findings = Findings(each.annotations)
    for image in track(each.file.images, reporter, f"reading {each.project}", unit="image"):
        try:
            width, height = image_size(image.path)
        except DataError as error:
            findings.add("images that cannot be read", str(error))
            continue
        if (width, height) != (image.width, image.height):
            told = f"{image.path} has {width}x{height} pixels, the JSON says {image.width}x{image.height}"
            turned = "; EXIF turns the picture" if (height, width) == (image.width, image.height) else ""
            findings.add("images of another size", told + turned)
        digests.append([image.dataset, file_digest(image.path)])
    findings.tell(problems, f"data.{each.prefix}annotations")
    identity = {
        "version": _VERSION,
        "shape": settings.shape,
        "crowds": settings.crowds,
        "classes": [[item.title, item.shape, item.color] for item in meta.classes],
        "annotations": file_digest(each.annotations),
        "files": digests,
    }
    return Content(identity, meta, partial(_write, settings, each, meta), each.file.credit)


def _write(settings: CocoSettings, each: _Set, meta: ProjectMeta, writer: ProjectWriter, reporter: Reporter) -> None:
    shapes = {item.title: item.shape for item in meta.classes}
    vanished = 0
    for image in track(each.file.images, reporter, f"making {each.project}", unit="image"):
        whole_image_size(image.path)  # its size is known to be right; this finds damage
        objects: list[LabeledObject] = []
        for item in image.objects:
            title = _title(item, settings)
            if title is not None:
                parts = _objects(item, title, shapes[title], image)
                vanished += not parts
                objects += parts
        writer.add(image.dataset, image.name, Annotation(image.width, image.height, tuple(objects)), image.path)
    if vanished:
        reporter.message(f"{each.project}: {vanished} annotations cover no pixel of their image and are left out")


def _objects(item: CocoObject, title: str, shape: str, image: CocoImage) -> list[LabeledObject]:
    """The parts of an annotation that its image can hold; several parts carry the annotation's id."""
    tags = (Tag(CROWD),) if item.crowd and title == item.title else ()
    geometries = list(_geometries(item, shape, image))
    extra: Mapping[str, Any] = {INSTANCE: item.instance} if len(geometries) > 1 else {}
    objects = tuple(LabeledObject(title, geometry, tags, extra=extra) for geometry in geometries)
    return list(normalise(Annotation(image.width, image.height, objects)).objects)


def _geometries(item: CocoObject, shape: str, image: CocoImage) -> Iterable[Geometry]:
    if shape == "bitmap":
        return trim(Bitmap(_mask(item, image), 0, 0))
    if shape == "rectangle":
        return (item.box or _box_around(item, image),)
    if isinstance(item.outline, Rectangle):
        return (Polygon(_corners(item.outline)),)
    return tuple(Polygon(ring) for ring in item.outline if not isinstance(ring, int | str))


def _mask(item: CocoObject, image: CocoImage) -> NDArray[np.bool_]:
    match item.outline:
        case Rectangle():
            return fill_polygons([_corners(item.outline)], image.width, image.height)
        case tuple():
            return fill_polygons(item.outline, image.width, image.height)
        case counts:
            return runs_to_mask(object_runs(counts), image.width, image.height)


def _corners(box: Rectangle) -> NDArray[np.float64]:
    return np.array([[box.left, box.top], [box.right, box.top], [box.right, box.bottom], [box.left, box.bottom]])


def _box_around(item: CocoObject, image: CocoImage) -> Rectangle:
    if isinstance(item.outline, tuple):
        return Rectangle(*bounds(Polygon(np.concatenate(item.outline))))
    cells = trim(Bitmap(_mask(item, image), 0, 0))
    return Rectangle(*bounds(cells[0])) if cells else Rectangle(0, 0, 0, 0)


SOURCE = Source(CocoSettings, _check, _plan)
