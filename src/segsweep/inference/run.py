"""The prediction of a project, from top to bottom."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsweep.annotation import Annotation, Bitmap, ClassMeta, Item, LabeledObject, Project, ProjectMeta, ProjectWriter
from segsweep.annotation.geometry import trim
from segsweep.errors import DataError, InvalidRequestError, Problem, Problems, nearest
from segsweep.files import encode_image, read_image
from segsweep.inference.modes import InferenceSettings
from segsweep.inference.network import probabilities
from segsweep.inference.result import PredictionResult
from segsweep.models.devices import choose_device, choose_precision
from segsweep.models.folder import ModelConfig, load_model, read_config
from segsweep.reporting import Reporter, track

__all__ = ["run_prediction"]

_SIDES_KEPT = ("field_of_view",)
_LEVELS = 65535
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_MAX_SIDE = 2**15  # bounds what somebody's model folder can make us allocate


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
    chosen = _chosen_classes(config, settings, source.meta, reporter)
    if settings.threshold is not None and config.outputs != 2:
        problem = Problem(
            "inference.threshold", f"is for two classes, and the model has {config.outputs}", "leave it out"
        )
        raise InvalidRequestError([problem], "the network cannot be applied so")
    classes = {title: title + settings.add_suffix for title, _ in chosen}
    if result.exists() and provenance.get("fingerprint"):
        there = Project.open(result)
        if there.provenance.get("fingerprint") == provenance["fingerprint"]:
            reporter.message(f"predict: {result.name} is there already and is used again")
            return PredictionResult(result, len(there.items), classes, reused=True)

    device = choose_device(settings.device, reporter)
    dtype = choose_precision(settings.precision, device)
    network = load_model(model)[0].to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
    meta = _result_meta(source.meta, config, classes)
    size = _input_size(model, config) if settings.mode == "full_image" else None
    skipped: list[tuple[str, str]] = []
    with ProjectWriter(result, meta, provenance) as writer:
        for item, image in track(_decoded(source.items), reporter, "Predicting", len(source.items), "img"):
            try:
                if isinstance(image, DataError):
                    raise image
                annotation = _checked(item, image, source.meta)
            except DataError as error:
                skipped.append((f"{item.dataset}/{item.name}", str(error)))
                reporter.message(f"{item.dataset}/{item.name} is left out: {error}", "warning")
                continue
            found = probabilities(
                network,
                image,
                size,
                dtype=dtype,
                flip_average=settings.flip_average,
                standardised=config.standardised,
                divisor=config.divisor,
            )
            winner = found.argmax(axis=0) if settings.threshold is None else found[1] >= settings.threshold
            predicted = [
                LabeledObject(classes[title], bitmap)
                for title, index in chosen
                for bitmap in trim(Bitmap(winner == index, x=0, y=0))
            ]
            _write(writer, item, annotation, predicted)
            if settings.probability_maps:
                _write_probabilities(writer, item, found, [index for _, index in chosen], len(source.meta.classes))
        if len(skipped) == len(source.items):
            raise DataError(
                "\n".join([f"{project}: no image can be predicted:", *(f"  - {why}" for _, why in skipped)])
            )
    images = len(source.items) - len(skipped)
    return PredictionResult(result, images, classes, time.perf_counter() - started, tuple(skipped))


def _chosen_classes(
    config: ModelConfig, settings: InferenceSettings, meta: ProjectMeta, reporter: Reporter
) -> list[tuple[str, int]]:
    """(title, index) of the model's classes to save, by index; their new names must be free in the project."""
    known = config.class_title_to_idx
    wanted = known if settings.save_classes is None else settings.save_classes
    for title in wanted:
        if title not in known:
            reporter.message(f"the model has no class {title!r}; {nearest(title, known)}", "warning")
    chosen = sorted(((title, known[title]) for title in wanted if title in known), key=lambda pair: pair[1])
    problems = Problems()
    if not chosen:
        names = ", ".join(known)
        problems.add("inference.mode.model_classes.save_classes", "names no class of the model", f"it has: {names}")
    for title, _ in chosen:
        name = title + settings.add_suffix
        if meta.get(name) is not None:
            what = f"class {name!r} is in the project already"
            problems.add("inference.mode.model_classes.add_suffix", what, "choose another suffix")
    problems.raise_if_any("the predictions cannot be named")
    return chosen


def _result_meta(meta: ProjectMeta, config: ModelConfig, classes: Mapping[str, str]) -> ProjectMeta:
    colours = {entry["title"]: _color(entry.get("color")) for entry in config.out_classes}
    added = tuple(ClassMeta(name, "bitmap", colours.get(title, "")) for title, name in classes.items())
    return ProjectMeta((*meta.classes, *added), meta.tags, meta.extra)


def _color(value: object) -> str:
    """The colour that a model's config names; empty, for a generated one, where it names none that a meta may hold."""
    return value if isinstance(value, str) and _COLOR.fullmatch(value) else ""


def _input_size(model: Path, config: ModelConfig) -> tuple[int, int]:
    size = config.settings.get("input_size")
    sides: list[Any] = [size.get(side) for side in ("width", "height")] if isinstance(size, dict) else []
    divisor = config.divisor
    if not sides or not all(type(side) is int and 0 < side <= _MAX_SIDE and side % divisor == 0 for side in sides):
        raise DataError(
            f"{model / 'config.json'}: settings.input_size: must hold width and height, multiples of {divisor} "
            f"up to {_MAX_SIDE}, not {size!r}"
        )
    return sides[0], sides[1]


def _decoded(items: Sequence[Item]) -> Iterator[tuple[Item, NDArray[np.uint8] | DataError]]:
    """Items with their pictures, the next one being decoded while one is worked on."""

    def read(item: Item) -> NDArray[np.uint8] | DataError:
        try:
            return read_image(item.image_path)
        except DataError as error:
            return error

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, items[0]) if items else None
        for number, item in enumerate(items):
            assert coming is not None
            image = coming.result()
            if number + 1 < len(items):
                coming = pool.submit(read, items[number + 1])
            yield item, image


def _checked(item: Item, image: NDArray[np.uint8], meta: ProjectMeta) -> Annotation:
    annotation = item.annotation(meta)
    height, width = image.shape[:2]
    if (annotation.width, annotation.height) != (width, height):
        said = f"{annotation.width}x{annotation.height}"
        raise DataError(f"the image has {width}x{height} pixels, its annotation says {said}")
    return annotation


def _write(writer: ProjectWriter, item: Item, annotation: Annotation, predicted: Sequence[LabeledObject]) -> None:
    """The item as it was, with the predictions after its own objects."""
    objects = (*annotation.objects, *predicted)
    added = Annotation(
        annotation.width, annotation.height, objects, annotation.tags, annotation.description, annotation.extra
    )
    writer.add(item.dataset, item.name, added, item.image_path)
    for folder in _SIDES_KEPT:
        if (side := item.side_path(folder)) is not None:
            writer.add_side(item.dataset, folder, item.name, side.read_bytes())


def _write_probabilities(
    writer: ProjectWriter, item: Item, found: NDArray[np.float32], indices: Sequence[int], first: int
) -> None:
    """Each saved class's probability as a 16-bit grey PNG, 65535 being 1.

    Its folder is `probability_<n>`, n being the place of the class in the result's `meta.json`. (The original put them
    into the annotation's `customBigData`, where nothing could look at them.)
    """
    for place, index in enumerate(indices, start=first):
        levels = np.round(found[index] * _LEVELS).astype(np.uint16)
        writer.add_side(item.dataset, f"probability_{place}", item.name, encode_image(levels))
