"""On which devices a training runs."""

from __future__ import annotations

from typing import Literal

import torch

from segsweep.errors import TrainingError
from segsweep.models.devices import choose_device
from segsweep.reporting import Reporter

__all__ = ["training_devices"]


def training_devices(
    wanted: tuple[int, ...] | Literal["auto", "cpu"], processes: int, reporter: Reporter
) -> list[torch.device]:
    """The wanted GPUs that are there, else the CPU with one warning; as many entries as processes share a batch.

    Args:
        wanted: Indices of GPUs, `auto` (one GPU if there is one) or `cpu`.
        processes: How many processes share the work on the CPU.
        reporter: Is told what differs from what was wanted.

    Raises:
        TrainingError: Several processes are asked for on GPUs, which are named one by one instead.
    """
    if isinstance(wanted, str):
        chosen = [choose_device(wanted, reporter)]
    else:
        count = torch.cuda.device_count()
        there = [index for index in dict.fromkeys(wanted) if index < count]
        missing = [index for index in dict.fromkeys(wanted) if index >= count]
        chosen = [torch.device("cuda", index) for index in there] or [torch.device("cpu")]
        if missing:
            instead = f"GPU {_listed(there)}" if there else "the CPU"
            reporter.message(f"no GPU {_listed(missing)} on this machine: training runs on {instead}", "warning")
    if processes == 1:
        return chosen
    if chosen[0].type != "cpu":
        raise TrainingError("training.processes is for the CPU; name several GPUs by gpu_devices: [0, 1]")
    return chosen * processes


def _listed(indices: list[int]) -> str:
    return ", ".join(map(str, indices))
