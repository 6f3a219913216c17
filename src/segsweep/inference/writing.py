"""What becomes of an image: its own objects, the predicted ones, saved rectangles, probability maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segsweep.annotation import Annotation, Item, LabeledObject, ProjectWriter
from segsweep.inference.deciding import Classes, no_classes, winners, without_specks
from segsweep.inference.naming import Names
from segsweep.inference.parts import Part
from segsweep.inference.placement import Box
from segsweep.inference.settings import InferenceSettings
from segsweep.inference.shapes import shapes_of
from segsweep.inference.side_files import ProbabilityFiles, to_levels

__all__ = ["Region", "Target", "Writing"]

_SIDES_KEPT = ("field_of_view",)


@dataclass(frozen=True)
class Region:
    """A part of an image that classes are predicted for.

    Attributes:
        box: Where it lies.
        source: The place among the image's objects of the one that it is around; None where it is around none.
    """

    box: Box
    source: int | None = None


@dataclass(frozen=True)
class Target:
    """An image whose prediction is to be written.

    Attributes:
        item: The image.
        annotation: What it has.
        regions: What is predicted.
        saved: Boxes that become objects, beside those around objects.
    """

    item: Item
    annotation: Annotation
    regions: tuple[Region, ...]
    saved: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Writing:
    """What is the same for all images.

    Attributes:
        writer: The project being built.
        names: What objects are called in it.
        settings: How to predict.
        thresholds: By class index.
        outputs: Number of the network's classes.
    """

    writer: ProjectWriter
    names: Names
    settings: InferenceSettings
    thresholds: Mapping[int, float]
    outputs: int

    def write(self, target: Target, parts: Iterable[Part]) -> None:
        """Takes the probabilities of an image as they come, and writes the image with what was found in it."""
        chosen = self._choose(target, parts)
        predicted: list[Sequence[LabeledObject]] = []
        for region in target.regions:  # masks of classes are made one after the other, and those of indices let go
            predicted.append(tuple(self._objects(region.box, chosen.pop(0))))
        annotation = replace(target.annotation, objects=tuple(self._ordered(target, predicted)))
        item = target.item
        self.writer.add(item.dataset, item.name, annotation, item.image_path)
        for folder in _SIDES_KEPT:
            if (side := item.side_path(folder)) is not None:
                self.writer.add_side(item.dataset, folder, item.name, side.read_bytes())

    def _choose(self, target: Target, parts: Iterable[Part]) -> list[Classes]:
        """The classes of each region's pixels; probability maps are written on the way."""
        boxes = [region.box for region in target.regions]
        chosen = [no_classes((box.height, box.width), self.outputs) for box in boxes]
        with self._probability_files(target) if self.settings.probability_maps else nullcontext() as files:
            for number, top, found in parts:
                box, bottom = boxes[number], top + found.shape[1]
                chosen[number][top:bottom] = winners(found, self.thresholds)
                if files is not None:
                    levels = np.stack([to_levels(found[index]) for index in self.names.indices])
                    files.add(Box(box.left, box.top + top, box.right, box.top + bottom), levels)
        return chosen

    def _probability_files(self, target: Target) -> ProbabilityFiles:
        """A file for each saved class: `probability_<n>`, n being the class's place in the result's `meta.json`.

        (The original put them into the annotation's `customBigData`, where nothing could look at them.)
        """
        first = self.names.first_predicted
        paths: list[Path] = [
            self.writer.side_file(target.item.dataset, f"probability_{first + number}", target.item.name)
            for number in range(len(self.names.indices))
        ]
        size = target.annotation.width, target.annotation.height
        return ProbabilityFiles(paths, *size, in_order=len(target.regions) <= 1)

    def _objects(self, box: Box, chosen: Classes) -> Iterator[LabeledObject]:
        """The objects of a region, in the order of class indices."""
        without_specks(chosen, self.names.indices, self.settings.min_component)
        for name, index in zip(self.names.predicted.values(), self.names.indices, strict=True):
            for shape in shapes_of(chosen == index, box.left, box.top, self.settings.shape):
                yield LabeledObject(name, shape)

    def _ordered(self, target: Target, predicted: Sequence[Sequence[LabeledObject]]) -> Iterator[LabeledObject]:
        """An image's objects, then what is predicted, then saved rectangles.

        Around objects it is another order: what is predicted in an object's box, the box, the object itself.
        """
        names = self.names
        around = {region.source: number for number, region in enumerate(target.regions)}
        for place, own in enumerate(target.annotation.objects):
            if place in around:
                yield from predicted[around[place]]
                if own.class_title in names.rectangles:
                    box = target.regions[around[place]].box
                    yield LabeledObject(names.rectangles[own.class_title], box.rectangle())
            if own.class_title in names.kept:
                yield replace(own, class_title=names.kept[own.class_title])
        if None in around:
            yield from predicted[around[None]]
        for box in target.saved:
            yield LabeledObject(names.rectangles[""], box.rectangle())
