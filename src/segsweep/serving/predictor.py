"""A trained network that answers what MLflow's `predict` is given."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsweep.annotation import Annotation, LabeledObject, ProjectMeta, annotation_to_json, meta_to_json
from segsweep.errors import DataError, Problems
from segsweep.files import encode_image
from segsweep.inference import InferenceSettings, check_mode, settings_from_mode
from segsweep.inference.deciding import no_classes, winners, without_specks
from segsweep.inference.naming import Names, name_classes, read_thresholds
from segsweep.inference.network import How
from segsweep.inference.parts import check_room, how_to, parts, windows_of
from segsweep.inference.placement import Box, Boxes, Roi, Windows, roi_box
from segsweep.inference.shapes import shapes_of
from segsweep.inference.side_files import to_levels
from segsweep.models.devices import choose_device
from segsweep.models.folder import load_model
from segsweep.models.preprocess import standardise
from segsweep.reporting import SILENT
from segsweep.serving.pictures import decoded, pictures_in
from segsweep.tracking.parameters import Loading, Parameters
from segsweep.typed import parse

__all__ = ["Predictor"]

_WHERE = "params"
_KEPT_CLASSES = 8


@dataclass(frozen=True)
class _Asked:
    """What a request asks for, checked.

    Attributes:
        output: `mask` or `objects`.
        settings: How to predict.
        names: What predicted objects are called.
        thresholds: By class index.
        how: How the network is applied.
    """

    output: str
    settings: InferenceSettings
    names: Names
    thresholds: Mapping[int, float]
    how: How


@dataclass(frozen=True)
class _Found:
    """What the network says about a picture: class indices HxW, and float32 C×H×W if they were asked for."""

    mask: NDArray[np.uint8] | NDArray[np.uint16]
    probabilities: NDArray[np.float32] | None


class Predictor:
    """A trained network that takes what MLflow's `predict` is given.

    Args:
        folder: A model folder.
        loading: Where and with what numbers it computes, and the largest picture that it takes.
    """

    def __init__(self, folder: Path, loading: Loading) -> None:
        network, self.config = load_model(folder)
        self.device = choose_device(loading.device)
        self.network = network.to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
        self.loading = loading
        self._one_at_a_time = threading.Lock()  # a server asks from several threads; memory is for one picture

    def __call__(self, model_input: Any, params: Mapping[str, Any]) -> Any:
        """What was asked for about each picture.

        Args:
            model_input: One picture, a list of them, or a table, records or a mapping with pictures as `image`. A
                picture is an array (uint8 HxWx3 RGB), the bytes of a PNG or JPEG file, or a text: that file in base64.
            params: See `tracking.parameters.Parameters`.

        Returns:
            An answer for one picture, a list of answers in their order for several. An answer is a mask: class
            indices HxW, of the picture's own size. With `probabilities` it is `{"mask", "probabilities"}`, the latter
            float32 C×H×W. With `output: objects` it is `{"annotation", "meta"}`, Supervisely JSON, and
            `probabilities` if asked for. For a text, a mask is a grey PNG in base64, and probabilities are a list of
            16-bit grey PNGs in base64, one a class, where 65535 is 1.

        Raises:
            InvalidRequestError: Parameters that are not possible.
            DataError: A picture cannot be read, is too large, or has another shape or type; tells which.
        """
        asked = self._asked(params)
        pictures, single = pictures_in(model_input)
        answers = []
        for number, picture in enumerate(pictures, start=1):
            try:
                answers.append(self._answer(picture, asked))
            except DataError as error:
                which = "the picture" if single else f"picture {number} of {len(pictures)}"
                raise DataError(f"{which}: {error}") from error
        return answers[0] if single else answers

    def _asked(self, params: Mapping[str, Any]) -> _Asked:
        problems = Problems()
        parameters = parse(Parameters, params, problems, _WHERE)
        mode = None if parameters is None else _read_mode(parameters, problems)
        problems.raise_if_any("this cannot be predicted")
        assert parameters is not None
        additions = InferenceSettings(
            add_suffix="",
            probability_maps=parameters.probabilities,
            resolution=parameters.resolution,
            blend=parameters.blend,
            flip_average=parameters.flip_average,
            threshold=parameters.threshold,
            min_component=parameters.min_component,
            shape=parameters.shape,
            precision=self.loading.precision,
        )
        settings = additions if mode is None else settings_from_mode(mode, additions)
        if isinstance(settings.place, Boxes):
            what = "looks at the objects that a picture has already, and here it has none"
            problems.add(f"{_WHERE}.mode", f"bboxes {what}", "use another mode, or segsweep predict")
        for title in settings.save_classes or ():
            if title not in self.config.class_title_to_idx:
                where = f"{_WHERE}.mode.model_classes.save_classes"
                problems.unknown(where, title, self.config.class_title_to_idx, kind="class")
        problems.raise_if_any("this cannot be predicted")
        names = name_classes(self.config, settings, ProjectMeta(), SILENT)
        thresholds = read_thresholds(self.config, settings.threshold)
        how = how_to(settings, self.config, self.device, "the model")
        return _Asked(parameters.output, settings, names, thresholds, how)

    def _answer(self, picture: Any, asked: _Asked) -> Any:
        image = decoded(picture, self.loading.max_pixels)
        encoded = isinstance(picture, str)
        height, width = image.shape[:2]
        place = asked.settings.place
        region = roi_box(place.bounds, width, height) if isinstance(place, Roi) else Box(0, 0, width, height)
        found = self._find(image, region, asked)
        if asked.output == "objects":
            answer: dict[str, Any] = _annotated(found.mask, region, asked)
        else:
            answer = {"mask": _as_png(found.mask) if encoded else found.mask}
        if found.probabilities is not None:
            levels = (_as_png(to_levels(layer)) for layer in found.probabilities)
            answer["probabilities"] = list(levels) if encoded else found.probabilities
        return answer["mask"] if list(answer) == ["mask"] else answer

    def _check_size(self, width: int, height: int) -> None:
        """Refuses to hold probabilities of more than `_KEPT_CLASSES` classes of the largest picture."""
        classes, most = self.config.outputs, _KEPT_CLASSES * self.loading.max_pixels
        if classes * width * height > most:
            raise DataError(
                f"the probabilities of {classes} classes at {width}x{height} pixels are more than the {most} numbers "
                "that are given at once; send a smaller picture, or load the model with a larger max_pixels"
            )

    def _find(self, image: NDArray[np.uint8], region: Box, asked: _Asked) -> _Found:
        """Applies the network; what lies outside the region is background there, without any probability."""
        height, width = image.shape[:2]
        place = asked.settings.place
        seen = windows_of(place, width, height) if isinstance(place, Windows) else [region]
        mask = no_classes((height, width), self.config.outputs)
        kept = None
        if asked.settings.probability_maps:
            self._check_size(width, height)
            kept = np.zeros((self.config.outputs, height, width), np.float32)
        shown = standardise(image) if self.config.standardised else image
        with self._one_at_a_time:
            check_room(self.network, self.config, asked.how, seen)
            for _, first, rows in parts(self.network, shown, place, [region], asked.how, asked.settings.blend):
                top = region.top + first
                own = np.s_[top : top + rows.shape[1], region.left : region.right]
                mask[own] = winners(rows, asked.thresholds)
                if kept is not None:
                    kept[:, *own] = rows
        without_specks(mask, asked.names.indices, asked.settings.min_component)
        return _Found(mask, kept)


def _read_mode(parameters: Parameters, problems: Problems) -> Mapping[str, Any] | None:
    """The documented `mode` object that a text names or holds; None for what the network was trained on."""
    text = parameters.mode
    if text == "auto":
        return None
    mode: Any = {"name": text}
    if text.lstrip().startswith("{"):
        try:
            mode = json.loads(text)
        except (ValueError, RecursionError) as error:
            problems.add(f"{_WHERE}.mode", f"is no JSON: {error}", 'such as {"name": "sliding_window"}')
            return None
    check_mode(mode, problems, f"{_WHERE}.mode", parameters.resolution)
    named = mode.get("model_classes") or {}
    return {**mode, "model_classes": {"add_suffix": "", **named}} if isinstance(named, Mapping) else None


def _annotated(mask: NDArray[Any], region: Box, asked: _Asked) -> dict[str, Any]:
    """The answer as an annotation and its classes, Supervisely JSON."""
    height, width = mask.shape
    names, place = asked.names, asked.settings.place
    inside = mask[region.top : region.bottom, region.left : region.right]
    objects = [
        LabeledObject(name, shape)
        for name, index in zip(names.predicted.values(), names.indices, strict=True)
        for shape in shapes_of(inside == index, region.left, region.top, asked.settings.shape)
    ]
    saved: list[Box] = []
    if isinstance(place, Windows):
        saved = [window.within(width, height) for window in windows_of(place, width, height)]
    elif isinstance(place, Roi):
        saved = [region]
    objects += [LabeledObject(names.rectangles[""], box.rectangle()) for box in saved if names.rectangles]
    annotation = Annotation(width, height, tuple(objects))
    return {"annotation": annotation_to_json(annotation, names.meta), "meta": meta_to_json(names.meta)}


def _as_png(picture: NDArray[Any]) -> str:
    return base64.b64encode(encode_image(picture)).decode()
