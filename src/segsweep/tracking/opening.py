"""How a run begins in the store, or begins again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.errors import TrackingError
from segsweep.tracking import environment
from segsweep.tracking.names import MAX_TAG, entity_key, shorten
from segsweep.tracking.progress import PROGRESS
from segsweep.tracking.quiet import tracking_errors

if TYPE_CHECKING:
    from mlflow.entities import Run

    from segsweep.tracking.environment import Environment
    from segsweep.tracking.store import Kind, Store

__all__ = ["at_work_since", "create_run", "first_tags", "reopen_run"]

_RESUMED = "segsweep.resumed"
"""The tag that says when a run last went on, in milliseconds since 1970."""


def first_tags(found: Environment, kind: Kind, parent: str | None) -> dict[str, str]:
    """The tags that every run has from its beginning; some are MLflow's own, which its UI shows."""
    tags = {
        "segsweep.kind": kind,
        "segsweep.code": found.label,
        "segsweep.process": environment.process_mark(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": Path(found.command[0]).name if found.command else "python",
        "mlflow.user": found.host["user"],
    }
    code = found.project or found.code
    if code is not None:
        tags["mlflow.source.git.commit"] = code.commit
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    return {key: value for key, value in tags.items() if value}


def create_run(store: Store, name: str, tags: Mapping[str, str]) -> str:
    """Makes a run and answers its id.

    Raises:
        TrackingError: The store cannot be written.
    """
    fitting = {entity_key(key): shorten(value, MAX_TAG) for key, value in tags.items()}
    with tracking_errors(f"run {name!r} cannot be started in {store.uri}"):
        now = time.time_ns() // 1_000_000
        made = store.client.create_run(store.experiment_id, start_time=now, tags=fitting, run_name=name)
    return str(made.info.run_id)


def reopen_run(store: Store, run_id: str, tags: Mapping[str, str]) -> str:
    """Makes an ended run RUNNING again, with new tags and without what told of its end; answers its id.

    Raises:
        TrackingError: The run was deleted, is in another experiment, or the store cannot be written.
    """
    from mlflow.entities import RunTag

    client = store.client
    with tracking_errors(f"run {run_id} cannot be resumed in {store.uri}"):
        found = client.get_run(run_id)
        if found.info.lifecycle_stage != "active" or found.info.experiment_id != store.experiment_id:
            raise TrackingError(f"run {run_id} cannot be resumed: it was deleted, or is not in {store.experiment!r}")
        client.update_run(run_id, status="RUNNING")
        for key in {"segsweep.status_reason", PROGRESS} & found.data.tags.keys():
            client.delete_tag(run_id, key)
        now = str(time.time_ns() // 1_000_000)
        given = {**tags, _RESUMED: now}
        fitting = [RunTag(entity_key(key), shorten(value, MAX_TAG)) for key, value in given.items()]
        client.log_batch(run_id, tags=fitting, synchronous=True)
    return run_id


def at_work_since(run: Run) -> int:
    """When a run began, or last went on; milliseconds since 1970."""
    return int(run.data.tags.get(_RESUMED, run.info.start_time))
