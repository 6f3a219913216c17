"""Whole graphs on real and small images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
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
    object_mask,
)
from segsweep.dtl import LAYERS, TransformSummary, read_layers, transform
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Layer
from segsweep.dtl.layers.flow import DummySettings
from segsweep.errors import DataError, InvalidRequestError
from segsweep.files import digest_files, read_image, read_mask
from segsweep.reporting import ListReporter

TUTORIAL = json.loads((Path(__file__).parent / "tutorial.json").read_text())
META = ProjectMeta((ClassMeta("vessel", "bitmap", "#FF0000"), ClassMeta("box", "rectangle", "#00FF00")))


def digest(project: Path) -> str:
    return digest_files(project, [path for path in project.rglob("*") if path.is_file()])


@pytest.fixture(scope="module")
def vessels(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of CHASE_DB1 with the first observer's vessels."""
    data, path = shared / "data" / "chase_db1", tmp_path_factory.mktemp("chase") / "vessels"
    with ProjectWriter(path, ProjectMeta(META.classes[:1])) as writer:
        for name in ("01L", "01R", "02L", "02R", "03L", "03R"):
            mask = read_mask(next((data / "first_observer").glob(f"Image_{name}*"))) > 0
            item = LabeledObject("vessel", Bitmap(mask, 0, 0))
            annotation = Annotation(mask.shape[1], mask.shape[0], (item,))
            writer.add("ds", f"Image_{name}.jpg", annotation, data / "images" / f"Image_{name}.jpg")
    return path


@pytest.fixture(scope="module")
def result(vessels: Path) -> tuple[Project, TransformSummary]:
    path = vessels.parent / "vessels_train"
    summary = transform(read_layers(TUTORIAL), {"vessels": vessels}, path, seed=3, provenance={"from": "a test"})
    return Project.open(path), summary


def test_tutorial_makes_264_images_from_6(result: tuple[Project, TransformSummary]) -> None:
    project, summary = result
    assert summary.outputs == len(project.items) == 264
    assert summary.skipped == ()
    assert summary.layers["crop"].made == 240
    assert project.meta.titles == ("vessel", "bg")
    assert [tag.name for tag in project.meta.tags] == ["train", "val"]
    assert project.provenance["from"] == "a test"
    assert project.provenance["summary"] == summary.to_json()
    assert TransformSummary.from_json(project.path, project.provenance["summary"]) == summary
    tags: Counter[str] = Counter()
    for item in project.items:
        annotation = item.annotation(project.meta)
        assert [own.class_title for own in annotation.objects] == ["bg", "vessel"]
        tags.update(tag.name for tag in annotation.tags)
    assert tags.total() == 264
    assert 264 * 0.95 - 5 * 3.5 <= tags["train"] <= 263


def test_tutorial_crops_are_windows_of_the_mirrored_source(
    vessels: Path, result: tuple[Project, TransformSummary]
) -> None:
    source, project = Project.open(vessels), result[0]
    item = source.items[0]
    whole = read_image(item.image_path)
    truth = object_mask(item.annotation(source.meta).objects[0], whole.shape[1], whole.shape[0])
    crops = [other for other in project.items if other.name.startswith("Image_01L") and "crop" in other.name]
    assert len(crops) == 39  # the fortieth came first and has the plain name
    for crop in crops[:6]:
        annotation = crop.annotation(project.meta)
        assert 699 <= annotation.width <= 899 and 672 <= annotation.height <= 864
        mask = object_mask(annotation.objects[1], annotation.width, annotation.height)
        mirrored = truth[::-1] if "flip_2" in crop.name else truth
        mirrored = mirrored[:, ::-1] if "_flip-" in crop.name else mirrored
        assert contains(mirrored, mask)


