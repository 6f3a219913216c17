"""What the registry knows about its models, without fetching any."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.errors import TrackingError
from segsweep.tracking.quiet import client_of, tracking_errors
from segsweep.tracking.resolve import find_version, quoted, uri_of
from segsweep.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["SCORES", "ListedModel", "ListedVersion", "list_models", "list_versions"]

SCORES = ("test/dice", "val/dice", "val/accuracy")
"""Metrics of a run that say how good its network is, higher being better; the first one that it has counts."""

_RUNS_AT_ONCE = 100


@dataclass(frozen=True)
class ListedVersion:
    """A version of a registered model.

    Attributes:
        number: Its number.
        aliases: The names that mean it now.
        created: When it was registered.
        architecture: The network's name; empty, as the next two, for models that something else has registered.
        width: Its width.
        classes: Titles by index.
        input_size: `256x256`: what pictures were squeezed to, or the size of crops.
        run_id: The run that trained it; empty where none is known.
        run_name: Its name.
        score: (metric, value) of that run, one of `SCORES`.
        start: What its training started from, as `model.weights` says; empty for random weights.
        description: What people should know of it.
        credit: Whose it is, and under which licence.
    """

    number: str
    aliases: tuple[str, ...]
    created: datetime
    architecture: str
    width: str
    classes: tuple[str, ...]
    input_size: str
    run_id: str
    run_name: str
    score: tuple[str, float] | None
    start: str
    description: str
    credit: str


@dataclass(frozen=True)
class ListedModel:
    """A registered model and its versions, the newest first; there may be none."""

    name: str
    versions: tuple[ListedVersion, ...]

    @property
    def best(self) -> ListedVersion | None:
        """The version with the best score: by the first of `SCORES` that any has."""
        for metric in SCORES:
            scored = [item for item in self.versions if item.score is not None and item.score[0] == metric]
            if scored:
                return max(scored, key=lambda item: item.score[1] if item.score else 0.0)
        return None


def list_models(store: Store | str | Path) -> list[ListedModel]:
    """All registered models by name; none where there is no store yet.

    Args:
        store: An opened store, a tracking URI, or a workspace's folder.

    Raises:
        TrackingError: The store cannot be read.
    """
    uri = uri_of(store)
    if uri is None:
        return []
    with tracking_errors(f"registered models cannot be read from {uri}"):
        client = client_of(uri)
        models = _all(client.search_registered_models)
        versions = [version for model in models for version in _versions(client, model.name)]
        runs = _runs(client, versions)
        return [
            ListedModel(
                model.name,
                tuple(
                    _listed(version, model.aliases, runs.get(version.run_id or ""))
                    for version in versions
                    if version.name == model.name
                ),
            )
            for model in models
        ]


def list_versions(store: Store | str | Path, source: str) -> tuple[ListedVersion, ListedModel]:
    """The version that a `models:/…` source names, and the model with all its versions.

    Raises:
        TrackingError: There is none; names the nearest ones there are.
    """
    uri = uri_of(store)
    if uri is None:
        raise TrackingError(f"{source}: there is no MLflow store in {store} yet")
    with tracking_errors(f"{source} cannot be read from {uri}"):
        client = client_of(uri)
        found = find_version(client, source)
        versions = _versions(client, found.name)
        aliases = client.get_registered_model(found.name).aliases
        runs = _runs(client, versions)
        listed = [_listed(version, aliases, runs.get(version.run_id or "")) for version in versions]
        chosen = next(item for item in listed if item.number == str(found.version))
        return chosen, ListedModel(found.name, tuple(listed))


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    wanted = f"name = {quoted(name)}"
    return _all(client.search_model_versions, filter_string=wanted, order_by=["version_number DESC"])


def _runs(client: MlflowClient, versions: Iterable[ModelVersion]) -> dict[str, Run]:
    """The runs that trained some versions, by id; those that were removed are missing."""
    ids = sorted({version.run_id for version in versions if version.run_id})
    experiments = [item.experiment_id for item in _all(client.search_experiments)] if ids else []
    found: dict[str, Run] = {}
    for start in range(0, len(ids), _RUNS_AT_ONCE):
        several = ", ".join(map(quoted, ids[start : start + _RUNS_AT_ONCE]))
        runs = client.search_runs(experiments, f"attributes.run_id IN ({several})", max_results=_RUNS_AT_ONCE)
        found |= {run.info.run_id: run for run in runs}
    return found


def _listed(version: ModelVersion, aliases: Mapping[str, str], run: Run | None) -> ListedVersion:
    tags = version.tags
    metrics = {} if run is None else run.data.metrics
    start = "" if run is None else run.data.params.get("model.weights", "null")
    return ListedVersion(
        number=str(version.version),
        aliases=tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
        architecture=tags.get("segsweep.architecture", ""),
        width=tags.get("segsweep.width", ""),
        classes=tuple(json.loads(tags.get("segsweep.classes", "[]"))),
        input_size=tags.get("segsweep.input_size", ""),
        run_id=version.run_id or "",
        run_name="" if run is None else run.info.run_name,
        score=next(((metric, metrics[metric]) for metric in SCORES if metric in metrics), None),
        start="" if start == "null" else start,
        description=version.description or "",
        credit=tags.get("segsweep.credit", ""),
    )


def _all(search: Callable[..., Any], **arguments: Any) -> list[Any]:
    """Every page of what a search of MLflow finds."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = search(**arguments, page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            return found
