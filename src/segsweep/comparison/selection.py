"""Which runs are compared: those of a sweep, of an experiment, of a filter of MLflow, or some by their ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.errors import TrackingError, UnknownNameError, nearest
from segsweep.tracking.quiet import client_of, tracking_errors
from segsweep.tracking.recorded import HOW_IDS_ARE_FOUND
from segsweep.tracking.resolve import uri_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from segsweep.tracking import Store

__all__ = ["LAST", "Chosen", "Selection", "choose", "latest", "store_uri"]

LAST = "last"
"""The sweep that began last."""

_PAGE = 1000
_WHOLE_ID = 32
_RUNS = "tags.segsweep.kind = 'run'"
_SWEEPS = "tags.segsweep.kind = 'sweep'"


@dataclass(frozen=True)
class Selection:
    """What to compare. What is given narrows what is found; with nothing given, all runs of the store are meant.

    Attributes:
        sweep: The id of a sweep's parent run, the beginning of it, its name (the latest of that name), or `last`.
        experiment: The name of an experiment.
        ids: Ids of runs, or their beginnings; of a sweep's parent, its jobs are meant.
        filter: An expression of MLflow's search: `params.training.lr = '0.01' and metrics."test/dice" > 0.7`.
    """

    sweep: str | None = None
    experiment: str | None = None
    ids: tuple[str, ...] = ()
    filter: str = ""


@dataclass(frozen=True)
class Chosen:
    """The runs that were meant.

    Attributes:
        uri: The store's address.
        runs: MLflow's runs, in the order in which they began; of a sweep's job that was done again, the last one.
        experiments: Names of experiments by their ids.
        title: What they are, in words.
        sweep: The parent run, where they are one sweep's.
    """

    uri: str
    runs: tuple[Run, ...]
    experiments: dict[str, str]
    title: str
    sweep: Run | None = None

    @property
    def swept(self) -> tuple[str, ...]:
        """The settings that the sweep was over, in its order."""
        if self.sweep is None:
            return ()
        return tuple(json.loads(self.sweep.data.tags.get("segsweep.swept", "{}"))) or tuple(self.sweep.data.params)

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of the store."""
        return client_of(self.uri)


def store_uri(store: Store | str | Path) -> str:
    """The address of an opened store, of a URI, or of the store in a workspace's folder.

    Raises:
        TrackingError: There is no store yet.
    """
    uri = uri_of(store)
    if uri is None:
        raise TrackingError(f"there is no MLflow store in {store} yet; runs make one (segsweep run)")
    return uri


def choose(store: Store | str | Path, selection: Selection) -> Chosen:
    """Finds the runs that are meant.

    Args:
        store: An opened store, a tracking URI, or a workspace's folder.
        selection: What to compare.

    Raises:
        UnknownNameError: There is no such sweep, experiment or run, or the filter is none.
        TrackingError: There is no store yet, or it cannot be read.
    """
    uri = store_uri(store)
    client = client_of(uri)
    with tracking_errors(f"runs cannot be read from {uri}"):
        names = {str(item.experiment_id): str(item.name) for item in _paged(client.search_experiments)}
    experiments = list(names)
    if selection.experiment is not None:
        experiments = [number for number, name in names.items() if name == selection.experiment]
        if not experiments:
            hint = nearest(selection.experiment, names.values())
            raise UnknownNameError(f"no experiment {selection.experiment!r} in {uri}; {hint}")
    search = _Search(client, uri, experiments)
    parent = None if selection.sweep is None else search.sweep(selection.sweep)
    named: list[Run] | None = None
    if selection.ids:
        named = [run for given in selection.ids for run in search.with_jobs(given)]
    runs = search.runs(selection.filter, parent)
    if named is not None:
        wanted = {run.info.run_id for run in named}
        # runs that something else made are found by their ids alone
        runs = [run for run in runs if run.info.run_id in wanted] if parent or selection.filter else named
    in_order = sorted(runs, key=lambda run: int(run.info.start_time))
    found = {run.info.run_id if parent is None else _request(run): run for run in in_order}
    return Chosen(uri, tuple(found.values()), names, _title(selection, parent), parent)


