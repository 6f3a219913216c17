from __future__ import annotations

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from segsweep.errors import DataError, InvalidRequestError, Problem, TrackingError
from segsweep.reporting import ListReporter
from segsweep.tracking import Store, outcome_of, runs_table
from segsweep.tracking.metrics import MetricWriter, Sample

Listed = Callable[[Store, str], set[str]]

JOB = """
import os, sys, time
from pathlib import Path
from segsweep.tracking import Store, interruptible
store = Store.open(Path(sys.argv[1]), experiment="retina")
with interruptible(), store.start_run("job") as run:
    run.metrics({"train/loss": 0.5}, 3, epoch=1.5)
    run.message("before the end")
    print(run.run_id, flush=True)
    exec(sys.argv[2])
"""


@dataclass(frozen=True)
class Job:
    """What a job does after it has begun, the signal that it is sent then, and how it must end."""

    code: str
    sent: int | None
    status: str
    reason: str | None
    exit_status: int


JOBS = {
    "well": Job("pass", None, "FINISHED", None, 0),
    "exception": Job("raise ValueError('no vessel\\nin sight')", None, "FAILED", "ValueError: no vessel in sight", 1),
    "Ctrl-C": Job("time.sleep(90)", signal.SIGINT, "KILLED", "interrupted (Ctrl-C)", -signal.SIGINT),
    "SIGTERM": Job("time.sleep(90)", signal.SIGTERM, "KILLED", "terminated by SIGTERM", 143),
    "SIGKILL": Job("time.sleep(90)", signal.SIGKILL, "RUNNING", None, -signal.SIGKILL),
}


@pytest.fixture(scope="module")
def ended(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, tuple[str, int]]]:
    """All jobs side by side, each in a process of its own: the store, and (run id, exit status) of each."""
    workspace = tmp_path_factory.mktemp("jobs")
    shutil.copy(migrated, workspace / "mlflow.db")
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-c", JOB, str(workspace), job.code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell may have it ignored
        )
        for name, job in JOBS.items()
    }
    results = {}
    for name, process in processes.items():
        assert process.stdout is not None
        run_id = process.stdout.readline().decode().strip()
        if (sent := JOBS[name].sent) is not None:
            process.send_signal(sent)
        process.communicate(timeout=90)
        results[name] = (run_id, process.returncode)
    return Store.open(workspace, experiment="retina"), results


@pytest.mark.parametrize("name", JOBS)
def test_however_a_run_ends_the_store_knows(
    ended: tuple[Store, dict[str, tuple[str, int]]], artifacts: Listed, name: str
) -> None:
    store, results = ended
    run_id, exit_status = results[name]
    run = store.client.get_run(run_id)
    assert run.info.status == JOBS[name].status
    assert run.data.tags.get("segsweep.status_reason") == JOBS[name].reason
    assert exit_status == JOBS[name].exit_status
    if name != "SIGKILL":  # which no process can answer
        assert run.info.end_time >= run.info.start_time
        assert run.data.metrics["train/loss"] == 0.5
        assert run.data.metrics["epoch"] == 1.5
        kept = artifacts(store, run_id)
        assert "log/messages.txt" in kept
        assert ("log/error.txt" in kept) == (run.info.status == "FAILED")


def test_a_run_whose_process_was_killed_outright_is_seen_as_interrupted(
    ended: tuple[Store, dict[str, tuple[str, int]]],
) -> None:
    store, results = ended
    with store.start_run("alive") as alive:
        table = runs_table(store).set_index("run_id")
        assert table.loc[results["SIGKILL"][0], "status"] == "INTERRUPTED"
        assert table.loc[alive.run_id, "status"] == "RUNNING"