def contains(whole: np.ndarray, part: np.ndarray) -> bool:
    rows, columns = whole.shape[0] - part.shape[0] + 1, whole.shape[1] - part.shape[1] + 1
    probe = tuple(np.argwhere(part)[0])
    places = np.argwhere(whole[probe[0] : probe[0] + rows, probe[1] : probe[1] + columns])
    return any(np.array_equal(whole[y : y + part.shape[0], x : x + part.shape[1]], part) for y, x in places)


def test_equal_seeds_give_equal_bytes_with_any_number_of_workers(
    vessels: Path, result: tuple[Project, TransformSummary], tmp_path: Path
) -> None:
    layers, first = read_layers(TUTORIAL), result[0].path
    given = {"from": "a test"}
    summary = transform(layers, {"vessels": vessels}, tmp_path / "two", seed=3, workers=2, provenance=given)
    assert digest(tmp_path / "two") == digest(first)
    assert summary.layers == result[1].layers
    transform(layers, {"vessels": vessels}, tmp_path / "other", seed=4)
    assert digest(tmp_path / "other") != digest(first)


def small(path: Path, names: list[str], size: tuple[int, int] = (20, 12)) -> Path:
    """A project with a picture of noise, a mask and a box for every `dataset/name`."""
    width, height = size
    random = np.random.default_rng(0)
    with ProjectWriter(path, META) as writer:
        for name in names:
            dataset, file = name.split("/")
            mask = Bitmap(random.random((height, width)) < 0.5, 0, 0)
            objects = (LabeledObject("vessel", mask, (Tag("t"),)), LabeledObject("box", Rectangle(1, 1, 9, 9)))
            image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            writer.add(dataset, file, Annotation(width, height, objects), image)
    return path


def graph(**layers: Any) -> list[Any]:
    return read_layers(
        {
            "sample": {"action": "data", "src": ["p"], "settings": {"classes_mapping": "default"}},
            **layers,
            "out": {"action": "supervisely", "src": [list(layers)[-1] if layers else "sample"], "dst": "r"},
        }
    )


def names(path: Path) -> list[str]:
    return sorted(f"{item.dataset}/{item.name}" for item in Project.open(path).items)


def test_untouched_images_are_kept_byte_for_byte(tmp_path: Path) -> None:
    project = small(tmp_path / "p", ["d/a.jpg", "d/b.png"])
    transform(graph(), {"p": project}, tmp_path / "r")
    for before, after in zip(Project.open(project).items, Project.open(tmp_path / "r").items, strict=True):
        assert before.image_path.read_bytes() == after.image_path.read_bytes()


def test_image_format_overrides_the_sources_own(tmp_path: Path) -> None:
    project = small(tmp_path / "p", ["d/a.jpg", "d/b.png"])
    layers = read_layers(
        [
            {"action": "data", "src": ["p/*"], "dst": "$d", "settings": {"classes_mapping": "default"}},
            {"action": "supervisely", "src": ["$d"], "dst": "r", "settings": {"image_format": "png"}},
        ]
    )
    transform(layers, {"p": project}, tmp_path / "r")
    assert names(tmp_path / "r") == ["d/a.png", "d/b.png"]


def test_results_that_share_a_name_are_told_apart(tmp_path: Path) -> None:
    projects = {name: small(tmp_path / name, ["d/a.png"]) for name in ("p", "q")}
    layers = read_layers(
        {
            "one": {"action": "data", "src": ["p"], "settings": {"classes_mapping": "default"}},
            "two": {"action": "data", "src": ["q/d"], "settings": {"classes_mapping": "default"}},
            "copies": {"action": "multiply", "src": ["one", "two"], "settings": {"multiply": 3}},
            "all": {"action": "dataset", "src": ["copies"], "settings": {"name": "all"}},
            "out": {"action": "supervisely", "src": ["all"], "dst": "r", "settings": {}},
        }
    )
    transform(layers, projects, tmp_path / "r")
    assert names(tmp_path / "r") == [
        "all/a.png",
        "all/a_2.png",
        "all/a_copies_1.png",
        "all/a_copies_1_2.png",
        "all/a_copies_2.png",
        "all/a_copies_2_2.png",
    ]


