"""Batches depend on seed, epoch and sample alone, and cover every sample."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segsweep.errors import TrainingError
from segsweep.models.preprocess import normalise, to_tensor
from segsweep.training.batches import (
    Batch,
    batch_sizes,
    foreground_crop,
    padded,
    random_crop,
    training_batches,
    validation_batches,
)
from segsweep.training.parallel import ordered_map
from segsweep.training.samples import Pair
from segsweep.training.settings import TrainingSettings

SETTINGS = TrainingSettings(
    sampling="crop",
    width=16,
    height=32,
    epochs=2,
    batch_size_train=3,
    augmentation={"light": {"transform": "RandomBrightnessContrast", "p": 1.0}},
)


def _pair(number: int, height: int = 40, width: int = 50) -> Pair:
    rng = np.random.default_rng(number)
    return Pair(
        rng.integers(0, 256, (height, width, 3)).astype(np.uint8), np.full((height, width), number, dtype=np.uint8)
    )


PAIRS = [_pair(number) for number in range(7)]


def _all(settings: TrainingSettings, start: int = 0, rank: int = 0, devices: int = 1) -> list[Batch]:
    """The batches of the settings' epochs from one on."""
    count = settings.epochs * len(batch_sizes(7, settings, devices))
    with closing(training_batches(PAIRS, settings, 200, start, rank, devices)) as batches:
        return list(islice(batches, count - start))


def test_every_sample_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    batches = _all(SETTINGS)
    assert [len(batch.images) for batch in batches] == 2 * batch_sizes(7, SETTINGS) == 2 * [3, 3, 1]
    orders = [[int(mask[0, 0]) for batch in batches[i : i + 3] for mask in batch.masks] for i in (0, 3)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(7))
    assert orders[0] != orders[1]
    assert all(batch.images.shape[1:] == (32, 16, 3) and batch.masks.shape[1:] == (32, 16) for batch in batches)


def test_several_crops_of_an_image_make_an_epoch_longer_and_differ() -> None:
    settings = replace(SETTINGS, crops_per_image=4, epochs=1, augmentation={})
    batches = _all(settings)
    images = [
        (int(m[0, 0]), i.numpy().tobytes()) for batch in batches for i, m in zip(batch.images, batch.masks, strict=True)
    ]
    assert len(images) == 28
    assert sorted(number for number, _ in images) == sorted(4 * list(range(7)))
    assert len(set(images)) > 24  # all but those that fell on the same place


def test_batches_do_not_depend_on_the_number_of_workers_but_on_the_seed() -> None:
    alone, four = _all(SETTINGS), _all(replace(SETTINGS, workers_train=4))
    assert all(torch.equal(one.images, other.images) for one, other in zip(alone, four, strict=True))
    other_seed = _all(replace(SETTINGS, seed=1))
    assert not all(torch.equal(one.images, other.images) for one, other in zip(alone, other_seed, strict=True))


def _same(some: list[Batch], others: list[Batch]) -> bool:
    return all(
        torch.equal(one.images, other.images) and torch.equal(one.masks, other.masks)
        for one, other in zip(some, others, strict=True)
    )


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("start", [0, 1, 3, 5])
def test_batches_from_the_middle_are_those_that_would_have_come(start: int, workers: int) -> None:
    settings = replace(SETTINGS, workers_train=workers)
    assert _same(_all(settings, start), _all(SETTINGS)[start:])


def test_devices_share_every_sample_of_a_batch() -> None:
    whole = _all(replace(SETTINGS, batch_size_train=4, augmentation={}))
    parts = [_all(replace(SETTINGS, batch_size_train=2, augmentation={}), rank=rank, devices=2) for rank in (0, 1)]
    assert len(whole) == len(parts[0]) == len(parts[1]) == 4
    for batch, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(batch.images[0::2], first.images) and torch.equal(batch.images[1::2], second.images)


def test_no_device_goes_without_a_sample() -> None:
    settings = replace(SETTINGS, batch_size_train=1)
    assert batch_sizes(7, settings, devices=3) == [3, 4]
    assert batch_sizes(7, settings, devices=2) == [2, 2, 3]
    with pytest.raises(TrainingError, match="7 training samples cannot be shared by 8 devices"):
        batch_sizes(7, settings, devices=8)


