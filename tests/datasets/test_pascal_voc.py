"""Pascal VOC folders become projects: palettes, label maps, instances, boxes, and XML that is not trusted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segsweep.annotation import Project, Rectangle, Tag, class_indices
from segsweep.datasets import check_source, make_projects
from segsweep.datasets.voc_classes import VOC_CLASSES, palette_color, read_label_map
from segsweep.datasets.voc_files import read_xml
from segsweep.errors import DataError, Problems

WIDTH, HEIGHT = 8, 5
PALETTE = [part for index in range(256) for part in palette_color(index).to_bytes(3)]
CAT, PERSON, VOID = 8, 15, 255


def voc(root: Path, names: tuple[str, ...] = ("a",), split: str = "train", kind: str = "Segmentation") -> Path:
    """The pictures and the list of a VOC folder."""
    (root / "ImageSets" / kind).mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / kind / f"{split}.txt").write_text("\n".join(names) + "\n")
    for name in names:
        path = root / "JPEGImages" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)).save(path)
    return root


def class_mask() -> np.ndarray:
    """Two cats beside each other, a person, and a void rim."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[1:4, 0:4] = CAT
    mask[1:4, 5:8] = PERSON
    mask[1:4, 4] = VOID
    return mask


def save_palette(path: Path, indices: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices)
    image.putpalette(PALETTE)
    image.save(path)


