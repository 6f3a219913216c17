"""Every mode, from a project to a project, against what was computed by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from segsweep.annotation import LabeledObject, Point, Polygon, Project, Rectangle
from segsweep.errors import DataError, InvalidRequestError
from segsweep.inference import InferenceSettings, predict, run, settings_from_mode
from segsweep.inference.network import How, maps
from segsweep.inference.placement import Box
from segsweep.models.folder import load_model
from segsweep.reporting import ListReporter

from .colours import CERTAIN, GREEN, RED, annotation_of, bitmap, black, colours_model, listed, one_image

ON_CPU = InferenceSettings(device="cpu", precision="fp32", resolution="auto")
Predict = Any


def asked(mode: dict[str, Any], **additions: Any) -> InferenceSettings:
    return settings_from_mode({"model_classes": {"add_suffix": "_x"}, **mode}, replace(ON_CPU, **additions))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that was trained on crops, so that parts stay at their own resolution."""
    return colours_model(tmp_path / "model", monkeypatch, sampling="crop")


@pytest.fixture
def squeezing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return colours_model(tmp_path / "squeezing", monkeypatch)


def halves() -> NDArray[np.uint8]:
    """64 x 128 pixels, a red upper left quarter and a green lower half."""
    image = black(64, 128)
    image[:32, :64] = RED
    image[32:] = GREEN
    return image


def levels_of(result: Path, title: str) -> NDArray[np.uint16]:
    project = Project.open(result)
    [item] = project.items
    path = item.side_path(f"probability_{project.meta.titles.index(title)}")
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


def test_full_image_is_squeezed_and_enlarged_again(squeezing: Path, tmp_path: Path) -> None:
    project = one_image(tmp_path / "p", halves(), [bitmap("own", 1, 2, 3, 4)], own="bitmap")
    done = predict(squeezing, project, tmp_path / "r", asked({"name": "full_image"}))
    assert listed(annotation_of(done.result)) == [
        ("own", (1, 2, 3, 4), 4),
        ("bg_x", (64, 0, 128, 32), 64 * 32),
        ("red_x", (0, 0, 64, 32), 64 * 32),
        ("green_x", (0, 32, 128, 64), 128 * 32),
    ]


def test_native_pads_what_the_network_cannot_divide(model: Path, tmp_path: Path) -> None:
    image = black(5, 7)
    image[4, 6] = RED
    image[0, :6] = GREEN
    done = predict(model, one_image(tmp_path / "p", image), tmp_path / "r", asked({"name": "native"}))
    assert listed(annotation_of(done.result)) == [
        ("bg_x", (0, 0, 7, 5), 35 - 1 - 6),
        ("red_x", (6, 4, 7, 5), 1),
        ("green_x", (0, 0, 6, 1), 6),
    ]


