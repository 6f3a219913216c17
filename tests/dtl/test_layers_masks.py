"""Layers that work on masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segsweep.annotation import Bitmap, ClassMeta, LabeledObject, ProjectMeta, Rectangle, Tag, object_mask
from segsweep.errors import DataError
from tests.dtl.one_layer import element, mask, meta_after, objects_after, problems_of, warnings_of

META = ProjectMeta((ClassMeta("v", "bitmap"), ClassMeta("f", "bitmap"), ClassMeta("box", "rectangle")))
SIZE = (16, 10)
MASKS = arrays(np.bool_, (10, 16))
BOX = LabeledObject("box", Rectangle(0, 0, 9, 9), (Tag("t"),))
NOISE = {"classes": ["v"], "min_area": "3px", "src_type": "image"}
LAYERS_OF_MASKS: list[tuple[str, dict[str, Any]]] = [
    ("drop_noise", NOISE),
    ("split_masks", {"classes": ["v"]}),
    ("merge_bitmap_masks", {"class": "v"}),
    ("bitwise_masks", {"type": "or", "class_mask": "f", "classes_to_correct": ["v"]}),
    ("skeletonize", {"classes": ["v"], "method": "thinning"}),
]


def bitmap(pixels: np.ndarray, x: int = 0, y: int = 0, title: str = "v") -> LabeledObject:
    return LabeledObject(title, Bitmap(pixels, x, y), (Tag("t"),), "x", {"id": 7})


def whole(item: LabeledObject) -> np.ndarray:
    return object_mask(item, *SIZE)


def made(action: str, settings: dict[str, Any], *objects: LabeledObject) -> list[LabeledObject]:
    result = objects_after(action, settings, element(*objects, size=SIZE))
    for item in result:
        if isinstance(item.geometry, Bitmap) and item not in objects:
            tight = item.geometry.mask
            assert tight.any(axis=1)[[0, -1]].all() and tight.any(axis=0)[[0, -1]].all()
            assert (item.tags, item.description, item.extra) == ((), "", {})
    return result


def counted(pixels: np.ndarray, connectivity: int) -> int:
    return cv2.connectedComponents(pixels.astype(np.uint8), connectivity=connectivity)[0] - 1


@pytest.mark.parametrize(("action", "settings"), LAYERS_OF_MASKS)
def test_images_without_such_objects_stay_as_they_are(action: str, settings: dict[str, Any]) -> None:
    assert made(action, settings) == []
    assert made(action, settings, BOX) == [BOX]
    assert meta_after(action, settings, META) == META


@pytest.mark.parametrize(("action", "settings"), LAYERS_OF_MASKS)
def test_other_shapes_are_refused_image_by_image(action: str, settings: dict[str, Any]) -> None:
    wrong = LabeledObject("v", Rectangle(0, 0, 4, 4))
    with pytest.raises(DataError, match="an object of class 'v' is a rectangle, but this layer works on bitmaps"):
        made(action, settings, bitmap(mask("#"), title="f"), wrong)


@pytest.mark.parametrize(("action", "settings"), LAYERS_OF_MASKS)
def test_arrays_are_never_changed_in_place(action: str, settings: dict[str, Any]) -> None:
    pixels = np.random.default_rng(0).random((10, 16)) < 0.4
    objects = bitmap(pixels.copy(), title="f"), bitmap(pixels.copy()), bitmap(pixels.copy())
    made(action, settings, *objects)
    assert all(np.array_equal(item.geometry.mask, pixels) for item in objects)  # type: ignore[union-attr]


def test_noise_below_the_limit_goes_and_at_the_limit_stays() -> None:
    pixels = mask("###.", "....", "##.#", "...#")
    (item,) = made("drop_noise", NOISE, bitmap(pixels, 2, 3))
    assert item.geometry == Bitmap(mask("###"), 2, 3)
    assert made("drop_noise", {**NOISE, "min_area": "3.01px"}, bitmap(pixels)) == []


@pytest.mark.parametrize(
    ("limit", "src_type", "kept"),
    [("1.88%", "image", False), ("1.87%", "image", True), ("25%", "bbox", True), ("25.01%", "bbox", False)],
)
def test_noise_in_per_cent_is_of_the_image_or_the_tight_bounds(limit: str, src_type: str, kept: bool) -> None:
    pixels = mask("###.", "....", "...#", "....")  # 3 pixels of 160 in the image, of 12 in the bounds
    result = made("drop_noise", {"classes": ["v"], "min_area": limit, "src_type": src_type}, bitmap(pixels))
    assert [whole(item).sum() for item in result] == ([3] if kept else [])


def test_limits_in_per_cent_are_exact() -> None:
    pixels = np.ones((1, 7), dtype=np.bool_)
    one = element(bitmap(pixels), size=(100, 1))
    assert objects_after("drop_noise", {"classes": ["v"], "min_area": "7%", "src_type": "image"}, one)


@given(MASKS, st.integers(0, 8))
def test_what_noise_leaves_are_all_parts_that_are_large_enough(pixels: np.ndarray, least: int) -> None:
    result = made("drop_noise", {**NOISE, "min_area": f"{least}px"}, bitmap(pixels))
    left = whole(result[0]) if result else np.zeros_like(pixels)
    count, labels = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=4)
    for label in range(1, count):
        part = labels == label
        assert left[part].all() if part.sum() >= least else not left[part].any()
    assert not left[~pixels].any()


@given(MASKS)
def test_split_parts_are_disjoint_connected_and_together_the_whole(pixels: np.ndarray) -> None:
    parts = [whole(item) for item in made("split_masks", {"classes": ["v"]}, bitmap(pixels))]
    assert len(parts) == counted(pixels, 8)
    assert all(counted(part, 8) == 1 for part in parts)
    assert np.array_equal(np.sum(parts, axis=0, dtype=int) if parts else 0 * pixels, pixels)


@given(MASKS)
def test_merging_split_parts_gives_the_mask_back(pixels: np.ndarray) -> None:
    parts = made("split_masks", {"classes": ["v"]}, bitmap(pixels))
    merged = made("merge_bitmap_masks", {"class": "v"}, BOX, *parts, BOX)
    assert merged[:2] == [BOX, BOX]
    assert [np.array_equal(whole(item), pixels) for item in merged[2:]] == [True] * int(pixels.any())


def test_a_single_mask_is_moved_last_and_keeps_its_tags() -> None:
    one = bitmap(mask("##"), 3, 3)
    assert made("merge_bitmap_masks", {"class": "v"}, one, BOX) == [BOX, one]


@given(MASKS, MASKS, st.integers(-4, 4), st.integers(-4, 4))
def test_bitwise_masks_are_those_of_whole_images(first: np.ndarray, second: np.ndarray, x: int, y: int) -> None:
    objects = bitmap(second, x, y, "f"), bitmap(first), bitmap(second, 0, 0, "f")
    expected = {"or": np.logical_or, "and": np.logical_and, "nor": np.logical_xor}
    for kind, combine in expected.items():
        settings = {"type": kind, "class_mask": "f", "classes_to_correct": ["v"]}
        result = made("bitwise_masks", settings, *objects)
        assert [item for item in result if item.class_title == "f"] == [objects[0], objects[2]]
        pixels = [whole(item) for item in result if item.class_title == "v"]
        right = combine(whole(objects[0]), first) if first.any() else np.zeros_like(first)
        assert len(pixels) <= 1
        assert np.array_equal(pixels[0] if pixels else np.zeros_like(first), right)


def test_the_mask_to_combine_with_stays_though_its_class_is_corrected() -> None:
    first, second = bitmap(mask("##"), 0, 0, "f"), bitmap(mask("##"), 1, 0, "f")
    settings = {"type": "nor", "class_mask": "f", "classes_to_correct": ["f"]}
    result = made("bitwise_masks", settings, first, second)
    assert result == [first, LabeledObject("f", Bitmap(mask("#.#"), 0, 0))]


@pytest.mark.parametrize("method", ["skeletonization", "medial_axis", "thinning"])
@given(pixels=MASKS)
def test_a_skeleton_lies_in_its_mask_and_has_as_many_parts(method: str, pixels: np.ndarray) -> None:
    large = cv2.dilate(pixels.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)
    settings = {"classes": ["v"], "method": method}
    result = made("skeletonize", settings, bitmap(large))
    thin = whole(result[0]) if result else np.zeros_like(large)
    assert not thin[~large].any()
    assert counted(thin, 8) == counted(large, 8)
    assert result == made("skeletonize", settings, bitmap(large))


@pytest.mark.parametrize("method", ["skeletonization", "medial_axis", "thinning"])
@pytest.mark.parametrize("pixels", [mask("#"), mask("##"), mask("#", "#", "#")])
def test_tiny_masks_keep_something(method: str, pixels: np.ndarray) -> None:
    (item,) = made("skeletonize", {"classes": ["v"], "method": method}, bitmap(pixels, 15, 7))
    assert whole(item).any()


@pytest.mark.parametrize(
    ("action", "settings", "problem"),
    [
        ("drop_noise", {**NOISE, "min_area": "3"}, ".settings.min_area: '3' is not possible; should be like '12px' or"),
        ("drop_noise", {**NOISE, "min_area": "1.234%"}, ".settings.min_area: '1.234%' is not possible; should be like"),
        ("drop_noise", {**NOISE, "min_area": "-1px"}, ".settings.min_area: '-1px' is not possible; should be like '12"),
        (
            "drop_noise",
            {**NOISE, "src_type": "object"},
            ".settings.src_type: 'object' is not possible; must be 'image'",
        ),
        ("split_masks", {"classes": "v"}, ".settings.classes: 'v' is not possible; must be a list"),
        ("merge_bitmap_masks", {"clas": "v"}, ".settings.class: must be given; add "),
        ("bitwise_masks", {"type": "xor", "class_mask": "f", "classes_to_correct": []}, ".settings.type: 'xor' is not"),
        ("skeletonize", {"classes": ["v"], "method": "magic"}, ".settings.method: 'magic' is not possible; must be 's"),
    ],
)
def test_wrong_settings_are_told(action: str, settings: Any, problem: str) -> None:
    assert problems_of(action, settings, META)[0].startswith(f"layer 2 ({action}){problem}")


@pytest.mark.parametrize(
    ("action", "settings", "warning"),
    [
        ("drop_noise", {**NOISE, "classes": ["w"]}, "classes: there is no class 'w' here; known: box, f, v"),
        ("split_masks", {"classes": ["bx"]}, "classes: there is no class 'bx' here; did you mean 'box'?"),
        ("merge_bitmap_masks", {"class": "w"}, "class: there is no class 'w' here; known: box, f, v"),
        (
            "bitwise_masks",
            {"type": "or", "class_mask": "g", "classes_to_correct": ["v"]},
            "class_mask: there is no class 'g' here",
        ),
        (
            "bitwise_masks",
            {"type": "or", "class_mask": "v", "classes_to_correct": ["g"]},
            "classes_to_correct: there is no class 'g' here",
        ),
        (
            "skeletonize",
            {"classes": ["w"], "method": "thinning"},
            "classes: there is no class 'w' here; known: box, f, v",
        ),
    ],
)
def test_classes_that_are_not_there_are_told_and_nothing_happens(action: str, settings: Any, warning: str) -> None:
    (told,) = warnings_of(action, settings, META)
    assert told.startswith(f"layer 2 ({action}).settings.{warning}")
    item = bitmap(mask("##"), 3, 3)
    assert made(action, settings, item) == [item]
