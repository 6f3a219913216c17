"""A run that was killed goes on, by the same command, in the same MLflow run, to the very same network."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from .conftest import SMALL, Command
from .test_run import runs_of

LONGER = ["run", "experiments=vessels_quick", *SMALL, "training.epochs=12", "training.val_every=2"]


def weights(workspace: Path, run_id: str) -> bytes:
    (found,) = workspace.glob(f"mlartifacts/**/{run_id}/artifacts/checkpoints/last/model.pt")
    return found.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_the_same_command_goes_on(
    segsweep: Command, interrupted: Callable[..., tuple[int, str]], tmp_path: Path, number: int
) -> None:
    arguments = [*LONGER, "training.state_minutes=0"]
    interrupted(*arguments, cwd=tmp_path, number=number, saved=True)
    [before] = runs_of(tmp_path, "vessels_quick")
    assert before.info.status == ("KILLED" if number == signal.SIGTERM else "RUNNING")
    resumed = segsweep(*arguments, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"run {before.info.run_id} did not finish; it goes on" in resumed.stderr
    assert "training goes on after step" in resumed.stderr
    [run] = runs_of(tmp_path, "vessels_quick")
    assert run.info.run_id == before.info.run_id and run.info.status == "FINISHED"

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "train/loss")]
    assert steps == list(range(len(steps))) and len(steps) == run.data.metrics["train/steps"]

    anew = segsweep(*arguments, "reuse=false", cwd=tmp_path)
    assert anew.returncode == 0 and "goes on" not in anew.stderr
    other = max(runs_of(tmp_path, "vessels_quick"), key=lambda each: each.info.start_time)
    assert other.info.run_id != run.info.run_id
    assert weights(tmp_path, other.info.run_id) == weights(tmp_path, run.info.run_id)


def test_changed_data_is_not_mixed_into_a_run(
    segsweep: Command, interrupted: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    assert segsweep("dtl", "data=vessels_synthetic", *SMALL[:5], "dtl.workers=1", cwd=tmp_path).returncode == 0
    data = ["data=supervisely_project", "data.path=projects/vessels", "data.test_path=projects/vessels_test"]
    halves = ["dtl=vessels", "dtl.layers.split.settings.condition.probability=0.5"]
    arguments = ["run", "experiments=vessels_quick", *SMALL[5:], *data, *halves, "training.epochs=2000"]
    assert interrupted(*arguments, cwd=tmp_path, number=signal.SIGKILL)[0] == -signal.SIGKILL
    image = next((tmp_path / "projects" / "vessels_test").glob("*/img/*"))
    image.write_bytes(image.read_bytes() + os.urandom(8))
    refused = segsweep(*arguments, cwd=tmp_path)
    assert refused.returncode == 1
    assert "the data changed since the run was interrupted" in refused.stderr
