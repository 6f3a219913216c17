"""Layers that the original lacks: everything moves together, and seeds decide everything."""

from __future__ import annotations

import inspect
import pickle
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segsweep.annotation import (
    Bitmap,
    ClassMeta,
    LabeledObject,
    Line,
    Point,
    Polygon,
    ProjectMeta,
    ProjectWriter,
    Rectangle,
    Tag,
    object_mask,
)
from segsweep.augmentations import MOVING, RESIZING, TRANSFORMS, WARPING
from segsweep.dtl import read_layers, transform
from segsweep.dtl.element import Element, Picture
from segsweep.errors import DataError, InvalidRequestError
from tests.dtl.one_layer import apply, call_of, element, problems_of

SIZE = (150, 120)
RING = np.array([[30.0, 20], [110, 27], [125, 90], [75, 60], [35, 100]])
POLYGON = LabeledObject("polygon", Polygon(RING), (Tag("t"),), "d", {"id": 7})
MASK = object_mask(POLYGON, *SIZE)
BITMAP = LabeledObject("bitmap", Bitmap(MASK, 0, 0), (Tag("u"),))
PIXELS = np.repeat((MASK * 255).astype(np.uint8)[..., None], 3, axis=2)
"""A picture that is its mask."""
META = ProjectMeta((ClassMeta("polygon", "polygon"), ClassMeta("bitmap", "bitmap")))

Case = tuple[str, dict[str, Any]]


def elastic(alpha: float, sigma: float) -> Case:
    return "elastic_transformation", {"alpha": span(alpha), "sigma": span(sigma)}


def perspective(scale: float, keep: bool = True, fit: bool = False) -> Case:
    return "perspective_transform", {"scale": span(scale), "size_box": {"keep": keep, "fit": fit}}


def one_of(transform: str, **arguments: Any) -> Case:
    return "albumentations", {"transforms": {"it": {"transform": transform, "p": 1, **arguments}}}


def span(low: float, high: float | None = None) -> dict[str, float]:
    return {"min": low, "max": low if high is None else high}


MOVES: list[Case] = [
    elastic(34, 4),
    elastic(600, 20),
    elastic(200, 50),
    *(perspective(scale, keep, fit) for scale in (0.05, 0.2) for keep in (True, False) for fit in (True, False)),
    *(one_of(name) for name in ("HorizontalFlip", "VerticalFlip", "Transpose", "RandomRotate90", "D4")),
    one_of("Rotate", limit=[-40, 40]),
    one_of("Rotate", limit=[20, 40], crop_border=True),
    one_of("SafeRotate", limit=[-40, 40]),
    one_of("Affine", scale=[0.7, 1.5], rotate=[-40, 40], shear=[-10, 10], translate_percent=[-0.1, 0.1]),
    one_of("Affine", scale=[0.7, 1.5], rotate=[-40, 40], fit_output=True),
    one_of("Perspective", scale=[0.05, 0.15]),
    one_of("Perspective", scale=[0.05, 0.15], keep_size=False),
    one_of("Perspective", scale=[0.05, 0.1], fit_output=True),
    one_of("ElasticTransform", alpha=100, sigma=8),
    one_of("GridDistortion", num_steps=4, distort_limit=[-0.4, 0.4]),
    one_of("OpticalDistortion", distort_limit=[-0.4, 0.4]),
    one_of("Resize", height=211, width=133),
    one_of("RandomScale", scale_limit=[-0.3, 0.5]),
    one_of("LongestMaxSize", max_size=333),
    one_of("SmallestMaxSize", max_size=100),
    one_of("CenterCrop", height=80, width=100),
    one_of("RandomCrop", height=80, width=100),
    one_of("RandomCrop", height=180, width=100, pad_if_needed=True),
    one_of("RandomSizedCrop", min_max_height=[70, 110], size=[120, 120]),
    one_of("RandomResizedCrop", size=[90, 140], scale=[0.5, 1]),
    one_of("RandomCropFromBorders", crop_left=0.2, crop_bottom=0.1),
    one_of("PadIfNeeded", min_height=200, min_width=201),
]
NAMES = [f"{action}-{next(iter(settings.get('transforms', settings).values()))}" for action, settings in MOVES]


