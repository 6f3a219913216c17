"""Runs the installed command as a user would, in folders of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

SEGSWEEP = Path(sys.executable).with_name("segsweep")
SMALL_DATA = [
    "data.width=256",
    "data.height=256",
    "data.images=2",
    "data.val_images=1",
    "data.test_images=2",
]
SMALL = [
    *SMALL_DATA,
    "dtl.layers.multiply.settings.multiply=1",
    "dtl.workers=1",
    "model.width=2",
    "training.epochs=1",
    "training.input_size.width=64",
    "inference.flip_average=false",
]
"""Overrides that make `experiments=vessels_quick` a matter of seconds."""

Command = Callable[..., subprocess.CompletedProcess[str]]


def heeds_ctrl_c() -> None:
    """Before a command starts: a shell makes what it runs in the background ignore Ctrl-C, and so would our tests."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "NO_ALBUMENTATIONS_UPDATE": "1"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "SEGSWEEP_"))}
    return {**kept, **quiet, "PATH": f"{SEGSWEEP.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="session")
def segsweep(environment: dict[str, str]) -> Command:
    """Runs `segsweep arguments…` in a folder: the installed script, not our functions."""

    def run(*arguments: str, cwd: Path, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SEGSWEEP), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
        )

    return run


@dataclass(frozen=True)
class Finished:
    """A workspace in which `segsweep run` ended well, and what it said."""

    workspace: Path
    process: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def finished(segsweep: Command, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One small experiment, in a folder whose name has a space and an accent."""
    workspace = tmp_path_factory.mktemp("e2e") / "my expériments"
    workspace.mkdir()
    process = segsweep("run", "experiments=vessels_quick", *SMALL, cwd=workspace)
    assert process.returncode == 0, process.stderr
    return Finished(workspace, process)


@pytest.fixture(scope="session")
def two_jobs(segsweep: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of a sweep of two small jobs."""
    workspace = tmp_path_factory.mktemp("two") / "my swéep"
    workspace.mkdir()
    swept = ["training.lr=0.01,0.003", "tracking.system_metrics=true"]
    process = segsweep("run", "-m", "experiments=vessels_quick", *SMALL, *swept, cwd=workspace)
    assert process.returncode == 0, process.stderr
    return workspace


@pytest.fixture(scope="session")
def interrupted(environment: dict[str, str]) -> Callable[..., tuple[int, str]]:
    """Runs `segsweep arguments…`, sends it a signal while it trains, and gives its exit status and last words.

    With `saved`, not before there is a state that the training can go on from.
    """

    def run(*arguments: str, cwd: Path, number: int, saved: bool = False) -> tuple[int, str]:
        command = [str(SEGSWEEP), *arguments]
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_ctrl_c
        )
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("training unet_v2"):
                break
        time.sleep(1)
        while saved and process.poll() is None and not any(cwd.glob("trainings/*/state.pt")):
            time.sleep(0.05)
        process.send_signal(number)
        rest = process.stderr.read()
        return process.wait(60), rest

    return run
