"""One training shared by several processes, a GPU or a part of the CPU each.

The processes are started here, for one training, so that nothing depends on how the program itself was started: jobs
of a sweep train in groups of their own, one after the other. Only the first process reports; what it says comes
through a queue to the reporter of the process that started it, which alone knows MLflow.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import queue
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsweep.errors import SegsweepError, TrainingError
from segsweep.processes import end_with_parent
from segsweep.reporting import SILENT, Advance, Level, Reporter
from segsweep.training.settings import TrainingResult, TrainingSettings

__all__ = ["run_distributed"]

_POLL_SECONDS = 0.5


def run_distributed(
    project: Path, output: Path, settings: TrainingSettings, devices: Sequence[torch.device], reporter: Reporter
) -> TrainingResult:
    """Trains on several devices at once; see `segsweep.training.train`.

    Raises:
        TrainingError: One of the processes failed or died; the others were stopped.
    """
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    with tempfile.TemporaryDirectory(prefix="segsweep-group-") as folder:
        processes = [
            context.Process(
                target=_work,
                args=(rank, devices, Path(folder) / "meeting", project, output, settings, told),
                name=f"segsweep-training-{rank}",
                daemon=True,
            )
            for rank in range(len(devices))
        ]
        try:
            for process in processes:
                process.start()
            return _relay(told, processes, reporter)
        finally:
            for process in processes:
                if process.is_alive():
                    process.terminate()
            for process in processes:
                process.join()


def _relay(told: Any, processes: Sequence[Any], reporter: Reporter) -> TrainingResult:
    """Repeats to `reporter` what the first process says, until it has a result or somebody failed."""
    bars: dict[int, tuple[ExitStack, Advance]] = {}
    with ExitStack() as open_bars:
        while True:
            try:
                kind, *what = told.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                _check_alive(processes)
                continue
            match kind:
                case "call":
                    method, arguments = what
                    getattr(reporter, method)(*arguments)
                case "bar":
                    number, title, total, unit = what
                    stack = open_bars.enter_context(ExitStack())
                    bars[number] = stack, stack.enter_context(reporter.progress(title, total, unit))
                case "advance":
                    number, count = what
                    bars[number][1](count)
                case "close":
                    bars.pop(what[0])[0].close()
                case "result":
                    return what[0]  # type: ignore[no-any-return]
                case "error":
                    raise what[0]


def _check_alive(processes: Sequence[Any]) -> None:
    dead = [process for process in processes if process.exitcode not in {None, 0}]
    if dead:
        raise TrainingError(
            f"a process of the training died (exit status {dead[0].exitcode}), perhaps for want of memory"
        )


def _work(
    rank: int,
    devices: Sequence[torch.device],
    meeting: Path,
    project: Path,
    output: Path,
    settings: TrainingSettings,
    told: Any,
) -> None:
    """What each process does."""
    from torch import distributed

    from segsweep.training.group import Group
    from segsweep.training.loop import run_training

    end_with_parent()
    device = devices[rank]
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        else:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // len(devices)))
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            init_method=meeting.as_uri(),
            rank=rank,
            world_size=len(devices),
        )
        reporter = _Teller(told) if rank == 0 else SILENT
        result = run_training(project, output, settings, device, reporter, Group(rank, len(devices)))
        distributed.barrier()
        if rank == 0:
            told.put(("result", result))
        distributed.destroy_process_group()
    except KeyboardInterrupt:  # who started us stops all of us
        raise SystemExit(130) from None
    except Exception as error:
        told.put(("error", _sendable(error)))


def _sendable(error: Exception) -> Exception:
    """The error itself if it is one made for people, else one that holds its traceback."""
    if isinstance(error, SegsweepError):
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 – our own, a moment ago
        except Exception:
            return TrainingError(str(error))
        return error
    return TrainingError(f"a process of the training failed:\n{''.join(traceback.format_exception(error))}")


class _Teller:
    """A reporter that sends what it hears to another process."""

    def __init__(self, told: Any) -> None:
        self._told = told
        self._numbers = itertools.count()

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        self._call("metrics", dict(values), step, epoch)

    def image(self, name: str, image: NDArray[np.uint8], step: int | None = None) -> None:
        self._call("image", name, image, step)

    def file(self, path: Path, folder: str = "") -> None:
        self._call("file", path, folder)

    def message(self, text: str, level: Level = "info") -> None:
        self._call("message", text, level)

    def progress(self, title: str, total: int | None, unit: str = "it") -> AbstractContextManager[Advance]:
        return self._bar(title, total, unit)

    @contextmanager
    def _bar(self, title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        number = next(self._numbers)
        self._told.put(("bar", number, title, total, unit))
        yield lambda count: self._told.put(("advance", number, count))
        self._told.put(("close", number))

    def _call(self, method: str, *arguments: Any) -> None:
        self._told.put(("call", method, arguments))
