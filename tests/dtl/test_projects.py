"""Several data layers, datasets and projects in one graph: what is read, what results are called, how they are made."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segsweep.annotation import (
    Annotation,
    Bitmap,
    ClassMeta,
    LabeledObject,
    Point,
    Project,
    ProjectMeta,
    ProjectWriter,
    Tag,
    TagMeta,
)
from segsweep.dtl import TransformSummary, read_layers, transform
from segsweep.errors import InvalidRequestError
from segsweep.files import digest_files, read_image

CELLS = ProjectMeta((ClassMeta("cell", "bitmap", "#FF0000"),), (TagMeta("seen", plain=True),))
SIZE = (24, 16)
DEFAULT = {"classes_mapping": "default"}


def make(path: Path, names: Sequence[str], meta: ProjectMeta = CELLS, tags: Sequence[Tag] = ()) -> Path:
    """A project with a picture of its own for every `dataset/name`, and an object of every class."""
    width, height = SIZE
    shapes = {"bitmap": Bitmap(np.ones((6, 8), dtype=np.bool_), 3, 4), "point": Point(5, 5)}
    with ProjectWriter(path, meta) as writer:
        for number, name in enumerate(names):
            random = np.random.default_rng(number)
            dataset, file = name.split("/")
            objects = tuple(LabeledObject(item.title, shapes[item.shape]) for item in meta.classes)
            image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            writer.add(dataset, file, Annotation(width, height, objects, tuple(tags)), image)
    return path


def run(layers: Any, projects: Mapping[str, Path], result: Path, **options: Any) -> TransformSummary:
    return transform(read_layers(layers), projects, result, **options)


def save(*src: str, **values: Any) -> dict[str, Any]:
    return {"action": "supervisely", "src": list(src), "dst": "r", "settings": values}


def data(*src: str, **mapping: str) -> dict[str, Any]:
    return {"action": "data", "src": list(src), "settings": {"classes_mapping": mapping or "default"}}


def names(path: Path) -> list[str]:
    return sorted(f"{item.dataset}/{item.name}" for item in Project.open(path).items)


def digest(path: Path) -> str:
    return digest_files(path, [file for file in path.rglob("*") if file.is_file()])


def picture(path: Path, name: str) -> np.ndarray:
    dataset, file = name.split("/")
    return read_image(path / dataset / "img" / file)


def test_a_dataset_that_two_data_layers_read_goes_through_both(tmp_path: Path) -> None:
    project = make(tmp_path / "p", ["d/a.png", "e/b.png"])
    layers = {
        "kept": data("p/d"),
        "renamed": data("p/*", cell="body"),
        "mirrored": {"action": "flip", "src": ["renamed"], "settings": {"axis": "vertical"}},
        "out": save("kept", "mirrored"),
    }
    summary = run(layers, {"p": project}, tmp_path / "r")
    assert {name: count.seen for name, count in summary.layers.items()} == {
        "kept": 1,
        "renamed": 2,
        "mirrored": 2,
        "out": 3,
    }
    assert names(tmp_path / "r") == ["d/a.png", "d/a_mirrored.png", "e/b.png"]
    result = Project.open(tmp_path / "r")
    titles = {item.name: [one.class_title for one in item.annotation(result.meta).objects] for item in result.items}
    assert titles == {"a.png": ["cell"], "a_mirrored.png": ["body"], "b.png": ["body"]}
    assert result.meta.titles == ("cell", "body")


def test_one_data_layer_may_read_several_datasets_and_the_same_one_only_once(tmp_path: Path) -> None:
    project = make(tmp_path / "p", ["d/a.png", "e/b.png", "f/c.png"])
    run({"some": data("p/e", "p/d", "/p/e/"), "out": save("some")}, {"p": project}, tmp_path / "r")
    assert names(tmp_path / "r") == ["d/a.png", "e/b.png"]
    run({"all": data("p/e", "p"), "out": save("all")}, {"p": project}, tmp_path / "s")
    assert names(tmp_path / "s") == ["d/a.png", "e/b.png", "f/c.png"]


def test_datasets_of_equal_names_are_called_after_their_projects(tmp_path: Path) -> None:
    projects = {
        "p": make(tmp_path / "p", ["d/a.png", "only/a.png"]),
        "q": make(tmp_path / "q", ["d/a.png", "other/a.png"]),
    }
    layers: dict[str, Any] = {"one": data("p"), "two": data("q/d"), "out": save("one", "two")}
    run(layers, projects, tmp_path / "r")
    assert names(tmp_path / "r") == ["only/a.png", "p__d/a.png", "q__d/a.png"]
    layers["plain"] = {"action": "dataset", "src": ["one", "two"], "settings": {"rule": "save_original"}}
    run({**layers, "out": save("plain")}, projects, tmp_path / "s")
    assert names(tmp_path / "s") == ["d/a.png", "d/a_2.png", "only/a.png"]


def test_projects_that_no_data_layer_reads_change_no_names(tmp_path: Path) -> None:
    projects = {name: make(tmp_path / name, ["d/a.png"]) for name in ("p", "q")}
    run({"one": data("p"), "out": save("one")}, projects, tmp_path / "r")
    assert names(tmp_path / "r") == ["d/a.png"]


def test_classes_and_tags_of_all_projects_come_together(tmp_path: Path) -> None:
    spots = ProjectMeta(
        (ClassMeta("spot", "point", "#00FF00"), ClassMeta("cell", "bitmap", "#0000FF")),
        (TagMeta("grade", "any_string"), TagMeta("seen", plain=True)),
    )
    projects = {
        "p": make(tmp_path / "p", ["d/a.png"], tags=[Tag("seen", plain=True)]),
        "q": make(tmp_path / "q", ["e/b.png"], spots, [Tag("grade", "good")]),
    }
    layers = {
        "one": data("p"),
        "two": data("q"),
        "new": {"action": "tag", "src": ["one", "two"], "settings": {"tag": "new", "action": "add"}},
        "out": save("new"),
    }
    run(layers, projects, tmp_path / "r")
    result = Project.open(tmp_path / "r")
    assert [(item.title, item.color) for item in result.meta.classes] == [("cell", "#FF0000"), ("spot", "#00FF00")]
    assert [tag.name for tag in result.meta.tags] == ["seen", "grade", "new"]
    tags = {item.name: [tag.name for tag in item.annotation(result.meta).tags] for item in result.items}
    assert tags == {"a.png": ["seen", "new"], "b.png": ["grade", "new"]}


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (
            ProjectMeta((ClassMeta("cell", "point", "#00FF00"),)),
            "class 'cell' would be a point but is a bitmap already",
        ),
        (
            ProjectMeta((), (TagMeta("seen", "any_number"),)),
            "tag 'seen' would hold 'any_number' but holds 'none' already",
        ),
    ],
)
def test_projects_whose_classes_or_tags_disagree_are_refused(tmp_path: Path, other: ProjectMeta, told: str) -> None:
    projects = {"p": make(tmp_path / "p", ["d/a.png"]), "q": make(tmp_path / "q", ["e/b.png"], other)}
    with pytest.raises(
        InvalidRequestError,
        match=re.escape(f"dtl.layers.out.src: {told}; rename or drop one of the two before they meet"),
    ):
        run({"one": data("p"), "two": data("q"), "out": save("one", "two")}, projects, tmp_path / "r")


def test_images_that_differ_by_their_extension_keep_it_unless_the_format_is_fixed(tmp_path: Path) -> None:
    project = make(tmp_path / "p", ["d/a.jpg", "d/a.png", "d/a.bmp"])
    run({"all": data("p"), "out": save("all")}, {"p": project}, tmp_path / "r")
    assert names(tmp_path / "r") == ["d/a.bmp", "d/a.jpg", "d/a.png"]
    run({"all": data("p"), "out": save("all", image_format="png")}, {"p": project}, tmp_path / "s")
    assert names(tmp_path / "s") == ["d/a.png", "d/a_2.png", "d/a_3.png"]
    pictures = [picture(tmp_path / "s", f"d/{name}") for name in ("a.png", "a_2.png", "a_3.png")]
    for name, made in zip(("a.bmp", "a.jpg", "a.png"), pictures, strict=True):
        assert np.array_equal(made, picture(project, f"d/{name}"))


def test_results_of_jpegs_may_be_without_loss(tmp_path: Path) -> None:
    project = make(tmp_path / "p", ["d/a.jpg"])
    layers: dict[str, Any] = {
        "all": data("p"),
        "mirrored": {"action": "flip", "src": ["all"], "settings": {"axis": "vertical"}},
    }
    run({**layers, "out": save("mirrored", image_format="png")}, {"p": project}, tmp_path / "r")
    exact = picture(project, "d/a.jpg")[:, ::-1]
    assert np.array_equal(picture(tmp_path / "r", "d/a.png"), exact)
    run({**layers, "out": save("mirrored")}, {"p": project}, tmp_path / "s")
    assert not np.array_equal(picture(tmp_path / "s", "d/a.jpg"), exact)


@pytest.mark.parametrize(("untouched", "links"), [("link", 2), ("copy", 1)])
def test_untouched_files_are_linked_or_copied(tmp_path: Path, untouched: str, links: int) -> None:
    project = make(tmp_path / "p", ["d/a.jpg", "d/b.png"])
    run({"all": data("p"), "out": save("all", untouched=untouched)}, {"p": project}, tmp_path / "r")
    for name in ("a.jpg", "b.png"):
        source, made = (path / "d" / "img" / name for path in (project, tmp_path / "r"))
        assert made.stat().st_nlink == links and made.read_bytes() == source.read_bytes()


def test_a_result_survives_when_an_image_of_its_source_is_replaced(tmp_path: Path) -> None:
    project = make(tmp_path / "p", ["d/a.png"])
    run({"all": data("p"), "out": save("all")}, {"p": project}, tmp_path / "r")
    before = picture(tmp_path / "r", "d/a.png")
    (project / "d" / "img" / "a.png").unlink()
    make(tmp_path / "other", ["d/x.png", "d/a.png"])
    (tmp_path / "other" / "d" / "img" / "a.png").rename(project / "d" / "img" / "a.png")
    assert np.array_equal(picture(tmp_path / "r", "d/a.png"), before)


CONFUSABLE = ["a", "a_2", "a_3", "a_copies_1", "a_copies_1-mirrored", "a_mirrored", "a_mirrored_2", "a.b", "A"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from("de"), st.sampled_from(CONFUSABLE), st.sampled_from(["png", "jpg"])),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    st.booleans(),
    st.sampled_from([None, "png"]),
)
def test_names_never_collide_and_tell_whose_and_how(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, str, str]], together: bool, form: str | None
) -> None:
    folder = tmp_path_factory.mktemp("names")
    project = make(folder / "p", [f"{dataset}/{base}.{suffix}" for dataset, base, suffix in files])
    layers: dict[str, Any] = {
        "all": data("p"),
        "copies": {"action": "multiply", "src": ["all"], "settings": {"multiply": 2}},
        "mirrored": {"action": "flip", "src": ["copies"], "settings": {"axis": "horizontal"}},
        "joined": {"action": "dummy", "src": ["all", "copies", "mirrored"], "settings": {}},
        "named": {
            "action": "dataset",
            "src": ["joined"],
            "settings": {"name": "x"} if together else {"rule": "save_original"},
        },
        "out": save("named", image_format=form),
    }
    summary = run(layers, {"p": project}, folder / "r")
    made = names(folder / "r")
    assert len(made) == summary.outputs == 5 * len(files)
    bases = {base for _, base, _ in files}
    assert all(any(Path(name).stem.startswith(base) for base in bases) for name in made)
    wanted = Counter(
        (("x" if together else dataset), side, picture(project, f"{dataset}/{base}.{suffix}")[::side].tobytes())
        for dataset, base, suffix in files
        for side, times in ((1, 3), (-1, 2))
        for _ in range(times)
        if suffix == "png"
    )
    found = Counter(
        (name.split("/")[0], picture(folder / "r", name).tobytes()) for name in made if name.endswith(".png")
    )
    for (dataset, _, pixels), times in wanted.items():
        assert found[dataset, pixels] >= times
    run(layers, {"p": project}, folder / "again")
    assert digest(folder / "again") == digest(folder / "r")


def test_a_name_tells_the_layers_that_made_a_difference(tmp_path: Path) -> None:
    project = make(tmp_path / "p", ["d/a.png"])
    layers = {
        "all": data("p"),
        "tagged": {"action": "tag", "src": ["all"], "settings": {"tag": "t", "action": "add"}},
        "copies": {"action": "multiply", "src": ["tagged"], "settings": {"multiply": 2}},
        "left": {"action": "crop", "src": ["copies"], "settings": {"sides": {"right": "50%"}}},
        "up": {"action": "flip", "src": ["left"], "settings": {"axis": "horizontal"}},
        "out": save("up"),
    }
    run(layers, {"p": project}, tmp_path / "r")
    assert names(tmp_path / "r") == ["d/a.png", "d/a_copies_1-left-up.png"]


RANDOM_LAYERS: dict[str, dict[str, Any]] = {
    "multiply": {"multiply": 2},
    "crop": {
        "random_part": {
            "width": {"min_percent": 60, "max_percent": 90},
            "height": {"min_percent": 60, "max_percent": 90},
        }
    },
    "rotate": {"rotate_angles": {"min_degrees": -40, "max_degrees": 40}, "black_regions": {"mode": "keep"}},
    "blur": {"name": "gaussian", "sigma": {"min": 0.3, "max": 2}},
    "noise": {"mean": 3, "std": 9},
    "contrast_brightness": {"contrast": {"min": 0.5, "max": 1.5}, "brightness": {"min": -20, "max": 20}},
    "random_color": {"strength": 0.5},
    "albumentations": {"transforms": {"warm": {"transform": "RandomBrightnessContrast", "p": 0.5}}},
    "elastic_transformation": {"alpha": {"min": 3, "max": 9}, "sigma": {"min": 2, "max": 3}},
    "generate_hints": {"class": "cell", "positive_class": "yes", "negative_class": "no", "min_points_number": 2},
    "perspective_transform": {"scale": {"min": 0.02, "max": 0.1}},
}


def test_every_random_layer_gives_equal_bytes_with_1_2_and_3_workers(tmp_path: Path) -> None:
    project = make(tmp_path / "p", [f"d/{number}.png" for number in range(5)])
    layers: dict[str, Any] = {"all": data("p")}
    for action, values in RANDOM_LAYERS.items():
        layers[f"{action}_here"] = {"action": action, "src": [list(layers)[-1]], "settings": values}
    coin = {"action": "if", "src": [list(layers)[-1]], "settings": {"condition": {"probability": 0.5}}}
    parts = {"train": 60, "val": "rest"}
    layers |= {
        "coin": coin,
        "yes": {"action": "tag", "src": ["$coin_true"], "settings": {"tag": "yes", "action": "add"}},
        "split": {"action": "split_data", "src": ["yes", "$coin_false"], "settings": {"parts": parts}},
        "val": {"action": "tag", "src": ["$split_val"], "settings": {"tag": "val", "action": "add"}},
        "out": save("val", "$split_train"),
    }
    results = [tmp_path / str(workers) for workers in (1, 2, 3)]
    for workers, result in enumerate(results, start=1):
        assert run(layers, {"p": project}, result, seed=7, workers=workers).outputs == 10
    assert len({digest(result) for result in results}) == 1
    run(layers, {"p": project}, tmp_path / "other", seed=8)
    assert digest(tmp_path / "other") != digest(results[0])
