"""`-m`: one parent, a named child a job, each with its own settings, curves and pictures; the truth about failures."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import SMALL, Command
from .test_run import artifacts_of, runs_of


@pytest.fixture(scope="module")
def workspace(segsweep: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    done = segsweep(
        "run",
        "-m",
        "experiments=vessels_sweep",
        *[item for item in SMALL if not item.startswith("training.input_size")],
        "training.lr=0.01,0.003",
        "training.input_size.width=64,32",
        "augmentation.brightness.brightness_limit=0.2",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_sweep_is_a_parent_and_named_children(workspace: Path) -> None:
    runs = runs_of(workspace, "vessels_sweep")
    [parent] = [run for run in runs if run.data.tags["segsweep.kind"] == "sweep"]
    children = [run for run in runs if run is not parent]
    assert {run.info.run_name for run in children} == {
        f"lr={lr} size={size}" for lr in ("0.01", "0.003") for size in (64, 32)
    }
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert (
        len({(run.data.params["training.lr"], run.data.params["training.input_size.width"]) for run in children}) == 4
    )
    for run in children:
        assert 0 <= run.data.metrics["test/dice/vessel"] <= 1
        assert len(artifacts_of(workspace, run.info.run_id, "predictions/ds0")) == 2
    assert {"leaderboard.csv", "leaderboard.md"} <= artifacts_of(workspace, parent.info.run_id)


def test_the_jobs_of_a_sweep_share_one_transformation(workspace: Path) -> None:
    made = sorted(path.name for path in (workspace / "projects").iterdir())
    assert [name for name in made if name.startswith("vessels_train")] == ["vessels_train"]


def test_issued_again_it_does_nothing_and_a_larger_grid_only_what_is_new(segsweep: Command, workspace: Path) -> None:
    arguments = ["run", "-m", "experiments=vessels_sweep", *[item for item in SMALL if "input_size" not in item]]
    same = ["training.lr=0.01,0.003", "training.input_size.width=64,32", "augmentation.brightness.brightness_limit=0.2"]
    before = {run.info.run_id: run.info.end_time for run in runs_of(workspace, "vessels_sweep")}
    again = segsweep(*arguments, *same, cwd=workspace)
    assert again.returncode == 0, again.stderr
    assert "all 4 jobs are finished already" in again.stderr
    assert {run.info.run_id: run.info.end_time for run in runs_of(workspace, "vessels_sweep")} == before

    larger = segsweep(*arguments, "training.lr=0.01,0.003,0.03", *same[1:], cwd=workspace)
    assert larger.returncode == 0, larger.stderr
    assert "goes on: 4 of its jobs are finished" in larger.stderr
    [parent] = [run for run in runs_of(workspace, "vessels_sweep") if run.data.tags["segsweep.kind"] == "sweep"]
    jobs = [run for run in runs_of(workspace, "vessels_sweep") if run.info.run_id != parent.info.run_id]
    assert {run.data.tags["mlflow.parentRunId"] for run in jobs} == {parent.info.run_id}
    assert {run.info.run_name for run in jobs if run.info.run_id not in before} == {
        "lr=0.03 size=64",
        "lr=0.03 size=32",
    }
    assert all(run.info.end_time == before.get(run.info.run_id, run.info.end_time) for run in jobs)
    for fewer, count in ((same, 4), (["training.lr=0.01", *same[1:]], 2)):  # a part of it, issued again
        part = segsweep(*arguments, *fewer, "inference.batch_size=2", cwd=workspace)
        assert part.returncode == 0, part.stderr
        assert f"all {count} jobs are finished already" in part.stderr and parent.info.run_id in part.stderr
    anew = segsweep(*arguments, *same, "reuse=false", "--dry-run", cwd=workspace)
    assert anew.returncode == 0 and "it would be a new sweep" in anew.stderr and "train 4 times" in anew.stderr


def test_a_failing_job_stops_no_other_and_is_told(segsweep: Command, workspace: Path) -> None:
    names = "name=mixed,other"  # the experiment's name follows from it, and is the first job's for all
    done = segsweep("run", "-m", "experiments=vessels_quick", names, *SMALL, "training.lr=1e30,0.01", cwd=workspace)
    assert done.returncode == 1
    assert "2 of 4 jobs of the sweep did not finish" in done.stderr
    by_name = {run.info.run_name: run for run in runs_of(workspace, "mixed")}
    for name in ("mixed", "other"):
        assert by_name[f"name={name} lr=1e+30"].info.status == "FAILED"
        assert by_name[f"name={name} lr=0.01"].info.status == "FINISHED"
    assert by_name["mixed"].info.status == "FAILED"
    assert "2 of 4 jobs" in by_name["mixed"].data.tags["segsweep.status_reason"]


def test_an_interrupted_sweep_is_killed_with_its_job(
    workspace: Path, interrupted: Callable[..., tuple[int, str]]
) -> None:
    swept = ["training.epochs=2000", "training.lr=0.01,0.003"]
    arguments = ["run", "-m", "experiments=vessels_quick", "name=stopped", *SMALL, *swept]
    ended, rest = interrupted(*arguments, cwd=workspace, number=signal.SIGINT)
    assert ended == 130, rest
    statuses = {run.info.run_name: run.info.status for run in runs_of(workspace, "stopped")}
    assert statuses == {"stopped": "KILLED", "lr=0.01": "KILLED"}
