"""One source image on its way through a graph.

It is pushed depth first: every output of a layer goes all the way down before the next one is made, so memory is that
of one image and the depth of the graph.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import normalise, write_item
from segsweep.dtl.element import Element, Picture, PixelsError
from segsweep.dtl.layers import LAYERS
from segsweep.dtl.names import DISCARD, SAVES
from segsweep.dtl.plan import Plan, Work
from segsweep.dtl.summary import LayerCount
from segsweep.errors import SegsweepError
from segsweep.files import encode_image

__all__ = ["STAGED", "Done", "Output", "process"]

_ENCODABLE = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_IMAGE_FAULTS = (SegsweepError, cv2.error, ArithmeticError, ValueError, MemoryError)
"""What one image may do wrong; a full disk or a mistake in the program ends the run instead."""

STAGED = "staged"
"""The data set that results lie in until they get their names."""


@dataclass(frozen=True)
class Output:
    """A result that lies aside: what it may be called, and its files there.

    Attributes:
        dataset: The data set it belongs to.
        base: The base name of its source.
        suffix: The extension of its image.
        steps: What made it; see `Element.steps`.
        staged: Its file name aside.
        folders: Folders that hold pictures of it beside `img`.
    """

    dataset: str
    base: str
    suffix: str
    steps: tuple[str, ...]
    staged: str
    folders: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """What came of one source image; `failure` is empty if it went well."""

    outputs: tuple[Output, ...]
    counts: dict[str, LayerCount]
    failure: str = ""


def process(plan: Plan, work: Work, folder: Path) -> Done:
    """Sends one source image through the graph and writes what comes of it into `folder`; nothing if it fails."""
    run = _Run(plan, folder, work.entries[0])
    try:
        annotation = normalise(work.item.annotation(plan.metas[work.source.project]))
        size = (annotation.width, annotation.height)
        picture = Picture.of_file(work.item.image_path, size)
        picture.layer = work.entries[0]
        element = Element(work.source, annotation, picture, work.dataset)
        for entry in work.entries:
            run.push(entry, element)
    except PixelsError as late:
        return _failed(late.layer, late.__cause__, folder)
    except _IMAGE_FAULTS as error:
        return _failed(run.at, error, folder)
    return Done(tuple(run.outputs), run.counts())


def _failed(layer: str, error: BaseException | None, folder: Path) -> Done:
    """What comes of an image that a layer cannot work on; raises what is no fault of the image."""
    if not isinstance(error, _IMAGE_FAULTS):
        assert error is not None
        raise error
    shutil.rmtree(folder, ignore_errors=True)
    text = str(error) if isinstance(error, SegsweepError) else f"{type(error).__name__}: {error}"
    return Done((), {layer: LayerCount(failed=1)}, f"layer {layer}: {text.strip()}")


class _Run:
    def __init__(self, plan: Plan, folder: Path, at: str) -> None:
        self.plan = plan
        self.folder = folder
        self.at = at
        """The layer that is at work."""
        self.outputs: list[Output] = []
        self.seen: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    def push(self, name: str, element: Element) -> None:
        """Sends an element into a layer and everything it makes down to the end."""
        layer, call, settings = self.plan.layers[name], self.plan.calls[name], self.plan.settings[name]
        kind = LAYERS[layer.action]
        self.seen[name] += 1
        self.at = name
        made_here = 0
        for made in kind.apply(element, settings, call):
            self.made[name] += 1
            made_here += 1
            if layer.action in SAVES:
                pictures = {} if kind.pictures is None else kind.pictures(made, settings, call)
                self.save(made, settings, pictures)
                continue
            branch = 0 if kind.route is None else kind.route(made, settings, call)
            connection = layer.dst[branch] if branch < len(layer.dst) else DISCARD
            below = () if connection == DISCARD else self.plan.consumers.get(connection, ())
            self.dropped[name] += not below
            for consumer in below:
                self.push(consumer, made.passed(name, made_here - 1, element))
            self.at = name
        self.dropped[name] += not made_here

    def save(self, element: Element, settings: Any, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Writes a result aside."""
        own = Path(element.source.name).suffix
        wanted = settings.image_format and f".{settings.image_format}"
        suffix = own if wanted is None or own.lower().replace(".jpeg", ".jpg") == wanted else wanted
        untouched = element.picture.file if suffix == own else None
        if untouched is None and suffix.lower() not in _ENCODABLE:
            suffix = ".png"
        staged = f"{len(self.outputs)}{suffix}"
        pixels = element.picture.pixels  # of untouched files too, so that no damaged one gets into a result
        image = pixels if untouched is None else untouched
        write_item(
            self.folder,
            self.plan.result_meta,
            STAGED,
            staged,
            normalise(element.annotation),
            image,
            link=settings.untouched == "link",
        )
        for folder, picture in pictures.items():
            path = self.folder / STAGED / folder / f"{len(self.outputs)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_image(picture))
        self.outputs.append(
            Output(element.dataset, element.source.base, suffix, element.steps, staged, tuple(pictures))
        )

    def counts(self) -> dict[str, LayerCount]:
        """What every layer did."""
        return {name: LayerCount(self.seen[name], self.made[name], self.dropped[name]) for name in self.plan.layers}
