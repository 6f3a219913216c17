"""From samples to batches of tensors; every draw is addressed by seed, epoch and sample."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsweep.errors import TrainingError
from segsweep.models import architecture
from segsweep.randomness import generator, seed_of
from segsweep.training.augmentation import Augmentation
from segsweep.training.parallel import ordered_map
from segsweep.training.samples import Pair
from segsweep.training.settings import TrainingSettings

__all__ = [
    "Batch",
    "Pairs",
    "batch_sizes",
    "foreground_crop",
    "padded",
    "random_crop",
    "training_batches",
    "validation_batches",
]


class Pairs(Protocol):
    """Samples by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pair: ...


@dataclass(frozen=True)
class Batch:
    """Some samples, on the CPU.

    Attributes:
        images: uint8, N×H×W×3.
        masks: uint8 or int32, N×H×W.
        sizes: (height, width) of each sample; what lies to the right and below is padding.
    """

    images: Tensor
    masks: Tensor
    sizes: tuple[tuple[int, int], ...]


def batch_sizes(samples: int, settings: TrainingSettings, devices: int = 1) -> list[int]:
    """Sizes of the batches of an epoch over all devices; the last one may be smaller.

    Every device has a sample in every batch: where too few would be left for a last one, the one before takes them.

    Raises:
        TrainingError: There are fewer samples than devices.
    """
    draws, size = samples * _repeats(settings), settings.batch_size_train * devices
    if draws < devices:
        raise TrainingError(f"{draws} training samples cannot be shared by {devices} devices; use fewer")
    sizes = [min(size, draws - start) for start in range(0, draws, size)]
    if sizes[-1] < devices:
        *sizes, before, last = sizes
        sizes.append(before + last)
    return sizes


