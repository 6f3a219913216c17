"""COCO's instances become projects: every kind of segmentation, and everything that can be wrong, told at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as reference

from segsweep.annotation import Bitmap, Polygon, Project, Rectangle, object_mask
from segsweep.datasets import check_source, make_projects
from segsweep.errors import InvalidRequestError, Problems
from segsweep.reporting import ListReporter

WIDTH, HEIGHT = 40, 30
CATEGORIES = [
    {"id": 3, "name": "cat", "supercategory": "animal"},
    {"id": 7, "name": "car", "supercategory": "vehicle"},
    {"id": 90, "name": "sky"},
]
TRIANGLE = [2.5, 3.0, 20.25, 4.0, 9.0, 25.5]
SQUARE = [25, 5, 35, 5, 35, 15, 25, 15]


def crowd_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:28, 5:38] = 1
    mask[23, 10:20] = 0
    return mask


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": runs if flat[0] == 0 else [0, *runs]}


def compressed(mask: np.ndarray) -> dict[str, Any]:
    encoded = reference.encode(np.asfortranarray(mask))
    return {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}


def annotation(number: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    base = {"id": number, "image_id": 1, "category_id": category, "segmentation": segmentation, "iscrowd": 0}
    return {**base, **more}


def coco(folder: Path, annotations: list[Any], **changes: Any) -> dict[str, Any]:
    """A COCO data set of two images, one in a subfolder; returns settings that import it."""
    for name in ("a.png", "night/b.png"):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)).save(path)
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for number, name in enumerate(("a.png", "night/b.png"), 1)
    ]
    data = {"images": images, "annotations": annotations, "categories": CATEGORIES, **changes}
    (folder / "instances.json").write_text(json.dumps(data))
    return {"annotations": str(folder / "instances.json"), "images": str(folder / "images")}


def make(values: dict[str, Any], folder: Path, reporter: ListReporter | None = None) -> Project:
    made = make_projects("coco", values, lambda name, _: folder / name, reporter or ListReporter())
    return Project.open(made.paths["coco"])


def problems_of(values: dict[str, Any]) -> list[str]:
    problems = Problems()
    check_source("coco", values, problems)
    return [str(problem) for problem in problems.found]


def test_polygons_stay_polygons_and_parts_of_one_object_stay_joined(tmp_path: Path) -> None:
    settings = coco(tmp_path, [annotation(5, 3, [TRIANGLE]), annotation(6, 3, [TRIANGLE, SQUARE])])
    project = make(settings, tmp_path / "made")
    assert (project.meta.classes[0].title, project.meta.classes[0].shape) == ("cat", "polygon")
    [first, *parts] = project.items[0].annotation(project.meta).objects
    assert isinstance(first.geometry, Polygon)
    assert first.geometry.exterior.ravel().tolist() == TRIANGLE
    assert first.extra == {}
    assert [part.extra for part in parts] == [{"instance": "6"}] * 2


@pytest.mark.parametrize("form", [uncompressed, compressed])
def test_run_lengths_are_read_pixel_by_pixel_and_crowds_are_tagged(tmp_path: Path, form: Any) -> None:
    project = make(coco(tmp_path, [annotation(1, 7, form(crowd_mask()), iscrowd=1)]), tmp_path / "made")
    [item] = project.items[0].annotation(project.meta).objects
    assert isinstance(item.geometry, Bitmap)
    assert np.array_equal(object_mask(item, WIDTH, HEIGHT), crowd_mask().astype(bool))
    assert [tag.name for tag in item.tags] == ["iscrowd"]
    assert [tag.name for tag in project.meta.tags] == ["iscrowd"]


@pytest.mark.parametrize(("crowds", "titles"), [("neutral", ["cat", "neutral"]), ("skip", ["cat"])])
def test_crowds_can_be_neutral_or_left_out(tmp_path: Path, crowds: str, titles: list[str]) -> None:
    annotations = [annotation(1, 3, [TRIANGLE]), annotation(2, 3, uncompressed(crowd_mask()), iscrowd=1)]
    project = make(coco(tmp_path, annotations) | {"crowds": crowds}, tmp_path / "made")
    objects = project.items[0].annotation(project.meta).objects
    assert [item.class_title for item in objects] == titles
    assert not any(item.tags for item in objects)
    assert isinstance(objects[0].geometry, Polygon)


@pytest.mark.parametrize("segmentation", [None, [], [[]]])
def test_annotations_of_boxes_become_rectangles(tmp_path: Path, segmentation: Any) -> None:
    settings = coco(tmp_path, [annotation(1, 7, segmentation, bbox=[1.5, 2, 10, 5])])
    project = make(settings, tmp_path / "made")
    [item] = project.items[0].annotation(project.meta).objects
    assert item.geometry == Rectangle(1.5, 2, 11.5, 7)
    assert project.meta.get("car").shape == "rectangle"  # type: ignore[union-attr]


def test_a_class_annotated_in_several_ways_becomes_bitmaps_filled_as_the_reference_does(tmp_path: Path) -> None:
    annotations = [
        annotation(1, 3, [TRIANGLE, SQUARE]),
        annotation(2, 3, compressed(crowd_mask())),
        annotation(3, 3, [], bbox=[3, 4, 10, 6]),
        annotation(4, 90, [SQUARE]),
    ]
    reporter = ListReporter()
    project = make(coco(tmp_path, annotations), tmp_path / "made", reporter)
    assert [item.shape for item in project.meta.classes] == ["bitmap", "bitmap", "polygon"]
    assert any("'cat': some annotations are run lengths" in text for _, text in reporter.messages)
    shapes = reference.frPyObjects([TRIANGLE, SQUARE], HEIGHT, WIDTH)
    expected = [
        reference.decode(reference.merge(shapes)),
        crowd_mask(),
        np.pad(np.ones((6, 10), np.uint8), ((4, HEIGHT - 10), (3, WIDTH - 13))),
    ]
    objects = project.items[0].annotation(project.meta).objects
    for item, mask in zip(objects, expected, strict=False):
        assert np.array_equal(object_mask(item, WIDTH, HEIGHT), mask.astype(bool))


@pytest.mark.parametrize("shape", ["bitmap", "polygon", "rectangle"])
def test_one_shape_can_be_asked_for(tmp_path: Path, shape: str) -> None:
    annotations = [annotation(1, 3, [TRIANGLE]), annotation(2, 7, [], bbox=[3, 4, 10, 6])]
    project = make(coco(tmp_path, annotations) | {"shape": shape}, tmp_path / "made")
    first, second = project.items[0].annotation(project.meta).objects
    assert {item.shape for item in project.meta.classes} == {first.geometry.shape} == {second.geometry.shape} == {shape}
    if shape == "rectangle":
        assert first.geometry == Rectangle(2.5, 3, 20.25, 25.5)


def test_run_lengths_cannot_be_polygons(tmp_path: Path) -> None:
    settings = coco(tmp_path, [annotation(1, 7, compressed(crowd_mask()), iscrowd=1)])
    [problem] = problems_of(settings | {"shape": "polygon"})
    assert problem == (
        "data.shape: the run lengths of 'car' are no polygons; choose auto or bitmap, "
        "or leave the crowds out with crowds=skip"
    )


def test_a_polygon_that_is_just_its_box_is_a_box(tmp_path: Path) -> None:
    ring = [3, 4, 3, 10, 13, 10, 13, 4]
    project = make(coco(tmp_path, [annotation(1, 7, [ring], bbox=[3, 4, 10, 6])]), tmp_path / "made")
    assert project.items[0].annotation(project.meta).objects[0].geometry == Rectangle(3, 4, 13, 10)


def test_a_box_among_polygons_is_a_polygon(tmp_path: Path) -> None:
    settings = coco(tmp_path, [annotation(1, 3, [TRIANGLE]), annotation(2, 3, [], bbox=[3, 4, 10, 6])])
    project = make(settings, tmp_path / "made")
    box = project.items[0].annotation(project.meta).objects[1].geometry
    assert isinstance(box, Polygon)
    assert box.exterior.tolist() == [[3, 4], [13, 4], [13, 10], [3, 10]]


def test_subfolders_become_datasets_and_images_without_annotations_stay(tmp_path: Path) -> None:
    project = make(coco(tmp_path, []), tmp_path / "made")
    assert [(item.dataset, item.name) for item in project.items] == [("ds0", "a.png"), ("night", "b.png")]
    assert project.meta.titles == ("cat", "car", "sky")
    assert project.meta.classes[0].extra == {"supercategory": "animal"}


def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    annotations = [
        annotation(1, 3, [TRIANGLE], keypoints=[5, 5, 2], num_keypoints=1),
        annotation(2, 3, [[1, 1, 2, 2]], bbox=[1, 1, 1, 1]),
        annotation(3, 3, [], bbox=[1, 1, 0, 5]),
    ]
    reporter = ListReporter()
    project = make(coco(tmp_path, annotations), tmp_path / "made", reporter)
    assert len(project.items[0].annotation(project.meta).objects) == 1
    told = [text for level, text in reporter.messages if level == "warning"]
    assert [text.split(": ")[1] for text in told] == [
        "1 annotations have keypoints, which are left out",
        "2 annotations have no area and are left out",
    ]


def test_val_and_train_have_the_same_classes(tmp_path: Path) -> None:
    train = coco(tmp_path / "train", [annotation(1, 3, [TRIANGLE])])
    val = coco(tmp_path / "val", [annotation(1, 3, compressed(crowd_mask()))], categories=CATEGORIES[::-1])
    settings = {**train, "val_annotations": val["annotations"], "val_images": val["images"]}
    made = make_projects("coco", settings, lambda name, _: tmp_path / "made" / name)
    metas = [Project.open(made.paths[name]).meta for name in ("coco", "coco_val")]
    assert metas[0] == metas[1]
    assert metas[0].get("cat").shape == "bitmap"  # type: ignore[union-attr]


def test_categories_of_one_name_are_told_apart_by_what_is_above_them(tmp_path: Path) -> None:
    mice = [{"id": 1, "name": "mouse", "supercategory": "animal"}, {"id": 2, "name": "mouse", "supercategory": "thing"}]
    project = make(coco(tmp_path, [], categories=mice), tmp_path / "made")
    assert project.meta.titles == ("mouse (animal)", "mouse (thing)")
    [problem] = problems_of(coco(tmp_path, [], categories=[{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]))
    assert "two categories are named 'x'" in problem


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    wrong = [
        annotation(1, 99, [TRIANGLE]),
        annotation(2, 3, [TRIANGLE], image_id=8),
        annotation(3, 3, [[1, 2, 3]]),
        annotation(4, 3, [[1, 2, 3, "x", 5, 6]]),
        annotation(5, 3, [[1, 2, 3, 1e9, 5, 6]]),
    ]
    categories = [*CATEGORIES, {"id": 3, "name": "dog"}, {"name": "bird"}]
    images = [
        {"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
        {"id": 1, "file_name": "night/b.png", "width": WIDTH, "height": HEIGHT},
        {"id": 3, "file_name": "gone.png", "width": WIDTH, "height": HEIGHT},
        {"id": 4, "file_name": "../a.png", "width": WIDTH, "height": HEIGHT},
        {"id": 5, "file_name": "/etc/x.png", "width": WIDTH, "height": HEIGHT},
        {"id": 6, "file_name": "c.png", "width": 0, "height": HEIGHT},
    ]
    settings = coco(tmp_path, wrong, categories=categories, images=images)
    told = "\n".join(problems_of(settings | {"crowd": "keep", "project": "a/b"}))
    file = tmp_path / "instances.json"
    for expected in (
        "data.crowd: unknown key 'crowd'; did you mean 'crowds'?",
        "data.project: project name 'a/b' cannot be used",
        f"data.annotations: {file}: annotations[0] (id 1): category_id 99 is no category of the file (known: 3, 7, 90)",
        "annotations[1] (id 2): image_id 8 is no image of the file",
        "annotations[2] (id 3): segmentation[0] has an odd count of numbers",
        "annotations[3] (id 4): segmentation[0] should be a list of numbers",
        "annotations[4] (id 5): segmentation[0] lies far outside of its image of 40x30",
        "categories[3]: the id 3 is that of 'cat' too",
        "categories[4] should have an id and a name",
        "images[1]: the id 1 is there twice",
        "gone.png is not in",
        "images[3]: file_name '..' cannot be used as a file name",
        "images[4]: file_name '' cannot be used as a file name",
        "images[5]: 'c.png' has the size 0 x 30",
    ):
        assert expected in told, expected


@pytest.mark.parametrize(
    ("segmentation", "told"),
    [
        ({"size": [30, 39], "counts": [1200]}, r"segmentation.size is \[30, 39\], its image has \[30, 40\]"),
        ({"size": [30, 40], "counts": [1199]}, "the run lengths cover 1199 pixels, their image has 40x30"),
        ({"size": [30, 40], "counts": [-1, 1201]}, "their image has 40x30"),
        ({"size": [30, 40], "counts": [2**70]}, "holds a number that no image needs"),
        ({"size": [30, 40], "counts": "!"}, "characters that do not belong there"),
        ({"size": [30, 40]}, "segmentation.counts should be"),
        ("polygon", "segmentation should be a list of rings"),
        (None, "has neither a segmentation nor a bbox"),
    ],
)
def test_wrong_segmentations(tmp_path: Path, segmentation: Any, told: str) -> None:
    [problem] = problems_of(coco(tmp_path, [annotation(1, 3, segmentation)]))
    assert re.search(told, problem)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.data())
def test_no_content_is_beyond_a_message(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    given_annotations = [
        annotation(1, 3, [TRIANGLE], bbox=[1, 2, 3, 4], keypoints=[1, 2, 3]),
        annotation(2, 7, uncompressed(crowd_mask()), iscrowd=1),
    ]
    importing = coco(folder, given_annotations)
    content = json.loads((folder / "instances.json").read_text())
    node: Any = content
    while True:  # something anywhere in the file becomes something else
        keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(VALUES)
    (folder / "instances.json").write_text(json.dumps(content))
    for problem in problems_of(importing):
        assert "instances.json" in problem


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "holds a list, as files of results do"),
        ("{", "is no JSON"),
        ('{"images": []}', "instances have an object with the lists images, annotations, categories"),
    ],
)
def test_files_that_are_no_instances(tmp_path: Path, content: str, told: str) -> None:
    settings = coco(tmp_path, [])
    (tmp_path / "instances.json").write_text(content)
    [problem] = problems_of(settings)
    assert told in problem


def test_of_many_equal_problems_a_few_are_told(tmp_path: Path) -> None:
    told = problems_of(coco(tmp_path, [annotation(number, 99, [TRIANGLE]) for number in range(50)]))
    assert len(told) == 6
    assert told[-1].endswith("… and 45 more wrong annotations")


def test_sizes_must_agree_with_the_pictures_and_nothing_is_written(tmp_path: Path) -> None:
    settings = coco(tmp_path, [])
    Image.new("RGB", (HEIGHT, WIDTH)).save(tmp_path / "images" / "a.png")
    with pytest.raises(InvalidRequestError, match="has 30x40 pixels, the JSON says 40x30"):
        make(settings, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_sets_must_not_share_pictures(tmp_path: Path) -> None:
    settings = coco(tmp_path, [])
    again = {"val_annotations": settings["annotations"], "val_images": settings["images"]}
    assert problems_of(settings | again) == ["data.val_annotations: shares pictures with data.annotations"]
    [problem] = problems_of(settings | {"test_annotations": settings["annotations"]})
    assert problem == "data.test_images: is missing beside data.test_annotations"


def test_other_annotations_make_another_project(tmp_path: Path) -> None:
    def digest() -> str:
        made = make_projects("coco", settings, lambda name, fingerprint: tmp_path / "made" / fingerprint)
        return made.digest

    settings = coco(tmp_path, [annotation(1, 3, [TRIANGLE])])
    first = digest()
    assert digest() == first
    coco(tmp_path, [annotation(1, 3, [SQUARE])])
    assert digest() != first
