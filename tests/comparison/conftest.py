"""One sweep for all tests that only read."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from segsweep.tracking import Store

from .lab import Lab

LR = {0.001: 0.30, 0.01: 0.05, 0.1: 0.45}
"""Learning rates, and what share of the pixels a run with them has wrong."""


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    Store.open(folder, experiment="Default")
    return folder / "mlflow.db"


@pytest.fixture
def lab(migrated: Path, tmp_path: Path) -> Lab:
    """An empty laboratory."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    return Lab(Store.open(tmp_path, experiment="retina"))


@pytest.fixture(scope="session")
def swept(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A sweep over the learning rate and the seed, and one job that failed; and a run beside it."""
    folder = tmp_path_factory.mktemp("swept") / "my expériments"
    folder.mkdir()
    shutil.copy(migrated, folder / "mlflow.db")
    lab = Lab(Store.open(folder, experiment="retina"))
    with lab.sweep({"training.lr": [*LR, 1e30], "seed": [0, 1]}) as parent:
        for lr, seed in itertools.product(LR, (0, 1)):
            settings = {"training.lr": lr, "training.lr_cycles": round(lr * 1000), "seed": seed}
            lab.run(f"lr={lr} seed={seed}", LR[lr], settings, parent.run_id, address=seed)
        failing = {"training.lr": 1e30, "training.lr_cycles": 5, "seed": 0}
        with (
            pytest.raises(RuntimeError),
            lab.store.start_run("lr=1e30", parent=parent.run_id, params=failing, system_metrics=False),
        ):
            raise RuntimeError("the loss is no number")
    lab.run("alone", 0.2, {"training.lr": 0.02, "seed": 7})
    return lab
