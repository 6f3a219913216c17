"""`pascal_voc`: pictures, lists, palette masks of classes and of instances, and boxes in XML."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.annotation import (
    Annotation,
    Bitmap,
    Item,
    LabeledObject,
    Polygon,
    Project,
    Rectangle,
)
from segsweep.annotation import geometry as shapes
from segsweep.annotation.rasterize import geometry_mask
from segsweep.datasets.exports.exporter import (
    VOID,
    Exporter,
    ExportSettings,
    Losses,
    copy_image,
    count_tags,
    drawn_indices,
    items,
    value_of_classes,
)
from segsweep.datasets.voc_classes import palette_color
from segsweep.datasets.voc_files import FLAGS
from segsweep.errors import DataError
from segsweep.reporting import Reporter

__all__ = ["EXPORTER"]

_SPLITS = ("train", "val", "test")
_MOST_INSTANCES = VOID - 1
_PALETTE = [part for index in range(256) for part in palette_color(index).to_bytes(3)]

_READ_ME = """
Pascal VOC's layout. `SegmentationClass/` holds a palette PNG for each picture, whose indices are the classes in the
order of `labelmap.txt`: 0 is no class or the background, 255 neutral; `SegmentationObject/` the same with a number for
each object. Where objects lie over each other, a mask shows the upper one. `Annotations/` holds the boxes, in pixels
that are counted from 1. The lists in `ImageSets/` follow the tags train, val and test; pictures without such a tag are
in `train`. Pictures are as they were, so not all may be JPEG.
"""


def _write(
    project: Project, folder: Path, settings: ExportSettings, losses: Losses, reporter: Reporter
) -> dict[str, Any]:
    values = value_of_classes(project.meta, settings)
    ids = _ids(project.items)
    splits: dict[str, list[str]] = {}
    for name in ("Annotations", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for item, annotation in items(project, reporter, f"exporting {project.name}"):
        name = ids[item.dataset, item.name]
        file = f"{name}{Path(item.name).suffix}"
        copy_image(item, folder / "JPEGImages" / file)
        _write_masks(annotation, folder, name, values, settings, losses)
        special = (settings.background, settings.neutral)
        listed = [entry for entry in annotation.objects if entry.class_title not in special]
        xml = _xml(file, annotation, listed)
        (folder / "Annotations" / f"{name}.xml").write_text(xml, encoding="utf-8")
        tags = [tag.name for tag in annotation.tags if tag.name in _SPLITS] or ["train"]
        for split in dict.fromkeys(tags):
            splits.setdefault(split, []).append(name)
    for split, names in splits.items():
        for kind in ("Segmentation", "Main"):
            (folder / "ImageSets" / kind / f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (folder / "labelmap.txt").write_text(_label_map(values, losses), encoding="utf-8")
    first, *others = (split for split in _SPLITS if split in splits)
    named = {f"{split}_split": split for split in others}
    projects = {f"{split}_project": f"{project.name}_{split}" for split in others}
    return {"source": "pascal_voc", "root": ".", "split": first, **named, "project": project.name, **projects}


def _ids(entries: Iterable[Item]) -> dict[tuple[str, str], str]:
    """A name of its own for each picture: the shortest form that is unique in the whole project."""
    entries = list(entries)
    for form in ("{stem}", "{dataset}__{stem}", "{dataset}__{stem}_{kind}"):
        ids = {
            (item.dataset, item.name): form.format(
                stem=Path(item.name).stem, dataset=item.dataset, kind=Path(item.name).suffix[1:]
            )
            for item in entries
        }
        if len(set(ids.values())) == len(entries):
            return ids
    raise DataError("pictures of different data sets would get the same name; rename the data sets")


def _write_masks(
    annotation: Annotation, folder: Path, name: str, values: dict[str, int], settings: ExportSettings, losses: Losses
) -> None:
    count_tags(annotation, losses, of_images=_SPLITS, of_objects=FLAGS)
    _save(drawn_indices(annotation, values, settings, losses), folder / "SegmentationClass" / f"{name}.png")
    instances = _instances(annotation, values)
    if instances is None:
        losses.add(f"images of more than {_MOST_INSTANCES} objects, without a mask in SegmentationObject")
    else:
        _save(instances, folder / "SegmentationObject" / f"{name}.png")


def _save(indices: NDArray[np.uint8], path: Path) -> None:
    image = Image.fromarray(indices)
    image.putpalette(_PALETTE)
    image.save(path)


def _instances(annotation: Annotation, values: dict[str, int]) -> NDArray[np.uint8] | None:
    """The number of the object that each pixel shows (uint8, HxW), `VOID` if neutral; None if there are too many."""
    plain = [item for item in annotation.objects if 0 < values[item.class_title] < VOID]
    if len(plain) > _MOST_INSTANCES:
        return None
    numbers = np.zeros((annotation.height, annotation.width), dtype=np.uint8)
    number = 0
    for item in annotation.objects:
        value = values[item.class_title]
        drawn = geometry_mask(item.geometry, annotation.width, annotation.height)
        number += 0 < value < VOID
        if value and drawn is not None:
            rows, columns = drawn.mask.shape
            window = numbers[drawn.y : drawn.y + rows, drawn.x : drawn.x + columns]
            window[drawn.mask] = VOID if value == VOID else number
    return numbers


def _xml(file: str, annotation: Annotation, listed: list[LabeledObject]) -> str:
    lines = [
        "<annotation>",
        "  <folder>JPEGImages</folder>",
        f"  <filename>{escape(file)}</filename>",
        f"  <size><width>{annotation.width}</width><height>{annotation.height}</height><depth>3</depth></size>",
        "  <segmented>1</segmented>",
        *(line for item in listed for line in _xml_object(item, annotation)),
        "</annotation>",
        "",
    ]
    return "\n".join(lines)


def _xml_object(item: LabeledObject, annotation: Annotation) -> list[str]:
    """The lines about an object; none for a shape without an area in its image."""
    left, top, right, bottom = shapes.bounds(item.geometry)
    left, top = max(0, left), max(0, top)
    right, bottom = min(annotation.width, right), min(annotation.height, bottom)
    if not isinstance(item.geometry, Bitmap | Polygon | Rectangle) or left >= right or top >= bottom:
        return []
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (left + 1, top + 1, right, bottom), strict=True)
    flags = {tag.name for tag in item.tags}
    return [
        "  <object>",
        f"    <name>{escape(item.class_title)}</name>",
        "    <pose>Unspecified</pose>",
        *(f"    <{flag}>{int(flag in flags)}</{flag}>" for flag in FLAGS),
        "    <bndbox>" + "".join(f"<{key}>{value:.12g}</{key}>" for key, value in corners) + "</bndbox>",
        "  </object>",
    ]


def _label_map(values: dict[str, int], losses: Losses) -> str:
    """Class and colour of every index; classes whose names hold a colon are renamed, since it parts the fields."""
    rows = {0: "background"}
    for title, value in values.items():
        if value:
            rows[value] = " ".join(title.replace(":", "_").split()).lstrip("#")
            if rows[value] != title:
                losses.note(f"the class {title!r} is {rows[value]!r} in labelmap.txt, whose fields end at colons")
    lines = ["# label:color_rgb:parts:actions"]
    for value, title in sorted(rows.items()):
        lines.append(f"{title}:{','.join(map(str, palette_color(value).to_bytes(3)))}::")
    return "\n".join(lines) + "\n"


EXPORTER = Exporter("JPEGImages, palette masks of classes and instances, boxes in XML", _write, _READ_ME)
