"""The table of transforms is true to albumentations, wishes are checked, and seeds decide everything."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import numpy as np
import pytest

from segsweep.augmentations import TRANSFORMS
from segsweep.errors import Problems, TrainingError
from segsweep.training.augmentation import Augmentation, check_augmentation


@pytest.fixture(scope="module")
def albumentations() -> Any:
    import albumentations

    return albumentations


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_and_argument_exists(name: str, albumentations: Any) -> None:
    signature = inspect.signature(getattr(albumentations, name).__init__)
    assert set(TRANSFORMS[name]) | {"p"} <= set(signature.parameters)


def _defaults_as_config(name: str, albumentations: Any) -> dict[str, Any]:
    """The transform with each of its arguments at its default value, as a config would write it."""
    parameters = inspect.signature(getattr(albumentations, name).__init__).parameters
    entry: dict[str, Any] = {"transform": name, "p": 1.0}
    for key in TRANSFORMS[name]:
        default = parameters[key].default
        if default is not None:
            entry[key] = list(default) if isinstance(default, tuple) else default
    return entry


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_takes_its_defaults_and_keeps_size_and_classes(name: str, albumentations: Any) -> None:
    entry = _defaults_as_config(name, albumentations)
    problems = Problems()
    check_augmentation({"it": entry}, problems, "augmentation")
    assert problems.found == []
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (48, 48, 3)).astype(np.uint8)
    mask = rng.choice(np.array([0, 1, 5], dtype=np.uint8), (48, 48))
    changed, changed_mask = Augmentation({"it": entry})(image, mask, seed=1)
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert changed_mask.shape == mask.shape and changed_mask.dtype == np.uint8
    assert set(np.unique(changed_mask)) <= {0, 1, 5}, "a mask must never be interpolated"


def test_picture_and_mask_move_together() -> None:
    spec = {
        "flip": {"transform": "HorizontalFlip"},
        "turn": {"transform": "RandomRotate90"},
        "warp": {"transform": "Affine", "translate_percent": [0.1, 0.2], "p": 1.0},
    }
    augment = Augmentation(spec)
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[5:30, 20:50] = 1
    image = np.repeat((mask * 200)[..., None], 3, axis=2)
    for seed in range(20):
        changed, changed_mask = augment(image, mask, seed)
        assert ((changed[..., 0] > 100) == (changed_mask == 1)).mean() > 0.97


@pytest.mark.parametrize("values", [[7], [0, 255], [0, 1, 2, 255], [0, 1, 2, 3, 4, 5, 6, 300]])
def test_masks_of_any_number_of_classes_turn_with_the_picture(values: list[int]) -> None:
    augment = Augmentation({"turn": {"transform": "Affine", "rotate": [30, 30], "p": 1.0}})
    blocks = np.random.default_rng(0).integers(0, len(values), (6, 6)).repeat(20, axis=0).repeat(20, axis=1)
    mask = np.array(values, dtype=np.int32)[blocks]
    image = np.repeat((blocks * 30).astype(np.uint8)[..., None], 3, axis=2)
    changed, changed_mask = augment(image, mask, 0)
    assert changed_mask.dtype == mask.dtype and changed_mask.shape == mask.shape
    assert set(np.unique(changed_mask)) <= set(values)
    expected = np.array(values, dtype=np.int32)[np.clip(np.rint(changed[..., 0] / 30).astype(int), 0, len(values) - 1)]
    assert (expected == changed_mask).mean() > 0.9


def test_thin_lines_do_not_break_when_they_turn() -> None:
    from skimage.measure import label

    mask = np.zeros((192, 192), dtype=np.uint8)
    mask[94:96, 66:126] = 1
    augment = Augmentation({"turn": {"transform": "Affine", "rotate": [-180, 180], "scale": [0.75, 1.3], "p": 1.0}})
    for seed in range(20):
        _, turned = augment(np.repeat(mask[..., None] * 255, 3, axis=2), mask, seed)
        assert label(turned, connectivity=2).max() == 1


def test_equal_seeds_give_equal_results_in_every_thread() -> None:
    spec = {"noise": {"transform": "GaussNoise", "p": 1.0}, "turn": {"transform": "RandomRotate90"}}
    augment = Augmentation(spec)
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    mask = image[..., 0] // 128
    here = [augment(image, mask, seed)[0] for seed in range(5)]
    there: list[Any] = []
    thread = threading.Thread(target=lambda: there.extend(augment(image, mask, seed)[0] for seed in range(5)))
    thread.start()
    thread.join()
    assert all(np.array_equal(one, other) for one, other in zip(here, there, strict=True))
    assert not np.array_equal(here[0], here[1])
    assert np.array_equal(Augmentation(spec)(image, mask, 3)[0], here[3])


def test_transforms_are_drawn_independently_of_each_other() -> None:
    spec = {"h": {"transform": "HorizontalFlip"}, "v": {"transform": "VerticalFlip"}}
    augment = Augmentation(spec)
    image = np.arange(4, dtype=np.uint8).reshape(2, 2)[..., None].repeat(3, axis=2)
    corners = {int(augment(image, image[..., 0], seed)[0][0, 0, 0]) for seed in range(40)}
    assert corners == {0, 1, 2, 3}


def test_an_entry_of_none_is_dropped_and_nothing_changes_without_entries() -> None:
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    changed, _ = Augmentation({"flip": None})(image, image[..., 0], 0)
    assert changed is image
    problems = Problems()
    check_augmentation({"flip": None}, problems, "augmentation")
    assert problems.found == []


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (["HorizontalFlip"], "augmentation: must map names to transforms"),
        ({"a": "HorizontalFlip"}, "augmentation.a: must be a mapping with the key transform"),
        ({"a": {"p": 1}}, "augmentation.a: must be a mapping with the key transform"),
        (
            {"a": {"transform": "HorizontalFlp"}},
            "augmentation.a.transform: unknown transform 'HorizontalFlp'; did you mean 'HorizontalFlip'",
        ),
        ({"a": {"transform": "Lambda"}}, "unknown transform 'Lambda'"),
        (
            {"a": {"transform": "Rotate", "limits": 3}},
            "augmentation.a.limits: unknown argument of Rotate 'limits'; did you mean 'limit'?",
        ),
        ({"a": {"transform": "Rotate", "limit": "x"}}, "augmentation.a.limit: 'x' is not allowed; use a number or two"),
        ({"a": {"transform": "Rotate", "limit": [5, 1]}}, "[5, 1] is not allowed"),
        ({"a": {"transform": "HorizontalFlip", "p": 1.5}}, "augmentation.a.p: 1.5 is not allowed; use a number from 0"),
        ({"a": {"transform": "HorizontalFlip", "p": True}}, "augmentation.a.p: True is not allowed"),
        ({"a": {"transform": "GridDistortion", "num_steps": 2.5}}, "use a whole number"),
        ({"a": {"transform": "GridDistortion", "num_steps": 100}}, "use a whole number up to 16"),
        ({"a": {"transform": "Affine", "scale": 0}}, "use a number from 0.01 to 10"),
        ({"a": {"transform": "Affine", "scale": [-1, 1]}}, "use a number from 0.01 to 10"),
        ({"a": {"transform": "D4"}}, "augmentation.a: D4 swaps width and height; it needs a square input_size"),
    ],
)
def test_a_wrong_wish_is_told_where_it_stands(spec: Any, text: str) -> None:
    problems = Problems()
    check_augmentation(spec, problems, "augmentation", square=False)
    assert len(problems.found) == 1
    assert text in str(problems.found[0])


def test_a_value_that_only_the_library_refuses_is_told_too() -> None:
    with pytest.raises(TrainingError, match=r"augmentation\.it: GridDistortion cannot be made"):
        Augmentation({"it": {"transform": "GridDistortion", "num_steps": 0}})


def test_checking_imports_no_albumentations_and_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys, segsweep.training as t; from segsweep.errors import Problems; p = Problems();"
        "t.check_augmentation({'a': {'transform': 'Rotate'}}, p, 'a');"
        "sys.exit(bool({'torch', 'albumentations', 'mlflow', 'hydra'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