@pytest.mark.parametrize("kind", ["model", "squeezing"])
def test_roi_predicts_nothing_outside_and_saves_its_rectangle_last(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    project = one_image(tmp_path / "p", halves(), [bitmap("own", 0, 0, 5, 5)], own="bitmap")
    bounds = {"left": "25%", "top": "8px", "right": "33px", "bottom": "10%"}  # 32, 8, 33 and 6 pixels
    mode = {"name": "roi", "bounds": bounds, "save": True, "class_name": "here", "save_probabilities": True}
    done = predict(request.getfixturevalue(kind), project, tmp_path / "r", asked(mode))
    left, top, right, bottom = 32, 8, 95, 58
    annotation = annotation_of(done.result)
    assert [title for title, _, _ in listed(annotation)] == ["own", "bg_x", "red_x", "green_x", "here"]
    assert annotation.objects[-1].geometry == Rectangle(32, 8, 94, 57)
    if kind == "model":
        assert listed(annotation)[1:] == [
            ("bg_x", (64, 8, 95, 32), 31 * 24),
            ("red_x", (32, 8, 64, 32), 32 * 24),
            ("green_x", (32, 32, 95, 58), 63 * 26),
            ("here", (32, 8, 95, 58), 63 * 50),
        ]
    levels = levels_of(done.result, "red_x")
    inside = np.zeros((64, 128), bool)
    inside[top:bottom, left:right] = True
    assert not levels[~inside].any()
    assert levels[20, 40] == round(CERTAIN * 65535)
    assert [item.title for item in Project.open(done.result).meta.classes][-1] == "here"


def test_a_roi_of_the_whole_is_the_full_image(squeezing: Path, tmp_path: Path) -> None:
    project = one_image(tmp_path / "p", photo(75, 110))
    same_predictions(squeezing, project, tmp_path, asked({"name": "full_image"}), asked({"name": "roi"}))


def test_one_window_is_the_full_image(squeezing: Path, tmp_path: Path) -> None:
    project = one_image(tmp_path / "p", photo(75, 110))
    window = {"name": "sliding_window", "window": {"width": 110, "height": 75}}
    same_predictions(squeezing, project, tmp_path, asked({"name": "full_image"}), asked(window))


def test_without_squeezing_one_window_and_a_whole_roi_are_native(model: Path, tmp_path: Path) -> None:
    project = one_image(tmp_path / "p", photo(75, 110))
    window = {"name": "sliding_window", "window": {"width": 110, "height": 75}}
    same_predictions(model, project, tmp_path, asked({"name": "native"}), asked(window), asked({"name": "roi"}))


def test_the_resolution_may_be_said(model: Path, squeezing: Path, tmp_path: Path) -> None:
    project = one_image(tmp_path / "p", photo(75, 110))
    native = asked({"name": "full_image"}, resolution="native")
    same_predictions(squeezing, project, tmp_path / "1", native, asked({"name": "native"}))
    squeezed = asked({"name": "roi"}, resolution="input_size")
    same_predictions(model, project, tmp_path / "2", squeezed, asked({"name": "full_image"}))


@pytest.mark.parametrize("side", [64, 61])
def test_a_network_of_scaled_images_sees_them_scaled_and_its_answer_is_brought_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    """Half the size: each pixel that the network sees is four, whose mean colour it is."""
    halved = colours_model(tmp_path / "halved", monkeypatch, sampling="crop", image_scale=0.5)
    image = halves()[:side]
    project = one_image(tmp_path / "p", image)
    expected = [
        ("bg_x", (64, 0, 128, 32), 64 * 32),
        ("red_x", (0, 0, 64, 32), 64 * 32),
        ("green_x", (0, 32, 128, side), 128 * (side - 32)),
    ]
    for number, mode in enumerate(
        [
            {"name": "native"},
            {"name": "sliding_window", "window": {"width": 32, "height": 32}, "min_overlap": {"x": 0, "y": 0}},
            {"name": "roi"},
        ]
    ):
        done = predict(halved, project, tmp_path / f"r{number}", asked(mode))
        if side == 64:
            assert listed(annotation_of(done.result)) == expected, mode
        else:  # the border between two pixels of the network may lie a pixel off
            for (title, box, count), (wanted, around, pixels) in zip(
                listed(annotation_of(done.result)), expected, strict=True
            ):
                assert title == wanted
                assert np.abs(np.subtract(box, around)).max() <= 1
                assert abs(count - pixels) <= 128
    network, _ = load_model(halved)
    fine = black(4, 6)
    fine[:, 1] = fine[:, 2] = GREEN  # columns that are half as wide as what the network sees
    [found] = maps(network, fine, [Box(0, 0, 6, 4)], How(None, divisor=4, scale=0.5))
    assert found.shape == (3, 2, 3)
    green = np.exp(20 * (np.array([128, 128, 0]) / 255 - 0.5))
    assert found[2] == pytest.approx(np.tile(green / (green + 1 + np.exp(-10)), (2, 1)), rel=1e-3)


def test_nothing_left_of_an_image_is_told_before_anything_is_predicted(model: Path, tmp_path: Path) -> None:
    project = one_image(tmp_path / "p", black(10, 20))
    mode = {"name": "roi", "bounds": {"left": "11px", "right": "50%"}}
    with pytest.raises(DataError, match=r"ds/a\.png: the bounds of the region of interest \(left 11px.*10"):
        predict(model, project, tmp_path / "r", asked(mode))
    assert not (tmp_path / "r").exists()


def boxes_project(path: Path) -> Path:
    triangle = Polygon(np.array([[60.0, 20.0], [80.0, 20.0], [60.0, 40.0]]))
    objects = [
        bitmap("cell", 10, 20, 30, 40),
        bitmap("other", 0, 0, 9, 9),
        LabeledObject("outline", triangle),
        bitmap("cell", 20, 30, 40, 50),
        LabeledObject("dot", Point(100, 10)),
    ]
    shapes = {"cell": "bitmap", "other": "bitmap", "outline": "polygon", "dot": "point"}
    return one_image(path, halves(), objects, **shapes)


def test_boxes_are_predicted_one_after_the_other_each_below_its_object(model: Path, tmp_path: Path) -> None:
    mode = {
        "name": "bboxes",
        "from_classes": ["cell", "outline", "dot"],
        "padding": {"left": "10%", "top": "-5px", "right": "2px", "bottom": "0px"},
        "save": True,
        "add_suffix": "_box",
        "model_classes": {"save_classes": ["green", "red"], "add_suffix": "_x"},
    }
    done = predict(model, boxes_project(tmp_path / "p"), tmp_path / "r", asked(mode))
    assert listed(annotation_of(done.result)) == [
        ("red_x", (8, 25, 32, 32), 24 * 7),
        ("green_x", (8, 32, 32, 40), 24 * 8),
        ("cell_box", (8, 25, 32, 40), 24 * 15),
        ("cell", (10, 20, 30, 40), 400),
        ("other", (0, 0, 9, 9), 81),
        ("red_x", (58, 25, 64, 32), 6 * 7),
        ("green_x", (58, 32, 83, 41), 25 * 9),
        ("outline_box", (58, 25, 83, 41), 25 * 16),
        ("outline", (60, 20, 81, 41), 231),
        ("green_x", (18, 35, 42, 50), 24 * 15),
        ("cell_box", (18, 35, 42, 50), 24 * 15),
        ("cell", (20, 30, 40, 50), 400),
        ("dot", (100, 10, 101, 11), 1),  # its box vanished: 1 pixel less 5
    ]
    titles = [(item.title, item.shape) for item in Project.open(done.result).meta.classes]
    assert titles[4:] == [
        ("red_x", "bitmap"),
        ("green_x", "bitmap"),
        ("cell_box", "rectangle"),
        ("outline_box", "rectangle"),
        ("dot_box", "rectangle"),
    ]


def test_objects_is_another_name_for_bboxes(model: Path, tmp_path: Path) -> None:
    project = boxes_project(tmp_path / "p")
    same_predictions(model, project, tmp_path, asked({"name": "objects"}), asked({"name": "bboxes"}))


def test_of_overlapping_boxes_the_later_probabilities_count(squeezing: Path, tmp_path: Path) -> None:
    image = black(40, 40)
    image[:20, :20] = RED
    objects = [bitmap("cell", 0, 0, 20, 20), bitmap("cell", 16, 16, 40, 40)]
    project = one_image(tmp_path / "p", image, objects, cell="bitmap")
    done = predict(squeezing, project, tmp_path / "r", asked({"name": "bboxes", "save_probabilities": True}))
    levels = levels_of(done.result, "red_x") / 65535
    assert levels[10, 10] == pytest.approx(CERTAIN, abs=1e-4)
    assert levels[30, 30] == pytest.approx(0, abs=1e-4)
    assert not levels[30, 5]
    second = next(maps_of(squeezing, image, Box(16, 16, 40, 40)))
    expected = cv2.resize(second[1], (24, 24), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    np.testing.assert_allclose(levels[16:, 16:], expected, atol=1e-5)


def test_boxes_of_an_unknown_class_are_told(model: Path, tmp_path: Path) -> None:
    project = boxes_project(tmp_path / "p")
    reporter = ListReporter()
    some = asked({"name": "bboxes", "from_classes": ["cel", "cell"]})
    predict(model, project, tmp_path / "r", some, reporter=reporter)
    assert ("warning", "the project has no class 'cel'; did you mean 'cell'?") in reporter.messages
    none = asked({"name": "bboxes", "from_classes": ["cel"]})
    with pytest.raises(InvalidRequestError, match=r"from_classes: names no class of the project; it has: cell, other"):
        predict(model, project, tmp_path / "r2", none)


def test_an_image_without_objects_has_no_boxes(model: Path, tmp_path: Path) -> None:
    project = one_image(tmp_path / "p", halves(), cell="bitmap")
    done = predict(model, project, tmp_path / "r", asked({"name": "bboxes", "save_probabilities": True}))
    assert annotation_of(done.result).objects == ()
    assert not levels_of(done.result, "red_x").any()


def test_windows_make_one_object_a_class_and_are_saved_in_the_order_of_reading(model: Path, tmp_path: Path) -> None:
    project = one_image(tmp_path / "p", halves(), [bitmap("own", 0, 0, 2, 2)], own="bitmap")
    mode = {
        "name": "sliding_window",
        "window": {"width": 60, "height": 50},
        "min_overlap": {"x": 10, "y": 3},
        "save": True,
        "class_name": "window",
    }
    done = predict(model, project, tmp_path / "r", asked(mode))
    found = listed(annotation_of(done.result))
    assert found[:4] == [
        ("own", (0, 0, 2, 2), 4),
        ("bg_x", (64, 0, 128, 32), 64 * 32),
        ("red_x", (0, 0, 64, 32), 64 * 32),
        ("green_x", (0, 32, 128, 64), 128 * 32),
    ]
    boxes = [(0, 0, 60, 50), (50, 0, 110, 50), (68, 0, 128, 50), (0, 14, 60, 64), (50, 14, 110, 64), (68, 14, 128, 64)]
    assert found[4:] == [("window", box, 3000) for box in boxes]


def test_a_window_larger_than_the_image_is_told_once_a_size(model: Path, tmp_path: Path) -> None:
    from segsweep.annotation import Annotation, ProjectMeta, ProjectWriter

    with ProjectWriter(tmp_path / "p", ProjectMeta()) as writer:
        for number, width in enumerate((20, 20, 30, 70)):
            image = black(40, width)
            image[:, : width // 2] = RED
            writer.add("ds", f"{number}.png", Annotation(width, 40), image)
    mode = {"name": "sliding_window", "window": {"width": 64, "height": 40}, "save": True}
    reporter = ListReporter()
    done = predict(model, tmp_path / "p", tmp_path / "r", asked(mode), reporter=reporter)
    warnings = [text for level, text in reporter.messages if level == "warning"]
    mirrored = "these are mirrored at their right and lower edges"
    assert warnings == [
        f"windows of 64x40 pixels are larger than images of {size}: {mirrored}" for size in ("20x40", "30x40")
    ]
    result = Project.open(done.result)
    for item, width in zip(result.items, (20, 20, 30, 70), strict=True):
        found = listed(item.annotation(result.meta))
        assert found[:2] == [
            ("bg_x", (width // 2, 0, width, 40), width // 2 * 40),
            ("red_x", (0, 0, width // 2, 40), width // 2 * 40),
        ]
        assert [box for title, box, _ in found if title == "sliding_window"] == (
            [(0, 0, width, 40)] if width < 64 else [(0, 0, 64, 40), (6, 0, 70, 40)]
        )


@pytest.mark.parametrize("mode", ["full_image", "native", "roi", "bboxes", "sliding_window"])
@pytest.mark.parametrize("probabilities", [True, False])
def test_probabilities_are_saved_in_every_mode(mode: str, probabilities: bool, squeezing: Path, tmp_path: Path) -> None:
    project = boxes_project(tmp_path / "p")
    done = predict(squeezing, project, tmp_path / "r", asked({"name": mode, "save_probabilities": probabilities}))
    maps = sorted(path.name for path in (done.result / "ds").iterdir() if path.name not in {"img", "ann"})
    assert maps == (["probability_4", "probability_5", "probability_6"] if probabilities else [])


@pytest.mark.parametrize("mode", ["full_image", "native", "roi", "bboxes", "sliding_window"])
def test_flips_batches_and_blending_leave_a_network_of_pixels_as_it_is(mode: str, model: Path, tmp_path: Path) -> None:
    """Its answer for a pixel depends on nothing else, so that whatever else happens must cancel out."""
    project = one_image(tmp_path / "p", photo(75, 110), [bitmap("own", 5, 5, 60, 50)], own="bitmap")
    plain = asked({"name": mode})
    same_predictions(
        model,
        project,
        tmp_path,
        plain,
        replace(plain, flip_average=True),
        replace(plain, batch_size=3),
        replace(plain, blend="gaussian"),
    )


@pytest.mark.parametrize("mode", ["native", "roi", "bboxes", "sliding_window"])
def test_large_images_written_row_by_row_are_as_all_others(
    mode: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = one_image(tmp_path / "p", photo(75, 110), [bitmap("own", 5, 5, 60, 50)], own="bitmap")
    settings = asked(
        {"name": mode, "window": {"width": 32, "height": 16}} if mode == "sliding_window" else {"name": mode}
    )
    settings = replace(settings, probability_maps=True)
    done = predict(model, project, tmp_path / "small", settings)
    monkeypatch.setattr(run, "MOST_AT_ONCE", 1)
    again = predict(model, project, tmp_path / "large", settings)
    assert contents(done.result) == contents(again.result)


def test_a_model_of_crops_sees_windows_as_they_are_and_others_squeezed(model: Path, squeezing: Path) -> None:
    from segsweep.inference.parts import how_to
    from segsweep.models.devices import choose_device
    from segsweep.models.folder import read_config

    def seen(folder: Path, mode: str, resolution: Any = "auto") -> tuple[int, int] | None:
        settings = asked({"name": mode}, resolution=resolution)
        return how_to(settings, read_config(folder), choose_device("cpu"), "here").size

    for mode in ("roi", "bboxes", "sliding_window"):
        assert seen(model, mode) is None
        assert seen(squeezing, mode) == (32, 32)
        assert seen(model, mode, "input_size") == (32, 32)
        assert seen(squeezing, mode, "native") is None
    assert seen(model, "full_image") == (32, 32), "as documented, whatever the training"
    assert seen(squeezing, "native") is None


def test_existing_objects_may_be_dropped_and_renamed(model: Path, tmp_path: Path) -> None:
    project = boxes_project(tmp_path / "p")
    settings = replace(
        asked({"name": "bboxes", "from_classes": ["outline"]}), keep_classes=("cell",), keep_suffix="_old"
    )
    done = predict(model, project, tmp_path / "r", settings)
    assert [item.class_title for item in annotation_of(done.result).objects] == [
        "cell_old",
        "bg_x",
        "red_x",
        "green_x",
        "cell_old",
    ]
    assert Project.open(done.result).meta.titles == ("cell_old", "bg_x", "red_x", "green_x")
    nothing = replace(asked({"name": "native"}), keep_classes=())
    done = predict(model, project, tmp_path / "r2", nothing)
    assert Project.open(done.result).meta.titles == ("bg_x", "red_x", "green_x")


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ({"name": "roi", "save": True, "class_name": "cell"}, "class_name: class 'cell' is in the project already"),
        (
            {"name": "sliding_window", "save": True, "class_name": "red_x"},
            "class_name: class 'red_x' is a predicted one",
        ),
        (
            {"name": "bboxes", "save": True, "add_suffix": "r", "from_classes": ["othe"]},
            "from_classes: names no class of the project",
        ),
        ({"name": "bboxes", "save": True, "add_suffix": ""}, "add_suffix: class 'cell' is in the project already"),
        ({"name": "roi", "model_classes": {"save_names": ["rot"]}}, "save_classes: names no class of the model"),
    ],
)
def test_names_that_are_taken_are_told(mode: dict[str, Any], message: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        predict(model, boxes_project(tmp_path / "p"), tmp_path / "r", asked(mode))
    assert not (tmp_path / "r").exists()


def test_thresholds_by_class_and_small_parts(model: Path, tmp_path: Path) -> None:
    image = black(16, 16)
    image[:8] = (140, 120, 0)  # 20 (140 / 255 - 1/2) = 0.98 for red, -0.59 for green: 0.63, 0.13 and 0.24 for bg
    image[12, 12] = RED
    project = one_image(tmp_path / "p", image)

    def predicted(**additions: Any) -> list[tuple[str, tuple[int, int, int, int], int]]:
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        return listed(annotation_of(predict(model, project, place, asked({"name": "native"}, **additions)).result))

    speck = ("red_x", (0, 0, 16, 13), 129)
    assert predicted() == [("bg_x", (0, 8, 16, 16), 127), speck]
    assert predicted(threshold=0.7) == [("bg_x", (0, 0, 16, 16), 255), ("red_x", (12, 12, 13, 13), 1)]
    assert predicted(threshold={"green": 0.1}) == [
        ("bg_x", (0, 8, 16, 16), 127),
        ("red_x", (12, 12, 13, 13), 1),
        ("green_x", (0, 0, 16, 8), 128),
    ]
    assert predicted(min_component=2) == [("bg_x", (0, 8, 16, 16), 128), ("red_x", (0, 0, 16, 8), 128)]
    parts = predicted(shape="polygon")
    assert [title for title, _, _ in parts] == ["bg_x", "red_x", "red_x"]
    with pytest.raises(InvalidRequestError, match=r"inference\.threshold\.gren: unknown class .* did you mean 'green'"):
        predicted(threshold={"gren": 0.5, "bg": 0.2})
    with pytest.raises(InvalidRequestError, match=r"inference\.threshold\.bg: is the background"):
        predicted(threshold={"bg": 0.2})


def photo(height: int, width: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX), np.uint8)


def maps_of(folder: Path, image: NDArray[np.uint8], box: Box) -> Any:
    from segsweep.models.folder import load_model

    return maps(load_model(folder)[0], image, [box], How((32, 32), divisor=4))


def contents(result: Path) -> dict[str, bytes]:
    return {str(path.relative_to(result)): path.read_bytes() for path in sorted(result.rglob("*")) if path.is_file()}


def same_predictions(folder: Path, project: Path, place: Path, *settings: InferenceSettings) -> None:
    """The projects are equal, but for the last bits of probabilities."""
    first: Path | None = None
    for number, one in enumerate(settings):
        done = predict(folder, project, place / f"result {number}", replace(one, probability_maps=True))
        first = first or done.result
        assert annotation_of(done.result) == annotation_of(first)
        assert len(annotation_of(first).objects) >= 3
        for title in done.classes.values():
            found, expected = levels_of(done.result, title), levels_of(first, title)
            assert np.abs(found.astype(int) - expected).max() <= 1
