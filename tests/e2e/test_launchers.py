"""Jobs side by side, in processes of Hydra's launchers: on a store that is not there yet, and with one that fails."""

from __future__ import annotations

import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from segsweep.tracking.environment import process_has_ended

from .conftest import SEGSWEEP, SMALL, Command, heeds_ctrl_c
from .test_run import runs_of

SWEEP = ["run", "-m", "experiments=vessels_quick", *SMALL]


def statuses(workspace: Path) -> dict[str, str]:
    return {run.info.run_name: run.info.status for run in runs_of(workspace, "vessels_quick")}


def made(workspace: Path) -> list[str]:
    return sorted(path.name for path in (workspace / "projects").iterdir())


def check_that_one_fails(segsweep: Command, workspace: Path, launch: str) -> None:
    """Two of three jobs finish, on a fresh store, and one tells why it does not; the data is made once."""
    arguments = [*SWEEP, "training.lr=0.01,1e30,0.003", f"launch={launch}", "launch.jobs=2", "launch.threads=1"]
    done = segsweep(*arguments, cwd=workspace)
    assert done.returncode == 1, done.stderr
    assert "1 of 3 jobs of the sweep did not finish" in done.stderr
    assert statuses(workspace) == {
        "vessels_quick": "FAILED",
        "lr=0.01": "FINISHED",
        "lr=1e+30": "FAILED",
        "lr=0.003": "FINISHED",
    }
    [failed] = [run for run in runs_of(workspace, "vessels_quick") if run.info.run_name == "lr=1e+30"]
    assert "loss" in failed.data.tags["segsweep.status_reason"]
    projects = ["vessels", "vessels_test", "vessels_train", "vessels_val"]
    assert [name for name in made(workspace) if name.startswith("vessels")] == projects


def test_joblib(segsweep: Command, tmp_path: Path) -> None:
    check_that_one_fails(segsweep, tmp_path, "joblib")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("submitit") is None, reason="needs submitit: pip install 'segsweep[submitit]'")
def test_submitit_on_this_machine(segsweep: Command, tmp_path: Path) -> None:
    check_that_one_fails(segsweep, tmp_path, "submitit_local")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'segsweep[ray]'")
def test_ray_on_this_machine(segsweep: Command, tmp_path: Path) -> None:
    check_that_one_fails(segsweep, tmp_path, "ray")


@pytest.mark.slow
@pytest.mark.parametrize("time", range(10))
def test_four_workers_begin_on_a_store_that_is_not_there(segsweep: Command, tmp_path: Path, time: int) -> None:
    done = segsweep(*SWEEP, "seed=range(4)", "launch=joblib", "launch.jobs=4", "launch.threads=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(statuses(tmp_path).values()) == {"FINISHED"} and len(statuses(tmp_path)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_sweep(
    segsweep: Command, environment: dict[str, str], tmp_path: Path, number: int
) -> None:
    arguments = [*SWEEP, "seed=0,1", "training.epochs=2000", "launch=joblib", "launch.jobs=2", "launch.threads=1"]
    process = subprocess.Popen(
        [str(SEGSWEEP), *arguments], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, preexec_fn=heeds_ctrl_c
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("trainings/*/history.jsonl"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    marks = {run.data.tags["segsweep.process"] for run in runs_of(tmp_path, "vessels_quick")}
    process.send_signal(number)
    assert process.wait(60) != 0
    while not all(map(process_has_ended, marks)):
        assert time.monotonic() < deadline + 60
        time.sleep(0.1)
    assert segsweep("status", cwd=tmp_path).returncode == 0
    assert set(statuses(tmp_path).values()) == {"KILLED"}
    again = segsweep(*arguments, "training.epochs=1", cwd=tmp_path)  # another sweep: it is not in the way
    assert again.returncode == 0, again.stderr


def test_with_fail_fast_no_further_job_begins(segsweep: Command, tmp_path: Path) -> None:
    arguments = [*SWEEP, "training.lr=1e30,0.01", "fail_fast=true"]
    done = segsweep(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "job 1: lr=0.01 is not begun, since another one failed (fail_fast)" in done.stderr
    assert statuses(tmp_path) == {"vessels_quick": "FAILED", "lr=1e+30": "FAILED"}
