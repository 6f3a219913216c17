"""Weights from files, and their transfer into a network.

Four kinds of files are understood: our own, the original's (names behind `module.`, a decoder block that was never
executed), torchvision's VGG16-BN (`features.K.*`), whose numbers `K` our encoder keeps, and EfficientNet-Lite0's
(`_blocks.N.*`). They may be an entry `state_dict`, `model_state_dict` or `model` of the file.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from segsweep.errors import DataError, TrainingError
from segsweep.models import MODELS, build_model

__all__ = ["HEAD", "InitType", "Transfer", "mismatches", "read_weights", "recognise", "transfer_weights"]

InitType = Literal["transfer_learning", "continue_training"]

HEAD = "last_conv"
"""Weights whose name contains this belong to the head and depend on the classes."""

_DEAD = "blocks.0."
_VGG_BLOCK_STARTS = (0, 6, 13, 23, 33)
"""Numbers in VGG16-BN's `features` at which the blocks of our encoder start."""

_EFFICIENTNET = ("_conv_stem.", "_bn0.", "_blocks.")
"""How names of EfficientNet-Lite0 begin, but for its classifier."""

_NESTED = ("state_dict", "model_state_dict", "model")
_COUNTER = "num_batches_tracked"
"""Of batch normalisation: counts batches, and decides nothing here."""


