"""What a run left behind of itself: enough to do it again, and to say whether that gave the same."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsweep.errors import TrackingError, UnknownNameError, nearest
from segsweep.tracking.quiet import client_of, tracking_errors
from segsweep.tracking.resolve import uri_of
from segsweep.tracking.store import Store

__all__ = ["RecordedRun", "recorded_run"]

HOW_IDS_ARE_FOUND = "segsweep status and segsweep ui show the ids of runs"
_UNSCORED = ("system/", "time/")


@dataclass(frozen=True)
class RecordedRun:
    """A run as its store knows it.

    Attributes:
        run_id: Its id.
        name: Its name.
        experiment: The experiment that it belongs to.
        status: As MLflow calls it.
        command: Which command it was: `run`, `train`, `predict` or `evaluate`.
        config: Its composed configuration; empty where none was kept.
        overrides: What its command line had changed.
        files: Hydra's own files of it (name -> text), to be kept with a repetition.
        code: Where its code stood, by checkout (`segsweep`, `project`): commit and changes.
        packages: Installed packages and their versions.
        data: Digests of the data it used, by name.
        metrics: The last value of each, but for times and the machine's load.
    """

    run_id: str
    name: str
    experiment: str
    status: str
    command: str
    config: dict[str, Any]
    overrides: list[str]
    files: dict[str, str]
    code: dict[str, str]
    packages: dict[str, str]
    data: dict[str, str]
    metrics: dict[str, float]


def recorded_run(store: Store | str | Path, run_id: str) -> RecordedRun:
    """Reads a run.

    Args:
        store: An opened store, a tracking URI, or a workspace's folder.
        run_id: Its id, or the beginning of it where that names one run only.

    Raises:
        UnknownNameError: There is no such run.
        TrackingError: It cannot be read.
    """
    uri = uri_of(store)
    if uri is None:
        raise TrackingError(f"there is no MLflow store in {store} yet")
    client = client_of(uri)
    with tracking_errors(f"run {run_id} cannot be read from {uri}", named=True):
        run = client.get_run(_whole_id(client, run_id, uri))
        experiment = client.get_experiment(run.info.experiment_id).name
        texts = _texts(client, run.info.run_id)
    tags = run.data.tags
    used = {f"{item.dataset.name} ({_context(item)})": item.dataset.digest for item in run.inputs.dataset_inputs}
    if "segsweep.data_digest" in tags:
        used["data"] = tags["segsweep.data_digest"]
    config = _json(texts, "config/config.json", {})
    return RecordedRun(
        run_id=str(run.info.run_id),
        name=str(run.info.run_name),
        experiment=str(experiment),
        status=str(run.info.status),
        command=tags.get("segsweep.command", "run" if "dtl" in config else ""),
        config=config,
        overrides=_json(texts, "config/overrides.json", []),
        files={name: texts[f"config/{name}"] for name in _HYDRA_FILES if f"config/{name}" in texts},
        code=_code(texts),
        packages=dict(line.split("==", 1) for line in texts.get(_PACKAGES, "").splitlines() if "==" in line),
        data=used,
        metrics={key: value for key, value in run.data.metrics.items() if not key.startswith(_UNSCORED)},
    )


_HYDRA_FILES = ("config.yaml", "overrides.yaml")
_PACKAGES = "environment/packages.txt"
_KEPT = ("config", "environment")
_MOST_BYTES = 8 * 1024 * 1024


def _whole_id(client: Any, beginning: str, uri: str) -> str:
    """The id of the one run that begins so."""
    if len(beginning) == 32:
        return beginning
    experiments = [item.experiment_id for item in client.search_experiments()]
    runs = [str(run.info.run_id) for run in client.search_runs(experiments, max_results=10000)]
    found = [run for run in runs if beginning and run.startswith(beginning)]
    if len(found) > 1:
        raise UnknownNameError(f"{len(found)} runs in {uri} begin with {beginning!r}; write more of the id")
    if not found:
        raise UnknownNameError(
            f"no run {beginning!r} in {uri}; {nearest(beginning, runs, otherwise=HOW_IDS_ARE_FOUND)}"
        )
    return found[0]


def _texts(client: Any, run_id: str) -> dict[str, str]:
    """The small texts among a run's artifacts, by their paths."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="segsweep-run-") as scratch:
        for folder in _KEPT:
            for artifact in client.list_artifacts(run_id, folder):
                if not artifact.is_dir and (artifact.file_size or 0) <= _MOST_BYTES:
                    path = Path(client.download_artifacts(run_id, artifact.path, scratch))
                    found[artifact.path] = path.read_text(encoding="utf-8", errors="replace")
    return found


def _json(texts: Mapping[str, str], path: str, default: Any) -> Any:
    try:
        value = json.loads(texts[path]) if path in texts else default
    except ValueError as error:
        raise TrackingError(f"{path} of the run is no JSON: {error}") from error
    return value if isinstance(value, type(default)) else default


def _code(texts: Mapping[str, str]) -> dict[str, str]:
    """Each checkout's commit, with a digest of what was changed in it."""
    environment = _json(texts, "environment/environment.json", {})
    states = {"segsweep": environment.get("code"), "project": environment.get("project")}
    found = {"version": str(environment.get("version", ""))}
    for title, state in states.items():
        if not isinstance(state, dict):
            continue
        diff = texts.get(f"environment/{title}.diff", "")
        changes = f" + changes {hashlib.sha256(diff.encode()).hexdigest()[:8]}" if diff else ""
        found[title] = f"{str(state.get('commit', ''))[:12]}{changes}"
    return found


def _context(item: Any) -> str:
    return next((tag.value for tag in item.tags if tag.key == "mlflow.data.context"), "")