def test_every_matching_data_layer_is_fed(tmp_path: Path) -> None:
    project = small(tmp_path / "p", ["d/a.png", "e/b.png", "f/c.png"])
    layers = read_layers(
        {
            "some": {"action": "data", "src": ["p/d", "p/e"], "settings": {"classes_mapping": "default"}},
            "more": {"action": "data", "src": ["p/e"], "settings": {"classes_mapping": "default"}},
            "out": {"action": "supervisely", "src": ["some", "more"], "dst": "r"},
        }
    )
    transform(layers, {"p": project}, tmp_path / "r")
    assert names(tmp_path / "r") == ["d/a.png", "e/b.png", "e/b_2.png"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_image_is_left_out_whole_and_told(tmp_path: Path, workers: int) -> None:
    project = small(tmp_path / "p", ["d/a.png", "d/b.png", "d/c.png"])
    image = project / "d" / "img" / "b.png"
    image.write_bytes(image.read_bytes()[:120])
    reporter = ListReporter()
    layers = graph(
        copies={"action": "multiply", "src": ["sample"], "settings": {"multiply": 2}},
        both={"action": "flip", "src": ["copies"], "settings": {"axis": "vertical"}},
        mixed={"action": "dummy", "src": ["copies", "both"], "settings": {}},
    )
    summary = transform(layers, {"p": project}, tmp_path / "r", workers=workers, reporter=reporter)
    assert [source for source, _ in summary.skipped] == ["p/d/b.png"]
    assert not any("/b" in name for name in names(tmp_path / "r"))
    assert summary.outputs == 8 == len(names(tmp_path / "r"))
    assert reporter.messages[0][0] == "warning" and "p/d/b.png" in reporter.messages[0][1]
    with pytest.raises(DataError, match=r"p/d/b\.png"):
        transform(layers, {"p": project}, tmp_path / "s", workers=workers, on_error="fail")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "r"]


def test_an_image_that_fails_late_leaves_none_of_its_earlier_results(tmp_path: Path) -> None:
    project = small(tmp_path / "p", ["d/a.png", "d/b.png"])
    file = project / "d" / "ann" / "b.png.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "tags": [{"name": "k", "value": "x"}]}))
    layers = graph(
        plain={"action": "dummy", "src": ["sample"], "settings": {}},
        tagged={"action": "tag", "src": ["sample"], "settings": {"tag": {"name": "k", "value": "y"}, "action": "add"}},
        both={"action": "dummy", "src": ["plain", "tagged"], "settings": {}},
    )
    summary = transform(layers, {"p": project}, tmp_path / "r")
    assert names(tmp_path / "r") == ["d/a.png", "d/a_2.png"]
    assert summary.layers["plain"].seen == 1 and len(summary.skipped) == 1


def test_what_cannot_be_read_is_the_fault_of_the_data_layer(tmp_path: Path) -> None:
    project = small(tmp_path / "p", ["d/a.png", "d/b.png", "d/c.png"])
    image = project / "d" / "img" / "b.png"
    image.write_bytes(image.read_bytes()[:120])
    (project / "d" / "ann" / "c.png.json").write_text("nonsense")
    layers = graph(both={"action": "flip", "src": ["sample"], "settings": {"axis": "vertical"}})
    summary = transform(layers, {"p": project}, tmp_path / "r")
    assert {name: count.failed for name, count in summary.layers.items()} == {"sample": 2, "both": 0, "out": 0}
    assert all(reason.startswith("layer sample: ") for _, reason in summary.skipped)


def spoil(pixels: np.ndarray) -> np.ndarray:
    raise ValueError("these pixels will not do")


