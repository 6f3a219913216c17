"""`segsweep rerun`: a run done again gives the same scores, and what differs is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from segsweep.rerunning import agreement
from segsweep.tracking import RecordedRun, Store, recorded_run, runs_table

from .conftest import Command, Finished


@pytest.fixture(scope="module")
def workspace(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment and its store; the store names its artifacts by their absolute paths, and they are only read."""
    folder = tmp_path_factory.mktemp("rerun") / "once möre"
    folder.mkdir()
    shutil.copy(finished.workspace / "mlflow.db", folder)
    shutil.copytree(finished.workspace / "projects", folder / "projects")
    return folder


def the_run(workspace: Path) -> RecordedRun:
    store = Store.open(workspace, experiment="vessels_quick")
    return recorded_run(store, runs_table(store)["run_id"].iloc[0])


def test_a_run_done_again_has_the_same_scores_to_the_last_digit(segsweep: Command, workspace: Path) -> None:
    before = the_run(workspace)
    done = segsweep("rerun", before.run_id[:8], cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert "data: the same" in done.stderr
    assert "packages: the same" in done.stderr
    count = len(before.metrics)
    assert f"scores: {count} of {count} the same to the last digit\n" in done.stderr
    assert "is there already and is used again" not in done.stderr.split("training starts")[1].split("predict")[0]

    store = Store.open(workspace, experiment="vessels_quick")
    table = runs_table(store)
    assert list(table["name"]) == [before.name, f"{before.name} (again)"]
    assert table["tags.segsweep.rerun_of"].iloc[1] == before.run_id
    after = recorded_run(store, table["run_id"].iloc[1])
    assert after.metrics == before.metrics
    assert after.files == before.files and len(after.files) == 2, "what Hydra composed is kept with the repetition"


def test_what_the_code_cannot_give_again_is_told(segsweep: Command, workspace: Path) -> None:
    before = the_run(workspace)
    store = Store.open(workspace, experiment="vessels_quick")
    store.client.log_metric(before.run_id, "test/dice", 0.123, step=1)  # as if it had scored otherwise then
    done = segsweep("rerun", before.run_id, cwd=workspace)
    assert done.returncode == 1
    assert "1 of " in done.stderr and "scores differ by more than 0.001" in done.stderr
    [row] = [line for line in done.stdout.splitlines() if line.startswith("score\t")]
    assert row.split("\t")[1:3] == ["test/dice", "0.123"]


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ((), 2, "run: must be given"),
        (("nonsense",), 2, "no run 'nonsense' in"),
        (("0" * 32,), 2, "0" * 32),
        (("abc", "tolerence=1"), 2, "did you mean 'tolerance'"),
        (("abc", "-m"), 2, "one run is repeated at a time"),
    ],
)
def test_a_wrong_request_is_told(
    segsweep: Command, workspace: Path, arguments: tuple[str, ...], status: int, text: str
) -> None:
    done = segsweep("rerun", *arguments, cwd=workspace)
    assert done.returncode == status, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def _recorded(**changed: object) -> RecordedRun:
    facts: dict[str, object] = {
        "run_id": "1", "name": "a", "experiment": "e", "status": "FINISHED", "command": "run", "config": {},
        "overrides": [], "files": {}, "code": {"segsweep": "abc"}, "packages": {"numpy": "2.0"},
        "data": {"data": "d"}, "metrics": {"test/dice": 0.5, "test/auc": float("nan"), "val/loss": 0.25},
    }  # fmt: skip
    return RecordedRun(**(facts | changed))  # type: ignore[arg-type]


def test_agreement_names_everything_that_is_not_as_it_was() -> None:
    before = _recorded()
    assert agreement(before, _recorded(), 0.0).beyond == ()
    assert agreement(before, _recorded(), 0.0).surroundings == ()
    after = _recorded(
        code={"segsweep": "def"},
        packages={"numpy": "2.1", "torch": "3"},
        data={"data": "x"},
        metrics={"test/dice": 0.5005, "test/auc": float("nan")},
    )
    found = agreement(before, after, 0.001)
    assert [(item.what, item.name) for item in found.surroundings] == [
        ("data", "data"), ("code", "segsweep"), ("package", "numpy"), ("package", "torch"),
    ]  # fmt: skip
    assert [item.name for item in found.scores] == ["test/dice", "val/loss"]
    assert [item.name for item in found.beyond] == ["val/loss"], "a score that is missing does not agree"
    assert found.compared == 3
