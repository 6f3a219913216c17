"""What flows through a graph: one image with its annotation and where it came from.

Elements are values. Pixels are made when somebody looks at them, and only once: a picture that several branches share
is decoded, or flipped, a single time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Annotation
from segsweep.errors import DataError
from segsweep.files import read_image

__all__ = ["Element", "Picture", "PixelsError", "Source"]

Pixels = NDArray[np.uint8]


class PixelsError(Exception):
    """Pixels could not be made; its cause says why.

    Attributes:
        layer: The layer that was to make them; it need not be the one that asked for them.
    """

    def __init__(self, layer: str) -> None:
        super().__init__(layer)
        self.layer = layer


class Picture:
    """The pixels of an image, uint8 RGB HxWx3, made on first use and kept."""

    def __init__(self, make: Callable[[], Pixels], file: Path | None = None) -> None:
        self._make: Callable[[], Pixels] | None = make
        self._pixels: Pixels | None = None
        self.file = file
        """The file whose pixels these are unchanged, or None."""
        self.layer = ""
        """The layer whose work it is, as far as it is known."""

    @classmethod
    def of_file(cls, path: Path, size: tuple[int, int]) -> Self:
        """The picture in a file, which must be of `size` (width, height)."""

        def make() -> Pixels:
            pixels = read_image(path)
            if pixels.shape[1::-1] != size:
                raise DataError(
                    f"{path}: has {pixels.shape[1]}x{pixels.shape[0]} pixels, its annotation says {size[0]}x{size[1]}"
                )
            return pixels

        return cls(make, path)

    @property
    def pixels(self) -> Pixels:
        """The pixels; not to be changed in place.

        Raises:
            PixelsError: They cannot be made, by a layer that is known; or whatever went wrong.
        """
        if self._pixels is None:
            assert self._make is not None
            try:
                self._pixels = self._make()
            except Exception as error:
                if not self.layer or isinstance(error, PixelsError):
                    raise
                raise PixelsError(self.layer) from error
            self._make = None  # lets go of the picture this one was made from
        return self._pixels

    def changed(self, change: Callable[[Pixels], Pixels]) -> Picture:
        """A picture made from this one."""
        return Picture(lambda: change(self.pixels))


@dataclass(frozen=True)
class Source:
    """An image of an input project.

    Attributes:
        project: Name of the project, as the graph calls it.
        dataset: Name of its dataset.
        name: File name of the image, with its extension.
    """

    project: str
    dataset: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.dataset}/{self.name}"

    @property
    def base(self) -> str:
        """The file name without its extension."""
        return Path(self.name).stem


@dataclass(frozen=True)
class Element:
    """An image on its way through the graph.

    Attributes:
        source: The input image it comes from.
        annotation: Its annotation; width and height are those of the picture.
        picture: Its pixels.
        dataset: Name of the dataset it would be saved in.
        way: Layers passed so far, with the index of the output each gave; it addresses the element's randomness.
        steps: The part of the way that made a difference to pixels; it names the result.
    """

    source: Source
    annotation: Annotation
    picture: Picture
    dataset: str
    way: str = ""
    steps: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.annotation.width, self.annotation.height

    def passed(self, layer: str, index: int, before: Element) -> Element:
        """This element as the output number `index` of a layer that was given `before`."""
        remade = self.picture is not before.picture
        if remade:
            self.picture.layer = layer
        told = remade or index > 0
        step = f"{layer}_{index}" if index else layer
        return replace(self, way=f"{before.way}/{layer}.{index}", steps=(*before.steps, step) if told else before.steps)
