"""A real MLflow server on loopback: it shows a workspace's own store, and can be the store itself."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from segsweep.tracking import Store, register_model, resolve_model, runs_table

from .test_registry import make_model


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A bare `mlflow server` started in a folder, as a user would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    uri = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"{uri}/health", timeout=5).ok:
                    break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def place(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served #1")
    shutil.copy(migrated, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[str]:
    with served(place) as uri:
        yield uri


def test_a_bare_server_in_the_workspace_shows_runs_and_their_artifacts(place: Path, server: str) -> None:
    store = Store.open(place, experiment="local")
    picture = np.full((30, 40, 3), 7, np.uint8)
    with store.start_run("job", params={"lr": 0.1}) as run:
        run.metrics({"test/dice": 0.8}, 0)
        run.image("predictions/05L", picture)
        run.image("val/05L", picture, step=0)
    api = f"{server}/api/2.0/mlflow"
    told = requests.post(f"{api}/runs/search", json={"experiment_ids": [store.experiment_id]}, timeout=20).json()
    assert [found["info"]["run_id"] for found in told["runs"]] == [run.run_id]
    listed = requests.get(
        f"{api}/artifacts/list", params={"run_id": run.run_id, "path": "predictions"}, timeout=20
    ).json()
    assert [item["path"] for item in listed["files"]] == ["predictions/05L.png"]
    for path in ("predictions/05L.png", "environment/environment.json"):
        got = requests.get(f"{server}/get-artifact", params={"path": path, "run_id": run.run_id}, timeout=20)
        assert got.ok
        assert got.content == Path(store.client.download_artifacts(run.run_id, path)).read_bytes()
    (thumbnail,) = (item.path for item in store.client.list_artifacts(run.run_id, "images") if "webp" in item.path)
    got = requests.get(f"{server}/get-artifact", params={"path": thumbnail, "run_id": run.run_id}, timeout=20)
    assert got.content[8:12] == b"WEBP"


def test_a_server_can_be_the_store(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = tmp_path / "far away"
    store = Store.open(workspace, experiment="remote", uri=server)
    params = {f"long{number}": "日" * 6000 for number in range(40)}  # more than a server takes in one request
    with pytest.raises(ValueError, match="lost"), store.start_run("job", params=params) as run:  # noqa: PT012
        run.metrics({"test/dice": 0.8, "val/dice": math.nan}, 0)
        run.image("val/05L", np.zeros((30, 40, 3), np.uint8), step=0)
        register_model(store, run, make_model(tmp_path / "model"), "Remote UNet", ("best",))
        raise ValueError("lost")
    assert capsys.readouterr().out == ""
    found = store.client.get_run(run.run_id)
    assert found.info.status == "FAILED"
    assert found.data.params == params
    assert found.data.metrics["test/dice"] == 0.8
    assert math.isnan(found.data.metrics["val/dice"])
    assert run.url == (f"{server}/#/experiments/{store.experiment_id}/runs/{run.run_id}?workflowType=machine_learning")
    assert list(runs_table(store)["status"]) == ["FAILED"]
    folder = resolve_model(store, "models:/Remote UNet@best")
    assert folder.is_relative_to(workspace / ".cache" / "models")
    assert (folder / "model.pt").read_bytes() == (tmp_path / "model" / "model.pt").read_bytes()
    assert resolve_model(store, f"run:{run.run_id}") == folder
    assert not (workspace / "mlflow.db.lock").exists()
    assert not (workspace / "mlartifacts").exists()
