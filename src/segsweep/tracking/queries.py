"""What a store knows about runs, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from segsweep.errors import UnknownNameError, nearest
from segsweep.tracking.environment import process_has_ended
from segsweep.tracking.quiet import tracking_errors
from segsweep.tracking.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

__all__ = ["interrupted_run", "is_dead", "runs_table", "search", "table_of"]

_PAGE = 1000


def runs_table(store: Store, experiment: str | None = None, *, parent: str | None = None) -> pd.DataFrame:
    """Runs with their settings and scores, a row a run, in the order in which they began; sweeps' own rows left out.

    Columns: `run_id`, `name`, `status`, `start` and `end` (UTC, NaT while it goes on), `reason`, then
    `params.<key>` (texts), `metrics.<key>` (the last values, without those of the system) and `tags.<key>` (those of
    Segsweep), each sorted by key. A missing value is None or NaN.

    `status` is MLflow's, or INTERRUPTED for a run that is still called RUNNING though its process on this machine has
    ended.

    Args:
        store: The store.
        experiment: Another experiment than the store's own.
        parent: Only the jobs of the sweep with this run id.

    Raises:
        UnknownNameError: There is no such experiment.
        TrackingError: The store cannot be read.
    """
    with tracking_errors(f"runs of {experiment or store.experiment!r} cannot be read from {store.uri}"):
        return table_of(_runs(store, _experiment_id(store, experiment), parent))


def table_of(runs: Sequence[Run]) -> pd.DataFrame:
    """MLflow's runs as a table, in their order; `runs_table` tells of its columns."""
    import pandas as pd

    rows = [_row(run) for run in runs]
    first = ["run_id", "name", "status", "start", "end", "reason"]
    others = sorted({key for row in rows for key in row} - set(first), key=_order)
    table = pd.DataFrame(rows, columns=[*first, *others])
    for column in ("start", "end"):
        table[column] = pd.to_datetime(table[column], unit="ms", utc=True)
    return table


def interrupted_run(store: Store, request: str, *, parent: str | None = None) -> str | None:
    """The id of the latest run that can go on with what is requested now; None without one.

    That is one that was killed; among the jobs of a sweep also one that failed, since a job is one run. A run that did
    another one again (`segsweep rerun`) is only that.

    Args:
        store: The store; only its experiment is searched.
        request: The value of the tag `segsweep.request` of runs that were asked for the same.
        parent: The run id of a sweep, to look among its jobs; None: among runs that are no job of any.

    Raises:
        TrackingError: The store cannot be read.
    """
    wanted = f"tags.segsweep.request = '{request}' and status != 'FINISHED'"
    with tracking_errors(f"runs of {store.experiment!r} cannot be read from {store.uri}"):
        found = store.client.search_runs([store.experiment_id], wanted, order_by=["attributes.start_time DESC"])
    resumable = {"KILLED"} if parent is None else {"KILLED", "FAILED"}
    for run in found:
        tags = run.data.tags
        if "segsweep.rerun_of" in tags:
            continue
        if tags.get("mlflow.parentRunId") == parent and (run.info.status in resumable or is_dead(run)):
            return str(run.info.run_id)
    return None


def is_dead(run: Run) -> bool:
    """Whether a run is called RUNNING though its process on this machine has ended."""
    return run.info.status == "RUNNING" and process_has_ended(run.data.tags.get("segsweep.process", ""))


def search(store: Store, wanted: str) -> list[Run]:
    """All runs of the store's experiment that a filter of MLflow lets through, in the order in which they began.

    Raises:
        TrackingError: The store cannot be read.
    """
    with tracking_errors(f"runs of {store.experiment!r} cannot be read from {store.uri}"):
        return _search(store, store.experiment_id, wanted)


def _experiment_id(store: Store, experiment: str | None) -> str:
    if experiment is None or experiment == store.experiment:
        return store.experiment_id
    client = store.client
    found = client.get_experiment_by_name(experiment)
    if found is None:
        known = [each.name for each in client.search_experiments()]
        raise UnknownNameError(f"no experiment {experiment!r} in {store.uri}; {nearest(experiment, known)}")
    return str(found.experiment_id)


def _runs(store: Store, experiment_id: str, parent: str | None) -> list[Run]:
    wanted = "tags.segsweep.kind = 'run'" + (f" and tags.mlflow.parentRunId = '{parent}'" if parent else "")
    return _search(store, experiment_id, wanted)


def _search(store: Store, experiment_id: str, wanted: str) -> list[Run]:
    client = store.client
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], wanted, max_results=_PAGE, page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            return sorted(found, key=lambda run: int(run.info.start_time))


def _row(run: Run) -> dict[str, object]:
    tags = run.data.tags
    row: dict[str, object] = {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "status": "INTERRUPTED" if is_dead(run) else run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "reason": tags.get("segsweep.status_reason", ""),
    }
    row |= {f"params.{key}": value for key, value in run.data.params.items()}
    row |= {f"metrics.{key}": value for key, value in run.data.metrics.items() if not key.startswith("system/")}
    row |= {f"tags.{key}": value for key, value in tags.items() if key.startswith("segsweep.")}
    return row


def _order(column: str) -> tuple[int, str]:
    return ("params.", "metrics.", "tags.").index(column.partition(".")[0] + "."), column