def test_a_failed_run_keeps_its_traceback(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.start_run("job") as run:
        _ = 1 / 0
    text = Path(store.client.download_artifacts(run.run_id, "log/error.txt")).read_text()
    assert "test_a_failed_run_keeps_its_traceback" in text
    assert text.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(("code", "status"), [(0, "FINISHED"), (None, "FINISHED"), (3, "FAILED"), ("bad", "FAILED")])
def test_sys_exit_says_what_it_says_to_a_shell(store: Store, code: object, status: str) -> None:
    with pytest.raises(SystemExit), store.start_run("job") as run:
        sys.exit(code)
    found = store.client.get_run(run.run_id)
    assert found.info.status == status
    assert found.data.tags.get("segsweep.status_reason") == (None if status == "FINISHED" else f"exit status {code}")


def test_reasons_are_one_line_for_people() -> None:
    wrong = InvalidRequestError([Problem("training.lr", "must be positive"), Problem("name", "is empty")])
    assert outcome_of(wrong).reason == (
        "the request cannot be carried out: 2 problems - training.lr: must be positive - name: is empty"
    )
    assert outcome_of(KeyError()).reason == "KeyError"
    assert len(outcome_of(ValueError("x" * 9000)).reason) == 500


def test_a_second_ctrl_c_while_the_end_is_written_does_not_lose_it(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.start_run("job") as run:  # noqa: PT012
        end = run.end

        def impatient(*arguments: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            end(*arguments)

        run.end = impatient  # the moment between the first Ctrl-C and the end of the record
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    assert store.client.get_run(run.run_id).info.status == "KILLED"


def test_a_run_that_goes_on_keeps_its_params_and_loses_its_reason(store: Store) -> None:
    with pytest.raises(ValueError, match="once"), store.start_run("job", params={"lr": 0.1}) as first:
        raise ValueError("once")
    with store.start_run("job", params={"lr": 0.2}, resume=first.run_id) as again:
        assert again.run_id == first.run_id
        assert store.client.get_run(first.run_id).info.status == "RUNNING"
    run = store.client.get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1"}
    assert "segsweep.status_reason" not in run.data.tags
    steps = [m.step for m in store.client.get_metric_history(first.run_id, "system/cpu_utilization_percentage")]
    assert steps == [0, 1]


def test_a_run_that_does_not_exist_cannot_go_on(store: Store, workspace: Path) -> None:
    with pytest.raises(TrackingError, match="cannot be resumed"), store.start_run("job", resume="0" * 32):
        pass
    with Store.open(workspace, experiment="other").start_run("elsewhere") as other:
        pass
    with pytest.raises(TrackingError, match="is not in 'retina'"), store.start_run("job", resume=other.run_id):
        pass


def test_a_sweep_and_its_jobs(store: Store) -> None:
    with store.start_run("sweep", kind="sweep", params={"training.lr": "0.1,0.2"}) as sweep:
        for lr in (0.1, 0.2):
            with store.start_run(f"lr={lr}", parent=sweep.run_id, params={"training": {"lr": lr}}) as job:
                job.metrics({"test/dice": 1 - lr}, 0)
    with store.start_run("alone"):
        pass
    table = runs_table(store, parent=sweep.run_id)
    assert list(table["name"]) == ["lr=0.1", "lr=0.2"]
    assert list(table["params.training.lr"]) == ["0.1", "0.2"]
    assert list(table["metrics.test/dice"]) == [0.9, 0.8]
    assert list(table["status"]) == ["FINISHED", "FINISHED"]
    assert len(runs_table(store)) == 3
    assert not [column for column in table.columns if "system/" in column]
    with pytest.raises(TrackingError, match=r"no experiment 'retna'.*did you mean 'retina'"):
        runs_table(store, "retna")


def test_a_store_without_runs_gives_an_empty_table(store: Store) -> None:
    table = runs_table(store)
    assert len(table) == 0
    assert list(table.columns) == ["run_id", "name", "status", "start", "end", "reason"]


def test_more_params_than_one_batch_and_longer_than_the_limit(store: Store) -> None:
    params = {f"key{number:03}": number for number in range(205)} | {"long": "ü" * 7000}
    with store.start_run("job", params=params) as run:
        pass
    kept = store.client.get_run(run.run_id).data.params
    assert len(kept) == 206
    assert len(kept["long"]) == 6000


def test_every_metric_arrives_in_order_with_its_step(store: Store) -> None:
    with store.start_run("job") as run:
        for step in range(2500):
            run.metrics({"train/loss": step / 2}, step, epoch=step / 100)
    history = store.client.get_metric_history(run.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(step, step / 2) for step in range(2500)]
    assert store.client.get_run(run.run_id).data.metrics["epoch"] == 24.99


def test_values_that_are_no_numbers_do_not_stop_a_run(store: Store) -> None:
    with store.start_run("job") as run:
        run.metrics({"a": math.nan, "b": math.inf, "c": -math.inf, "d": np.float32(0.5)}, 0)
    metrics = store.client.get_run(run.run_id).data.metrics
    assert math.isnan(metrics["a"])
    assert metrics["b"] > 1e308
    assert metrics["c"] < -1e308
    assert metrics["d"] == 0.5


def test_metrics_are_seen_while_the_run_goes_on(store: Store) -> None:
    with store.start_run("job") as run:
        run.metrics({"train/loss": 1.0}, 0)
        deadline = time.monotonic() + 10
        while "train/loss" not in store.client.get_run(run.run_id).data.metrics:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_store_that_fails_for_a_while_loses_no_metric() -> None:
    sent: list[Sample] = []
    warnings: list[str] = []
    failed = threading.Event()

    def send(samples: list[Sample]) -> None:
        if not failed.is_set():
            failed.set()
            raise TrackingError("the database is locked")
        sent.extend(samples)

    writer = MetricWriter(send, warnings.append)
    writer.start(lambda: None)
    for step in range(1200):
        writer.add({"loss": 0.1}, step)
    assert failed.wait(10)
    writer.close()
    assert [sample.step for sample in sent] == list(range(1200))
    assert warnings == ["metrics wait to be written: the database is locked"]


def test_a_run_whose_metrics_are_lost_is_no_success(store: Store) -> None:
    with pytest.raises(TrackingError, match="metrics"), store.start_run("job") as run:  # noqa: PT012
        run.metrics({"fine": 1.0}, 0)
        run._writer.add({"no\nkey": 1.0}, 0)  # what MLflow refuses stands for a store that fails
    found = store.client.get_run(run.run_id)
    assert found.info.status == "FAILED"
    assert "metrics" in found.data.tags["segsweep.status_reason"]


def test_pictures_tables_files_and_folders(store: Store, artifacts: Listed, tmp_path: Path) -> None:
    from segsweep.files import read_image

    picture = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "config.json").write_text("{}")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "a#1.txt").write_text("odd")
    table = pd.DataFrame({"image": ["05L", "05R"], "dice": [0.8, math.nan]})
    with store.start_run("job") as run:
        run.image("predictions/05L", picture)
        run.image("predictions/a#%1", picture[..., 0])
        run.file(tmp_path / "best", "checkpoints")
        run.file(tmp_path / "best" / "config.json")
        run.file(tmp_path / "odd")
        run.table("evaluation/per_image", table)
        run.table("evaluation/per_image", table)
        with pytest.raises(DataError, match="no such file or folder"):
            run.file(tmp_path / "missing")
    kept = {re.sub("-[0-9a-f]{6}", "-*", path) for path in artifacts(store, run.run_id)}
    assert {path for path in kept if not path.startswith("environment/")} == {
        "predictions/05L.png",
        "predictions/a__1-*.png",
        "checkpoints/best/config.json",
        "config.json",
        "odd/a_1-*.txt",
        "evaluation/per_image.csv",
        "evaluation/per_image.json",
    }
    stored = Path(store.client.download_artifacts(run.run_id, "predictions/05L.png"))
    assert np.array_equal(read_image(stored), picture)
    for suffix, read in ((".json", partial(pd.read_json, orient="split")), (".csv", pd.read_csv)):
        loaded = read(store.client.download_artifacts(run.run_id, f"evaluation/per_image{suffix}"))
        pd.testing.assert_frame_equal(loaded, table, check_dtype=False)
    assert list(tmp_path.joinpath("odd").iterdir()) == [tmp_path / "odd" / "a#1.txt"]


def test_a_series_of_pictures_is_named_as_mlflow_names_it(store: Store, artifacts: Listed) -> None:
    picture = np.zeros((30, 40, 3), np.uint8)

    def names(run_id: str) -> set[str]:
        found = {path for path in artifacts(store, run_id) if path.startswith("images/")}
        return {re.sub(r"timestamp\+\d{13}\+[0-9a-f-]{36}", "…", path) for path in found}

    with store.start_run("ours") as ours:
        ours.image("val/05L", picture, step=0)
        ours.image("val/05L", picture, step=7)
    with store.start_run("theirs") as theirs:
        for step in (0, 7):
            store.client.log_image(theirs.run_id, picture, key="val/05L", step=step)
    assert names(ours.run_id) == names(theirs.run_id)
    tags = [store.client.get_run(run.run_id).data.tags["mlflow.loggedImages"] for run in (ours, theirs)]
    assert tags[0] == tags[1]


def test_a_table_is_marked_as_mlflow_marks_it(store: Store) -> None:
    table = pd.DataFrame({"image": ["05L"], "dice": [0.8]})
    with store.start_run("ours") as ours:
        ours.table("evaluation/per_image", table)
    with store.start_run("theirs") as theirs:
        store.client.log_table(theirs.run_id, table, "evaluation/per_image.json")
    marks, texts = set(), set()
    for run in (ours, theirs):
        marks.add(store.client.get_run(run.run_id).data.tags["mlflow.loggedArtifacts"])
        texts.add(Path(store.client.download_artifacts(run.run_id, "evaluation/per_image.json")).read_text())
    assert len(marks) == len(texts) == 1


def test_data_sets_are_inputs_of_the_run(store: Store, tmp_path: Path) -> None:
    with store.start_run("job") as run:
        run.dataset("vessels", "ab" * 32, tmp_path / "vessels", profile={"images": 6})
        run.dataset("vessels_test", "cd" * 32, tmp_path / "vessels_test", context="test")
    found = {
        (used.dataset.name, used.dataset.digest, used.tags[0].value)
        for used in store.client.get_run(run.run_id).inputs.dataset_inputs
    }
    assert found == {("vessels", "ab" * 18, "training"), ("vessels_test", "cd" * 18, "test")}


def test_a_run_says_what_it_was_made_with(store: Store, artifacts: Listed) -> None:
    with store.start_run("job", tags={"segsweep.data_digest": "x" * 9000}) as run:
        run.set_tag("segsweep.device", "cpu")
    tags = store.client.get_run(run.run_id).data.tags
    assert tags["segsweep.kind"] == "run"
    assert tags["segsweep.code"].startswith("0.")
    assert tags["segsweep.device"] == "cpu"
    assert len(tags["segsweep.data_digest"]) == 8000
    assert {"environment/environment.json", "environment/packages.txt"} <= artifacts(store, run.run_id)
    packages = Path(store.client.download_artifacts(run.run_id, "environment/packages.txt")).read_text()
    assert re.search(r"^mlflow==3\.", packages, re.MULTILINE)


def test_messages_and_progress_reach_the_people_who_watch(store: Store) -> None:
    console = ListReporter()
    with store.start_run("job", progress_with=console) as run, run.progress("Training", 10) as advance:
        run.message("careful", "warning")
        advance(1)
    assert console.messages == [("warning", "careful")]
    text = Path(store.client.download_artifacts(run.run_id, "log/messages.txt")).read_text()
    assert text.endswith("warning careful\n")


def test_the_machine_is_measured_also_in_a_run_of_a_moment_unless_told_not_to(store: Store) -> None:
    started = time.perf_counter()
    with store.start_run("short") as short:
        pass
    assert time.perf_counter() - started < 5
    with store.start_run("unmeasured", system_metrics=False) as unmeasured:
        pass
    assert "system/cpu_utilization_percentage" in store.client.get_run(short.run_id).data.metrics
    assert store.client.get_run(unmeasured.run_id).data.metrics == {}