def latest(store: Store | str | Path) -> Chosen:
    """The runs of the last sweep, or without one those of the experiment in which the last run is.

    Raises:
        TrackingError: There is no store yet, or it cannot be read.
    """
    everything = choose(store, Selection())
    if _Search(client_of(everything.uri), everything.uri, list(everything.experiments)).sweeps():
        return choose(store, Selection(sweep=LAST))
    if not everything.runs:
        return everything
    return choose(store, Selection(experiment=everything.experiments[str(everything.runs[-1].info.experiment_id)]))


@dataclass(frozen=True)
class _Search:
    client: MlflowClient
    uri: str
    experiments: list[str]

    def runs(self, narrowed: str, parent: Run | None) -> list[Run]:
        clauses = [_RUNS]
        if parent is not None:
            clauses.append(f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
        if narrowed:
            clauses.append(narrowed)
        doing = f"filter {narrowed!r} cannot be used" if narrowed else f"runs cannot be read from {self.uri}"
        return self._search(" and ".join(clauses), doing, named=bool(narrowed))

    def sweeps(self) -> list[Run]:
        """The parent runs, in the order in which they began; those that go on now, perhaps again, come last."""
        parents = self._search(_SWEEPS, f"sweeps cannot be read from {self.uri}")
        return sorted(parents, key=lambda run: (run.info.status == "RUNNING", int(run.info.start_time)))

    def sweep(self, given: str) -> Run:
        parents = self.sweeps()
        if not parents:
            raise UnknownNameError(
                f"there is no sweep in {self.uri} yet; one begins with segsweep run -m key=value,value"
            )
        if given == LAST:
            return parents[-1]
        named = [run for run in parents if run.info.run_name == given]
        if named:
            return named[-1]
        return self._one(given, parents, "sweep")

    def with_jobs(self, given: str) -> list[Run]:
        """The run of an id, or the jobs of the sweep of an id."""
        run = self._by_id(given)
        return self.runs("", run) if run.data.tags.get("segsweep.kind") == "sweep" else [run]

    def _by_id(self, given: str) -> Run:
        if len(given) == _WHOLE_ID:
            with tracking_errors(f"run {given} cannot be read from {self.uri}", named=True):
                return self.client.get_run(given)
        return self._one(given, self._search("", f"runs cannot be read from {self.uri}"), "run")

    def _one(self, given: str, runs: Iterable[Run], kind: str) -> Run:
        by_id = {str(run.info.run_id): run for run in runs}
        found = [run for number, run in by_id.items() if given and number.startswith(given)]
        if len(found) > 1:
            raise UnknownNameError(f"{len(found)} {kind}s in {self.uri} begin with {given!r}; write more of the id")
        if not found:
            names = {str(run.info.run_name) for run in by_id.values()} if kind == "sweep" else set()
            hint = nearest(given, names) if names else nearest(given, by_id, otherwise=HOW_IDS_ARE_FOUND)
            raise UnknownNameError(f"no {kind} {given!r} in {self.uri}; {hint}")
        return found[0]

    def _search(self, wanted: str, doing: str, *, named: bool = False) -> list[Run]:
        with tracking_errors(doing, named=named):
            return _paged(lambda **page: self.client.search_runs(self.experiments, wanted, max_results=_PAGE, **page))


def _paged(search: Callable[..., Any]) -> list[Any]:
    """All pages of what a search of MLflow finds."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = search(page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            return found


def _request(run: Run) -> str:
    """What a sweep's job was to do; of several runs that were to do the same, the last one counts."""
    return str(run.data.tags.get("segsweep.request", run.info.run_id))


def _title(selection: Selection, parent: Run | None) -> str:
    parts = []
    if parent is not None:
        parts.append(f"sweep {parent.info.run_name}")
    if selection.experiment is not None:
        parts.append(f"experiment {selection.experiment}")
    if selection.ids:
        parts.append("chosen runs")
    if selection.filter:
        parts.append(f"runs where {selection.filter}")
    return ", ".join(parts) or "all runs"
