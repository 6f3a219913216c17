"""Where a training stands, in one file: enough to go on after an interruption as if there had been none.

Random draws are addressed by seed, epoch and sample, so the position is all that they need.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segsweep.errors import DataError, TrainingError
from segsweep.files import digest_json, write_bytes
from segsweep.reporting import Reporter
from segsweep.training.settings import TrainingSettings

__all__ = ["STATE_FILE", "Position", "load_state", "save_state"]

STATE_FILE = "state.pt"

_VERSION = 3
_FREE = frozenset(
    {
        "workers_train",
        "workers_val",
        "cache_bytes",
        "keep_every",
        "state_minutes",
        "documented",
        "start_model",
        "processes",
    }
)
"""Settings that decide nothing any more, or nothing about the weights, and may differ when a training goes on; of the
processes it is their number that counts, with the devices', as `sharing`."""

_NUMERIC = frozenset({"devices", "precision", "compile"})
"""Settings that change rounding only; they may differ with a warning."""


@dataclass
class Position:
    """How far a training has come.

    Attributes:
        step: Optimiser steps done.
        lr: The learning rate.
        last_reset: Validations done when it was last divided.
        losses: The loss of every validation.
        best_step: The step of the best one, from 0.
        best_values: What was measured then.
        values: What was measured last.
        seconds: Time spent.
    """

    lr: float
    step: int = 0
    last_reset: int = 0
    losses: list[float] = field(default_factory=list)
    best_step: int = 0
    best_values: dict[str, float] = field(default_factory=lambda: {"val/loss": math.inf})
    values: dict[str, float] = field(default_factory=lambda: {"val/loss": math.inf})
    seconds: float = 0.0


def save_state(
    folder: Path,
    position: Position,
    model: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    settings: TrainingSettings,
    samples: str,
    sharing: int,
) -> None:
    """Writes the state atomically.

    Args:
        folder: The training's folder.
        position: How far it has come.
        model: The network, not wrapped.
        average: The average of its weights, if there is one.
        optimizer: Its optimiser.
        settings: How it is trained.
        samples: Digest of what it is trained on.
        sharing: How many devices share a batch.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "version": _VERSION,
            "position": asdict(position),
            "model": model.state_dict(),
            "average": None if average is None else average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "settings": _comparable(settings, sharing),
            "samples": samples,
        },
        buffer,
    )
    write_bytes(folder / STATE_FILE, buffer.getvalue())


def load_state(
    folder: Path,
    model: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    settings: TrainingSettings,
    samples: str,
    sharing: int,
    reporter: Reporter,
) -> Position | None:
    """Puts network and optimiser where an interrupted training left them; None if there was none.

    Settings that decide about the weights must be the same, and as many devices share a batch; those that only change
    rounding may differ with a warning; those about memory and speed may differ.

    Raises:
        TrainingError: The training that was interrupted is another one; tells every setting that differs.
        DataError: The file is damaged.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    device = next(model.parameters()).device
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        found, position = state["settings"], Position(**state["position"])
        known = state["version"] == _VERSION
    except Exception as error:  # torch raises many kinds for a file that is not what it should be
        raise DataError(f"{path}: is no state of a training ({error}); remove it to begin anew") from error
    if not known:
        raise DataError(f"{path}: was written by another version; remove it to begin anew")
    _check_same(found, _comparable(settings, sharing), reporter)
    if state["samples"] != samples:
        raise TrainingError(f"{path}: the interrupted training used other samples; remove it to begin anew")
    model.load_state_dict(state["model"])
    if average is not None:
        average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    reporter.message(f"training goes on after step {position.step}, where it was interrupted")
    return position


def _comparable(settings: TrainingSettings, sharing: int) -> dict[str, Any]:
    """Settings as plain values that can be stored and compared; lists as text, nested ones by their digest."""
    plain: dict[str, Any] = {"devices that share a batch": sharing}
    for item in fields(settings):
        if item.name not in _FREE:
            value = getattr(settings, item.name)
            simple = value is None or isinstance(value, str | int | float | bool)
            text = str(list(value)) if isinstance(value, tuple) else ""
            plain[item.name] = value if simple else text or digest_json(_jsonable(value))
    return plain


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    return [_jsonable(item) for item in value] if isinstance(value, tuple | list) else str(value)


def _check_same(old: Mapping[str, Any], new: Mapping[str, Any], reporter: Reporter) -> None:
    differing = [key for key in new if old.get(key) != new[key]]
    wrong = [f"{key} was {old.get(key)!r}, is {new[key]!r}" for key in differing if key not in _NUMERIC]
    if wrong:
        raise TrainingError(
            "the interrupted training had other settings, so it cannot go on:\n"
            + "\n".join(f"  - {line}" for line in wrong)
        )
    for key in differing:
        reporter.message(
            f"{key} was {old.get(key)!r} before the interruption and is {new[key]!r}: "
            "the result will not be the same to the bit",
            "warning",
        )