@dataclass(frozen=True)
class Transfer:
    """What a transfer did, name by name.

    Attributes:
        copied: Weights taken from the file.
        fresh: The head, left as it was initialised although the file has one (`transfer_learning` only).
        missing: Weights of the network that the file does not have; they stay as initialised.
        unused: Weights of the file that the network does not have.
    """

    copied: tuple[str, ...]
    fresh: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{len(self.copied)} weights copied"]
        for names, what in [
            (self.fresh, "of the head start anew"),
            (self.missing, "are not in the file"),
            (self.unused, "of the file are not used"),
        ]:
            if names:
                parts.append(f"{len(names)} {what} ({_shortened(names)})")
        return ", ".join(parts)

    def table(self) -> str:
        """How many weights of each part of the network were copied or not, a line a part."""
        groups = asdict(self)
        counts = {what: Counter(name.split(".")[0] for name in names) for what, names in groups.items()}
        rows = [["part", *groups]]
        for part in dict.fromkeys(part for count in counts.values() for part in count):
            rows.append([part, *(str(count[part] or "–") for count in counts.values())])
        rows.append(["all", *(str(len(names)) for names in groups.values())])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        )

    def to_json(self) -> dict[str, Any]:
        """Every name, for a file."""
        return {what: list(names) for what, names in asdict(self).items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict on the CPU and gives its entries the names of our networks.

    `module.` is stripped, names of VGG16-BN and EfficientNet-Lite0 become those of our encoders, the original's dead
    block is dropped, and the counters that old versions of torch did not write are added. Nothing but tensors is
    unpickled.

    Raises:
        DataError: The file is missing, damaged, or holds anything but named tensors.
    """
    try:
        _check_size(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        raise DataError(f"{path}: holds something else than tensors and is not read: {_first_line(error)}") from error
    except Exception as error:  # torch raises many kinds for a file that is not what it should be
        what = f"{type(error).__name__}: {_first_line(error)}"
        raise DataError(f"{path}: is no file of weights that can be read: {what}") from error
    if isinstance(content, Mapping):
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), Mapping)), content)
    named_tensors = isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )
    if not named_tensors:
        raise DataError(f"{path}: is no state dict (names with tensors)")
    odd = [name for name, value in content.items() if not _is_plain(value)]
    if odd:
        raise DataError(
            f"{path}: holds tensors that are sparse, quantised, complex or empty shells: {', '.join(odd[:5])}"
        )
    weights = {_our_name(name): value for name, value in content.items()}
    weights = {name: value for name, value in weights.items() if not name.startswith(_DEAD)}
    normalised = [name.rpartition(".")[0] for name in weights if name.endswith(".running_var")]
    return {f"{name}.{_COUNTER}": torch.tensor(0) for name in normalised} | weights


def _is_plain(tensor: Tensor) -> bool:
    strided = tensor.layout == torch.strided and tensor.device.type == "cpu"
    return strided and not tensor.is_quantized and not tensor.is_complex()


def _check_size(path: Path) -> None:
    """Refuses a file whose content would take more memory than the file itself; torch never compresses."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            content = sum(member.file_size for member in archive.infolist())
        if content > path.stat().st_size:
            raise ValueError("it is compressed, or its parts overlap, which torch never writes")


def recognise(weights: Mapping[str, Tensor]) -> tuple[str, int, int]:
    """The network that weights make whole: the name of its architecture, its number of classes, its width.

    Raises:
        DataError: There is none; tells what does not fit the most similar one, name by name.
    """
    head = weights.get(f"{HEAD}.weight")
    if head is None or head.ndim != 4:
        raise DataError(
            f"there is no {HEAD}.weight among them: they are no whole network, but a training may start from them "
            "(model.weights=…)"
        )
    outputs, width = head.shape[:2]
    wrong = {}
    for name in MODELS:
        with torch.device("meta"):  # only shapes are looked at
            own = build_model(name, outputs, width).state_dict()
        wrong[name] = mismatches(own, weights)
        if not wrong[name]:
            return name, outputs, width
    nearest_name = min(wrong, key=lambda name: len(wrong[name]))
    lines = "\n".join(f"  - {line}" for line in wrong[nearest_name])
    raise DataError(
        f"they make no network that is known; they are most like {nearest_name} of width {width} with {outputs} "
        f"classes, but:\n{lines}"
    )


def transfer_weights(model: nn.Module, weights: Mapping[str, Tensor], init_type: InitType) -> Transfer:
    """Copies weights into a network by exact name and exact shape.

    `transfer_learning` leaves the head fresh and takes whatever else the file has; `continue_training` takes everything
    and refuses a file that lacks a weight or has one too many.

    Raises:
        TrainingError: The file does not fit; names every weight that does not. The network is unchanged then.
    """
    own = model.state_dict()
    transfer = init_type == "transfer_learning"
    fresh = tuple(name for name in weights if transfer and HEAD in name)
    common = tuple(name for name in weights if name in own and name not in fresh)
    missing = tuple(name for name in own if name not in weights)
    unused = tuple(name for name in weights if name not in own and name not in fresh)

    wrong = mismatches({name: own[name] for name in common} if transfer else own, weights, extra=not transfer)
    wrong += [f"{name}: numbers that are not finite" for name in common if not torch.isfinite(weights[name]).all()]
    if wrong:
        lines = "\n".join(f"  - {line}" for line in wrong)
        raise TrainingError(f"the weights of the starting model do not fit the network ({init_type}):\n{lines}")
    if not common:
        raise TrainingError(
            "the starting model has no weight that the network knows by name; "
            f"its names are {_shortened(tuple(weights))}, the network's are {_shortened(tuple(own))}"
        )
    model.load_state_dict({name: weights[name] for name in common}, strict=False)
    return Transfer(copied=common, fresh=fresh, missing=missing, unused=unused)


def mismatches(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], *, extra: bool = True) -> list[str]:
    """Every weight of the network `own` that the file `weights` lacks or has in another shape, one line each.

    Args:
        own: The network's state dict, or the part of it that the file must have.
        weights: What `read_weights` gave.
        extra: Whether a weight that only the file has is a mismatch too.
    """
    lines = [f"{name}: not in the file" for name in own if name not in weights]
    lines += [f"{name}: not in the network" for name in weights if extra and name not in own]
    lines += [
        f"{name}: {_shape(weights[name])} in the file, {_shape(value)} in the network"
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    ]
    return lines


def _our_name(name: str) -> str:
    name = name.removeprefix("module.")
    if name.startswith(_EFFICIENTNET):
        return f"encoder.{name}"
    head, _, rest = name.partition(".")
    number, _, leaf = rest.partition(".")
    if head != "features" or not number.isdecimal():
        return name
    block = sum(int(number) >= start for start in _VGG_BLOCK_STARTS) - 1
    return f"encoder_blocks.{block}.{number}.{leaf}"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"


def _shortened(names: tuple[str, ...], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
