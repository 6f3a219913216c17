"""The MLflow store of a workspace: opened once and safely, by any number of processes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from segsweep.errors import TrackingError
from segsweep.reporting import SILENT, Reporter
from segsweep.tracking.quiet import client_of, load_mlflow, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from segsweep.tracking.run import TrackedRun

__all__ = ["Kind", "Store", "default_uri"]

Kind = Literal["run", "sweep"]

LOCAL_UI = "http://127.0.0.1:5000"
"""Where `segsweep ui` and a bare `mlflow server` answer unless told otherwise."""

_LOCK_SECONDS = 300
_SERVER_SECONDS = 10


def default_uri(workspace: Path) -> str:
    """The store of a workspace: `sqlite:///<workspace>/mlflow.db`, MLflow's own default for that folder."""
    return _sqlite_uri(workspace.resolve() / "mlflow.db")


@dataclass(frozen=True)
class Store:
    """An opened store and one experiment in it; can be pickled, holds no connection.

    Attributes:
        workspace: The workspace's folder, absolute.
        uri: MLflow's tracking URI: a database or a server.
        experiment: The experiment's name.
        experiment_id: Its number in the store.
    """

    workspace: Path
    uri: str
    experiment: str
    experiment_id: str

    @classmethod
    def open(cls, workspace: Path, *, experiment: str, uri: str | None = None, reporter: Reporter = SILENT) -> Store:
        """Opens a store, making it and the experiment when they do not exist.

        A database is opened under a file lock, since MLflow's migrations crash when processes run them side by side; a
        new sqlite file is made aside and renamed, so that a killed process leaves no half of one. Artifacts of a
        database store lie in `<workspace>/mlartifacts`, where a bare `mlflow server` in the workspace has its own.

        Args:
            workspace: The folder that the store belongs to; made when missing.
            experiment: The experiment's name.
            uri: Another store than the workspace's own: `http://…`, `postgresql://…`, `sqlite:///…`.
            reporter: Told when something takes long or looks wrong.

        Raises:
            TrackingError: The store cannot be reached, was made by another version of MLflow, or the experiment was
                deleted.
        """
        workspace = workspace.resolve()
        address = default_uri(workspace) if uri is None else uri
        if _is_server(address):
            _check_server(address)
            artifacts = None
        else:
            artifacts = workspace / "mlartifacts"
            _make_ready(workspace, address, artifacts, reporter)
        experiment_id = _experiment_id(address, experiment, artifacts)
        return cls(workspace, address, experiment, experiment_id)

    @classmethod
    def find(cls, workspace: Path, *, experiment: str, uri: str | None = None) -> Store | None:
        """The store and the experiment if they are there; makes neither.

        Raises:
            TrackingError: The store cannot be reached or read.
        """
        workspace = workspace.resolve()
        address = default_uri(workspace) if uri is None else uri
        if _is_server(address):
            _check_server(address)
        else:
            database = _sqlite_path(address)
            if database is not None and not _is_database(database):
                return None
        with tracking_errors(f"experiment {experiment!r} cannot be looked up in {address}"):
            found = client_of(address).get_experiment_by_name(experiment)
        return None if found is None else cls(workspace, address, experiment, str(found.experiment_id))

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of this store and its registry, independent of the environment and of MLflow's own state."""
        return client_of(self.uri)

    def start_run(
        self,
        name: str,
        *,
        kind: Kind = "run",
        parent: str | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        resume: str | None = None,
        system_metrics: bool = True,
        progress_with: Reporter = SILENT,
    ) -> AbstractContextManager[TrackedRun]:
        """A run that lives as long as the block: see `segsweep.tracking.run.tracked_run`."""
        from segsweep.tracking.run import tracked_run

        return tracked_run(
            self,
            name,
            kind=kind,
            parent=parent,
            tags=tags or {},
            params=params or {},
            resume=resume,
            system_metrics=system_metrics,
            progress_with=progress_with,
        )

    def url(self, *, parent: str | None = None, order_by: str | None = None) -> str:
        """A link into the UI: the experiment's runs, or a sweep's children, best first, with charts open.

        Charts of children stay empty unless the view sorts by a metric, and the UI opens in another mode unless told.

        Args:
            parent: The run id of a sweep.
            order_by: The metric to sort by (`test/dice`).
        """
        wanted = f"tags.mlflow.parentRunId = '{parent}'" if parent else "tags.segsweep.kind = 'run'"
        query = {"workflowType": "machine_learning", "searchFilter": wanted}
        if order_by:
            query |= {"orderByKey": f"metrics.`{order_by}`", "orderByAsc": "false", "compareRunsMode": "CHART"}
        return f"{self.ui}/#/experiments/{self.experiment_id}/runs?{urlencode(query, quote_via=quote)}"

    @property
    def ui(self) -> str:
        """Where the UI answers: the server itself, or where `segsweep ui` would show a local store."""
        return self.uri.rstrip("/") if _is_server(self.uri) else LOCAL_UI


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _check_server(uri: str) -> None:
    """Asks once, since MLflow itself tries for four minutes before it says that nobody answers."""
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=_SERVER_SECONDS)
    except requests.RequestException as error:
        raise TrackingError(f"no MLflow server answers at {uri} ({type(error).__name__})") from error


