"""What a job of a sweep costs beside the work of its stages, and a job of which everything is there already.

Run with: make bench
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

SEGSWEEP = Path(sys.executable).with_name("segsweep")
STAGES = ("data", "transform", "train", "predict", "evaluate")
JOBS = 24
SWEEP = [
    "run",
    "-m",
    "experiments=vessels_quick",
    "data.width=256",
    "data.height=256",
    "data.images=2",
    "data.val_images=1",
    "data.test_images=2",
    "dtl.layers.multiply.settings.multiply=1",
    "model.width=2",
    "training.epochs=1",
    "training.input_size.width=64",
    f"training.lr={','.join(f'{0.001 * (number + 1):g}' for number in range(JOBS))}",
]


def jobs_of(workspace: Path, name: str) -> list[Run]:
    """The jobs of the sweep of a name, in the order in which they began."""
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    numbers = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(numbers)
    [parent] = [run for run in runs if run.info.run_name == name and run.data.tags["segsweep.kind"] == "sweep"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return sorted(children, key=lambda run: int(run.info.start_time))


def walls(jobs: Sequence[Run]) -> list[float]:
    """Seconds from the beginning of each job to that of the next."""
    starts = [run.info.start_time / 1000 for run in jobs]
    return [after - before for before, after in itertools.pairwise(starts)]


@pytest.mark.slow
def test_what_a_job_costs(tmp_path: Path) -> None:
    rows = []
    for name in ("new", "reused"):
        done = subprocess.run(
            [str(SEGSWEEP), *SWEEP, f"name={name}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        jobs = jobs_of(tmp_path, name)
        assert len(jobs) == JOBS
        wall = walls(jobs)
        work = [sum(run.data.metrics[f"time/{stage}"] for stage in STAGES) for run in jobs]
        fixed = [seconds - own for seconds, own in zip(wall, work, strict=False)]
        rows.append((name, *(statistics.median(values) for values in (wall, work, fixed))))
    print(f"\n| {JOBS} jobs over the learning rate | a job, s | its stages, s | beside them, s |\n|---|---|---|---|")
    for name, wall_, work_, fixed_ in rows:
        print(f"| {name} | {wall_:.2f} | {work_:.2f} | {fixed_:.2f} |")
    transformed = [path.name for path in (tmp_path / "projects").iterdir() if path.name.startswith("vessels_train")]
    print(f"transformed projects: {len(transformed)}; trainings: {len(list((tmp_path / 'trainings').iterdir()))}")
    assert len(transformed) == 1 and len(list((tmp_path / "trainings").iterdir())) == JOBS
