"""On which device a training runs."""

from __future__ import annotations

from typing import Literal

import torch

from segsweep.models.devices import choose_device
from segsweep.reporting import Reporter

__all__ = ["training_device"]


def training_device(wanted: tuple[int, ...] | Literal["auto", "cpu"], reporter: Reporter) -> torch.device:
    """The first of the wanted GPUs that is there, else the CPU with one warning.

    Args:
        wanted: Indices of GPUs, `auto` or `cpu`.
        reporter: Is told what differs from what was wanted.
    """
    if isinstance(wanted, str):
        return choose_device(wanted, reporter)
    count = torch.cuda.device_count()
    there = [index for index in dict.fromkeys(wanted) if index < count]
    missing = [index for index in dict.fromkeys(wanted) if index >= count]
    if not there:
        reporter.message(f"no GPU {_listed(missing)} on this machine: training runs on the CPU", "warning")
        return choose_device("cpu")
    if missing:
        reporter.message(f"no GPU {_listed(missing)} on this machine: training runs on GPU {there[0]}", "warning")
    elif len(there) > 1:
        reporter.message(f"training uses one GPU for now: GPU {there[0]} of {_listed(there)}", "warning")
    return choose_device(there[0], reporter)


def _listed(indices: list[int]) -> str:
    return ", ".join(map(str, indices))
