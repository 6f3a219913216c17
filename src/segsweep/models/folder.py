"""The model folder: what training writes, inference reads and the registry stores.

    config.json   settings, out_classes, class_title_to_idx as the original wrote them; model: {name, width}
    model.pt      a state dict, tensors only

A folder of the original has no `model`; it holds UNet V2 at base width 64.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.errors import DataError
from segsweep.files import atomic_directory, digest_json, read_json, write_bytes, write_json
from segsweep.models import MAX_CLASSES, architecture, build_model

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "ModelConfig",
    "check_place",
    "load_model",
    "model_path",
    "read_config",
    "save_model",
]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.pt"

_SCALES = (0.05, 4.0)  # bounds what somebody's model folder can make us allocate
_ORIGINAL = {"name": "unet_v2", "width": 64}


@dataclass(frozen=True)
class ModelConfig:
    """The content of a model folder's `config.json`.

    Attributes:
        settings: The merged training config under its documented keys.
        out_classes: `{"title", "shape": "bitmap", "color": "#rrggbb"}` for every class that the model predicts.
        class_title_to_idx: Title -> output channel; the background is 0.
        model: `{"name", "width"}`, the arguments of `build_model`.
    """

    settings: dict[str, Any]
    out_classes: list[dict[str, Any]]
    class_title_to_idx: dict[str, int]
    model: dict[str, Any] = field(default_factory=lambda: dict(_ORIGINAL))

    @property
    def outputs(self) -> int:
        """Number of output channels: the highest class index + 1."""
        return max(self.class_title_to_idx.values()) + 1

    @property
    def divisor(self) -> int:
        """What the sides of the network's input must be multiples of."""
        return architecture(self.model["name"]).divisor

    @property
    def standardised(self) -> bool:
        """Whether the network was trained on pictures that `preprocess.standardise` made alike."""
        return self.settings.get("normalisation") == "image"

    @property
    def image_scale(self) -> float:
        """What both sides of a picture are multiplied by where it is not squeezed to the input size."""
        return float(self.settings.get("image_scale", 1.0))

    def build(self) -> nn.Module:
        """A freshly initialised network of this kind."""
        return build_model(self.model["name"], self.outputs, self.model["width"])


def model_path(path: Path) -> Path:
    """The model folder that a file of weights is in, since a folder tells more than its file; else the path itself."""
    return path.parent if path.name == WEIGHTS_FILE and (path.parent / CONFIG_FILE).is_file() else path


def check_place(folder: Path, config: ModelConfig) -> None:
    """Makes sure that `save_model` may write here: nothing is there, or a model of the same config.

    Raises:
        DataError: The folder holds anything else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    path = folder / CONFIG_FILE
    if not path.is_file() or digest_json(read_json(path)) != digest_json(_to_json(config)):
        raise DataError(f"{folder}: holds another model or other files; choose a new folder")


def save_model(folder: Path, config: ModelConfig, state_dict: Mapping[str, Tensor]) -> None:
    """Writes a model folder so that a reader, or a crash, sees it whole.

    A folder that holds a model of the same config gets new weights in one atomic step.

    Raises:
        DataError: The folder holds anything else.
    """
    import torch

    check_place(folder, config)
    buffer = io.BytesIO()
    torch.save({name: value.detach().cpu().contiguous() for name, value in state_dict.items()}, buffer)
    if (folder / CONFIG_FILE).is_file():
        write_bytes(folder / WEIGHTS_FILE, buffer.getvalue())
        return
    with atomic_directory(folder) as aside:
        write_json(aside / CONFIG_FILE, _to_json(config))
        write_bytes(aside / WEIGHTS_FILE, buffer.getvalue())


def read_config(folder: Path) -> ModelConfig:
    """Reads and checks the `config.json` of a model folder.

    Raises:
        DataError: It is missing, or does not say what a model needs; names the key.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise DataError(f"{folder}: is no model folder, it has no {CONFIG_FILE}")
    data = read_json(path)
    if not isinstance(data, dict):
        raise DataError(f"{path}: must be an object")
    indices = data.get("class_title_to_idx")
    if not isinstance(indices, dict) or not indices or not all(_is_index(value) for value in indices.values()):
        raise DataError(
            f"{path}: class_title_to_idx must map every class title to an index from 0 to {MAX_CLASSES - 1}"
        )
    if len(set(indices.values())) < len(indices):
        raise DataError(f"{path}: class_title_to_idx gives one index to several classes")
    classes = data.get("out_classes")
    if not isinstance(classes, list) or not all(isinstance(item, dict) and "title" in item for item in classes):
        raise DataError(f"{path}: out_classes must be a list of objects that have a title")
    settings = data.get("settings", {})
    if not isinstance(settings, dict):
        raise DataError(f"{path}: settings must be an object")
    scale = settings.get("image_scale", 1.0)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not _SCALES[0] <= scale <= _SCALES[1]:
        raise DataError(f"{path}: settings.image_scale must be a number from {_SCALES[0]} to {_SCALES[1]}")
    model = data.get("model", _ORIGINAL)
    if not isinstance(model, dict) or not isinstance(model.get("name"), str) or not _is_whole(model.get("width")):
        raise DataError(f"{path}: model must have a name and a width (a whole number)")
    return ModelConfig(settings, classes, indices, model)


def load_model(folder: Path) -> tuple[nn.Module, ModelConfig]:
    """Reads a model folder: the network in eval mode, float32, on the CPU, and its config.

    Raises:
        DataError: Config or weights are missing, damaged, or do not fit each other; names every weight that does not.
    """
    import torch

    from segsweep.models.weights import mismatches, read_weights

    config = read_config(folder)
    with torch.device("meta"):  # no memory and no random numbers for weights that the file replaces
        model = config.build()
    weights = read_weights(folder / WEIGHTS_FILE)
    own = model.state_dict()
    wrong = mismatches(own, weights)
    if wrong:
        lines = "\n".join(f"  - {line}" for line in wrong)
        raise DataError(f"{folder}: {WEIGHTS_FILE} does not fit {CONFIG_FILE}:\n{lines}")
    model.load_state_dict({name: value.to(own[name].dtype) for name, value in weights.items()}, assign=True)
    return model.eval(), config


def _to_json(config: ModelConfig) -> dict[str, Any]:
    return {
        "settings": config.settings,
        "out_classes": config.out_classes,
        "class_title_to_idx": config.class_title_to_idx,
        "model": config.model,
    }


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_index(value: object) -> bool:
    return isinstance(value, int) and _is_whole(value) and 0 <= value < MAX_CLASSES