def save_colors(path: Path, indices: np.ndarray, table: dict[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lookup = np.zeros((256, 3), np.uint8)
    for index, color in table.items():
        lookup[index] = list(color.to_bytes(3))
    Image.fromarray(lookup[indices]).save(path)


def save_xml(root: Path, name: str, body: str) -> Path:
    path = root / "Annotations" / f"{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body)
    return path


def xml_object(title: str, box: tuple[Any, Any, Any, Any], more: str = "") -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in corners)
    return f"<object><name>{title}</name>{more}<bndbox>{inner}</bndbox></object>"


def make(folder: Path, root: Path, **settings: Any) -> Project:
    made = make_projects("pascal_voc", {"root": str(root), **settings}, lambda name, _: folder / "made" / name)
    return Project.open(made.paths["voc"])


def problems_of(root: Path, **settings: Any) -> list[str]:
    problems = Problems()
    check_source("pascal_voc", {"root": str(root), **settings}, problems)
    return [str(problem) for problem in problems.found]


def indices(project: Project, table: dict[str, int]) -> np.ndarray:
    values = {title: table.get(title, -1) for title in project.meta.titles}
    return class_indices(project.items[0].annotation(project.meta), values)


def test_palette_masks_have_the_classes_of_the_challenge_and_void_is_neutral(tmp_path: Path) -> None:
    root = voc(tmp_path / "VOC2012")
    save_palette(root / "SegmentationClass" / "a.png", class_mask())
    project = make(tmp_path, root)
    assert project.meta.titles == (*VOC_CLASSES, "neutral")
    assert project.meta.get("cat").color == "#400000"  # type: ignore[union-attr]
    expected = class_mask()
    assert np.array_equal(indices(project, {"cat": CAT, "person": PERSON, "neutral": VOID}), expected)


def test_instances_are_objects_and_nothing_of_their_class_is_lost(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc")
    save_palette(root / "SegmentationClass" / "a.png", class_mask())
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    instances[1:4, 0:2], instances[1:4, 4], instances[1:3, 5:8] = 1, VOID, 2
    save_palette(root / "SegmentationObject" / "a.png", instances)
    project = make(tmp_path, root)
    objects = project.items[0].annotation(project.meta).objects
    assert [item.class_title for item in objects] == ["cat", "person", "cat", "person", "neutral"]
    assert np.array_equal(indices(project, {"cat": CAT, "person": PERSON, "neutral": VOID}), class_mask())
    assert objects[0].geometry.mask.shape == (3, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize("palette", [True, False])
def test_a_label_map_names_the_colours(tmp_path: Path, palette: bool) -> None:
    root = voc(tmp_path / "voc", split="default")
    table = {0: 0x000000, CAT: 0x0A800A, PERSON: 0x112233, VOID: 0xE0E0C0}
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:17,34,51::\ntree:10,128,10::\nvoid:224,224,192::\n"
    )
    path = root / "SegmentationClass" / "a.png"
    save_colors(path, class_mask(), table)
    if palette:
        with Image.open(path) as image:
            image.quantize(8, dither=Image.Dither.NONE).save(path)
    project = make(tmp_path, root, split="default")
    assert project.meta.titles == ("dog", "tree", "neutral")
    assert np.array_equal(indices(project, {"tree": CAT, "dog": PERSON, "neutral": VOID}), class_mask())


@pytest.mark.parametrize("classes", [{"katze": CAT, "mensch": PERSON}, {"katze": "#400000", "mensch": "#C08080"}])
def test_a_table_of_ones_own_beats_the_rest(tmp_path: Path, classes: dict[str, Any]) -> None:
    root = voc(tmp_path / "voc")
    save_palette(root / "SegmentationClass" / "a.png", class_mask())
    project = make(tmp_path, root, classes=classes)
    assert project.meta.titles == ("katze", "mensch", "neutral")
    assert np.array_equal(indices(project, {"katze": CAT, "mensch": PERSON, "neutral": VOID}), class_mask())


def test_masks_of_colours_and_of_grey_are_read_too(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", ("a", "b"))
    save_colors(root / "SegmentationClass" / "a.png", class_mask(), {i: palette_color(i) for i in range(256)})
    Image.fromarray(class_mask()).save(root / "SegmentationClass" / "b.png")
    project = make(tmp_path, root)
    first, second = (item.annotation(project.meta) for item in project.items)
    assert first == second
    assert np.array_equal(indices(project, {"cat": CAT, "person": PERSON, "neutral": VOID}), class_mask())


def test_unknown_values_are_told_with_their_masks(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc")
    save_palette(root / "SegmentationClass" / "a.png", np.full((HEIGHT, WIDTH), 77, np.uint8))
    with pytest.raises(DataError, match=r"a\.png: 77 \(40 pixels\)\nname them in data\.classes, or in labelmap\.txt"):
        make(tmp_path, root)


def test_masks_must_have_the_size_of_their_picture(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc")
    save_palette(root / "SegmentationClass" / "a.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"has 4x4 pixels, but its picture a\.jpg has 8x5"):
        make(tmp_path, root)


def test_boxes_with_their_flags_and_the_classes_that_occur(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", ("night/a",), kind="Main")
    person = xml_object("person", (1, 1, 4, 5), "<difficult>1</difficult><truncated>0</truncated>")
    robot = xml_object("robot", (2.5, 2, 8, 3))
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    save_xml(root, "night/a", f"<annotation>{size}{robot}{person}</annotation>")
    project = make(tmp_path, root)
    assert [(item.title, item.shape) for item in project.meta.classes] == [
        ("person", "rectangle"),
        ("robot", "rectangle"),
    ]
    assert [tag.name for tag in project.meta.tags] == ["difficult"]
    [item] = project.items
    assert (item.dataset, item.name) == ("night", "a.jpg")
    first, second = item.annotation(project.meta).objects
    assert (first.geometry, first.tags) == (Rectangle(1.5, 1, 8, 3), ())
    assert (second.geometry, second.tags) == (Rectangle(0, 0, 4, 5), (Tag("difficult"),))


def test_boxes_of_an_image_of_another_size_are_refused(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc")
    save_xml(root, "a", "<annotation><size><width>9</width><height>5</height></size></annotation>")
    with pytest.raises(DataError, match="has 8x5 pixels, its annotation says 9x5"):
        make(tmp_path, root)


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><annotation><object><name>&b;</name></object></annotation>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (BOMB, "has a document type"),
        (OUTSIDE, "has a document type"),
        ("<annotation>&a;</annotation>", "is no XML: undefined entity"),
        ("<annotation>", "is no XML"),
        ("", "is no XML"),
        ("<a>" * 1000, "is nested too deeply"),
        ("<annotation><object><name>x</name></object></annotation>", "object 0 should have a name and a bndbox"),
        (f"<annotation>{xml_object('x', (1, 1, 'nan', 2))}</annotation>", "object 0 should have"),
        (f"<annotation>{xml_object(' ', (1, 1, 2, 2))}</annotation>", "object 0 should have"),
        (f"<annotation>{xml_object('x', (1, 1, 1e300, 2))}</annotation>", "object 0 should have"),
    ],
)
def test_xml_is_not_trusted(tmp_path: Path, body: str, told: str) -> None:
    root = voc(tmp_path / "voc")
    save_xml(root, "a", body)
    [problem] = problems_of(root)
    assert problem.startswith("data.split: ")
    assert told in problem


def test_a_document_type_is_refused_in_any_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(('<?xml version="1.0" encoding="utf-16"?>' + BOMB).encode("utf-16"))
    with pytest.raises(DataError, match="has a document type"):
        read_xml(path)


@given(st.binary(max_size=60) | st.text(alphabet="<>/annotionbjecm &;![]", max_size=60).map(str.encode))
def test_any_bytes_are_an_annotation_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.xml"
    path.write_bytes(data)
    with contextlib.suppress(DataError):
        assert isinstance(read_xml(path).objects, tuple)


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", ("a", "gone", "../a", "a"))
    (root / "JPEGImages" / "gone.jpg").unlink()
    (root / "SegmentationClass").mkdir()
    (root / "labelmap.txt").write_text("x:1,2::\n")
    told = problems_of(root, val_split="vla", test_split="train", project="x", test_project="x", splitt="y")
    listed = f"{root / 'ImageSets' / 'Segmentation' / 'vla.txt'}"
    assert told == [
        "data.splitt: unknown key 'splitt'; did you mean 'split' or 'val_split' or 'test_split'?",
        "data.test_project: 'x' is the name of data.project too; give another name",
        f"data.root: {root / 'labelmap.txt'}: line 1 should look like name:r,g,b:: with numbers from 0 to 255",
        f"data.split: {root / 'SegmentationClass' / 'a.png'} is missing",
        f"data.split: {root / 'JPEGImages' / 'gone.jpg'} is missing (or another image of that name)",
        "data.split: image id '..' cannot be used as a file name: no separators, control characters, '..'",
        f"data.split: {root / 'SegmentationClass' / 'a.png'} is missing",
        f"data.val_split: there is no list {listed}, nor one in Main; known: train",
        f"data.test_split: {root / 'SegmentationClass' / 'a.png'} is missing",
        f"data.test_split: {root / 'JPEGImages' / 'gone.jpg'} is missing (or another image of that name)",
        "data.test_split: image id '..' cannot be used as a file name: no separators, control characters, '..'",
        f"data.test_split: {root / 'SegmentationClass' / 'a.png'} is missing",
    ]


def test_sets_share_no_pictures_and_an_image_is_listed_once(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", ("a", "b", "a"))
    voc(root, ("b",), "val")
    for name in ("a", "b"):
        save_palette(root / "SegmentationClass" / f"{name}.png", class_mask())
    assert problems_of(root, val_split="val") == [
        "data.split: a is listed twice",
        "data.val_split: shares pictures with data.split",
    ]


def test_the_folder_above_is_recognised(tmp_path: Path) -> None:
    voc(tmp_path / "VOCdevkit" / "VOC2012")
    [problem] = problems_of(tmp_path / "VOCdevkit")
    assert problem.endswith("holds no folder JPEGImages; choose a folder in it: VOC2012")


def test_a_wrong_table_of_classes(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc")
    save_xml(root, "a", f"<annotation>{xml_object('persn', (1, 1, 2, 2))}</annotation>")
    told = problems_of(root, classes={"person": 1, "human": 1, "cat": "#ff0000"})
    assert told == [
        "data.classes: mixes colours and indices; give all as '#rrggbb' or all as numbers",
        "data.classes.human: 1 is that of data.classes.person too",
        "data.classes: unknown class of boxes 'persn'; did you mean 'person'?",
    ]


@pytest.mark.parametrize("line", ["dog", "dog:1,2,3,4::", "dog:1,2,x::", ":1,2,3::", "dog:1,2,256::", "cat:1,2,3::"])
def test_wrong_lines_of_a_label_map(tmp_path: Path, line: str) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text(f"cat:1,2,3::\n{line}\n")
    with pytest.raises(DataError, match="line 2"):
        read_label_map(path)
