"""`pascal_voc`: a folder in Pascal VOC's layout, read as masks (SegmentationClass …) or as boxes (Annotations)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    LabeledObject,
    ProjectMeta,
    ProjectWriter,
    Tag,
    TagMeta,
    normalise,
)
from segsweep.annotation.geometry import trim
from segsweep.datasets.color_masks import (
    NOTHING,
    Color,
    has_indices,
    parse_color,
    read_colors,
    split_by_class,
    tell_unknown,
    unknown_colors_error,
)
from segsweep.datasets.source import (
    Content,
    PlannedProject,
    Role,
    Settings,
    Source,
    check_folder,
    check_project_names,
    file_digest,
    item_place,
    whole_image_size,
)
from segsweep.datasets.voc_classes import NEUTRAL, VOID, VOID_COLOR, VocClasses, read_classes
from segsweep.datasets.voc_files import FLAGS, VocXml, read_ids, read_xml
from segsweep.errors import DataError, Problems, nearest
from segsweep.files import IMAGE_EXTENSIONS
from segsweep.reporting import Reporter, track

__all__ = ["SOURCE", "PascalVocSettings"]

_VERSION = 1
_MOST_SHOWN = 5
_EXTENSIONS = (".jpg", *sorted(IMAGE_EXTENSIONS - {".jpg"}))  # what the layout asks for comes first

Shape = Literal["bitmap", "rectangle"]


class PascalVocSettings(Settings):
    """Settings of `pascal_voc`."""

    root: str = Field(min_length=1, description="folder that holds JPEGImages, such as VOCdevkit/VOC2012")
    split: str = Field(
        "train", min_length=1, description="list of images to train on, in ImageSets/Segmentation or Main"
    )
    val_split: str | None = Field(None, min_length=1, description="list of images to validate on")
    test_split: str | None = Field(None, min_length=1, description="list of images to test on")
    shape: Literal["auto", "bitmap", "rectangle"] = Field(
        "auto", description="bitmap: the masks; rectangle: the boxes; auto: the masks where there are any"
    )
    instances: bool = Field(True, description="an object for each instance of SegmentationObject, not for each class")
    classes: dict[str, Color] | None = Field(
        None, min_length=1, description="class -> index or '#rrggbb' in the masks; else labelmap.txt or VOC's own 20"
    )
    project: str = Field("voc", description="name of the project to train on")
    val_project: str = Field("voc_val", description="name of the project to validate on")
    test_project: str = Field("voc_test", description="name of the project to test on")


@dataclass(frozen=True)
class _Sample:
    """The files of an image: a mask and perhaps instances, or an annotation with boxes."""

    dataset: str
    name: str
    image: Path
    mask: Path | None = None
    instances: Path | None = None
    annotation: Path | None = None
    boxes: VocXml | None = None

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [path for path in (self.image, self.mask, self.instances, self.annotation) if path is not None]


@dataclass(frozen=True)
class _Set:
    role: Role
    prefix: str
    project: str
    samples: tuple[_Sample, ...]


def _given(settings: PascalVocSettings) -> list[tuple[Role, str, str, str]]:
    """Role, prefix of its settings, project name and list of every set that is asked for."""
    sets: list[tuple[Role, str, str, str | None]] = [
        ("train", "", settings.project, settings.split),
        ("val", "val_", settings.val_project, settings.val_split),
        ("test", "test_", settings.test_project, settings.test_split),
    ]
    return [(role, prefix, project, split) for role, prefix, project, split in sets if split is not None]


def _shape(settings: PascalVocSettings, root: Path) -> Shape:
    if settings.shape != "auto":
        return settings.shape
    return "bitmap" if (root / "SegmentationClass").is_dir() else "rectangle"


def _list(root: Path, split: str, shape: Shape, problems: Problems, key: str) -> list[str]:
    """The ids of a split; of the two folders of lists, the one that fits the shape comes first."""
    folders = ["Segmentation", "Main"] if shape == "bitmap" else ["Main", "Segmentation"]
    candidates = [root / "ImageSets" / folder / f"{split}.txt" for folder in folders]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        known = {found.stem for folder in folders for found in (root / "ImageSets" / folder).glob("*.txt")}
        problems.add(key, f"there is no list {candidates[0]}, nor one in {folders[1]}", nearest(split, known))
        return []
    try:
        return read_ids(path)
    except DataError as error:
        problems.add(key, str(error))
        return []


def _read(settings: PascalVocSettings, problems: Problems, where: str) -> list[_Set]:
    """The sets that can be read, with everything noted that is wrong with any of them."""
    root = Path(settings.root).expanduser()
    if not check_folder(root, problems, f"{where}.root"):
        return []
    if not (root / "JPEGImages").is_dir():
        inside = sorted(path.parent.name for path in root.glob("*/JPEGImages"))
        hint = f"choose a folder in it: {', '.join(inside)}" if inside else ""
        problems.add(f"{where}.root", f"{root} holds no folder JPEGImages", hint)
        return []
    shape = _shape(settings, root)
    owners: dict[Path, str] = {}
    sets = []
    for role, prefix, project, split in _given(settings):
        key = f"{where}.{prefix}split"
        ids = _list(root, split, shape, problems, key)
        samples = _samples(settings, root, ids, shape, problems, key)
        shared = sorted({owners[sample.image] for sample in samples if sample.image in owners})
        if shared:
            problems.add(key, f"shares pictures with {', '.join(shared)}")
        owners.update({sample.image: key for sample in samples})
        sets.append(_Set(role, prefix, project, tuple(samples)))
    return sets


def _samples(
    settings: PascalVocSettings, root: Path, ids: list[str], shape: Shape, problems: Problems, key: str
) -> list[_Sample]:
    samples: dict[str, _Sample] = {}
    wrong: list[str] = []
    for item in ids:
        try:
            sample = _sample(settings, root, item, shape)
            if item in samples:
                wrong.append(f"{item} is listed twice")
            samples[item] = sample
        except DataError as error:
            wrong.append(str(error))
    for line in wrong[:_MOST_SHOWN]:
        problems.add(key, line)
    if len(wrong) > _MOST_SHOWN:
        problems.add(key, f"… and {len(wrong) - _MOST_SHOWN} more images")
    return list(samples.values())


def _sample(settings: PascalVocSettings, root: Path, item: str, shape: Shape) -> _Sample:
    dataset, _, relative = item_place(item, "image id")
    stem = root / "JPEGImages" / relative
    image = next((path for end in _EXTENSIONS if (path := stem.with_name(stem.name + end)).is_file()), None)
    if image is None:
        raise DataError(f"{stem}.jpg is missing (or another image of that name)")
    sample = _Sample(dataset, image.name, image)
    if shape == "rectangle":
        annotation = root / "Annotations" / f"{relative}.xml"
        return replace(sample, annotation=annotation, boxes=read_xml(annotation))
    mask = root / "SegmentationClass" / f"{relative}.png"
    if not mask.is_file():
        raise DataError(f"{mask} is missing")
    instances = root / "SegmentationObject" / f"{relative}.png"
    return replace(sample, mask=mask, instances=instances if settings.instances and instances.is_file() else None)


def _check(settings: PascalVocSettings, problems: Problems, where: str) -> None:
    names: dict[str, str | None] = {f"{prefix}project": project for _, prefix, project, _ in _given(settings)}
    check_project_names(names, problems, where)
    _check_classes(settings, problems, where)
    sets = _read(settings, problems, where)
    _check_titles(settings, sets, problems, where)


def _check_classes(settings: PascalVocSettings, problems: Problems, where: str) -> None:
    given = settings.classes or {}
    if len({isinstance(value, int) for value in given.values()}) > 1:
        problems.add(f"{where}.classes", "mixes colours and indices", "give all as '#rrggbb' or all as numbers")
    owners: dict[int, str] = {}
    for title, value in given.items():
        color = parse_color(value)
        if color in owners:
            problems.add(f"{where}.classes.{title}", f"{value!r} is that of {where}.classes.{owners[color]} too")
        owners.setdefault(color, title)
    try:
        read_classes(settings.classes, Path(settings.root).expanduser())
    except DataError as error:
        problems.add(f"{where}.root", str(error))


def _check_titles(settings: PascalVocSettings, sets: list[_Set], problems: Problems, where: str) -> None:
    """Boxes of classes that a table given by the user does not know."""
    if settings.classes is None:
        return
    titles = {item.title for each in sets for sample in each.samples if sample.boxes for item in sample.boxes.objects}
    for title in sorted(titles - set(settings.classes)):
        problems.unknown(f"{where}.classes", title, settings.classes, kind="class of boxes")


def _plan(settings: PascalVocSettings, reporter: Reporter) -> list[PlannedProject]:
    problems = Problems()
    sets = _read(settings, problems, "data")
    problems.raise_if_any("the data cannot be made")
    root = Path(settings.root).expanduser()
    classes, shape = read_classes(settings.classes, root), _shape(settings, root)
    meta = _mask_meta(classes) if shape == "bitmap" else _box_meta(settings, classes, sets)
    return [PlannedProject(each.project, each.role, _content(each, classes, shape, meta)) for each in sets]


def _mask_meta(classes: VocClasses) -> ProjectMeta:
    return ProjectMeta(tuple(ClassMeta(title, "bitmap", classes.shown(title)) for title in classes.titles))


def _box_meta(settings: PascalVocSettings, classes: VocClasses, sets: list[_Set]) -> ProjectMeta:
    """The classes that were given, or those that occur; and the flags that occur, as tags."""
    objects = [item for each in sets for sample in each.samples if sample.boxes for item in sample.boxes.objects]
    found = {item.title for item in objects}
    titles = settings.classes or [title for title in classes.titles if title in found]
    titles = [*titles, *sorted(found - set(titles))]
    flags = {flag for item in objects for flag in item.flags}
    return ProjectMeta(
        tuple(ClassMeta(title, "rectangle", classes.shown(title)) for title in titles),
        tuple(TagMeta(flag) for flag in FLAGS if flag in flags),
    )


def _content(each: _Set, classes: VocClasses, shape: Shape, meta: ProjectMeta) -> Content:
    identity = {
        "version": _VERSION,
        "shape": shape,
        "classes": [[item.title, item.shape, item.color] for item in meta.classes],
        "indices": {str(index): title for index, title in classes.indices.items()},
        "colors": {str(color): title for color, title in classes.colors.items()},
        "by_palette": classes.by_palette,
        "files": [[sample.dataset, *map(file_digest, sample.files)] for sample in each.samples],
    }
    return Content(identity, meta, partial(_write, each, classes))


def _write(each: _Set, classes: VocClasses, writer: ProjectWriter, reporter: Reporter) -> None:
    unknown: list[str] = []
    for sample in track(each.samples, reporter, f"making {each.project}", unit="image"):
        width, height = whole_image_size(sample.image)
        if sample.boxes is not None:
            objects = _box_objects(sample.boxes)
            if sample.boxes.size is not None and sample.boxes.size != (width, height):
                told = "x".join(map(str, sample.boxes.size))
                raise DataError(f"{sample.image}: has {width}x{height} pixels, its annotation says {told}")
        else:
            objects = _mask_objects(sample, classes, width, height, unknown)
        annotation = normalise(Annotation(width, height, objects))
        writer.add(sample.dataset, sample.name, annotation, sample.image)
    if unknown:
        raise unknown_colors_error(unknown, "name them in data.classes, or in labelmap.txt")


def _box_objects(boxes: VocXml) -> tuple[LabeledObject, ...]:
    return tuple(LabeledObject(item.title, item.box, tuple(map(Tag, item.flags))) for item in boxes.objects)


def _mask_objects(
    sample: _Sample, classes: VocClasses, width: int, height: int, unknown: list[str]
) -> tuple[LabeledObject, ...]:
    if sample.mask is None:
        return ()
    indexed = has_indices(sample.mask, palettes=not classes.by_palette)
    colors = _read_mask(sample.mask, sample.image, width, height, indexed=indexed)
    table = classes.indices if indexed else classes.colors
    masks, others = split_by_class(colors, table, classes.titles, NOTHING)
    if others:
        unknown.append(tell_unknown(sample.mask, others, indexed=indexed))
    pieces: list[tuple[str, NDArray[np.bool_]]] = []
    if sample.instances is not None:
        pieces += _instances(sample.instances, sample.image, masks)
    pieces += masks.items()
    return tuple(LabeledObject(title, bitmap) for title, mask in pieces for bitmap in trim(Bitmap(mask, 0, 0)))


def _read_mask(path: Path, image: Path, width: int, height: int, *, indexed: bool) -> NDArray[np.uint32]:
    colors = read_colors(path, indexed=indexed)
    if colors.shape != (height, width):
        rows, columns = colors.shape
        raise DataError(f"{path}: has {columns}x{rows} pixels, but its picture {image.name} has {width}x{height}")
    return colors


def _instances(path: Path, image: Path, masks: dict[str, NDArray[np.bool_]]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Takes the pixels of every instance out of the masks of the classes; an instance is of the class most of it is."""
    if not masks:
        return []
    height, width = next(iter(masks.values())).shape
    indexed = has_indices(path, palettes=True)
    numbers = _read_mask(path, image, width, height, indexed=indexed)
    pieces = []
    for number in np.unique(numbers):
        if int(number) in {0, VOID if indexed else VOID_COLOR}:
            continue
        inside = numbers == number
        shares = {title: np.count_nonzero(mask & inside) for title, mask in masks.items() if title != NEUTRAL}
        title = max(shares, key=lambda title: shares[title], default=None)
        if title is not None and shares[title]:
            pieces.append((title, masks[title] & inside))
            masks[title] = masks[title] & ~inside
    return pieces


SOURCE = Source(PascalVocSettings, _check, _plan)
