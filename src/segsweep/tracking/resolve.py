"""From the name of a model or a run, or a path, to a model folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.errors import TrackingError, UnknownNameError, nearest
from segsweep.tracking.quiet import client_of, load_mlflow, tracking_errors
from segsweep.tracking.store import Store, default_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "MODEL_FILES",
    "check_model_folder",
    "find_version",
    "is_there",
    "quoted",
    "resolve_model",
    "run_of",
    "uri_of",
]

CHECKPOINTS = "checkpoints"
"""Where a run keeps its model folders among its artifacts."""

MODEL_FILES = ("config.json", "model.pt")
"""What makes a folder a model folder."""

_RUN = re.compile(r"runs?:/?(?P<id>[^/@]+)(?:@(?P<name>[^/@]+)|/checkpoints/(?P<folder>[^/@]+))?")


def resolve_model(store: Store | str | Path, source: str, *, cache: Path | None = None) -> Path:
    """The model folder that a source names.

    Args:
        store: An opened store, a tracking URI, or a workspace's folder.
        source: `models:/<name>@<alias>`, `models:/<name>/<version>`, `models:/<name>` (its newest version),
            `runs:/<run id>` (its last checkpoint), `runs:/<run id>@best`, or a folder's path. `run:<run id>` will do.
        cache: Where models from a server are kept; default: `.cache/models` in the workspace or current folder.

    Raises:
        UnknownNameError: There is no such model; names the nearest ones there are.
        TrackingError: The store cannot be read, or what it holds there is no model of Segsweep's.
    """
    if not source.startswith(("models:", "run:", "runs:")):
        folder = Path(source).expanduser()
        check_model_folder(folder, source)
        return folder
    workspace = store.workspace if isinstance(store, Store) else store if isinstance(store, Path) else Path.cwd()
    uri = uri_of(store)
    if uri is None:
        raise TrackingError(f"{source}: there is no MLflow store in {store} yet")
    cache = cache or workspace / ".cache" / "models"
    with tracking_errors(f"{source} cannot be found in {uri}", named=True):
        if source.startswith("models:"):
            return _folder_of_version(uri, find_version(client_of(uri), source), cache)
        return _folder_of_run(uri, source, cache)


def run_of(store: Store, source: str) -> str | None:
    """The id of the run that trained what a source names, as far as the store knows it.

    Raises:
        TrackingError: There is no such model.
    """
    if source.startswith("models:"):
        with tracking_errors(f"{source} cannot be found in {store.uri}"):
            return find_version(store.client, source).run_id or None
    match = _RUN.fullmatch(source)
    return match["id"] if match else None


def uri_of(store: Store | str | Path) -> str | None:
    """The tracking URI of a store, or of the store in a workspace's folder; None if there is none yet."""
    if isinstance(store, Path):
        return default_uri(store) if (store / "mlflow.db").is_file() else None
    return store.uri if isinstance(store, Store) else store


def find_version(client: MlflowClient, source: str) -> ModelVersion:
    """The version that a `models:/…` source names.

    Raises:
        TrackingError: There is none.
    """
    name, alias, number = _parse(source)
    versions = client.search_model_versions(f"name = {quoted(name)}", order_by=["version_number DESC"])
    if not versions:
        known = [model.name for model in client.search_registered_models()]
        raise UnknownNameError(f"{source}: no registered model {name!r}; {nearest(name, known)}")
    if alias:
        aliases = client.get_registered_model(name).aliases
        if alias not in aliases:
            raise UnknownNameError(f"{source}: model {name!r} has no alias {alias!r}; {nearest(alias, aliases)}")
        number = str(aliases[alias])
    found = {str(version.version): version for version in versions}
    if number and number not in found:
        raise UnknownNameError(f"{source}: model {name!r} has no version {number}; {nearest(number, found)}")
    return found[number] if number else versions[0]


def _parse(source: str) -> tuple[str, str, str]:
    """Name, alias and version of a `models:/…` source; the latter two may be empty."""
    match = re.fullmatch(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))?", source)
    if match is None:
        raise UnknownNameError(f"{source}: must be models:/<name>@<alias>, models:/<name>/<version> or models:/<name>")
    return match["name"], match["alias"] or "", match["number"] or ""


