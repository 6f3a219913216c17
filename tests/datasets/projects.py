"""Projects for tests of import and export: real ones, and a small one with everything in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    LabeledObject,
    Line,
    Point,
    Polygon,
    Project,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    Tag,
    TagMeta,
    class_indices,
)
from segsweep.annotation.geometry import trim
from segsweep.datasets import make_projects
from segsweep.files import read_mask

DUBAI = {
    "Land": "#8429F6",
    "Water": "#E2A929",
    "Building": "#3C1098",
    "Vegetation": "#FEDD3A",
    "Road": "#6EC1E4",
}
TITLES = [*DUBAI, "neutral"]
WIDTH, HEIGHT = 60, 40


def dubai(shared: Path, folder: Path, tiles: str = "[12]") -> Project:
    """The coloured masks of two tiles, of which one has palette files."""
    root = shared / "data" / "dubai_aerial"
    settings = {
        "images": f"{root}/Tile {tiles}/images",
        "masks": f"{root}/Tile {tiles}/masks",
        "colors": DUBAI,
        "neutral": ["#9B9B9B", "#000000"],
        "project": "dubai",
    }
    made = make_projects("image_mask_folders", settings, lambda name, _: folder / name)
    return Project.open(made.paths["dubai"])


def retinas(shared: Path, folder: Path, count: int = 2) -> Project:
    """Vessels of CHASE_DB1 as bitmaps, with a second observer's over the first's."""
    root = shared / "data" / "chase_db1"
    meta = ProjectMeta((ClassMeta("vessel", "bitmap", "#ff0000"), ClassMeta("second", "bitmap", "#00ff00")))
    with ProjectWriter(folder / "retinas", meta) as writer:
        for image in sorted((root / "images").iterdir())[:count]:
            objects = []
            for title, observer, suffix in (("vessel", "first", "1stHO"), ("second", "second", "2ndHO")):
                mask = read_mask(root / f"{observer}_observer" / f"{image.stem}_{suffix}.png") > 127
                objects += [LabeledObject(title, bitmap) for bitmap in trim(Bitmap(mask, 0, 0))]
            height, width = mask.shape
            writer.add("eyes", image.name, Annotation(width, height, tuple(objects)), image)
    return Project.open(folder / "retinas")


def everything(folder: Path, *, hole: bool = True) -> Project:
    """Two data sets with an image of the same name: every shape, objects above others, tags, a background."""
    square = np.array([[30.0, 5], [50, 5], [50, 25], [30, 25]])
    inner = np.array([[35.0, 10], [45, 10], [45, 20], [35, 20]])
    triangle = np.array([[2.5, 3], [20.25, 4], [9, 25.5]])
    blob = np.zeros((12, 15), np.bool_)
    blob[2:9, 3:14] = True
    blob[5, 5] = False
    meta = ProjectMeta(
        (
            ClassMeta("bg", "rectangle", "#000000"),
            ClassMeta("roof", "polygon", "#112233", {"supercategory": "house"}),
            ClassMeta("blob", "bitmap", "#ff0000"),
            ClassMeta("box", "rectangle", "#FF0000"),
            ClassMeta("wire", "line", "#0000ff"),
            ClassMeta("spot", "point", "#00ffff"),
            ClassMeta("neutral", "bitmap", "#9b9b9b"),
        ),
        (TagMeta("val"), TagMeta("night"), TagMeta("iscrowd"), TagMeta("difficult")),
    )
    objects = (
        LabeledObject("roof", Polygon(square, (inner,) if hole else ())),
        LabeledObject("roof", Polygon(triangle)),
        LabeledObject("blob", Bitmap(blob, 5, 20), (Tag("iscrowd"), Tag("night"))),
        LabeledObject("box", Rectangle(12.5, 22, 30, 33), (Tag("difficult"),)),
        LabeledObject("wire", Line(np.array([[0.0, 38], [59, 30]]))),
        LabeledObject("spot", Point(55, 3)),
        LabeledObject("neutral", Bitmap(np.ones((4, 5), np.bool_), 50, 30)),
        LabeledObject("bg", Rectangle(0, 0, WIDTH, HEIGHT)),
    )
    parts = tuple(LabeledObject("roof", Polygon(ring), extra={"instance": "7"}) for ring in (triangle, square))
    photo = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with ProjectWriter(folder / "everything", meta, {"credit": {"licence": "CC0"}}) as writer:
        writer.add("day", "a.png", Annotation(WIDTH, HEIGHT, objects, (Tag("val"), Tag("night"))), photo)
        writer.add("night", "a.png", Annotation(WIDTH, HEIGHT, parts), photo)
        writer.add("night", "b.jpg", Annotation(WIDTH, HEIGHT), photo)
    return Project.open(folder / "everything")


def shown(project: Project, titles: list[str], background: str | None = None) -> dict[tuple[str, str], np.ndarray]:
    """What every pixel of every image shows: the place of its class in `titles`, or -1."""
    values = {title: place for place, title in enumerate(titles)}
    known = {item.title: values.get(item.title, -1) for item in project.meta.classes}
    return {
        (item.dataset, item.name): class_indices(item.annotation(project.meta), known, -1, background)
        for item in project.items
    }
