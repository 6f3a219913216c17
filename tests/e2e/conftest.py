"""Runs the installed command as a user would, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SEGSWEEP = Path(sys.executable).with_name("segsweep")
SMALL = [
    "data.width=192",
    "data.height=160",
    "data.images=2",
    "data.val_images=1",
    "data.test_images=2",
    "dtl.layers.multiply.settings.multiply=1",
    "dtl.workers=1",
    "model.width=2",
    "training.epochs=1",
    "training.input_size.width=64",
]
"""Overrides that make `experiments=vessels_quick` a matter of seconds."""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    quiet = {"OMP_NUM_THREADS": "2", "MLFLOW_DISABLE_TELEMETRY": "true", "NO_ALBUMENTATIONS_UPDATE": "1"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "SEGSWEEP_"))}
    return {**kept, **quiet, "PATH": f"{SEGSWEEP.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="session")
def segsweep(environment: dict[str, str]) -> Command:
    """Runs `segsweep arguments…` in a folder; the installed script, not our functions."""

    def run(*arguments: str, cwd: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SEGSWEEP), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
        )

    return run