def picture(*objects: LabeledObject, pixels: np.ndarray = PIXELS) -> Element:
    return element(*objects, size=pixels.shape[1::-1], tags=[Tag("image")], picture=Picture(lambda: pixels))


def made(case: Case, one: Element, seed: int = 0) -> Element:
    (result,) = apply(*case, one, seed=seed)
    return result


def alike(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union; 1 where both are empty."""
    return float((first & second).sum() / max(1, (first | second).sum())) if (first | second).any() else 1.0


def masks(one: Element) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the picture, the bitmap and the polygon cover."""
    objects = [(item.class_title, object_mask(item, *one.size)) for item in one.annotation.objects]
    empty = np.zeros(one.size[::-1], dtype=np.bool_)
    drawn = [np.any([empty, *(mask for name, mask in objects if name == title)], axis=0) for title in META.titles]
    assert one.picture.pixels.shape == (*one.size[::-1], 3)
    return one.picture.pixels[..., 0] > 127, drawn[1], drawn[0]


@pytest.mark.parametrize("case", MOVES, ids=NAMES)
def test_picture_bitmap_and_polygon_move_together(case: Case) -> None:
    for seed in range(3):
        content, bitmap, polygon = masks(made(case, picture(POLYGON, BITMAP), seed))
        assert content.sum() > 500
        assert alike(content, bitmap) > 0.98
        assert alike(bitmap, polygon) > 0.9


@pytest.mark.parametrize("case", MOVES, ids=NAMES)
def test_points_go_where_the_picture_shows_them(case: Case) -> None:
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    pixels = np.rint(np.dstack([x, y, y]) * 1.6).astype(np.uint8)  # colours tell places
    spots = np.random.default_rng(0).uniform(4, np.array(SIZE) - 4, (80, 2))  # the edge is mixed with black
    points = [LabeledObject("point", Point(*spot), extra={"id": i}) for i, spot in enumerate(spots.tolist())]
    found = 0
    for seed in range(3):
        result = made(case, picture(*points, pixels=pixels), seed)
        colours = result.picture.pixels.astype(np.float32) / 1.6
        for item in result.annotation.objects:
            assert isinstance(item.geometry, Point)
            x, y = item.geometry.x, item.geometry.y
            if 3 < x < result.size[0] - 3 and 3 < y < result.size[1] - 3:
                shown = cv2.getRectSubPix(colours, (1, 1), (x - 0.5, y - 0.5))[0, 0, :2]
                assert np.hypot(*(spots[item.extra["id"]] - shown)) < 1
                found += 1
    assert found > 40


@pytest.mark.parametrize("case", MOVES, ids=NAMES)
def test_tags_and_keys_of_objects_and_images_stay(case: Case) -> None:
    result = made(case, picture(POLYGON, BITMAP))
    kept = {item.class_title: (item.tags, item.description, item.extra) for item in result.annotation.objects}
    assert kept == {item.class_title: (item.tags, item.description, item.extra) for item in (POLYGON, BITMAP)}
    assert result.annotation.tags == (Tag("image"),)


@pytest.mark.parametrize("case", MOVES, ids=NAMES)
def test_equal_seeds_give_equal_results_whatever_else_was_done(case: Case) -> None:
    typed, call = call_of(*case, seed=5)
    from segsweep.dtl import LAYERS

    layer = LAYERS[case[0]]
    one, other = picture(POLYGON, BITMAP), replace(picture(POLYGON), way="/elsewhere")
    (first,) = layer.apply(one, typed, call)
    pixels = first.picture.pixels
    np.random.seed(0)  # noqa: NPY002  (what nothing may depend on)
    random.seed(0)
    sent = pickle.loads(pickle.dumps(call))  # as to another process
    (between,) = layer.apply(other, typed, sent)
    (again,) = layer.apply(one, typed, sent)
    _ = between.picture.pixels
    assert again.annotation == first.annotation
    assert np.array_equal(again.picture.pixels, pixels)


@pytest.mark.parametrize("case", MOVES, ids=NAMES)
def test_objects_move_without_the_picture_being_looked_at(case: Case) -> None:
    one = element(POLYGON, BITMAP, size=SIZE)
    (result,) = apply(*case, one)
    assert {item.class_title for item in result.annotation.objects} == {"polygon", "bitmap"}


@pytest.mark.parametrize("case", [elastic(34, 4), perspective(0.1), one_of("Affine", rotate=[5, 9]), one_of("D4")])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_images_may_be_tiny_and_empty(case: Case, size: tuple[int, int]) -> None:
    result = made(case, picture(pixels=np.full((*size[::-1], 3), 9, dtype=np.uint8)))
    assert result.annotation.objects == ()
    assert result.picture.pixels.shape == (*result.size[::-1], 3)


# elastic_transformation and perspective_transform


@pytest.mark.parametrize("case", [elastic(0, 4), perspective(0)])
def test_no_strength_changes_nothing(case: Case) -> None:
    one = element(POLYGON, BITMAP, size=SIZE)
    assert made(case, one) is one


@pytest.mark.parametrize(("alpha", "sigma"), [(100, 1), (100, 4), (1000, 4), (3000, 12), (8000, 20)])
def test_an_elastic_displacement_is_as_large_as_it_says(alpha: float, sigma: float) -> None:
    from segsweep.dtl.layers.augment import _elastic_displacement

    field = _elastic_displacement((800, 600), alpha, sigma, 0)
    for part in (field.dx, field.dy):
        assert part.shape == (600, 800)
        assert part.std() == pytest.approx(0.163 * alpha / sigma, rel=0.15)
        # neighbours at one sigma's distance are correlated by exp(-1/4)
        at = round(sigma)
        assert np.corrcoef(part[:, at:].ravel(), part[:, :-at].ravel())[0, 1] == pytest.approx(0.78, abs=0.08)
    assert abs(np.corrcoef(field.dx.ravel(), field.dy.ravel())[0, 1]) < 0.2


def test_an_elastic_warp_without_smoothing_is_noise() -> None:
    content, bitmap, _ = masks(made(elastic(1, 0), picture(BITMAP)))
    assert 0.8 < alike(content, MASK) < 1
    assert alike(content, bitmap) > 0.95


def test_what_comes_from_outside_is_black_and_not_labelled() -> None:
    white = np.full((*SIZE[::-1], 3), 255, dtype=np.uint8)
    everything = LabeledObject("bitmap", Bitmap(np.ones(SIZE[::-1], dtype=np.bool_), 0, 0))
    for case in (elastic(2000, 20), perspective(0.1, fit=True), one_of("Rotate", limit=[20, 30])):
        content, bitmap, _ = masks(made(case, picture(everything, pixels=white)))
        assert 0.5 < content.mean() < 1
        assert alike(content, bitmap) > 0.98


@pytest.mark.parametrize("scale", [0.05, 0.2, 0.5])
def test_a_perspective_without_fitting_fills_the_picture(scale: float) -> None:
    white = np.full((*SIZE[::-1], 3), 255, dtype=np.uint8)
    for seed in range(20):
        result = made(perspective(scale), picture(pixels=white), seed)
        assert result.size == SIZE and result.picture.pixels[1:-1, 1:-1].min() == 255


@pytest.mark.parametrize("scale", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("keep", [True, False])
def test_a_perspective_that_fits_shows_everything(scale: float, keep: bool) -> None:
    corners = [LabeledObject("point", Point(x, y)) for x in (0, SIZE[0]) for y in (0, SIZE[1])]
    for seed in range(20):
        result = made(perspective(scale, keep, True), picture(*corners), seed)
        assert len(result.annotation.objects) >= 3  # one may be rounded out of the picture
        assert result.size == SIZE or not keep
        assert result.size[0] <= SIZE[0] and result.size[1] <= SIZE[1]


def test_what_is_outside_gets_the_grey_asked_for() -> None:
    action, settings = perspective(0.1, fit=True)
    result = made((action, {**settings, "cval": {"value": 99}}), picture(pixels=PIXELS // 255))
    assert (result.picture.pixels == 99).mean() > 0.1


def test_straight_lines_stay_straight_in_perspective() -> None:
    line = LabeledObject("line", Line(np.array([[20.0, 20.0], [60.0, 50.0], [100.0, 80.0]])))
    (moved,) = made(perspective(0.05), picture(line)).annotation.objects
    assert isinstance(moved.geometry, Line)
    (first, middle, last) = moved.geometry.points
    across = np.cross(np.append(last - first, 0), np.append(middle - first, 0))[2]
    assert abs(across) / np.hypot(*(last - first)) < 1e-3


# albumentations


def wish(**entries: Mapping[str, Any] | None) -> Case:
    return "albumentations", {"transforms": entries}


@pytest.mark.parametrize("name", sorted(RESIZING))
def test_every_transform_and_argument_exists(name: str) -> None:
    import albumentations

    parameters = inspect.signature(getattr(albumentations, name).__init__).parameters
    assert set(RESIZING[name]) | {"p"} <= set(parameters)


@pytest.mark.parametrize("name", sorted(TRANSFORMS.keys() - MOVING))
def test_transforms_of_colours_leave_objects_as_they_are(name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3)).astype(np.uint8)
    one = picture(POLYGON, BITMAP, pixels=noise)
    result = made(one_of(name), one)
    assert result.annotation is one.annotation
    assert result.picture.pixels.shape == noise.shape and result.picture.pixels.dtype == np.uint8
    assert not np.array_equal(result.picture.pixels, noise)
    again = made(one_of(name), one)
    assert np.array_equal(result.picture.pixels, again.picture.pixels)


def test_the_table_knows_which_transforms_move_things() -> None:
    import albumentations

    for name in TRANSFORMS.keys() | RESIZING.keys():
        moves = issubclass(getattr(albumentations, name), albumentations.DualTransform)
        holes = name in {"CoarseDropout", "PixelDropout"}  # they could also make holes in masks
        assert (name in MOVING) == (moves and not holes), name
    tested = {settings["transforms"]["it"]["transform"] for action, settings in MOVES if action == "albumentations"}
    assert tested == MOVING and tested > WARPING


def test_nothing_happens_by_no_chance() -> None:
    one = element(POLYGON, size=SIZE)
    assert made(wish(), one) is one
    assert made(wish(flip=None), one) is one
    never = wish(a={"transform": "HorizontalFlip", "p": 0}, b={"transform": "GaussNoise", "p": 0})
    assert all(made(never, one, seed) is one for seed in range(50))


def test_transforms_fall_by_their_chance_and_independently() -> None:
    flips = wish(h={"transform": "HorizontalFlip", "p": 0.3}, v={"transform": "VerticalFlip"})  # whose own is 0.5
    corner = LabeledObject("point", Point(1, 2))
    seen = []
    for seed in range(400):
        (item,) = made(flips, element(corner, size=SIZE), seed).annotation.objects
        assert isinstance(item.geometry, Point)
        seen.append((item.geometry.x != 1, item.geometry.y != 2))
    across, upright = np.array(seen).T
    assert abs(across.mean() - 0.3) < 0.1 and abs(upright.mean() - 0.5) < 0.1
    assert abs((across & upright).mean() - 0.15) < 0.07


def test_taking_one_away_changes_nothing_about_the_others() -> None:
    noise, turn = {"transform": "GaussNoise", "p": 1}, {"transform": "Rotate", "p": 1}
    both = made(wish(noise=noise, turn=turn), picture(BITMAP, POLYGON), 3)
    alone = made(wish(noise=None, turn=turn), picture(BITMAP, POLYGON), 3)
    assert both.annotation == alone.annotation
    assert not np.array_equal(both.picture.pixels, alone.picture.pixels)


def test_several_transforms_follow_each_other() -> None:
    case = wish(
        noise={"transform": "RandomBrightnessContrast", "brightness_limit": 0.1, "contrast_limit": 0.1, "p": 1},
        turn={"transform": "Rotate", "limit": [10, 20], "p": 1},
        crop={"transform": "RandomCrop", "height": 90, "width": 110},
        bend={"transform": "GridDistortion", "p": 1},
        size={"transform": "Resize", "height": 160, "width": 240},
    )
    result = made(case, picture(POLYGON, BITMAP), 2)
    assert result.size == (240, 160)
    content, bitmap, polygon = masks(result)
    assert alike(content, bitmap) > 0.95 and alike(content, polygon) > 0.92


def test_a_flip_and_a_crop_are_exact() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3)).astype(np.uint8)
    speckles = Bitmap(noise[..., 0] > 128, 0, 0)
    items = [LabeledObject("b", speckles), LabeledObject("r", Rectangle(10, 20, 150, 120)), POLYGON]
    result = made(one_of("HorizontalFlip"), picture(*items, pixels=noise))
    expected = apply("flip", {"axis": "vertical"}, picture(*items, pixels=noise))[0]
    assert result.annotation == expected.annotation
    assert np.array_equal(result.picture.pixels, expected.picture.pixels)
    result = made(one_of("CenterCrop", height=100, width=90), picture(*items, pixels=noise))
    sides = {"left": "30px", "right": "30px", "top": "10px", "bottom": "10px"}
    expected = apply("crop", {"sides": sides}, picture(*items, pixels=noise))[0]
    assert np.array_equal(result.picture.pixels, expected.picture.pixels)
    assert result.annotation.objects[:2] == expected.annotation.objects[:2]


def test_a_transform_that_an_image_is_too_small_for_is_told() -> None:
    with pytest.raises(DataError, match=r"transforms\.it \(RandomCrop\) cannot be applied: .*[Cc]rop"):
        made(one_of("RandomCrop", height=500, width=10), picture(POLYGON))


def test_values_that_only_the_library_refuses_are_told_before_any_image_is_read() -> None:
    case = wish(
        good={"transform": "HorizontalFlip"},
        grid={"transform": "GridDistortion", "num_steps": 0},
        blur={"transform": "MotionBlur", "blur_limit": [4, 6]},
    )
    with pytest.raises(InvalidRequestError) as failure:
        call_of(*case)
    told = [str(problem) for problem in failure.value.problems]
    assert len(told) == 2
    assert told[0].startswith("dtl.layers.one.settings.transforms.grid: GridDistortion cannot be made: num_steps")
    assert told[1].startswith("dtl.layers.one.settings.transforms.blur: MotionBlur cannot be made: blur_limit")


@pytest.mark.parametrize(
    ("action", "settings", "problem"),
    [
        ("albumentations", {}, ".settings.transforms: must be given; add "),
        ("albumentations", {"transforms": [1]}, ".settings.transforms: [1] is not possible; must map names to transfo"),
        (*wish(a={"p": 1}), ".settings.transforms.a: {'p': 1} is not possible; must be a mapping with the key transf"),
        (
            *wish(a={"transform": "HorizontalFlp"}),
            ".settings.transforms.a.transform: 'HorizontalFlp' is not possible; did you mean 'HorizontalFlip'",
        ),
        (*wish(a={"transform": "Lambda"}), ".settings.transforms.a.transform: 'Lambda' is not possible; known: "),
        (
            *wish(a={"transform": "Rotate", "limits": 3}),
            ".settings.transforms.a.limits: 3 is not possible; unknown argument of Rotate 'limits'; did you mean 'limi",
        ),
        (
            *wish(a={"transform": "Rotate", "p": 2}),
            ".settings.transforms.a.p: 2 is not possible; use a number from 0 to 1",
        ),
        (
            *wish(a={"transform": "Resize", "height": 10}),
            ".settings.transforms.a: {'transform': 'Resize', 'height': 10} is not possible; the transform Resize needs",
        ),
        (
            *wish(a={"transform": "Resize", "height": 10, "width": 10**6}),
            ".settings.transforms.a.width: 1000000 is not possible; use a whole number from 1 to 16384",
        ),
        (
            *wish(a={"transform": "RandomScale", "scale_limit": 1e6}),
            ".settings.transforms.a.scale_limit: 1000000.0 is not possible; use a number from -1 to 9",
        ),
        (
            "elastic_transformation",
            {"alpha": span(2, 1), "sigma": span(1)},
            ".settings.alpha: {'min': 2, 'max': 1} is not possible; min 2 is more than max 1",
        ),
        ("elastic_transformation", {"alpha": span(-1, 1), "sigma": span(1)}, ".settings.alpha.min: -1 is not possible"),
        ("perspective_transform", {"scale": span(0.1, 0.7)}, ".settings.scale.max: 0.7 is not possible; must be at mo"),
        ("perspective_transform", {"scale": 0.1}, ".settings.scale: 0.1 is not possible; must be a mapping"),
    ],
)
def test_wrong_settings_are_told(action: str, settings: Any, problem: str) -> None:
    (told,) = problems_of(action, settings, META)
    assert told.startswith(f"layer 2 ({action}){problem}")


def test_everything_wrong_with_a_wish_is_told_at_once() -> None:
    case = wish(a={"transform": "Rotat"}, b={"transform": "Blur", "p": "x", "blur": 3}, c={"transform": "D4"})
    told = problems_of(*case, META)
    assert [text.split(":")[0].rsplit("transforms.", 1)[1] for text in told] == ["a.transform", "b.p", "b.blur"]


def test_checking_imports_no_albumentations() -> None:
    code = (
        "import sys; from segsweep.dtl import LAYERS;"
        "LAYERS['albumentations'].settings.model_validate({'transforms': {'a': {'transform': 'Rotate'}}});"
        "sys.exit(bool({'albumentations', 'scipy', 'shapely', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    with ProjectWriter(tmp_path / "p", META) as project:
        for index in range(4):
            one = picture(POLYGON, BITMAP)
            pixels = np.roll(PIXELS, index, axis=0)
            project.add("d", f"{index}.png", one.annotation, pixels)
    mix = {"flip": {"transform": "D4"}, "bend": {"transform": "ElasticTransform", "alpha": 60, "sigma": 6}}
    graph = [
        {"action": "data", "src": ["p"], "dst": "$d", "settings": {"classes_mapping": "default"}},
        {"action": "multiply", "src": ["$d"], "dst": "$m", "settings": {"multiply": 2}},
        {"action": "albumentations", "src": ["$m"], "dst": "$a", "settings": {"transforms": mix}},
        {"action": "elastic_transformation", "src": ["$a"], "dst": "$e", "settings": elastic(60, 5)[1]},
        {"action": "perspective_transform", "src": ["$e"], "dst": "$p", "settings": perspective(0.1)[1]},
        {"action": "supervisely", "src": ["$p"], "dst": "r", "settings": {}},
    ]
    results = []
    for workers in (1, 2):
        transform(read_layers(graph), {"p": tmp_path / "p"}, tmp_path / f"r{workers}", seed=1, workers=workers)
        folder = tmp_path / f"r{workers}" / "d"
        results.append({file.name: file.read_bytes() for file in folder.rglob("*.*") if file.is_file()})
    assert len(results[0]) == 16 and results[0] == results[1]
    assert len(set(results[0].values())) == 16
