"""Images and their annotations, the next one being read while one is worked on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Annotation, Item, ProjectMeta
from segsweep.errors import DataError
from segsweep.files import image_size, read_image
from segsweep.models.preprocess import standardise

__all__ = ["Picture", "pictures"]

_READ_AHEAD = 2**25
"""Images of more pixels are read only when it is their turn, so that no two of them are in memory at once."""


@dataclass(frozen=True)
class Picture:
    """An item as it was read; `image` is uint8 RGB, HxWx3."""

    item: Item
    annotation: Annotation
    image: NDArray[np.uint8]


def pictures(
    items: Sequence[Item], meta: ProjectMeta, *, standardised: bool
) -> Generator[tuple[Item, Callable[[], Picture]], None, None]:
    """The items in order, each with a function that gives it as it was read.

    That function raises DataError where image or annotation cannot be read, or do not fit each other. Close the
    generator (`contextlib.closing`) when it is left early.

    Args:
        items: What to read.
        meta: The project's classes.
        standardised: Whether images are made alike (`preprocess.standardise`).
    """

    def read(item: Item) -> Picture:
        image = read_image(item.image_path)
        height, width = image.shape[:2]
        annotation = item.annotation(meta)
        if (annotation.width, annotation.height) != (width, height):
            said = f"{annotation.width}x{annotation.height}"
            raise DataError(f"the image has {width}x{height} pixels, its annotation says {said}")
        if standardised:
            standardise(image, out=image)
        return Picture(item, annotation, image)

    pool = ThreadPoolExecutor(1, thread_name_prefix="segsweep-reading")
    try:
        coming: Future[Picture] | None = None
        for item, following in zip(items, [*items[1:], None], strict=True):
            take = partial(read, item) if coming is None else coming.result
            alone = following is None or _is_large(item) or _is_large(following)
            coming = None if alone or following is None else pool.submit(read, following)
            yield item, take
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _is_large(item: Item) -> bool:
    try:
        width, height = image_size(item.image_path)
    except DataError:  # it will be told when the item is read
        return False
    return width * height > _READ_AHEAD
