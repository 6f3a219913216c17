"""Where a network runs, and with what numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import torch

from segsweep.errors import InvalidRequestError, Problem
from segsweep.reporting import SILENT, Reporter

__all__ = ["Device", "Precision", "bf16_is_fast", "choose_device", "choose_precision"]

Device: TypeAlias = "int | Literal['auto', 'cpu']"
Precision: TypeAlias = Literal["auto", "fp32", "bf16"]


def choose_device(wanted: Device, reporter: Reporter = SILENT) -> torch.device:
    """The device to use.

    Args:
        wanted: The index of a GPU, `"cpu"`, or `"auto"`: the first GPU where there is one, else the CPU.
        reporter: Is warned once when a GPU is asked for that does not exist and the CPU (or GPU 0) is taken instead.
    """
    count = torch.cuda.device_count()
    if wanted == "cpu":
        return torch.device("cpu")
    if wanted == "auto":
        return torch.device("cuda", 0) if count else torch.device("cpu")
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 0:
        problem = Problem("gpu_device", f"{wanted!r} is no device", "use the index of a GPU, 'auto' or 'cpu'")
        raise InvalidRequestError([problem])
    if wanted < count:
        return torch.device("cuda", wanted)
    taken = torch.device("cuda", 0) if count else torch.device("cpu")
    name = "GPU 0" if count else "the CPU"
    reporter.message(f"GPU {wanted} is not on this machine: {name} is used instead", "warning")
    return taken


def choose_precision(wanted: Precision, device: torch.device) -> torch.dtype:
    """The type for autocast: bfloat16 where the hardware computes with it, else float32.

    Raises:
        InvalidRequestError: `wanted` is none of `auto`, `fp32`, `bf16`.
    """
    match wanted:
        case "fp32":
            return torch.float32
        case "bf16":
            return torch.bfloat16
        case "auto":
            return torch.bfloat16 if bf16_is_fast(device) else torch.float32
    raise InvalidRequestError([Problem("precision", f"unknown value {wanted!r}", "use 'auto', 'fp32' or 'bf16'")])


def bf16_is_fast(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; emulating them is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere
    if device.type != "cpu":
        return False
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:  # no Linux
        return False
    flags = next((line.split(":", 1)[1].split() for line in text.splitlines() if line.startswith("flags")), [])
    return "avx512_bf16" in flags or "amx_bf16" in flags
