from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segsweep.errors import TrackingError
from segsweep.reporting import ListReporter
from segsweep.tracking import Store

OPEN = """
import sys
from pathlib import Path
from segsweep.tracking import Store
store = Store.open(Path(sys.argv[1]), experiment=sys.argv[2])
with store.start_run("job", params={"lr": 0.1}) as run:
    run.metrics({"train/loss": 1.0}, 0)
print(store.experiment_id)
"""


def test_four_processes_at_once_open_a_fresh_store(tmp_path: Path) -> None:
    jobs = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(tmp_path / "new"), "sweep"], stdout=-1, stderr=-1, text=True)
        for _ in range(4)
    ]
    told = [job.communicate(timeout=120) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0, 0], told
    assert len({out for out, _ in told}) == 1
    store = Store.open(tmp_path / "new", experiment="sweep")
    runs = store.client.search_runs([store.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 4


@pytest.mark.parametrize("name", ["with space", "ünïcode 日本", "a#b", "50%20x", "why?", "it's:b;c"])
def test_a_workspace_may_have_any_name(migrated: Path, tmp_path: Path, name: str) -> None:
    workspace = tmp_path / name
    workspace.mkdir()
    workspace.joinpath("mlflow.db").write_bytes(migrated.read_bytes())
    store = Store.open(workspace, experiment="retina")
    with store.start_run("first") as run:
        run.text("note.txt", "kept")
    assert [folder.name for folder in tmp_path.iterdir()] == [name]
    found = list(workspace.glob("mlartifacts/retina/*/artifacts/note.txt"))
    assert [path.read_text() for path in found] == ["kept"]
    assert Path(store.client.download_artifacts(run.run_id, "note.txt")).read_text() == "kept"


def test_a_fresh_store_in_a_folder_whose_name_must_be_quoted(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "90% why?", experiment="retina")
    assert store.client.get_experiment("0").artifact_location.endswith("/90%25%20why%3F/mlartifacts/0")
    assert [folder.name for folder in tmp_path.iterdir()] == ["90% why?"]
    assert sorted(path.name for path in store.workspace.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_the_environment_does_not_disturb_and_nothing_is_left_behind(workspace: Path, tmp_path: Path) -> None:
    code = """
import json, os, sys
from pathlib import Path
before = dict(os.environ)
from segsweep.tracking import Store
store = Store.open(Path(sys.argv[1]), experiment="retina")
with store.start_run("first", params={"lr": 1}) as run:
    pass
import mlflow
from mlflow.telemetry.client import get_telemetry_client
print(json.dumps({
    "environment": dict(os.environ) == before,
    "active": mlflow.active_run() is None,
    "uri": mlflow.get_tracking_uri(),
    "telemetry": get_telemetry_client() is None,
    "status": store.client.get_run(run.run_id).info.status,
    "experiment": store.client.get_run(run.run_id).info.experiment_id == store.experiment_id,
    "parent": store.client.get_run(run.run_id).data.tags.get("mlflow.parentRunId"),
}))
"""
    environment = {key: value for key, value in os.environ.items() if key not in {"MLFLOW_DISABLE_TELEMETRY", "CI"}}
    environment |= {
        "MLFLOW_RUN_ID": "0" * 32,
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "MLFLOW_EXPERIMENT_NAME": "nonsense",
        "MLFLOW_EXPERIMENT_ID": "99",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(workspace)],
        capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "environment": True,
        "active": True,
        "uri": "http://127.0.0.1:9",
        "telemetry": True,
        "status": "FINISHED",
        "experiment": True,
        "parent": None,
    }
    assert not (tmp_path / "mlruns").exists()


def test_importing_the_room_imports_nothing_heavy() -> None:
    code = """
import sys, numpy, segsweep.tracking
print([name for name in ("mlflow", "cv2", "pandas", "torch", "sqlalchemy", "PIL", "psutil") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_opening_again_finds_the_same_experiment(store: Store, workspace: Path) -> None:
    assert Store.open(workspace, experiment="retina") == store
    assert Store.open(workspace, experiment="other").experiment_id != store.experiment_id


def test_a_deleted_experiment_is_told_with_the_way_back(store: Store, workspace: Path) -> None:
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(TrackingError, match=f"was deleted.*restore --experiment-id {store.experiment_id}"):
        Store.open(workspace, experiment="retina")


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"not a database, but long enough to have a header")
    with pytest.raises(TrackingError, match="is no sqlite database"):
        Store.open(tmp_path, experiment="retina")


def test_a_store_of_another_mlflow_is_refused_and_left_alone(workspace: Path) -> None:
    import sqlite3

    with sqlite3.connect(workspace / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    database.close()
    content = (workspace / "mlflow.db").read_bytes()
    with pytest.raises(TrackingError, match="out-of-date database schema"):
        Store.open(workspace, experiment="retina")
    assert (workspace / "mlflow.db").read_bytes() == content


def test_a_server_that_does_not_answer_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="no MLflow server answers"):
        Store.open(tmp_path, experiment="retina", uri="http://127.0.0.1:9")
    with pytest.raises(TrackingError, match="no address"):
        Store.open(tmp_path, experiment="retina", uri="nonsense")


def test_an_old_file_store_in_the_workspace_is_told(workspace: Path) -> None:
    old = workspace / "mlruns" / "0" / "meta.yaml"
    old.parent.mkdir(parents=True)
    old.write_text("name: Default\n")
    reporter = ListReporter()
    Store.open(workspace, experiment="retina", reporter=reporter)
    assert [level for level, text in reporter.messages if "mlruns" in text] == ["warning"]


def test_links_into_the_ui_name_mode_filter_and_order(store: Store) -> None:
    assert store.url(parent="abc", order_by="test/dice") == (
        f"http://127.0.0.1:5000/#/experiments/{store.experiment_id}/runs?workflowType=machine_learning"
        "&searchFilter=tags.mlflow.parentRunId%20%3D%20%27abc%27&orderByKey=metrics.%60test%2Fdice%60"
        "&orderByAsc=false&compareRunsMode=CHART"
    )
