"""What Segsweep records appears in MLflow's own UI, in a real browser: jobs, charts, pictures, data sets, networks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import segsweep as package

from .browser import needs_chromium, rendered
from .conftest import SEGSWEEP, heeds_ctrl_c

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(two_jobs: Path, environment: dict[str, str]) -> Iterator[str]:
    """`segsweep ui` on the workspace of a sweep, until its port answers."""
    needs_chromium()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(SEGSWEEP), "ui", f"port={port}"]
    process = subprocess.Popen(
        command, cwd=two_jobs, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=heeds_ctrl_c, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    for _ in range(180):
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                break
        except OSError:
            assert process.poll() is None
            time.sleep(1)
    yield address
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


@pytest.fixture(scope="module")
def parent(two_jobs: Path) -> str:
    [run_id] = set(package.runs(two_jobs)["sweep"])
    return run_id


def link(server: str, place: str, **query: str) -> str:
    asked = {"workflowType": "machine_learning", **query}
    return f"{server}/#/{place}?{'&'.join(f'{key}={quote(value)}' for key, value in asked.items())}"


def test_the_jobs_of_a_sweep_have_charts_and_their_pictures_side_by_side(server: str, parent: str) -> None:
    wanted = {
        "searchFilter": f"tags.mlflow.parentRunId = '{parent}'",
        "orderByKey": "metrics.`test/dice`",
        "compareRunsMode": "CHART",
    }
    page = rendered(
        link(server, "experiments/1/runs", **wanted), seconds=60, height=40000
    )  # charts are drawn when they come into view
    assert "matching runs" in page
    for text in ("lr=0.01", "lr=0.003", "test/dice", "val/loss"):
        assert text in page
    assert page.count("main-svg") > 4, "charts are drawn"
    assert page.count("get-artifact?path=images%2Ftest~") >= 2, "the image grid shows test pictures"


def test_a_sweep_lists_its_jobs_and_shows_its_comparison(server: str, parent: str) -> None:
    page = rendered(link(server, f"experiments/1/runs/{parent}"), seconds=25)
    assert "Child runs" in page and "lr=0.01" in page and "2 jobs" in page
    page = rendered(link(server, f"experiments/1/runs/{parent}/artifacts/comparison.html"), seconds=25)
    assert "<iframe" in page and "leaderboard.md" in page


def test_a_run_names_its_data_and_its_network(server: str, two_jobs: Path) -> None:
    run = package.runs(two_jobs)["run_id"].iloc[0]
    page = rendered(link(server, f"experiments/1/runs/{run}"), seconds=25)
    assert "Datasets" in page and "vessels" in page
    assert "UNet Trained" in page, "the registered network"
    assert "UNet Trained" in rendered(link(server, "models"), seconds=25)
    page = rendered(link(server, f"experiments/1/runs/{run}/artifacts/evaluation/per_image.json"), seconds=25)
    assert "vessels_test_01.jpg" in page, "tables are shown as tables"
