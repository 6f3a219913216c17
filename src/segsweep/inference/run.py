"""The prediction of a project, from top to bottom."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segsweep.annotation import Annotation, Item, Project, ProjectWriter
from segsweep.errors import DataError
from segsweep.files import image_size
from segsweep.inference.ahead import ahead
from segsweep.inference.merging import MOST_AT_ONCE
from segsweep.inference.naming import name_classes, read_thresholds
from segsweep.inference.network import How
from segsweep.inference.parts import Part, check_room, how_to, parts, windows_of
from segsweep.inference.placement import Box, Boxes, Roi, Windows, box_of, grown, roi_box
from segsweep.inference.reading import pictures
from segsweep.inference.result import PredictionResult
from segsweep.inference.settings import InferenceSettings
from segsweep.inference.writing import Region, Target, Writing
from segsweep.models.devices import choose_device
from segsweep.models.folder import ModelConfig, load_model, read_config
from segsweep.reporting import Advance, Reporter

__all__ = ["run_prediction"]

_WRITERS = 4


def run_prediction(
    model: Path,
    project: Path,
    result: Path,
    settings: InferenceSettings,
    reporter: Reporter,
    provenance: Mapping[str, Any],
) -> PredictionResult:
    """What `segsweep.inference.predict` promises."""
    started = time.perf_counter()
    source = Project.open(project)
    config = read_config(model)
    names = name_classes(config, settings, source.meta, reporter)
    thresholds = read_thresholds(config, settings.threshold)
    if result.exists() and provenance.get("fingerprint"):
        there = Project.open(result)
        if there.provenance.get("fingerprint") == provenance["fingerprint"]:
            reporter.message(f"predict: {result.name} is there already and is used again")
            return PredictionResult(result, len(there.items), names.predicted, reused=True)
    if isinstance(settings.place, Roi):
        _check_bounds(source.items, settings.place)

    device = choose_device(settings.device, reporter)
    how = how_to(settings, config, device, str(model / "config.json"))
    network = load_model(model)[0].to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
    with ProjectWriter(result, names.meta, provenance) as writer:
        writing = Writing(writer, names, settings, thresholds, config.outputs)
        skipped = _Prediction(network, config, how, writing, reporter).of_all(source)
        if len(skipped) == len(source.items):
            raise DataError(
                "\n".join([f"{project}: no image can be predicted:", *(f"  - {why}" for _, why in skipped)])
            )
    images = len(source.items) - len(skipped)
    return PredictionResult(result, images, names.predicted, time.perf_counter() - started, tuple(skipped))


def _check_bounds(items: Sequence[Item], roi: Roi) -> None:
    """Makes sure, by the headers of images, that something is left of each; those without one are left out later."""
    wrong: list[str] = []
    for item in items:
        try:
            size = image_size(item.image_path)
        except DataError:
            continue
        try:
            roi_box(roi.bounds, *size)
        except DataError as error:
            wrong.append(f"{item.dataset}/{item.name}: {error}")
    if wrong:
        raise DataError("\n".join(wrong))


@dataclass
class _Prediction:
    """A network on its way through a project."""

    network: nn.Module
    config: ModelConfig
    how: How
    writing: Writing
    reporter: Reporter
    padded: set[tuple[int, int]] = field(default_factory=set)
    """Sizes of images that are smaller than a window; each is told once."""

    def of_all(self, source: Project) -> list[tuple[str, str]]:
        """Predicts all images; returns those that had to be left out, with the reason.

        While the network is at one image, the next is read and others are written. Large ones are written as their
        rows come, and alone: of them nothing else should be in memory.
        """
        settings = self.writing.settings
        skipped: list[tuple[str, str]] = []
        threads = min(_WRITERS, os.cpu_count() or 1)
        with (
            closing(pictures(source.items, source.meta, standardised=self.config.standardised)) as coming,
            ThreadPoolExecutor(threads, thread_name_prefix="segsweep-writing") as pool,
            self.reporter.progress("Predicting", len(source.items), "img") as advance,
        ):
            written: deque[Future[None]] = deque()
            for item, take in coming:
                try:
                    picture = take()
                    target = self._target(item, picture.annotation)
                except DataError as error:
                    skipped.append((f"{item.dataset}/{item.name}", str(error)))
                    self.reporter.message(f"{item.dataset}/{item.name} is left out: {error}", "warning")
                    advance(1)
                    continue
                boxes = [region.box for region in target.regions]
                found = parts(self.network, picture.image, settings.place, boxes, self.how, settings.blend)
                del picture  # from here on the image lives as long as `found` needs it
                if _values(target.regions) * self.config.outputs > MOST_AT_ONCE:
                    _finish(written, 0, advance)
                    self._write_large(target, found)
                    advance(1)
                else:
                    written.append(pool.submit(self.writing.write, target, list(found)))
                    _finish(written, threads, advance)
            _finish(written, 0, advance)
        return skipped

    def _write_large(self, target: Target, found: Iterable[Part]) -> None:
        rows = sum(region.box.height for region in target.regions)
        with self.reporter.progress(target.item.name, rows, "rows") as advance, closing(ahead(found)) as coming:

            def counted() -> Iterator[Part]:
                for part in coming:
                    yield part
                    advance(part[2].shape[1])

            self.writing.write(target, counted())

    def _target(self, item: Item, annotation: Annotation) -> Target:
        """What to predict of an image.

        Raises:
            DataError: The network would need more memory than this machine has.
        """
        place, width, height = self.writing.settings.place, annotation.width, annotation.height
        saved: tuple[Box, ...] = ()
        if isinstance(place, Boxes):
            regions = tuple(_around_objects(annotation, self.writing.names.boxed, place))
        else:
            box = roi_box(place.bounds, width, height) if isinstance(place, Roi) else Box(0, 0, width, height)
            regions = (Region(box),)
            if isinstance(place, Roi) and place.saved_as is not None:
                saved = (box,)
        seen = [region.box for region in regions]
        if isinstance(place, Windows):
            self._tell_padding(place, width, height)
            seen = windows_of(place, width, height)
            if place.saved_as is not None:
                saved = tuple(window.within(width, height) for window in seen)
        check_room(self.network, self.config, self.how, seen)
        return Target(item, annotation, regions, saved)

    def _tell_padding(self, windows: Windows, width: int, height: int) -> None:
        if (width < windows.width or height < windows.height) and (width, height) not in self.padded:
            self.padded.add((width, height))
            self.reporter.message(
                f"windows of {windows.width}x{windows.height} pixels are larger than images of {width}x{height}: "
                "these are mirrored at their right and lower edges",
                "warning",
            )


def _values(regions: Iterable[Region]) -> int:
    return sum(region.box.width * region.box.height for region in regions)


def _finish(written: deque[Future[None]], most: int, advance: Advance) -> None:
    """Waits until at most `most` images are still being written."""
    while len(written) > most:
        written.popleft().result()
        advance(1)


def _around_objects(annotation: Annotation, boxed: frozenset[str], place: Boxes) -> Iterator[Region]:
    for number, item in enumerate(annotation.objects):
        box = box_of(item.geometry) if item.class_title in boxed else None
        if box is not None:
            box = grown(box, place.padding, annotation.width, annotation.height)
        if box is not None:
            yield Region(box, number)