def test_pixels_that_fail_late_are_the_fault_of_the_layer_that_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiling = Layer(
        "spoil",
        DummySettings,
        "makes pixels that fail when they are looked at",
        frozenset({"pixels"}),
        lambda element, settings, call: (replace(element, picture=element.picture.changed(spoil)),),
    )
    monkeypatch.setitem(LAYERS, "spoil", spoiling)
    project = small(tmp_path / "p", ["d/a.png"])
    layers = graph(
        first={"action": "flip", "src": ["sample"], "settings": {"axis": "vertical"}},
        second={"action": "spoil", "src": ["first"]},
        third={"action": "flip", "src": ["second"], "settings": {"axis": "vertical"}},
        fourth={"action": "dummy", "src": ["third"]},
    )
    summary = transform(layers, {"p": project}, tmp_path / "r")
    assert [name for name, count in summary.layers.items() if count.failed] == ["second"]
    assert summary.skipped == (("p/d/a.png", "layer second: ValueError: these pixels will not do"),)


def test_a_mistake_in_the_program_is_not_blamed_on_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(element: Element, settings: Any, call: Call) -> Iterable[Element]:
        yield replace(element, picture=element.picture.changed(lambda pixels: pixels.nonsense))  # type: ignore[attr-defined]

    monkeypatch.setitem(LAYERS, "mistake", Layer("mistake", DummySettings, "fails", frozenset({"pixels"}), mistaken))
    layers = graph(one={"action": "mistake", "src": ["sample"]})
    with pytest.raises(AttributeError, match="nonsense"):
        transform(layers, {"p": small(tmp_path / "p", ["d/a.png"])}, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_an_image_that_disagrees_with_its_annotation_is_left_out(tmp_path: Path) -> None:
    project = small(tmp_path / "p", ["d/a.png", "d/b.png"])
    file = project / "d" / "ann" / "a.png.json"
    file.write_text(file.read_text().replace('"width": 20', '"width": 21'))
    summary = transform(graph(), {"p": project}, tmp_path / "r")
    ((source, reason),) = summary.skipped
    assert source == "p/d/a.png" and reason.endswith("a.png: has 20x12 pixels, its annotation says 21x12")


@pytest.mark.parametrize("workers", [1, 2])
def test_classes_that_are_not_there_are_told_once_and_the_graph_runs(tmp_path: Path, workers: int) -> None:
    project = small(tmp_path / "p", ["d/a.png", "d/b.png"])
    reporter = ListReporter()
    layers = graph(
        clean={
            "action": "drop_noise",
            "src": ["sample"],
            "settings": {"classes": ["vesel"], "min_area": "3px", "src_type": "image"},
        }
    )
    assert transform(layers, {"p": project}, tmp_path / "r", workers=workers, reporter=reporter).outputs == 2
    told = "dtl.layers.clean.settings.classes: there is no class 'vesel' here; did you mean 'vessel'?"
    assert reporter.messages == [("warning", told)]


def test_an_existing_result_is_never_touched(tmp_path: Path) -> None:
    project = small(tmp_path / "p", ["d/a.png"])
    before = digest(project)
    with pytest.raises(FileExistsError):
        transform(graph(), {"p": project}, project)
    assert digest(project) == before


def test_unknown_datasets_and_projects_are_named(tmp_path: Path) -> None:
    project = small(tmp_path / "p", ["train/a.png"])
    layers = read_layers(
        {
            "a": {"action": "data", "src": ["p/trian"], "settings": {"classes_mapping": "default"}},
            "b": {"action": "data", "src": ["pp"], "settings": {"classes_mapping": "default"}},
            "out": {"action": "supervisely", "src": ["a", "b"], "dst": "r"},
        }
    )
    with pytest.raises(InvalidRequestError) as raised:
        transform(layers, {"p": project}, tmp_path / "r")
    assert "dtl.layers.a.src: unknown dataset 'trian'; did you mean 'train'?" in str(raised.value)
    assert "dtl.layers.b.src: unknown project 'pp'; did you mean 'p'?" in str(raised.value)


def test_name_in_range_takes_every_nth_frame(tmp_path: Path) -> None:
    project = small(tmp_path / "p", [f"d/f_{number:03}.png" for number in range(1, 9)])
    layers = graph(
        pick={
            "action": "if",
            "src": ["sample"],
            "dst": ["$picked", None],
            "settings": {"condition": {"name_in_range": ["f_002", "f_007"], "frame_step": 2}},
        },
        kept={"action": "dummy", "src": ["$picked"], "settings": {}},
    )
    transform(layers, {"p": project}, tmp_path / "r")
    assert names(tmp_path / "r") == ["d/f_002.png", "d/f_004.png", "d/f_006.png"]


@pytest.mark.parametrize(("condition", "expected"), [("p/d", 1), ("*/e", 1), ("p/*", 2), ("q/*", 0)])
def test_project_datasets_allow_any(tmp_path: Path, condition: str, expected: int) -> None:
    project = small(tmp_path / "p", ["d/a.png", "e/b.png"])
    layers = graph(
        pick={"action": "if", "src": ["sample"], "settings": {"condition": {"project_datasets": [condition]}}},
        kept={"action": "dummy", "src": ["$pick_true"], "settings": {}},
    )
    assert transform(layers, {"p": project}, tmp_path / "r").outputs == expected


def test_a_mask_that_vanishes_is_dropped_and_the_image_kept(shared: Path, tmp_path: Path) -> None:
    layers = graph(
        tiny={
            "action": "resize",
            "src": ["sample"],
            "settings": {"width": 10, "height": 8, "aspect_ratio": {"keep": False}},
        }
    )
    masks = shared / "golden" / "dtl" / "projects" / "masks"
    summary = transform(layers, {"p": masks}, tmp_path / "r")
    assert summary.outputs == 5 and not summary.skipped
    before, after = Project.open(masks), Project.open(tmp_path / "r")
    counts = [len(p.datasets[0].items[0].annotation(p.meta).objects) for p in (before, after)]
    assert counts[1] < counts[0]


def test_tag_with_another_value_is_refused_and_with_the_same_changes_nothing(tmp_path: Path) -> None:
    project = small(tmp_path / "p", ["d/a.png"])

    def tagged(first: Any, second: Any, result: str) -> TransformSummary:
        layers = graph(
            one={"action": "tag", "src": ["sample"], "settings": {"tag": first, "action": "add"}},
            two={"action": "tag", "src": ["one"], "settings": {"tag": second, "action": "add"}},
        )
        return transform(layers, {"p": project}, tmp_path / result)

    assert tagged({"name": "k", "value": "x"}, {"name": "k", "value": "x"}, "same").outputs == 1
    assert tagged({"name": "k", "value": "x"}, {"name": "k", "value": "y"}, "other").skipped[0][0] == "p/d/a.png"
    with pytest.raises(InvalidRequestError, match="holds 'none' already"):
        tagged("k", {"name": "k", "value": "x"}, "mixed")


def test_randomness_of_an_image_does_not_depend_on_the_others(tmp_path: Path) -> None:
    layers = graph(
        crop={
            "action": "crop",
            "src": ["sample"],
            "settings": {
                "random_part": {
                    "width": {"min_percent": 20, "max_percent": 80},
                    "height": {"min_percent": 20, "max_percent": 80},
                }
            },
        }
    )
    project = small(tmp_path / "p", ["d/a.png", "d/b.png"])
    transform(layers, {"p": project}, tmp_path / "both")
    for folder, ending in (("img", ""), ("ann", ".json")):
        (project / "d" / folder / f"a.png{ending}").unlink()
    transform(layers, {"p": project}, tmp_path / "one")
    for file in ("img/b.png", "ann/b.png.json"):
        assert (tmp_path / "both" / "d" / file).read_bytes() == (tmp_path / "one" / "d" / file).read_bytes()
