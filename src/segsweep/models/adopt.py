"""Somebody's model folder or file of weights as a model of this house: checked, under our names, nothing dead in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segsweep.annotation.meta import generated_color
from segsweep.errors import DataError
from segsweep.models.folder import ModelConfig, load_model
from segsweep.models.weights import read_weights, recognise

__all__ = ["adopt"]

_BACKGROUND_COLOR = "#222222"


def adopt(
    source: Path, classes: Sequence[str] | None, size: tuple[int, int] | None
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The config and the weights of a model that comes from anywhere.

    Args:
        source: A model folder, or a file of weights.
        classes: For a file: titles in the order of the network's outputs, the background first. None for a folder.
        size: For a file: width and height of the network's input. None for a folder.

    Raises:
        DataError: Files are missing or damaged, weights fit no network, the classes are not as many as the outputs,
            or weights are no finite numbers. Everything that does not fit is told.
    """
    if source.is_dir():
        if classes is not None or size is not None:
            raise DataError(f"{source}: its config.json tells classes and input size; do not give others")
        network, config = load_model(source)
        weights = network.state_dict()
    else:
        if classes is None or size is None:
            raise DataError(f"{source}: a file of weights tells neither its classes nor its input size; give both")
        weights = read_weights(source)
        config = _config(source, weights, classes, size)
    _check(source, config, weights)
    return config, weights


def _config(source: Path, weights: Mapping[str, Tensor], classes: Sequence[str], size: tuple[int, int]) -> ModelConfig:
    try:
        name, outputs, width = recognise(weights)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    if len(classes) != outputs or len(set(classes)) != outputs:
        given = ", ".join(classes)
        raise DataError(
            f"{source}: the network has {outputs} outputs, the background's included, and classes are {given}"
        )
    colors = [_BACKGROUND_COLOR, *map(generated_color, classes[1:])]
    return ModelConfig(
        settings={"input_size": {"width": size[0], "height": size[1]}},
        out_classes=[
            {"title": title, "shape": "bitmap", "color": color} for title, color in zip(classes, colors, strict=True)
        ],
        class_title_to_idx={title: index for index, title in enumerate(classes)},
        model={"name": name, "width": width},
    )


def _check(source: Path, config: ModelConfig, weights: Mapping[str, Tensor]) -> None:
    titles = {str(item["title"]) for item in config.out_classes}
    known = set(config.class_title_to_idx)
    if titles != known:
        raise DataError(
            f"{source}: out_classes and class_title_to_idx do not match: only the former has {sorted(titles - known)}, "
            f"only the latter has {sorted(known - titles)}"
        )
    size: Any = config.settings.get("input_size")
    sides = [size.get(side) for side in ("width", "height")] if isinstance(size, dict) else []
    if not sides or not all(type(side) is int and side > 0 and side % config.divisor == 0 for side in sides):
        raise DataError(
            f"{source}: input_size must hold width and height, multiples of {config.divisor} for "
            f"{config.model['name']}, not {size!r}"
        )
    broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise DataError("\n  - ".join([f"{source}: holds weights that are no finite numbers:", *broken]))
