"""`coco`: instances in COCO's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from segsweep.annotation import Annotation, Bitmap, LabeledObject, Polygon, Project, ProjectMeta, Rectangle
from segsweep.annotation import geometry as shapes
from segsweep.annotation.rasterize import geometry_mask
from segsweep.datasets.coco import CROWD, INSTANCE
from segsweep.datasets.exports.exporter import Exporter, ExportSettings, Losses, copy_image, count_tags, items
from segsweep.datasets.run_lengths import compress, mask_to_runs
from segsweep.reporting import Reporter

__all__ = ["EXPORTER"]

_FILE = "annotations/instances_default.json"

_READ_ME = f"""
`{_FILE}` holds the instances in COCO's JSON, `images/` the pictures, a folder for each data set.
Annotations stand in the order in which their objects are painted, the lowest first. Bitmaps are compressed run lengths,
pixel by pixel; polygons are polygons, with their points as they were; those with holes, which COCO cannot tell, are run
lengths. A rectangle is its `bbox`, with the four corners as segmentation. `area` is counted in pixels for run lengths,
and that of the outline for polygons and boxes. A category's `color` is an addition.
"""


def _write(
    project: Project, folder: Path, settings: ExportSettings, losses: Losses, reporter: Reporter
) -> dict[str, Any]:
    categories = {title: number for number, title in enumerate(project.meta.titles, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (item, annotation) in enumerate(items(project, reporter, f"exporting {project.name}"), 1):
        name = f"{item.dataset}/{item.name}"
        copy_image(item, folder / "images" / name)
        width, height = annotation.width, annotation.height
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        count_tags(annotation, losses, of_objects=(CROWD,))
        for title, outline in _outlines(annotation, losses):
            head = {"id": len(annotations) + 1, "image_id": number, "category_id": categories[title]}
            annotations.append({**head, **outline})
    content = {
        "info": {"description": project.name, **_credit(project)},
        "licenses": [],
        "categories": _categories(project.meta),
        "images": images,
        "annotations": annotations,
    }
    (folder / _FILE).parent.mkdir()
    (folder / _FILE).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return {"source": "coco", "annotations": _FILE, "images": "images", "project": project.name}


def _credit(project: Project) -> dict[str, str]:
    credit = project.provenance.get("credit")
    return {"contributor": "; ".join(map(str, credit.values()))} if isinstance(credit, dict) and credit else {}


def _categories(meta: ProjectMeta) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "name": item.title,
            "supercategory": str(item.extra.get("supercategory", "")),
            "color": [int(item.color[at : at + 2], 16) for at in (1, 3, 5)],
        }
        for number, item in enumerate(meta.classes, 1)
    ]


def _outlines(annotation: Annotation, losses: Losses) -> Iterator[tuple[str, dict[str, Any]]]:
    """The class and the outline of every annotation; neighbouring polygons of one instance are one annotation."""
    for (title, _), group in groupby(enumerate(annotation.objects), key=_instance):
        parts = [item for _, item in group]
        crowd = int(any(tag.name == CROWD for item in parts for tag in item.tags))
        outline = _outline(parts, annotation, losses)
        if outline is not None:
            yield title, {**outline, "iscrowd": crowd}


def _instance(numbered: tuple[int, LabeledObject]) -> tuple[str, str]:
    """What objects have in common that are parts of one: their class and the instance that both name."""
    number, item = numbered
    named = item.extra.get(INSTANCE)
    joined = named is not None and isinstance(item.geometry, Polygon) and not item.geometry.interior
    return item.class_title, f"instance {named}" if joined else f"object {number}"


def _outline(parts: list[LabeledObject], annotation: Annotation, losses: Losses) -> dict[str, Any] | None:
    match parts[0].geometry:
        case Polygon(_, holes) as polygon if not holes:
            rings = [item.geometry.exterior for item in parts if isinstance(item.geometry, Polygon)]
            bounds = shapes.bounds(Polygon(np.concatenate(rings)))
            area = sum(shapes.area(Polygon(ring)) for ring in rings)
            return _annotation([ring.ravel().tolist() for ring in rings], area, bounds)
        case Polygon() as polygon:
            losses.add("polygons with holes, written as run lengths", 1)
            drawn = geometry_mask(polygon, annotation.width, annotation.height)
            return None if drawn is None else _bitmap(drawn, annotation)
        case Rectangle(left, top, right, bottom) as box:
            corners = [left, top, left, bottom, right, bottom, right, top]
            return _annotation([corners], shapes.area(box), (left, top, right, bottom))
        case Bitmap() as bitmap:
            return _bitmap(bitmap, annotation)
        case other:
            losses.add({"graph": "keypoint graphs"}.get(other.shape, f"{other.shape}s") + ", left out", 1)
            return None


def _bitmap(bitmap: Bitmap, annotation: Annotation) -> dict[str, Any]:
    width, height = annotation.width, annotation.height
    counts = compress(mask_to_runs(bitmap, width, height))
    segmentation = {"size": [height, width], "counts": counts}
    return _annotation(segmentation, shapes.area(bitmap), shapes.bounds(bitmap))


def _annotation(segmentation: Any, area: float, bounds: tuple[float, float, float, float]) -> dict[str, Any]:
    left, top, right, bottom = bounds
    return {"segmentation": segmentation, "area": area, "bbox": [left, top, right - left, bottom - top]}


EXPORTER = Exporter("instances JSON: bitmaps as run lengths, polygons, boxes", _write, _READ_ME)