def _sqlite_uri(path: Path) -> str:
    """The URI of a sqlite file. Where signs must be quoted, the driver is named too.

    MLflow makes the parent folder of what follows `sqlite:///` without reading the quotes; it leaves a longer scheme
    alone.
    """
    plain = str(path)
    quoted = plain.replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{plain}" if quoted == plain else f"sqlite+pysqlite:///{quoted}"


def _sqlite_path(uri: str) -> Path | None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except ArgumentError as error:
        raise TrackingError(f"tracking uri {uri!r} is no address of a database or a server") from error
    if not url.drivername.startswith("sqlite") or not url.database or url.database == ":memory:":
        return None
    return Path(url.database).resolve()


def _make_ready(workspace: Path, uri: str, artifacts: Path, reporter: Reporter) -> None:
    from filelock import FileLock, Timeout

    database = _sqlite_path(uri)
    place = workspace / "mlflow.db" if database is None else database
    lock = FileLock(place.with_name(place.name + ".lock"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with lock.acquire(timeout=_LOCK_SECONDS):
            if database is not None and not _is_database(database):
                reporter.message(f"making a new MLflow store, once: {database}")
                _make_database(database, artifacts)
            with tracking_errors(f"the MLflow store {uri} cannot be opened"):
                client_of(uri).search_experiments(max_results=1)
    except Timeout as error:
        raise TrackingError(f"{lock.lock_file}: another process has held it for {_LOCK_SECONDS} s") from error
    except OSError as error:
        raise TrackingError(f"the MLflow store cannot be made in {place.parent}: {error.strerror}") from error
    if any((workspace / "mlruns").glob("[0-9]*/meta.yaml")):
        reporter.message(
            f"{workspace / 'mlruns'} holds an older MLflow file store: a bare `mlflow ui` here would open that one",
            "warning",
        )


def _is_database(path: Path) -> bool:
    """Whether there is a sqlite file; MLflow would try a damaged one for minutes."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise TrackingError(f"{path}: is no sqlite database; move it away, or name another store")
    return True


def _make_database(path: Path, artifacts: Path) -> None:
    load_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as aside:
        fresh = Path(aside) / path.name
        with tracking_errors(f"{path}: no new MLflow store could be made"):
            SqlAlchemyStore(_sqlite_uri(fresh), artifacts.as_uri()).engine.dispose()
        fresh.replace(path)


def _experiment_id(uri: str, name: str, artifacts: Path | None) -> str:
    client = client_of(uri)
    with tracking_errors(f"experiment {name!r} cannot be opened in {uri}"):
        found = client.get_experiment_by_name(name)
        if found is None:
            found = _create_experiment(client, name, artifacts)
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {name!r} was deleted in {uri}; choose another name, or bring it back with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    return str(found.experiment_id)


def _create_experiment(client: MlflowClient, name: str, artifacts: Path | None) -> Any:
    """Makes the experiment, or finds the one that another process has just made.

    Its artifacts lie in a folder of its own name; runs have folders of their own below, so two names may share one.
    """
    errors = load_mlflow().exceptions.MlflowException
    folder = re.sub(r"[^\w.\-]+", "_", name).strip(".")[:80] or "experiment"
    location = None if artifacts is None else (artifacts / folder).as_uri()
    try:
        return client.get_experiment(client.create_experiment(name, artifact_location=location))
    except errors as error:
        found = client.get_experiment_by_name(name) if error.error_code == "RESOURCE_ALREADY_EXISTS" else None
        if found is None:
            raise
        return found