def _folder_of_run(uri: str, source: str, cache: Path) -> Path:
    """What a run has registered, or the checkpoint that it keeps among its artifacts."""
    match = _RUN.fullmatch(source)
    if match is None:
        raise UnknownNameError(f"{source}: must be runs:/<run id> or runs:/<run id>@<checkpoint>, such as @best")
    client, run_id, name = client_of(uri), match["id"], match["name"] or match["folder"] or ""
    run = client.get_run(run_id)  # says so when there is no such run at all
    versions = client.search_model_versions(f"run_id = {quoted(run_id)}")
    fitting = [version for version in versions if not name or name in _aliases_at_birth(version)]
    if fitting:
        newest = max(fitting, key=lambda version: (version.creation_timestamp, int(version.version)))
        return _folder_of_version(uri, newest, cache)
    kept = [Path(item.path).name for item in client.list_artifacts(run_id, CHECKPOINTS) if item.is_dir]
    known = {*kept, *(alias for version in versions for alias in _aliases_at_birth(version))}
    if not known:
        raise TrackingError(f"{source}: the run has kept no model")
    if (name or "last") not in kept:
        raise UnknownNameError(f"{source}: the run has kept no model as {name or 'last'!r}; {nearest(name, known)}")
    location = f"{run.info.artifact_uri.rstrip('/')}/{CHECKPOINTS}/{name or 'last'}"
    # a run that was interrupted may go on and replace what it keeps
    folder = _local(uri, location, f"{uri} {location} {run.info.end_time}", source, cache)
    check_model_folder(folder, source)
    return folder


def _aliases_at_birth(version: ModelVersion) -> list[str]:
    """The aliases that a version was registered with; those of the registry move on to newer versions."""
    return [alias for alias in str(version.tags.get("segsweep.aliases", "")).split(",") if alias]


def quoted(text: str) -> str:
    """A text within MLflow's search language, which knows no escape.

    Raises:
        TrackingError: It holds both kinds of quotes.
    """
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise TrackingError(f"{text!r}: MLflow cannot look up a name that holds both kinds of quotes")


def _folder_of_version(uri: str, version: ModelVersion, cache: Path) -> Path:
    """The model folder within a version's artifacts."""
    label = f"version {version.version} of {version.name!r}"
    location = client_of(uri).get_model_version_download_uri(version.name, version.version)
    # the location holds an id of its own and never changes what it holds
    stored = _local(uri, location, f"{uri} {location}", label, cache)
    found = sorted(path.parent for path in stored.rglob("artifacts/*/config.json"))
    if not found:
        raise TrackingError(f"{label} is no network of Segsweep: it holds no model folder")
    check_model_folder(found[0], label)
    return found[0]


def _local(uri: str, location: str, key: str, label: str, cache: Path) -> Path:
    """A folder of artifacts: where it lies, or a copy in `cache`, under a digest of `key`, when it lies on a server."""
    mlflow = load_mlflow()
    from mlflow.utils.file_utils import local_file_uri_to_path

    from segsweep.files import atomic_directory

    if _is_local(location):
        stored = Path(local_file_uri_to_path(location))
        if not stored.is_dir():
            raise TrackingError(f"{label} is no longer at {stored}; was the workspace moved or cleaned?")
        return stored
    stored = cache / hashlib.sha256(key.encode()).hexdigest()[:32]
    if not stored.is_dir():
        with atomic_directory(stored) as aside:
            mlflow.artifacts.download_artifacts(location, dst_path=str(aside), tracking_uri=uri, registry_uri=uri)
    return stored


def is_there(location: str) -> bool:
    """Whether a folder of artifacts still lies where it was put; what lies on a server is taken to be there."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    return not _is_local(location) or Path(local_file_uri_to_path(location)).is_dir()


def _is_local(location: str) -> bool:
    return location.startswith(("file:", "/"))


def check_model_folder(folder: Path, label: str) -> None:
    """Makes sure that a folder holds a model's files.

    Raises:
        TrackingError: It does not.
    """
    missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if not folder.is_dir():
        raise TrackingError(
            f"{label}: no such folder; write models:/<name>@<alias>, runs:/<id> or a model folder's path"
        )
    if missing:
        raise TrackingError(f"{label}: is no model folder, it has no {' and no '.join(missing)}")
