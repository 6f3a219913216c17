"""Projects in the forms of other tools: read with those tools, and read again by ours, pixel by pixel."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image
from pycocotools import mask as reference
from pycocotools.coco import COCO

from segsweep.annotation import (
    Annotation,
    ClassMeta,
    Project,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    Tag,
    object_mask,
    project_digest,
)
from segsweep.datasets import make_projects
from segsweep.datasets.exports import EXPORTS, ExportSettings, export_project
from segsweep.datasets.voc_classes import palette_color
from segsweep.errors import DataError

from .projects import TITLES, dubai, everything, retinas, shown

AGAIN: dict[str, dict[str, Any]] = {
    "coco": {"annotations": "annotations/instances_default.json", "images": "images"},
    "pascal_voc": {"root": "."},
    "masks_indexed": {"images": "images/*", "masks": "masks/*"},
    "masks_colored": {"images": "images/*", "masks": "masks/*"},
}
SOURCE = {"masks_indexed": "image_mask_folders", "masks_colored": "image_mask_folders"}
PATHS = {"annotations", "images", "masks", "root"}


def again(format_name: str, output: Path, folder: Path, more: dict[str, Any]) -> Project:
    """Imports what was exported."""
    settings = {key: str(output / value) if key in PATHS else value for key, value in AGAIN[format_name].items()}
    source = SOURCE.get(format_name, format_name)
    made = make_projects(source, {**settings, **more, "project": "again"}, lambda name, _: folder / name)
    return Project.open(made.paths["again"])


def open_coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


@pytest.fixture(scope="module")
def tiles(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return dubai(shared, tmp_path_factory.mktemp("dubai"))


@pytest.mark.parametrize("format_name", EXPORTS)
def test_real_masks_come_back_pixel_by_pixel(
    tiles: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    """The export carries the config that reads it again."""
    assert export_project(tiles, format_name, tmp_path / "out") == []
    config: Any = OmegaConf.to_container(OmegaConf.load(tmp_path / "out" / "conf" / "data" / "exported.yaml"))
    monkeypatch.chdir(tmp_path / "out")
    made = make_projects(config.pop("source"), config, lambda name, _: tmp_path / "made" / name)
    assert (made.train, made.val) == ("dubai", None)
    project = Project.open(made.paths["dubai"])
    expected, found = shown(tiles, TITLES), shown(project, TITLES)
    if format_name == "pascal_voc":  # one flat folder: the data set is part of the name
        expected = {("ds0", f"{dataset}__{name}"): mask for (dataset, name), mask in expected.items()}
    assert expected.keys() == found.keys()
    assert all(np.array_equal(found[key], expected[key]) for key in expected)
    assert set(project.meta.titles) == set(TITLES)
    images = {item.image_path.read_bytes() for item in tiles.items}
    assert {item.image_path.read_bytes() for item in project.items} == images


def test_coco_of_real_bitmaps_is_what_its_own_tools_compute(shared: Path, tmp_path: Path) -> None:
    project = retinas(shared, tmp_path)
    assert export_project(project, "coco", tmp_path / "out") == []
    coco = open_coco(tmp_path / "out" / "annotations" / "instances_default.json")
    assert [item["name"] for item in coco.loadCats(coco.getCatIds())] == ["vessel", "second"]
    for item, image in zip(project.items, coco.loadImgs(coco.getImgIds()), strict=True):
        annotation = item.annotation(project.meta)
        found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        assert len(found) == len(annotation.objects) == 2
        for told, entry in zip(found, annotation.objects, strict=True):
            mask = coco.annToMask(told).astype(bool)
            assert np.array_equal(mask, object_mask(entry, annotation.width, annotation.height))
            assert told["area"] == mask.sum() == reference.area(coco.annToRLE(told))
            assert told["bbox"] == reference.toBbox(coco.annToRLE(told)).tolist()
    back = again("coco", tmp_path / "out", tmp_path / "made", {})
    assert [item.annotation(back.meta) for item in back.items] == [
        item.annotation(project.meta) for item in project.items
    ]


@pytest.mark.parametrize("name", ["sly_tutorial_legacy_format", "sly_cookbook_tagged"])
def test_real_supervisely_projects_keep_their_polygons_boxes_and_bitmaps(
    shared: Path, tmp_path: Path, name: str
) -> None:
    project = Project.open(shared / "data" / "supervisely_projects" / name)
    before = project_digest(project.path)
    told = export_project(project, "coco", tmp_path / "out")
    assert any(line.endswith("tags of images, left out") for line in told)
    coco = open_coco(tmp_path / "out" / "annotations" / "instances_default.json")
    for image in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(image)
        assert mask.sum() == pytest.approx(image["area"], rel=0.1, abs=20)
    back = again("coco", tmp_path / "out", tmp_path / "made", {})
    for first, second in zip(project.items, back.items, strict=True):
        kept = [
            (item.class_title, item.geometry)
            for item in first.annotation(project.meta).objects
            if item.geometry.shape in {"polygon", "rectangle", "bitmap"} and not getattr(item.geometry, "interior", ())
        ]
        found = [(item.class_title, item.geometry) for item in second.annotation(back.meta).objects]
        assert [pair for pair in found if pair in kept] == kept
    assert project_digest(project.path) == before


def test_coco_holds_what_it_can_and_the_rest_is_told(tmp_path: Path) -> None:
    project = everything(tmp_path)
    told = export_project(project, "coco", tmp_path / "out")
    assert sorted(told) == [
        "1 lines, left out",
        "1 points, left out",
        "1 polygons with holes, written as run lengths",
        "2 tags of images, left out",
        "2 tags of objects, left out",
    ]
    data = json.loads((tmp_path / "out" / "annotations" / "instances_default.json").read_text())
    assert data["categories"][1] == {"id": 2, "name": "roof", "supercategory": "house", "color": [17, 34, 51]}
    assert data["info"]["contributor"] == "CC0"
    assert [image["file_name"] for image in data["images"]] == ["day/a.png", "night/a.png", "night/b.jpg"]
    roof, triangle, blob, box, _, bg, joined = data["annotations"]
    assert isinstance(roof["segmentation"], dict)
    assert triangle["segmentation"] == [[2.5, 3, 20.25, 4, 9, 25.5]]
    assert triangle["area"] == 196.4375
    assert (blob["iscrowd"], blob["area"], blob["bbox"]) == (1, 76, [8, 22, 11, 7])
    assert (box["bbox"], box["area"], box["iscrowd"]) == ([12.5, 22, 17.5, 11], 192.5, 0)
    assert bg["bbox"] == [0, 0, 60, 40]
    assert len(joined["segmentation"]) == 2  # the two parts of one instance


def test_coco_read_again_has_the_same_objects(tmp_path: Path) -> None:
    project = everything(tmp_path, hole=False)
    export_project(project, "coco", tmp_path / "out")
    back = again("coco", tmp_path / "out", tmp_path / "made", {})
    before = {item.title: item.color.lower() for item in project.meta.classes}
    assert {item.title: item.color for item in back.meta.classes} == before
    first, second = (each.items[1].annotation(each.meta).objects for each in (project, back))
    assert [item.geometry for item in first] == [item.geometry for item in second]
    assert len({item.extra["instance"] for item in second}) == 1
    objects = {item.class_title: item for item in back.items[0].annotation(back.meta).objects}
    assert objects["box"].geometry == Rectangle(12.5, 22, 30, 33)
    assert objects["blob"].tags == (Tag("iscrowd"),)


def test_masks_show_what_lies_above_and_the_background_never_does(tmp_path: Path) -> None:
    project = everything(tmp_path)
    told = export_project(project, "masks_indexed", tmp_path / "out")
    assert "1 lines, drawn one pixel wide" in told
    values = json.loads((tmp_path / "out" / "classes.json").read_text())
    assert values == {"roof": 1, "blob": 2, "box": 3, "wire": 4, "spot": 5, "bg": 0, "neutral": 255}
    with Image.open(tmp_path / "out" / "masks" / "day" / "a.png") as picture:
        assert picture.mode == "L"
        mask = np.array(picture)
    expected = shown(project, ["bg", "roof", "blob", "box", "wire", "spot", "neutral"], "bg")["day", "a.png"]
    expected[expected == 6] = 255
    assert np.array_equal(mask, expected)
    assert set(np.unique(mask)) == {0, 1, 2, 3, 4, 5, 255}


def test_coloured_masks_give_every_class_a_colour_of_its_own(tmp_path: Path) -> None:
    project = everything(tmp_path)
    told = export_project(project, "masks_colored", tmp_path / "out", ExportSettings(background="none"))
    colors = json.loads((tmp_path / "out" / "classes.json").read_text())
    assert len(set(colors.values())) == len(project.meta.classes)
    assert colors["blob"] == "#ff0000"
    assert colors["box"] != "#ff0000" and colors["bg"] != "#000000"
    assert f"the colour #FF0000 of 'box' is taken; its masks have {colors['box']}" in told
    back = again("masks_colored", tmp_path / "out", tmp_path / "made", {"colors": colors, "background": ["#000000"]})
    titles = list(project.meta.titles)
    first, second = shown(project, titles, "none"), shown(back, titles)
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_two_pictures_cannot_share_a_mask(tmp_path: Path) -> None:
    blank = np.zeros((4, 4, 3), np.uint8)
    with ProjectWriter(tmp_path / "p", ProjectMeta((ClassMeta("a", "bitmap"),))) as writer:
        writer.add("ds", "x.png", Annotation(4, 4), blank)
        writer.add("ds", "x.jpg", Annotation(4, 4), blank)
    project = Project.open(tmp_path / "p")
    with pytest.raises(DataError, match=r"ds: x\.jpg and x\.png would share a mask"):
        export_project(project, "masks_indexed", tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["p"]
    export_project(project, "pascal_voc", tmp_path / "voc")
    assert {path.name for path in (tmp_path / "voc" / "JPEGImages").iterdir()} == {"ds__x_png.png", "ds__x_jpg.jpg"}


def test_voc_masks_are_palette_files_of_class_and_object(tmp_path: Path) -> None:
    project = everything(tmp_path)
    told = export_project(project, "pascal_voc", tmp_path / "out")
    assert sorted(told) == [
        "1 lines, drawn one pixel wide",
        "1 points, drawn as one pixel",
        "1 tags of images, left out",
        "2 tags of objects, left out",
    ]
    root = tmp_path / "out"
    with Image.open(root / "SegmentationClass" / "day__a.png") as picture:
        assert picture.mode == "P"
        palette = picture.getpalette()
        classes = np.array(picture)
    assert palette is not None
    assert [palette[3 * index : 3 * index + 3] for index in (1, 255)] == [[128, 0, 0], [224, 224, 192]]
    assert set(np.unique(classes)) == {0, 1, 2, 3, 4, 5, 255}
    with Image.open(root / "SegmentationObject" / "day__a.png") as picture:
        objects = np.array(picture)
    assert set(np.unique(objects)) == {0, 1, 2, 3, 4, 5, 6, 255}
    assert np.array_equal(objects == 255, classes == 255)
    assert np.array_equal((objects == 1) | (objects == 2), classes == 1)
    assert (root / "labelmap.txt").read_text().splitlines()[1:4] == [
        "background:0,0,0::",
        "roof:128,0,0::",
        "blob:0,128,0::",
    ]
    lists = {path.stem: path.read_text().split() for path in (root / "ImageSets" / "Segmentation").iterdir()}
    assert lists == {"train": ["night__a", "night__b"], "val": ["day__a"]}


def test_voc_boxes_count_pixels_from_one(tmp_path: Path) -> None:
    export_project(everything(tmp_path), "pascal_voc", tmp_path / "out")
    root = ElementTree.parse(tmp_path / "out" / "Annotations" / "day__a.xml").getroot()
    assert (root.findtext("filename"), root.findtext("size/width")) == ("day__a.png", "60")
    boxes = {
        item.findtext("name"): [float(item.findtext(f"bndbox/{key}") or "") for key in ("xmin", "ymin", "xmax", "ymax")]
        for item in root.findall("object")
    }
    assert boxes["box"] == [13.5, 23, 30, 33]
    assert boxes["blob"] == [9, 23, 19, 29]
    assert set(boxes) == {"roof", "blob", "box"}
    assert [item.findtext("difficult") for item in root.findall("object")] == ["0", "0", "0", "1"]
    back = again("pascal_voc", tmp_path / "out", tmp_path / "made", {"shape": "rectangle", "split": "val"})
    [box] = [item for item in back.items[0].annotation(back.meta).objects if item.class_title == "box"]
    assert (box.geometry, box.tags) == (Rectangle(12.5, 22, 30, 33), (Tag("difficult"),))


def test_voc_read_again_has_an_object_for_each_instance(tmp_path: Path) -> None:
    project = everything(tmp_path)
    export_project(project, "pascal_voc", tmp_path / "out")
    back = again("pascal_voc", tmp_path / "out", tmp_path / "made", {"split": "val"})
    titles = ["roof", "blob", "box", "wire", "spot", "neutral"]
    first = shown(project, titles, "bg")["day", "a.png"]
    assert np.array_equal(shown(back, titles)["ds0", "day__a.png"], first)
    objects = [item.class_title for item in back.items[0].annotation(back.meta).objects]
    assert objects == ["roof", "roof", "blob", "box", "wire", "spot", "neutral"]
    merged = again("pascal_voc", tmp_path / "out", tmp_path / "merged", {"split": "val", "instances": False})
    assert [item.class_title for item in merged.items[0].annotation(merged.meta).objects] == titles


@pytest.mark.parametrize("format_name", EXPORTS)
def test_the_readme_tells_losses_credit_and_how_to_read_it_again(tmp_path: Path, format_name: str) -> None:
    told = export_project(everything(tmp_path), format_name, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert all(f"* {line}" in text for line in told)
    assert "* licence: CC0" in text
    assert "in this folder: `segsweep data import data=exported`" in text


@pytest.mark.parametrize("format_name", EXPORTS)
def test_an_export_appears_whole_or_not_at_all(tmp_path: Path, format_name: str) -> None:
    project = everything(tmp_path)
    project.items[-1].annotation_path.write_text("{}x")
    with pytest.raises(DataError, match=r"b\.jpg\.json"):
        export_project(project, format_name, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["everything"]


def test_an_export_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        export_project(everything(tmp_path), "coco", tmp_path / "out")
    with pytest.raises(DataError, match="unknown format 'coc'; did you mean 'coco'"):
        export_project(everything(tmp_path / "other"), "coc", tmp_path / "new")


def test_exported_pictures_are_copies(tmp_path: Path) -> None:
    project = everything(tmp_path)
    export_project(project, "coco", tmp_path / "out")
    copy = tmp_path / "out" / "images" / "day" / "a.png"
    assert copy.read_bytes() == project.items[0].image_path.read_bytes()
    assert not copy.samefile(project.items[0].image_path)


def test_more_classes_than_a_byte_holds_are_refused_where_it_matters(tmp_path: Path) -> None:
    classes = tuple(ClassMeta(f"c{number}", "bitmap") for number in range(255))
    with ProjectWriter(tmp_path / "p", ProjectMeta(classes)) as writer:
        writer.add("ds", "x.png", Annotation(4, 4), np.zeros((4, 4, 3), np.uint8))
    project = Project.open(tmp_path / "p")
    for format_name in ("masks_indexed", "masks_colored", "pascal_voc"):
        with pytest.raises(DataError, match="hold 254 classes, the project has 255"):
            export_project(project, format_name, tmp_path / "out")
    assert export_project(project, "coco", tmp_path / "out") == []


def test_the_palette_is_that_of_the_challenge() -> None:
    told = {0: 0x000000, 1: 0x800000, 2: 0x008000, 8: 0x400000, 15: 0xC08080, 20: 0x004080, 255: 0xE0E0C0}
    assert {index: palette_color(index) for index in told} == told
