"""CHASE_DB1: both layouts, honest splits, original bytes, observers, fields of view."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from segsweep.annotation import Project, object_mask
from segsweep.datasets import check_source, make_projects
from segsweep.errors import DataError, Problems
from segsweep.files import read_mask


@pytest.fixture(scope="session")
def chase(shared: Path) -> Path:
    return shared / "data" / "chase_db1"


@pytest.fixture
def flat(chase: Path, tmp_path: Path) -> Path:
    """The first five children as published, in one folder."""
    folder = tmp_path / "CHASEDB1"
    folder.mkdir()
    for part in ("images", "first_observer", "second_observer"):
        for path in (chase / part).iterdir():
            if path.name[6:8] <= "05":
                (folder / path.name).symlink_to(path.resolve())
    return folder


def problems_of(settings: dict[str, object]) -> list[str]:
    problems = Problems()
    check_source("chase_db1", settings, problems)
    return [str(problem) for problem in problems.found]


def names(path: Path) -> list[str]:
    return [Path(item.name).stem.removeprefix("Image_") for item in Project.open(path).items]


def test_split_layout_gives_six_two_and_the_rest(chase: Path, tmp_path: Path) -> None:
    made = make_projects("chase_db1", {"root": str(chase)}, lambda name, _: tmp_path / name)
    assert names(made.paths["vessels"]) == ["01L", "01R", "02L", "02R", "03L", "03R"]
    assert names(made.paths["vessels_val"]) == ["04L", "04R"]
    assert names(made.paths["vessels_test"]) == [f"{child:02d}{eye}" for child in range(5, 11) for eye in "LR"]
    project = Project.open(made.paths["vessels"])
    item = project.items[0]
    assert item.image_path.read_bytes() == (chase / "images" / "Image_01L.jpg").read_bytes()
    annotation = item.annotation(project.meta)
    assert (annotation.width, annotation.height) == (999, 960)
    drawn = object_mask(annotation.objects[0], 999, 960)
    assert np.array_equal(drawn, read_mask(chase / "first_observer" / "Image_01L_1stHO.png") > 0)
    field = item.side_path("field_of_view")
    assert field is not None
    inside = read_mask(field) > 0
    assert 0.6 < inside.mean() < 0.72  # the GIF's palette is inverted: index 0 is white
    assert inside[480, 500]
    assert "CC BY 4.0" in project.provenance["credit"]["licence"]


def test_flat_layout_reads_the_same_pixels(chase: Path, flat: Path, tmp_path: Path) -> None:
    made = make_projects("chase_db1", {"root": str(flat)}, lambda name, _: tmp_path / name)
    assert names(made.paths["vessels_test"]) == ["05L", "05R"]
    project = Project.open(made.paths["vessels"])
    drawn = object_mask(project.items[0].annotation(project.meta).objects[0], 999, 960)
    assert np.array_equal(drawn, read_mask(chase / "first_observer" / "Image_01L_1stHO.png") > 0)
    assert project.items[0].side_path("field_of_view") is None


def test_the_second_observer_gives_another_project(chase: Path, flat: Path, tmp_path: Path) -> None:
    first = make_projects("chase_db1", {"root": str(flat)}, lambda name, _: tmp_path / "1" / name)
    second = make_projects("chase_db1", {"root": str(flat), "observer": 2}, lambda name, _: tmp_path / "2" / name)
    assert first.digest != second.digest
    project = Project.open(second.paths["vessels"])
    drawn = object_mask(project.items[0].annotation(project.meta).objects[0], 999, 960)
    assert np.array_equal(drawn, read_mask(chase / "second_observer" / "Image_01L_2ndHO.png") > 0)


def test_the_folder_of_the_user_is_left_as_it_was(flat: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in flat.iterdir())
    make_projects("chase_db1", {"root": str(flat)}, lambda name, _: tmp_path / "made" / name)
    assert sorted(path.name for path in flat.iterdir()) == before


def test_a_split_that_parts_the_eyes_of_a_child_is_refused(chase: Path) -> None:
    root = str(chase)
    [problem] = problems_of({"root": root, "train_images": 5, "val_images": 3})
    assert problem == (
        "data.train_images: the eyes of child 03 fall on different sides, which makes scores too good; "
        "move the split by one image, or set data.split_eyes"
    )
    [problem] = problems_of({"root": root, "train_images": 6, "val_images": 1})
    assert problem.startswith("data.val_images: the eyes of child 04")
    assert not problems_of({"root": root, "train_images": 5, "val_images": 1, "split_eyes": True})
    assert len(problems_of({"root": root, "train_images": 5, "val_images": 0})) == 1


def test_without_validation_or_test_images_there_are_no_such_projects(flat: Path, tmp_path: Path) -> None:
    settings = {"root": str(flat), "train_images": 10, "val_images": 0}
    made = make_projects("chase_db1", settings, lambda name, _: tmp_path / name)
    assert (made.train, made.val, made.test) == ("vessels", None, None)
    assert list(made.paths) == ["vessels"]


def test_missing_things_are_told_together(flat: Path, tmp_path: Path) -> None:
    assert problems_of({"root": "/no/such", "observer": 3, "trian_images": 2}) == [
        "data.observer: 3 is not possible; must be 1 or 2",
        "data.trian_images: unknown key 'trian_images'; did you mean 'train_images' or 'val_images'?",
        "data.root: no such folder: /no/such",
    ]
    (flat / "Image_02L_1stHO.png").unlink()
    told = problems_of({"root": str(flat), "train_images": 20})
    assert told == [
        "data.root: 1 masks of observer 1 are missing: Image_02L_1stHO.png",
        "data.train_images: 20 to train on and 2 to validate on are more than the 10 images there are",
    ]
    [problem] = problems_of({"root": str(tmp_path)})
    assert "holds no Image_01L.jpg" in problem


def test_a_damaged_image_is_named_and_nothing_is_left(flat: Path, tmp_path: Path) -> None:
    (flat / "Image_02L.jpg").unlink()
    (flat / "Image_02L.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"Image_02L\.jpg"):
        make_projects("chase_db1", {"root": str(flat)}, lambda name, _: tmp_path / "made" / name)
    assert not list((tmp_path / "made").iterdir())


def test_a_truncated_image_is_named(flat: Path, tmp_path: Path) -> None:
    whole = (flat / "Image_02R.jpg").read_bytes()
    (flat / "Image_02R.jpg").unlink()
    (flat / "Image_02R.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"Image_02R\.jpg: is damaged"):
        make_projects("chase_db1", {"root": str(flat)}, lambda name, _: tmp_path / "made" / name)


def test_a_mask_of_another_size_is_refused(shared: Path, flat: Path, tmp_path: Path) -> None:
    mask = next((shared / "data" / "dubai_aerial" / "Tile 1" / "masks").iterdir())
    (flat / "Image_03R_1stHO.png").unlink()
    shutil.copy(mask, flat / "Image_03R_1stHO.png")
    with pytest.raises(DataError, match=r"Image_03R_1stHO\.png: has 797x644 pixels, but its image has 999x960"):
        make_projects("chase_db1", {"root": str(flat)}, lambda name, _: tmp_path / "made" / name)
