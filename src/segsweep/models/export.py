"""A trained network as one ONNX file that needs nothing else: pictures in, probabilities out.

    image           uint8   N×3×H×W     RGB, 0..255, of any size
    probabilities   float32 N×C×H×W     of every class; they add up to 1

What stands around the network in `inference` is part of the graph: the normalisation (also of each picture by its own
light, where the training did so) and the mirrored margin that makes the sides what the encoder can halve. The file is
written only when onnxruntime gives what torch gives.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsweep import __version__
from segsweep.annotation.meta import generated_color
from segsweep.errors import DataError
from segsweep.files import write_bytes
from segsweep.models.folder import ModelConfig, load_model
from segsweep.models.preprocess import normalise, standardise, standardise_batch, to_tensor

__all__ = ["TOLERANCE", "Comparison", "Exported", "export_onnx"]

TOLERANCE = 1e-4
"""How much a probability may differ between onnxruntime and torch, both in float32 on the CPU."""

_OPSET = 17
_MAX_BYTES = 2**31 - 2**20
"""Of the weights: a file of the format holds less than 2 GiB, and the graph needs some of it."""

_AXES = {0: "batch", 2: "height", 3: "width"}


@dataclass(frozen=True)
class Comparison:
    """Two pictures of one size, given to onnxruntime and to torch.

    Attributes:
        what: What was shown.
        width: Of the pictures.
        height: Of the pictures.
        difference: The largest one between two probabilities.
    """

    what: str
    width: int
    height: int
    difference: float


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: The file.
        size: Its bytes.
        opset: The version of ONNX's operators that it needs.
        comparisons: What it was compared on.
    """

    path: Path
    size: int
    opset: int
    comparisons: tuple[Comparison, ...]

    @property
    def difference(self) -> float:
        """The largest difference of all comparisons."""
        return max(comparison.difference for comparison in self.comparisons)


def export_onnx(
    folder: Path, output: Path, *, image: NDArray[np.uint8] | None = None, overwrite: bool = False
) -> Exported:
    """Writes the network of a model folder as an ONNX file, after comparing both.

    They are compared on random pictures of two sizes and, if one is given, on a real one and its half size.

    Args:
        folder: A model folder.
        output: The file; it appears whole or not at all.
        image: A picture to compare on, uint8 RGB HxWx3.
        overwrite: Whether `output` may be there already.

    Raises:
        DataError: The model cannot be read, is too large for the format, or differs by more than `TOLERANCE`.
        FileExistsError: `output` is there, and `overwrite` is not given.
    """
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists already")
    network, config = load_model(folder)
    size = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    if size > _MAX_BYTES:
        raise DataError(f"{folder}: weights of {size} bytes do not fit into an ONNX file, which holds less than 2 GiB")
    data, opset = _described(_traced(network, config), config)
    comparisons = tuple(_compare(data, network, config, image))
    worst = max(comparisons, key=lambda comparison: comparison.difference)
    if not worst.difference <= TOLERANCE:  # nor is it when it is no number
        raise DataError(
            f"{folder}: the exported network differs from the original by {worst.difference:.1e} on a {worst.what} "
            f"picture of {worst.width}x{worst.height}, allowed are {TOLERANCE:.0e}; nothing was written"
        )
    write_bytes(output, data)
    return Exported(output, len(data), opset, comparisons)