def training_batches(
    samples: Pairs, settings: TrainingSettings, ignore_index: int, start: int = 0, rank: int = 0, devices: int = 1
) -> Generator[Batch, None, None]:
    """The batches of all epochs, one after the other without an end, every epoch in another order.

    Args:
        samples: What to draw from.
        settings: How.
        ignore_index: Value of neutral pixels.
        start: How many batches have been used already.
        rank: Which device this is; it gets its part of every batch.
        devices: How many share a batch.
    """
    augment = Augmentation(settings.augmentation)
    margin = max(settings.width, settings.height) // 4 if settings.sampling == "crop" and augment.pulls_in else 0
    sizes = batch_sizes(len(samples), settings, devices)
    ends = np.cumsum(sizes)

    def jobs() -> Iterator[tuple[int, NDArray[np.int64]]]:
        for epoch in count(start // len(sizes)):
            order = generator(settings.seed, "training order", epoch).permutation(int(ends[-1]))
            for index in range(start % len(sizes) if epoch == start // len(sizes) else 0, len(sizes)):
                yield epoch, order[ends[index] - sizes[index] : ends[index]][rank::devices]

    def make(job: tuple[int, NDArray[np.int64]]) -> Batch:
        epoch, draws = job
        return _stacked([sample(epoch, int(draw)) for draw in draws])

    def sample(epoch: int, draw: int) -> Pair:
        pair = samples[draw % len(samples)]
        if settings.sampling == "crop":
            rng = generator(settings.seed, "training crop", epoch, draw)
            around = rng.random() < settings.foreground_share if settings.foreground_share else False
            chosen = foreground_crop if around else random_crop
            pair = chosen(pair, settings.width, settings.height, ignore_index, rng, margin)
        seed = seed_of(settings.seed, "training augmentation", epoch, draw)
        image, mask = augment(pair.image, pair.mask, seed)
        inner = np.s_[margin : mask.shape[0] - margin, margin : mask.shape[1] - margin]
        return Pair(image[inner], mask[inner])

    return ordered_map(make, jobs(), settings.workers_train)


def validation_batches(
    samples: Pairs, settings: TrainingSettings, ignore_index: int, rank: int = 0, devices: int = 1
) -> Generator[tuple[int, Batch], None, None]:
    """All samples in order, each whole; samples of several sizes are padded to the largest of their batch.

    Yields:
        The number of a batch's first sample, and the batch; of several devices, each has its own batches.
    """
    divisor = architecture(settings.model_name).divisor

    def make(start: int) -> tuple[int, Batch]:
        stop = min(start + settings.batch_size_val, len(samples))
        pairs = [samples[index] for index in range(start, stop)]
        height, width = (-(-max(pair.mask.shape[axis] for pair in pairs) // divisor) * divisor for axis in (0, 1))
        sizes = tuple((pair.mask.shape[0], pair.mask.shape[1]) for pair in pairs)
        return start, _stacked([padded(pair, width, height, ignore_index) for pair in pairs], sizes)

    starts = range(rank * settings.batch_size_val, len(samples), devices * settings.batch_size_val)
    return ordered_map(make, starts, settings.workers_val)


def random_crop(
    pair: Pair, width: int, height: int, ignore_index: int, rng: np.random.Generator, margin: int = 0
) -> Pair:
    """A window of width x height pixels at a random place, every place equally likely; smaller pictures are padded.

    It comes with `margin` more pixels on every side: what is around it, or its reflection where the picture ends.
    """
    pair = padded(pair, width, height, ignore_index)
    top = int(rng.integers(pair.mask.shape[0] - height + 1))
    left = int(rng.integers(pair.mask.shape[1] - width + 1))
    return _window(pair, top, left, width, height, margin)


def foreground_crop(
    pair: Pair, width: int, height: int, ignore_index: int, rng: np.random.Generator, margin: int = 0
) -> Pair:
    """A window of width x height pixels that has a pixel of some class but the background; as `random_crop` otherwise.

    Every class that the picture has is equally likely, then every pixel of it. A picture without one gives a random
    crop.
    """
    pair = padded(pair, width, height, ignore_index)
    present = np.unique(pair.mask)
    present = present[(present != 0) & (present != ignore_index)]
    if not len(present):
        return random_crop(pair, width, height, ignore_index, rng, margin)
    places = np.flatnonzero(pair.mask == rng.choice(present))
    row, column = divmod(int(places[rng.integers(len(places))]), pair.mask.shape[1])
    # The pixel lies anywhere in the window: a centred one would teach that classes are in the middle.
    top = int(np.clip(row - rng.integers(height), 0, pair.mask.shape[0] - height))
    left = int(np.clip(column - rng.integers(width), 0, pair.mask.shape[1] - width))
    return _window(pair, top, left, width, height, margin)


def _window(pair: Pair, top: int, left: int, width: int, height: int, margin: int) -> Pair:
    rows, columns = pair.mask.shape
    above, below = min(margin, top), min(margin, rows - top - height)
    before, behind = min(margin, left), min(margin, columns - left - width)
    window = np.s_[top - above : top + height + below, left - before : left + width + behind]
    if above == below == before == behind == margin:
        return Pair(pair.image[window], pair.mask[window])
    missing = (margin - above, margin - below, margin - before, margin - behind)
    image, mask = (
        cv2.copyMakeBorder(np.ascontiguousarray(array[window]), *missing, cv2.BORDER_REFLECT_101)
        for array in (pair.image, pair.mask)
    )
    return Pair(np.asarray(image, dtype=np.uint8), np.asarray(mask))


def padded(pair: Pair, width: int, height: int, ignore_index: int) -> Pair:
    """Grows a sample to the right and downwards to at least width x height.

    The picture is reflected, so that no edge appears that is not there; the mask is neutral, so that the reflection is
    neither learnt nor scored.
    """
    below, right = max(0, height - pair.mask.shape[0]), max(0, width - pair.mask.shape[1])
    if not below and not right:
        return pair
    image = cv2.copyMakeBorder(pair.image, 0, below, 0, right, cv2.BORDER_REFLECT_101)
    mask = cv2.copyMakeBorder(pair.mask, 0, below, 0, right, cv2.BORDER_CONSTANT, value=[float(ignore_index)])
    return Pair(np.asarray(image, dtype=np.uint8), np.asarray(mask))


def _repeats(settings: TrainingSettings) -> int:
    return settings.crops_per_image if settings.sampling == "crop" else 1


def _stacked(pairs: Sequence[Pair], sizes: Any = None) -> Batch:
    return Batch(
        torch.from_numpy(np.stack([pair.image for pair in pairs])),
        torch.from_numpy(np.stack([pair.mask for pair in pairs])),
        sizes or tuple((pair.mask.shape[0], pair.mask.shape[1]) for pair in pairs),
    )
