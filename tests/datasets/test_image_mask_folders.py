"""Pictures with colour masks: exact colours, palettes, indices, pairs by name, unknown colours told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from segsweep.annotation import Project, class_indices
from segsweep.datasets import check_source, make_projects
from segsweep.datasets.color_masks import color_text, parse_color
from segsweep.errors import DataError, Problems
from segsweep.files import read_mask

RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (155, 155, 155)
DUBAI = {
    "Land": "#8429F6",
    "Water": "#E2A929",
    "Building": "#3C1098",
    "Vegetation": "#FEDD3A",
    "Road": "#6EC1E4",
}


def problems_of(values: dict[str, object]) -> list[str]:
    problems = Problems()
    check_source("image_mask_folders", values, problems)
    return [str(problem) for problem in problems.found]


def make(values: dict[str, object], folder: Path) -> Project:
    made = make_projects("image_mask_folders", values, lambda name, _: folder / name)
    return Project.open(made.paths[made.train])


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, object]:
    """One picture of 6 x 4 with a mask: left third red, middle blue, right grey."""
    colors = np.zeros((4, 6, 3), np.uint8)
    colors[:, :2], colors[:, 2:4], colors[:, 4:] = RED, BLUE, GREY
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    Image.fromarray(np.full((4, 6, 3), 90, np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray(colors).save(tmp_path / "masks" / "a.png")
    return {
        "images": str(tmp_path / "images"),
        "masks": str(tmp_path / "masks"),
        "colors": {"red": "#ff0000", "blue": "#0000FF"},
        "neutral": ["#9b9b9b"],
    }


def indices(project: Project, classes: dict[str, int]) -> np.ndarray:
    return class_indices(project.items[0].annotation(project.meta), classes)


def test_colours_become_classes(pair: dict[str, object], tmp_path: Path) -> None:
    project = make(pair, tmp_path / "made")
    assert project.meta.titles == ("red", "blue", "neutral")
    assert indices(project, {"red": 1, "blue": 2, "neutral": 3}).tolist() == [[1, 1, 2, 2, 3, 3]] * 4


def test_background_colours_belong_to_no_class(pair: dict[str, object], tmp_path: Path) -> None:
    project = make(pair | {"neutral": [], "background": ["#9b9b9b"]}, tmp_path / "made")
    assert project.meta.titles == ("red", "blue")
    assert indices(project, {"red": 1, "blue": 2}).tolist() == [[1, 1, 2, 2, 0, 0]] * 4


def test_unknown_colours_are_an_error_that_names_them(pair: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        make(pair | {"neutral": [], "colors": {"red": "#ff0000"}}, tmp_path / "made")
    message = str(caught.value)
    assert "a.png: #0000ff (8 pixels), #9b9b9b (8 pixels)" in message
    assert "data.unknown_color" in message
    assert not list((tmp_path / "made").iterdir())


@pytest.mark.parametrize(("choice", "third"), [("neutral", 2), ("ignore", 0)])
def test_unknown_colours_can_be_neutral_or_nothing(
    pair: dict[str, object], tmp_path: Path, choice: str, third: int
) -> None:
    values = pair | {"neutral": [], "colors": {"red": "#ff0000"}, "unknown_color": choice}
    project = make(values, tmp_path / "made")
    assert indices(project, {"red": 1, "neutral": 2}).tolist() == [[1, 1] + [third] * 4] * 4


@pytest.mark.parametrize("mode", ["P", "L"])
def test_indexed_masks(pair: dict[str, object], tmp_path: Path, mode: str) -> None:
    mask = Image.fromarray(np.repeat(np.array([[0, 1, 7]], np.uint8), 2, axis=1).repeat(4, axis=0))
    if mode == "P":
        mask.putpalette([5, 5, 5] * 7 + [9, 9, 9])
        assert mask.mode == "P"
    mask.save(tmp_path / "masks" / "a.png")
    project = make(pair | {"colors": {"one": 1}, "neutral": [7], "background": [0]}, tmp_path / "made")
    assert indices(project, {"one": 1, "neutral": 2}).tolist() == [[0, 0, 1, 1, 2, 2]] * 4


def test_indices_of_a_mask_of_colours_are_refused(pair: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds RGB colours, not indices"):
        make(pair | {"colors": {"one": 1}, "neutral": []}, tmp_path / "made")


def test_sizes_must_agree(pair: dict[str, object], tmp_path: Path) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "masks" / "a.png")
    with pytest.raises(DataError, match=r"has 5x4 pixels, but its picture a\.png has 6x4"):
        make(pair, tmp_path / "made")


def test_a_corrupt_mask_or_picture_is_named(pair: dict[str, object], shared: Path, tmp_path: Path) -> None:
    corrupt = (shared / "data" / "images" / "pngsuite").rglob("xcsn0g01.png")
    (tmp_path / "images" / "a.png").write_bytes(next(corrupt).read_bytes())
    with pytest.raises(DataError, match=r"images/a\.png: is damaged"):
        make(pair, tmp_path / "made")
    (tmp_path / "masks" / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.png"):
        make(pair, tmp_path / "made")


def test_masks_beside_the_pictures_are_found_by_their_suffix(pair: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "masks" / "a.png").rename(tmp_path / "images" / "a_mask.png")
    values = pair | {"masks": pair["images"], "mask_suffix": "_mask"}
    project = make(values, tmp_path / "made")
    assert [item.name for item in project.items] == ["a.png"]


def test_missing_masks_wrong_colours_and_wrong_folders_are_told_at_once(
    pair: dict[str, object], tmp_path: Path
) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "images" / "b.jpg")
    told = problems_of(
        pair
        | {
            "colors": {"red": "#ff0000", "rouge": "#FF0000", "bad": "blue"},
            "val_images": "/no/such",
            "val_masks": str(tmp_path / "masks"),
            "test_masks": str(tmp_path / "masks"),
            "unknown_colour": "ignore",
        }
    )
    assert told == [
        "data.colors.bad: 'blue' is not possible; a colour is '#rrggbb' (in quotes), or an index from 0 to 255",
        "data.unknown_colour: unknown key 'unknown_colour'; did you mean 'unknown_color'?",
        "data.masks: 1 pictures have no mask: ds0/b",
        "data.val_images: no such folder: /no/such",
        "data.test_images: is missing beside data.test_masks",
        "data.colors.rouge: '#FF0000' is the colour of data.colors.red too",
    ]


def test_sets_must_not_share_pictures(pair: dict[str, object]) -> None:
    [problem] = problems_of(pair | {"test_images": pair["images"], "test_masks": pair["masks"]})
    assert problem == "data.test_images: shares pictures with data.images"


def test_dubai_tiles_become_datasets(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "dubai_aerial"
    values = {
        "images": f"{root}/Tile [12]/images",
        "masks": f"{root}/Tile [12]/masks",
        "test_images": f"{root}/Tile 5/images",
        "test_masks": f"{root}/Tile 5/masks",
        "colors": DUBAI,
        "neutral": ["#9B9B9B", "#000000"],
        "project": "dubai",
        "test_project": "dubai_test",
    }
    made = make_projects("image_mask_folders", values, lambda name, _: tmp_path / name)
    assert (made.train, made.val, made.test) == ("dubai", None, "dubai_test")
    project = Project.open(made.paths["dubai"])
    assert [(dataset.name, len(dataset.items)) for dataset in project.datasets] == [("Tile 1", 9), ("Tile 2", 9)]
    # tile 2 has palette files: every pixel must come back as the colour that it shows
    item = project.datasets[1].items[0]
    titles = [*DUBAI, "neutral"]
    found = class_indices(
        item.annotation(project.meta), {title: index for index, title in enumerate(titles)}, background=-1
    )
    shown = read_mask(root / "Tile 2" / "masks" / "image_part_001.png")
    for index, title in enumerate(DUBAI):
        color = np.array([int(DUBAI[title][at : at + 2], 16) for at in (1, 3, 5)])
        assert np.array_equal(found == index, (shown == color).all(axis=2)), title
    assert not (found == -1).any()


def test_the_colours_of_dubais_classes_json_are_found_out_as_wrong(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "dubai_aerial" / "Tile 1"
    values = {"images": f"{root}/images", "masks": f"{root}/masks", "colors": {"Water": "#50E3C2"}}
    with pytest.raises(DataError, match=r"#8429f6 \(\d+ pixels\)"):
        make(values, tmp_path)


@hypothesis_settings(max_examples=50)
@given(st.integers(0, 0xFFFFFF))
def test_colours_are_written_as_they_are_read(color: int) -> None:
    assert parse_color(color_text(color, indexed=False)) == color


@pytest.mark.parametrize("value", ["red", "#12345", "ff0000", "#gg0000", 256, -1])
def test_what_is_no_colour_is_refused(value: str | int) -> None:
    with pytest.raises(ValueError, match="a colour is"):
        parse_color(value)