class _Whole(nn.Module):
    """A network with everything around it, from the picture to the probabilities."""

    def __init__(self, network: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.network = network
        self.divisor = config.divisor
        self.standardised = config.standardised

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        pixels = standardise_batch(image) if self.standardised else image
        pixels = pixels.index_select(2, self._mirrored(height)).index_select(3, self._mirrored(width))
        logits = self.network(normalise(pixels.permute(0, 2, 3, 1)))
        return torch.softmax(logits, dim=1)[:, :, :height, :width]

    def _mirrored(self, side: int) -> Tensor:
        """Where each row comes from when a side grows to a full multiple: 0 1 2 1 0 1 …, as in `BORDER_REFLECT_101`.

        It is counted, not padded, since padding cannot mirror a picture that is smaller than its margin.
        """
        period = (2 * torch.arange(side)[-1:]).clamp(min=1)  # a side of one pixel is repeated
        full = (side + self.divisor - 1) // self.divisor * self.divisor  # ONNX divides towards zero: nothing negative
        place = torch.arange(full) % period
        return torch.minimum(place, period - place)


def _traced(network: nn.Module, config: ModelConfig) -> bytes:
    """The graph of operators that torch performs.

    By tracing: our networks always do the same. torch's exporter by symbolic shapes (`dynamo=True`) gives an equal
    graph in 14 times the time (EfficientNet-Lite0: 20 s of CPU, not 1.4 s).
    """
    buffer = io.BytesIO()
    whole = _Whole(network, config).eval()
    example = torch.zeros(2, 3, 3 * config.divisor - 5, 2 * config.divisor + 5, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # that shapes are checked in Python, and that there is the other exporter
        torch.onnx.export(
            whole,
            (example,),
            buffer,  # type: ignore[arg-type]  # said of the other exporter; this one takes files too
            dynamo=False,
            opset_version=_OPSET,
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_axes={"image": _AXES, "probabilities": _AXES},
        )
    return buffer.getvalue()


def _described(data: bytes, config: ModelConfig) -> tuple[bytes, int]:
    """The file with what its user needs to know as `metadata_props`, checked; and its opset."""
    import onnx

    model = onnx.load_model_from_string(data)
    model.producer_name, model.producer_version = "segsweep", __version__
    model.doc_string = "image: uint8 RGB N×3×H×W. probabilities: of each class at each pixel."
    onnx.helper.set_model_props(model, _properties(config))
    onnx.checker.check_model(model)
    return model.SerializeToString(), model.opset_import[0].version


def _properties(config: ModelConfig) -> dict[str, str]:
    colors = {entry["title"]: entry.get("color") for entry in config.out_classes}
    squeezed = config.settings.get("sampling") != "crop"
    properties: Mapping[str, Any] = {
        "segsweep_version": __version__,
        "architecture": config.model["name"],
        "width": config.model["width"],
        "classes": [
            {"index": index, "title": title, "color": colors.get(title) or generated_color(title)}
            for title, index in sorted(config.class_title_to_idx.items(), key=lambda pair: pair[1])
        ],
        "divisor": config.divisor,
        "mode": "full_image" if squeezed else "native",
        "input_size": config.settings.get("input_size"),
        "image_scale": 1.0 if squeezed else config.image_scale,
        "normalisation": config.settings.get("normalisation", "imagenet"),
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in properties.items()
    }


def _compare(data: bytes, network: nn.Module, config: ModelConfig, image: NDArray[np.uint8] | None) -> list[Comparison]:
    """What onnxruntime gives against what the network gives, prepared as in `inference`, by other functions."""
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    divisor = config.divisor
    random = np.random.default_rng(0)
    shown: list[tuple[str, Sequence[NDArray[np.uint8]]]] = [
        ("random", list(random.integers(0, 256, (2, height, width, 3), dtype=np.uint8)))
        for height, width in [(2 * divisor, 3 * divisor), (3 * divisor + 5, 2 * divisor - 3)]
    ]
    if image is not None:
        half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) if min(image.shape) > 1 else image
        shown += [("real", [image]), ("real", [np.asarray(half, dtype=np.uint8)])]
    found = []
    for what, pictures in shown:
        batch = np.stack(pictures).transpose(0, 3, 1, 2)
        (theirs,) = session.run(None, {"image": np.ascontiguousarray(batch)})
        ours = np.stack([_probabilities(network, config, picture) for picture in pictures])
        height, width = pictures[0].shape[:2]
        found.append(Comparison(what, width, height, float(np.abs(theirs - ours).max())))
    return found


def _probabilities(network: nn.Module, config: ModelConfig, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    seen = standardise(image) if config.standardised else image
    bottom, right = -height % config.divisor, -width % config.divisor
    seen = np.asarray(cv2.copyMakeBorder(seen, 0, bottom, 0, right, cv2.BORDER_REFLECT_101), dtype=np.uint8)
    with torch.inference_mode():
        found = torch.softmax(network(to_tensor(seen)[None]), dim=1)[0, :, :height, :width]
    return np.asarray(found.numpy())
