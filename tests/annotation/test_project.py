"""The project on disk: read, written, read again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    LabeledObject,
    Project,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    Tag,
    TagMeta,
    annotation_from_json,
    project_digest,
)
from segsweep.errors import DataError
from segsweep.files import encode_image, read_image, read_json

META = ProjectMeta((ClassMeta("vessel", "bitmap", "#FF0000"), ClassMeta("bg", "rectangle")), (TagMeta("train"),))
REAL = ["sly_tutorial_legacy_format", "sly_cookbook_tagged"]
GOLDEN = ["shapes", "masks", "lines", "alpha", "beta", "frames", "kpts"]


def rewrite(project: Project, path: Path) -> Project:
    with ProjectWriter(path, project.meta) as writer:
        for item in project.items:
            writer.add(item.dataset, item.name, item.annotation(project.meta), item.image_path)
    return Project.open(path)


def without_noise(value: Any) -> Any:
    """JSON without what carries nothing: the shape's name beside the class, and empty stand-ins of other shapes."""
    if isinstance(value, list):
        return [without_noise(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "classTitle" in value:
        shapes = [key for key in ("bitmap", "nodes") if value.get(key)] or ["points"]
        keep = set(value) - {"type", "geometryType", "bitmap", "points", "nodes"} | set(shapes)
        value = {key: value[key] for key in sorted(keep)}
    if "data" in value and "origin" in value:
        return "mask"  # compared as pixels
    return {key: without_noise(item) for key, item in value.items()}


@pytest.mark.parametrize("name", REAL)
def test_real_project_is_written_back_with_nothing_lost(shared: Path, tmp_path: Path, name: str) -> None:
    original = Project.open(shared / "data" / "supervisely_projects" / name)
    again = rewrite(original, tmp_path / "again")
    assert again.meta == original.meta
    assert read_json(again.path / "meta.json") == read_json(original.path / "meta.json")
    assert [(i.dataset, i.name) for i in again.items] == [(i.dataset, i.name) for i in original.items]
    assert len(original.items) == 5
    for first, second in zip(original.items, again.items, strict=True):
        assert second.annotation(again.meta) == first.annotation(original.meta)
        assert without_noise(read_json(second.annotation_path)) == without_noise(read_json(first.annotation_path))
        assert second.image_path.read_bytes() == first.image_path.read_bytes()


@pytest.mark.parametrize("name", GOLDEN)
def test_recorded_project_is_read_as_stored(shared: Path, tmp_path: Path, name: str) -> None:
    original = Project.open(shared / "golden" / "dtl" / "projects" / name)
    again = rewrite(original, tmp_path / "again")
    assert again.meta == original.meta
    for first, second in zip(original.items, again.items, strict=True):
        assert second.annotation(again.meta) == first.annotation(original.meta)


def one_item(path: Path, **changes: Any) -> Project:
    """A project of one 4x3 image; `changes` replace keys of its annotation's JSON."""
    with ProjectWriter(path, META, {"made_by": "test"}) as writer:
        mask = Bitmap(np.ones((1, 2), dtype=np.bool_), 1, 1)
        objects = (LabeledObject("bg", Rectangle(0, 0, 3, 2)), LabeledObject("vessel", mask, (Tag("thin", "yes"),)))
        annotation = Annotation(4, 3, objects, (Tag("train", plain=True),))
        writer.add("ds", "a.png", annotation, np.zeros((3, 4, 3), dtype=np.uint8))
        writer.add_side("ds", "field_of_view", "a.png", encode_image(np.zeros((3, 4), dtype=np.uint8)))
    project = Project.open(path)
    file = project.items[0].annotation_path
    data = {**read_json(file), **changes}
    file.write_text(json.dumps({key: value for key, value in data.items() if value != "missing"}))
    return project


def test_provenance_and_side_files_are_kept(tmp_path: Path) -> None:
    project = one_item(tmp_path / "p")
    assert project.provenance == {"made_by": "test"}
    item = project.items[0]
    assert item.side_path("field_of_view") == tmp_path / "p" / "ds" / "field_of_view" / "a.png.png"
    assert item.side_path("probabilities") is None


@pytest.mark.parametrize("size", ["missing", None, {"height": None, "width": None}])
def test_size_comes_from_the_image_when_the_annotation_does_not_say_it(size: Any, tmp_path: Path) -> None:
    project = one_item(tmp_path / "p", size=size)
    annotation = project.items[0].annotation(project.meta)
    assert (annotation.width, annotation.height) == (4, 3)


def test_unknown_keys_and_tag_forms_survive(tmp_path: Path) -> None:
    tags = ["plain", {"name": "a"}, {"name": "b", "value": None}, {"name": "c", "value": 3, "labelerLogin": "x"}]
    project = one_item(tmp_path / "p", tags=tags, customBigData={"k": [1]}, imageId=7)
    again = rewrite(project, tmp_path / "again")
    data = read_json(again.items[0].annotation_path)
    assert data["tags"] == tags
    assert data["customBigData"] == {"k": [1]}
    assert data["imageId"] == 7


def test_every_wrong_thing_is_told_at_once_with_file_and_key(tmp_path: Path) -> None:
    box = {"classTitle": "bg", "points": {"exterior": [[0, 0], [1, "x"]]}}
    objects = [{"classTitle": "vesel"}, box, {"classTitle": "vessel", "bitmap": {"data": "!"}}, 5]
    project = one_item(tmp_path / "p", objects=objects, tags=[{"value": 1}])
    with pytest.raises(DataError) as raised:
        project.items[0].annotation(project.meta)
    lines = str(raised.value).splitlines()
    assert len(lines) == 5
    assert all(line.startswith(str(project.items[0].annotation_path)) for line in lines)
    assert "objects[0].classTitle 'vesel' is no class of the project; did you mean 'vessel'?" in lines[0]
    assert "objects[1].points.exterior" in lines[1]
    assert "objects[2].bitmap" in lines[2]
    assert "tags[0]" in lines[4]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e300"])
def test_numbers_that_are_no_coordinates_are_refused(tmp_path: Path, number: str) -> None:
    project = one_item(tmp_path / "p", objects=[{"classTitle": "bg", "points": {"exterior": [[0, 0], [1, 77]]}}])
    file = project.items[0].annotation_path
    file.write_text(file.read_text().replace("77", number))
    with pytest.raises(DataError, match="coordinate"):
        project.items[0].annotation(project.meta)


def test_annotation_is_found_under_its_old_name_and_never_shared(tmp_path: Path) -> None:
    project = one_item(tmp_path / "p")
    item = project.items[0]
    item.annotation_path.rename(item.annotation_path.with_name("a.json"))
    assert Project.open(project.path).items[0].annotation_path.name == "a.json"
    item.image_path.with_name("a.jpg").write_bytes(item.image_path.read_bytes())
    with pytest.raises(DataError, match="shares its annotation"):
        Project.open(project.path)


def test_missing_annotations_are_all_named(tmp_path: Path) -> None:
    project = one_item(tmp_path / "p")
    for name in ("b.png", "c.png"):
        (project.path / "ds" / "img" / name).write_bytes(b"")
    with pytest.raises(DataError) as raised:
        Project.open(project.path)
    assert "b.png" in str(raised.value) and "c.png" in str(raised.value)


def test_what_is_no_dataset_is_left_out_with_a_warning(tmp_path: Path) -> None:
    project = one_item(tmp_path / "p")
    (project.path / "notes").mkdir()
    (project.path / "ds" / "img" / "Thumbs.db").write_bytes(b"")
    warnings = "\n".join(Project.open(project.path).warnings)
    assert "notes is no dataset" in warnings and "Thumbs.db is no image" in warnings


def nest(project: Project, *parents: str) -> Path:
    """Moves the data set `ds` of a project below others, as the newer official tools nest them."""
    folder = project.path.joinpath(*[part for parent in parents for part in (parent, "datasets")], "ds")
    folder.parent.mkdir(parents=True)
    (project.path / "ds").rename(folder)
    return folder


@pytest.mark.parametrize(("parents", "name"), [(["a"], "a__ds"), (["a", "b"], "a__b__ds")])
def test_nested_datasets_are_read_under_joined_names(tmp_path: Path, parents: list[str], name: str) -> None:
    plain = one_item(tmp_path / "p")
    before = plain.items[0].annotation(plain.meta)
    folder = nest(plain, *parents)
    project = Project.open(plain.path)
    assert project.warnings == ()
    assert [dataset.name for dataset in project.datasets] == [name]
    [item] = project.items
    assert (item.dataset, item.name, item.image_path.parent.parent) == (name, "a.png", folder)
    assert item.annotation(project.meta) == before
    assert item.side_path("field_of_view") is not None
    assert Project.open(rewrite(project, tmp_path / "flat").path).datasets[0].name == name


def test_a_dataset_with_nested_ones_keeps_its_own_images(tmp_path: Path) -> None:
    plain = one_item(tmp_path / "p")
    shutil.copytree(plain.path / "ds", plain.path / "zz")
    shutil.copytree(plain.path / "zz", plain.path / "ds" / "datasets" / "inner")
    project = Project.open(plain.path)
    assert [(dataset.name, len(dataset.items)) for dataset in project.datasets] == [
        ("ds", 1),
        ("ds__inner", 1),
        ("zz", 1),
    ]


def test_a_nested_dataset_must_not_share_the_name_of_a_plain_one(tmp_path: Path) -> None:
    project = one_item(tmp_path / "p")
    shutil.copytree(project.path / "ds", project.path / "a__ds")
    nest(project, "a")
    with pytest.raises(DataError, match="is read as data set 'a__ds', which is there already"):
        Project.open(project.path)


@pytest.mark.parametrize("missing", ["nowhere", "."])
def test_a_folder_that_is_no_project_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(DataError):
        Project.open(tmp_path / missing)


@pytest.mark.parametrize("name", ["../a.png", "", "a\0.png", "a/b.png", "..", "x" * 300])
def test_names_never_become_paths_unchecked(tmp_path: Path, name: str) -> None:
    with ProjectWriter(tmp_path / "p", META) as writer:
        blank = np.zeros((1, 1, 3), dtype=np.uint8)
        with pytest.raises(DataError):
            writer.add("ds", name, Annotation(1, 1), blank)
        with pytest.raises(DataError):
            writer.add(name, "a.png", Annotation(1, 1), blank)
        with pytest.raises(DataError):
            writer.add_side("ds", "field_of_view", name, b"")
    assert [entry.name for entry in tmp_path.iterdir()] == ["p"]


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    blank = np.zeros((1, 1, 3), dtype=np.uint8)
    with ProjectWriter(tmp_path / "p", META) as writer:
        writer.add("ds", "a.png", Annotation(1, 1), blank)
        with pytest.raises(DataError, match="already has"):
            writer.add("ds", "a.png", Annotation(1, 1), blank)


def test_an_object_that_does_not_fit_its_class_is_not_written(tmp_path: Path) -> None:
    annotation = Annotation(2, 2, (LabeledObject("vessel", Rectangle(0, 0, 1, 1)),))
    blank = np.zeros((2, 2, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="a rectangle, its class a bitmap"), ProjectWriter(tmp_path / "p", META) as out:
        out.add("ds", "a.png", annotation, blank)
    assert not list(tmp_path.iterdir())


def test_images_are_linked_encoded_or_taken_as_bytes(tmp_path: Path) -> None:
    source = one_item(tmp_path / "p").items[0].image_path
    pixels = np.full((3, 4, 3), (10, 200, 30), dtype=np.uint8)
    with ProjectWriter(tmp_path / "q", META) as writer:
        writer.add("ds", "file.png", Annotation(4, 3), source)
        writer.add("ds", "array.png", Annotation(4, 3), pixels)
        writer.add("ds", "bytes.png", Annotation(4, 3), encode_image(pixels))
    images = {item.name: item.image_path for item in Project.open(tmp_path / "q").items}
    assert images["file.png"].samefile(source)
    assert np.array_equal(read_image(images["array.png"]), pixels)
    assert np.array_equal(read_image(images["bytes.png"]), pixels)


def test_digest_follows_content_and_not_provenance(tmp_path: Path) -> None:
    first, second = one_item(tmp_path / "p"), one_item(tmp_path / "q")
    digest = project_digest(first.path)
    assert project_digest(second.path) == digest
    (second.path / "segsweep.json").write_text("{}")
    (second.path / "ds" / "field_of_view" / "a.png.png").unlink()
    assert project_digest(second.path) == digest
    second.items[0].image_path.write_bytes(b"other")
    assert project_digest(second.path) != digest


def test_graphs_are_kept_as_they_are() -> None:
    meta = ProjectMeta((ClassMeta("pose", "graph"),))
    item = {"classTitle": "pose", "nodes": {"a": {"loc": [1, 2], "disabled": True}}}
    annotation = annotation_from_json({"size": {"width": 9, "height": 9}, "objects": [item]}, meta, "here")
    assert annotation.objects[0].geometry.nodes == item["nodes"]
