"""The official SDK's half of the conversation: runs in .venv-sdk and knows nothing of Segsweep.

Every line of standard input is a request, `{"do": <name in ANSWERS>, "path": <project>}`; every line of standard output
is its answer, `{"answer": …}`, or `{"error": <traceback>}`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # the SDK logs to standard output, which is for answers here

import numpy as np  # noqa: E402
import supervisely as sly  # noqa: E402
from supervisely.geometry.graph import KeypointsTemplate, Node  # noqa: E402


def version(_: str) -> str:
    return str(sly.__version__)


def describe(path: str) -> dict[str, Any]:
    """What the SDK finds in a project, in the words of `ours.describe`."""
    project = sly.Project(path, sly.OpenMode.READ)
    return {
        "classes": [
            [item.name, item.geometry_type.geometry_name(), sly.color.rgb2hex(item.color).lower()]
            for item in project.meta.obj_classes
        ],
        "tags": [[item.name, item.value_type] for item in project.meta.tag_metas],
        "counts": project.get_classes_stats()["objects_count"],  # none of what the SDK cuts away
        "items": {key: _item(dataset, name, project.meta) for key, dataset, name in _items(project)},
    }


def _items(project: sly.Project) -> Iterator[tuple[str, sly.Dataset, str]]:
    """Every item, its data set, and both names as Segsweep calls them: `a__b/name` in the data set b nested in a."""
    for dataset in project.datasets:
        for name in dataset:
            yield f"{dataset.name.replace('/', '__')}/{name}", dataset, name


def _item(dataset: sly.Dataset, name: str, meta: sly.ProjectMeta) -> dict[str, Any]:
    annotation = dataset.get_ann(name, meta)  # which cuts its objects to the image
    raw = json.loads(Path(dataset.get_ann_path(name)).read_text(encoding="utf-8"))
    height, width = annotation.img_size
    return {
        "size": [width, height],
        "image": _image(sly.image.read(dataset.get_img_path(name))),
        "description": annotation.img_description,
        "tags": _tags(annotation.img_tags),
        "objects": [_object(sly.Label.from_json(item, meta), width, height) for item in raw["objects"]],
        "counts": Counter(label.obj_class.name for label in annotation.labels),
    }


def _image(pixels: np.ndarray) -> list[Any]:
    return [*pixels.shape, _digest(pixels)]


def _object(label: sly.Label, width: int, height: int) -> dict[str, Any]:
    return {
        "class": label.obj_class.name,
        "description": label.description,
        "tags": _tags(label.tags),
        **_geometry(label.geometry),
        **_mask(label, width, height),
    }


def _tags(tags: sly.TagCollection) -> list[list[Any]]:
    return sorted([tag.name, tag.value] for tag in tags)


def _geometry(geometry: sly.geometry.geometry.Geometry) -> dict[str, Any]:
    shape = geometry.geometry_name()
    if isinstance(geometry, sly.Bitmap):
        return {"shape": shape, "origin": [geometry.origin.col, geometry.origin.row], "sides": [*geometry.data.shape]}
    if isinstance(geometry, sly.GraphNodes):
        nodes = {key: [node.location.col, node.location.row] for key, node in geometry.nodes.items()}
        return {"shape": shape, "nodes": nodes, "off": [key for key, node in geometry.nodes.items() if node.disabled]}
    points = geometry.to_json()["points"]
    return {"shape": shape, "exterior": points["exterior"], "interior": points["interior"]}


def _mask(label: sly.Label, width: int, height: int) -> dict[str, Any]:
    if not isinstance(label.geometry, (sly.Bitmap, sly.Rectangle)):
        return {}
    mask = label.get_mask((height, width))
    return {"mask": [int(mask.sum()), _digest(np.packbits(mask))]}


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def annotations(path: str) -> dict[str, Any]:
    """Everything the SDK would write of a project: `meta.json` and every annotation."""
    project = sly.Project(path, sly.OpenMode.READ)
    items = {key: dataset.get_ann(name, project.meta).to_json() for key, dataset, name in _items(project)}
    return {"meta": project.meta.to_json(), "items": items}


def write(path: str) -> None:
    """A project with everything that the SDK can put into one with images and these shapes."""
    project = sly.Project(path, sly.OpenMode.CREATE)
    meta = _meta()
    project.set_meta(meta)
    street = project.create_dataset("street")
    street.add_item_np("all shapes.png", _photo(64, 48), _all_shapes(meta))
    street.add_item_np("nichts ist da – 空.png", _photo(33, 20), sly.Annotation((20, 33)))
    night = project.create_dataset("night", "street/datasets/night")
    night.add_item_np("all shapes.png", _photo(40, 30), _tagged(meta))
    deep = project.create_dataset("deep", "street/datasets/night/datasets/deep")
    deep.add_item_np("x.png", _photo(5, 4), sly.Annotation((4, 5), img_tags=[sly.Tag(meta.get_tag_meta("seen"))]))


def _meta() -> sly.ProjectMeta:
    skeleton = KeypointsTemplate()
    for label, row, col in (("head", 0, 5), ("left", 9, 0), ("right", 9, 9)):
        skeleton.add_point(label=label, row=row, col=col)
    skeleton.add_edge("head", "left")
    classes = [
        sly.ObjClass("mask", sly.Bitmap, [255, 0, 0], sly_id=11, hotkey="m", description="pixels, one by one"),
        sly.ObjClass("field", sly.Polygon, [0, 128, 7]),
        sly.ObjClass("box", sly.Rectangle, [1, 2, 3]),
        sly.ObjClass("wire", sly.Polyline, [0, 0, 255]),
        sly.ObjClass("spot", sly.Point, [254, 254, 0]),
        sly.ObjClass("pose", sly.GraphNodes, [9, 9, 9], geometry_config=skeleton),
        sly.ObjClass("anything", sly.AnyGeometry, [200, 100, 50]),
        sly.ObjClass("never used", sly.Bitmap, [0, 0, 0]),
    ]
    kinds = sly.TagValueType
    tags = [
        sly.TagMeta("seen", kinds.NONE, color=[1, 1, 1]),
        sly.TagMeta("count", kinds.ANY_NUMBER, hotkey="c", sly_id=7),
        sly.TagMeta("note", kinds.ANY_STRING),
        sly.TagMeta("weather", kinds.ONEOF_STRING, possible_values=["sun", "rain"], applicable_to="imagesOnly"),
        sly.TagMeta("taken", kinds.DATE),
        sly.TagMeta("sure", kinds.ANY_NUMBER, applicable_to="objectsOnly", applicable_classes=["mask", "box"]),
    ]
    return sly.ProjectMeta(classes, tags, project_type=sly.ProjectType.IMAGES.value)


def _all_shapes(meta: sly.ProjectMeta) -> sly.Annotation:
    ring = np.zeros((11, 9), np.bool_)
    ring[1:10, 2:9] = True
    ring[4:6, 4:6] = False
    corners = [sly.PointLocation(row, col) for row, col in ((20, 30), (20, 55), (40, 55), (40, 30))]
    hole = [sly.PointLocation(row, col) for row, col in ((25, 35), (25, 45), (33, 40))]
    nodes = [Node(label=label, row=row, col=col) for label, row, col in (("head", 2, 40), ("left", 11, 36))]
    hidden = Node(label="right", row=12, col=44, disabled=True)
    wire = sly.Polyline([sly.PointLocation(0, 0), sly.PointLocation(47, 63), sly.PointLocation(47, 0)])
    parts = (
        ("box", sly.Rectangle(0, 0, 47, 63)),
        ("mask", sly.Bitmap(ring, origin=sly.PointLocation(3, 4))),
        ("mask", sly.Bitmap(np.ones((1, 1), np.bool_), origin=sly.PointLocation(47, 63))),
        ("field", sly.Polygon(corners, [hole])),
        ("wire", wire),
        ("spot", sly.Point(47, 63)),
        ("pose", sly.GraphNodes([*nodes, hidden])),
        ("anything", sly.Bitmap(ring, origin=sly.PointLocation(30, 2))),
        ("anything", sly.Polygon(corners)),
        ("anything", wire),
        ("anything", sly.Point(1, 2)),
        ("anything", sly.Rectangle(5, 6, 7, 30)),
    )
    labels = [sly.Label(geometry, meta.get_obj_class(title)) for title, geometry in parts]
    return sly.Annotation((48, 64), labels, img_description="every shape, „quoted“\nand a second line")


def _tagged(meta: sly.ProjectMeta) -> sly.Annotation:
    """Tags of every type with the values that are easily lost, and the keys that the platform adds."""

    def tag(name: str, value: Any = None, **more: Any) -> sly.Tag:
        return sly.Tag(meta.get_tag_meta(name), value, **more)

    by = {"sly_id": 3, "labeler_login": "ann", "created_at": "2026-01-02T03:04:05.000Z", "updated_at": "2026-01-03"}
    image_tags = [
        tag("seen"),
        tag("count", 0),
        tag("count", -2.5),
        tag("note", ""),
        tag("weather", "rain"),
        tag("taken", "2026-11-22T10:00:00Z"),
    ]
    labels = [
        sly.Label(
            sly.Rectangle(2, 3, 20, 30, sly_id=99, class_id=5, labeler_login="ann", created_at="2026-01-02"),
            meta.get_obj_class("box"),
            [tag("sure", 0.75, custom_data={"model": "x"}), tag("note", "日本", **by), tag("seen")],
            "a box",
            binding_key="pair",
            status=sly.annotation.label.LabelingStatus.AUTO,
        ),
        sly.Label(
            sly.Bitmap(np.eye(12, dtype=np.bool_), origin=sly.PointLocation(8, 10)),
            meta.get_obj_class("mask"),
            [tag("sure", 1), tag("count", 10**12)],
            binding_key="pair",
            smart_tool_input={"crop": [[0, 0], [9, 9]], "visible": True, "positive": [[1, 1]], "negative": []},
        ),
    ]
    return sly.Annotation((30, 40), labels, image_tags, "", custom_data={"camera": {"gain": 1.5}}, image_id=4711)


def _photo(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)


ANSWERS = {"version": version, "describe": describe, "annotations": annotations, "write": write}


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": ANSWERS[request["do"]](str(Path(request["path"])))}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer, default=lambda value: value.item()), file=answers, flush=True)


if __name__ == "__main__":
    main()