@given(seed=st.integers(0, 50), height=st.integers(1, 60), width=st.integers(1, 60), value=st.sampled_from([1, 3]))
def test_a_foreground_crop_shows_the_foreground(seed: int, height: int, width: int, value: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[rng.integers(height), rng.integers(width)] = value
    mask[rng.integers(height), rng.integers(width)] = 200  # neutral, which is no foreground
    pair = Pair(np.repeat(mask[..., None], 3, axis=2), mask)
    crop = foreground_crop(pair, 16, 32, 200, rng)
    assert crop.image.shape == (32, 16, 3) and crop.mask.shape == (32, 16)
    assert (mask == value).any() == (crop.mask == value).any()


def test_classes_are_equally_likely_in_foreground_crops_however_rare() -> None:
    mask = np.zeros((200, 200), dtype=np.uint8)
    mask[:, :100], mask[150, 150] = 1, 2
    pair = Pair(np.zeros((200, 200, 3), dtype=np.uint8), mask)
    crops = [foreground_crop(pair, 16, 16, 200, np.random.default_rng(seed)) for seed in range(200)]
    assert 60 < sum((crop.mask == 2).any() for crop in crops) < 140


def test_validation_takes_every_sample_whole_and_pads_to_sixteen() -> None:
    pairs = [_pair(1, 40, 50), _pair(2, 17, 64), _pair(3, 16, 16)]
    with closing(validation_batches(pairs, replace(SETTINGS, batch_size_val=2), 200)) as batches:
        (zero, first), (two, second) = list(batches)
    assert (zero, two) == (0, 2)
    assert first.images.shape == (2, 48, 64, 3)
    assert first.sizes == ((40, 50), (17, 64))
    assert np.array_equal(first.images[0, :40, :50].numpy(), pairs[0].image)
    assert (first.masks[0, :40, :50] == 1).all()
    assert (first.masks[0, 40:] == 200).all() and (first.masks[0, :, 50:] == 200).all()
    assert second.images.shape == (1, 16, 16, 3)


@given(height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 10))
def test_a_crop_is_a_window_of_the_image_padded_with_neutral(height: int, width: int, seed: int) -> None:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[..., 0], image[..., 1] = np.arange(height)[:, None], np.arange(width)
    mask = (image[..., 0].astype(np.int32) * 100 + image[..., 1]).astype(np.int32)
    crop = random_crop(Pair(image, mask), 32, 16, 99_999, np.random.default_rng(seed))
    assert crop.image.shape == (16, 32, 3) and crop.mask.shape == (16, 32)
    valid = crop.mask != 99_999
    assert valid.sum() == min(16, height) * min(32, width)
    indices = crop.image[..., 0].astype(np.int32) * 100 + crop.image[..., 1]
    assert np.array_equal(crop.mask[valid], indices[valid])


def test_a_margin_is_what_lies_around_the_window_and_its_reflection_at_the_edge() -> None:
    mask = np.arange(60 * 80).reshape(60, 80).astype(np.int32)
    pair = Pair(np.repeat((mask % 251).astype(np.uint8)[..., None], 3, axis=2), mask)
    around = cv2.copyMakeBorder(mask, 8, 8, 8, 8, cv2.BORDER_REFLECT_101)
    for seed in range(50):
        plain = random_crop(pair, 32, 16, 10**6, np.random.default_rng(seed))
        wide = random_crop(pair, 32, 16, 10**6, np.random.default_rng(seed), margin=8)
        top, left = divmod(int(plain.mask[0, 0]), 80)
        assert wide.mask.shape == (32, 48) and wide.image.shape == (32, 48, 3)
        assert (wide.mask[8:-8, 8:-8] == plain.mask).all()
        assert (wide.mask == around[top : top + 32, left : left + 48]).all()
        assert (wide.image[..., 0] == wide.mask % 251).all()


def test_a_turned_crop_shows_what_was_around_it() -> None:
    mask = (np.arange(800)[None].repeat(800, axis=0) // 10 % 2).astype(np.uint8)
    pair = Pair(np.repeat(mask[..., None] * 255, 3, axis=2), mask)
    spec = {"turn": {"transform": "Affine", "rotate": [45, 45], "p": 1.0}}
    settings = replace(SETTINGS, width=64, height=64, crops_per_image=4, augmentation=spec)
    with closing(training_batches([pair], settings, 255)) as batches:
        batch = next(batches)
    assert batch.images.shape[1:] == (64, 64, 3) and batch.masks.shape[1:] == (64, 64)
    for mask in batch.masks.numpy():  # straight stripes up to the corners, which no reflection has bent
        along = mask[:-1, :-1] == mask[1:, 1:]
        across = mask[1:, :-1] == mask[:-1, 1:]
        assert max(along.mean(), across.mean()) > 0.98


def test_crops_reach_every_corner() -> None:
    mask = np.arange(9, dtype=np.uint8).reshape(3, 3)
    pair = Pair(np.repeat(mask[..., None], 3, axis=2), mask)
    seen = {int(random_crop(pair, 2, 2, 255, np.random.default_rng(seed)).mask[0, 0]) for seed in range(60)}
    assert seen == {0, 1, 3, 4}


def test_padding_a_large_enough_sample_changes_nothing() -> None:
    pair = _pair(0)
    assert padded(pair, 50, 40, 9) is pair


def test_normalising_a_batch_is_normalising_each_picture() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3)).astype(np.uint8)
    batch = normalise(torch.from_numpy(images))
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(batch, torch.stack([to_tensor(image) for image in images]), atol=1e-6)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_work_comes_in_order_and_errors_where_they_happen(threads: int) -> None:
    assert list(ordered_map(lambda job: job * 2, range(20), threads)) == list(range(0, 40, 2))

    def fail(job: int) -> int:
        if job == 5:
            raise ValueError("five")
        return job

    results = ordered_map(fail, range(20), threads)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)


def test_leaving_early_starts_no_more_work() -> None:
    done: list[int] = []
    with closing(ordered_map(done.append, range(1000), 2)) as results:
        next(results)
    assert len(done) < 20
