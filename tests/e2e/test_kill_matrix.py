"""However a sweep dies, and wherever: its statuses tell the truth, nothing is half written, and issued again it does
exactly what is missing."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import SMALL, Command, heeds_ctrl_c
from .dying import STAGES, WAYS
from .test_run import runs_of

SWEEP = ["run", "-m", "experiments=vessels_quick", *SMALL, "seed=0,1", "training.epochs=3", "training.state_minutes=0"]
ENDS = {
    "error": (1, "FAILED", "ValueError: made to fail"),
    "memory": (1, "FAILED", "MemoryError: made to need more than there is"),
    "SIGINT": (130, "KILLED", "interrupted (Ctrl-C)"),
    "SIGTERM": (128 + signal.SIGTERM, "KILLED", "terminated by SIGTERM"),
    "SIGKILL": (-signal.SIGKILL, "KILLED", "found dead"),
}
"""Way -> exit status of the command; status of the job; its reason."""
QUICK = {("SIGKILL", "train")}
CASES = [
    pytest.param(way, stage, marks=[] if (way, stage) in QUICK else pytest.mark.slow)
    for way in WAYS
    for stage in STAGES
]


def left_over(workspace: Path) -> list[str]:
    """What lies where finished things lie, and is not one."""
    places = [workspace / name for name in ("projects", "trainings", "evaluations")]
    hidden = [path for place in places for path in place.glob(".*")]
    unfinished = [path for path in workspace.glob("trainings/*") if not (path / "result.json").is_file()]
    return sorted(str(path.relative_to(workspace)) for path in hidden + unfinished)


@pytest.mark.parametrize(("way", "stage"), CASES)
def test_a_sweep_that_dies_goes_on(
    segsweep: Command, environment: dict[str, str], tmp_path: Path, way: str, stage: str
) -> None:
    command = [sys.executable, "-m", "tests.e2e.dying", way, stage, *SWEEP, f"workspace={tmp_path}"]
    root = Path(__file__).parents[2]
    died = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=250, preexec_fn=heeds_ctrl_c
    )
    exit_status, status, reason = ENDS[way]
    assert died.returncode == exit_status, died.stderr

    shown = segsweep("status", cwd=tmp_path)  # finds what was killed outright
    assert shown.returncode == 0, shown.stderr
    rows = [line.split("\t") for line in shown.stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [
        ["seed=0", "finished"],
        ["seed=1", "failed" if exit_status == 1 else "interrupted"],
    ]
    assert reason in rows[1][-1]
    assert f"to go on: {shlex.join(['segsweep', *SWEEP, f'workspace={tmp_path}'])}\n" in shown.stderr
    before = {run.info.run_name: run for run in runs_of(tmp_path, "vessels_quick")}
    assert {name: run.info.status for name, run in before.items()} == {
        "vessels_quick": status,
        "seed=0": "FINISHED",
        "seed=1": status,
    }

    planned = segsweep(*SWEEP, "--dry-run", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    forecast = [line.split("\t") for line in planned.stdout.splitlines()]
    assert forecast[1][2:] == ["finished", "", "", "", "", ""]
    order = ["data", "transform", "train", "predict", "evaluate"]
    expected = ["reuse" if order.index(each) < order.index(stage) else "do" for each in order]
    if stage == "train":
        assert forecast[2][5].startswith("go on from step ")
        expected[2] = forecast[2][5]
    assert forecast[2][3:] == expected

    again = segsweep(*SWEEP, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "job 0: " not in again.stderr and "job 1: seed=1" in again.stderr
    assert ("training goes on after step" in again.stderr) == (stage == "train")
    after = {run.info.run_name: run for run in runs_of(tmp_path, "vessels_quick")}
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    assert after["seed=0"].info.end_time == before["seed=0"].info.end_time
    assert left_over(tmp_path) == []

    nothing = segsweep(*SWEEP, cwd=tmp_path)
    assert nothing.returncode == 0 and "all 2 jobs are finished already" in nothing.stderr
