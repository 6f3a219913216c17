"""Trained networks in MLflow's model registry, and the way back from a name to a model folder."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsweep.errors import TrackingError, nearest
from segsweep.tracking.quiet import client_of, load_mlflow, tracking_errors
from segsweep.tracking.store import Store, default_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

    from segsweep.tracking.run import TrackedRun

__all__ = ["REQUIREMENTS", "SERVING_CODE", "register_model", "resolve_model"]

SERVING_CODE = Path(__file__).resolve().parents[1] / "serving.py"
"""The code that MLflow keeps with a model and runs to load it."""

REQUIREMENTS = ("segsweep", "mlflow", "torch", "numpy", "opencv-python-headless", "pandas")
"""What a served model needs; the installed versions are pinned, since working them out takes MLflow 11 s."""

_MODEL_FILES = ("config.json", "model.pt")
_WAIT_SECONDS = 60


def register_model(
    store: Store,
    run: TrackedRun,
    model_folder: Path,
    name: str,
    aliases: Sequence[str] = ("last",),
    *,
    code: Path = SERVING_CODE,
) -> str:
    """Stores a model folder as an MLflow model of the run, and makes it the newest version of a registered model.

    Args:
        store: Where it is stored.
        run: The run that trained it.
        model_folder: `config.json` and `model.pt`.
        name: The registered model's name; made when new.
        aliases: Names that from now on mean this version: `best`, `last`.
        code: A Python file that calls `mlflow.models.set_model`; finds the model folder as its artifact `model`.

    Returns:
        The version's number.

    Raises:
        TrackingError: The folder is no model folder, or the store cannot be written.
    """
    _check_model_folder(model_folder, str(model_folder))
    client = store.client
    with tracking_errors(f"the model in {model_folder} cannot be registered as {name!r}"):
        logged = _store_model(store, client, run.run_id, model_folder, code, "-".join(aliases) or "model")
        _make_registered_model(client, name)
        version = client.create_model_version(
            name,
            source=logged.artifact_location,  # `models:/<id>` would be looked up in MLflow's global store
            run_id=run.run_id,
            tags={"segsweep.aliases": ",".join(aliases)},
            await_creation_for=_WAIT_SECONDS,
            model_id=logged.model_id,
        )
        known_as = [{"name": name, "version": version.version}]
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps(known_as)})
        for alias in aliases:
            client.set_registered_model_alias(name, alias, version.version)
    return str(version.version)


def resolve_model(store: Store | str | Path, source: str, *, cache: Path | None = None) -> Path:
    """The model folder that a source names.

    Args:
        store: An opened store, a tracking URI, or a workspace's folder.
        source: `models:/<name>@<alias>`, `models:/<name>/<version>`, `models:/<name>` (its newest version),
            `run:<run id>` (what the run registered last), `run:<run id>@best`, or a folder's path.
        cache: Where models from a server are kept; default: `.cache/models` in the workspace or current folder.

    Raises:
        TrackingError: There is no such model; names the nearest ones there are.
    """
    if not source.startswith(("models:", "run:")):
        folder = Path(source).expanduser()
        _check_model_folder(folder, source)
        return folder
    workspace = store.workspace if isinstance(store, Store) else store if isinstance(store, Path) else Path.cwd()
    if isinstance(store, Path) and not (store / "mlflow.db").is_file():
        raise TrackingError(f"{source}: there is no MLflow store in {store} yet")
    uri = store if isinstance(store, str) else store.uri if isinstance(store, Store) else default_uri(store)
    client = client_of(uri)
    with tracking_errors(f"{source} cannot be found in {uri}"):
        find = _version_of_run if source.startswith("run:") else _version_of_name
        version = find(client, source)
        return _fetch(uri, version, cache or workspace / ".cache" / "models")


def _store_model(store: Store, client: MlflowClient, run_id: str, folder: Path, code: Path, name: str) -> LoggedModel:
    """Logs the MLflow model with clients only: `mlflow.pyfunc.log_model` works on MLflow's global store and run."""
    mlflow = load_mlflow()
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    logged = client.create_logged_model(store.experiment_id, name, source_run_id=run_id, model_type="segmentation")
    done = False
    try:
        with tempfile.TemporaryDirectory(prefix="segsweep-model-") as scratch, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it would have type hints and an input example, which cost more than help
            place = Path(scratch) / "model"
            mlflow.pyfunc.save_model(
                place,
                mlflow_model=Model(
                    artifact_path=logged.artifact_location, run_id=run_id, model_uuid=logged.model_id,
                    model_id=logged.model_id,
                ),
                python_model=str(code),
                artifacts={"model": str(folder)},
                pip_requirements=_requirements(),
                signature=_signature(),
            )  # fmt: skip
            client.log_model_artifacts(logged.model_id, str(place))
        done = True
    finally:
        client.finalize_logged_model(logged.model_id, "READY" if done else "FAILED")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return logged


def _signature() -> Any:
    """One column `image` of anything: arrays for Python, base64 for a server."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    params = [ParamSpec("probabilities", DataType.boolean, False), ParamSpec("mode", DataType.string, "auto")]
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), "image")]),
        outputs=Schema([ColSpec(AnyType())]),
        params=ParamSchema(params),
    )


def _requirements() -> list[str]:
    import importlib.metadata

    found = []
    for name in REQUIREMENTS:
        try:
            found.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:  # another build of it, such as opencv-python
            found.append(name)
    return found


def _make_registered_model(client: MlflowClient, name: str) -> None:
    """Makes a registered model unless it exists, also when another job of a sweep makes it at the same moment."""
    errors = load_mlflow().exceptions.MlflowException
    try:
        client.create_registered_model(name)
    except errors as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version_of_name(client: MlflowClient, source: str) -> ModelVersion:
    name, alias, number = _parse(source)
    versions = client.search_model_versions(f"name = {_quoted(name)}", order_by=["version_number DESC"])
    if not versions:
        known = [model.name for model in client.search_registered_models()]
        raise TrackingError(f"{source}: no registered model {name!r}; {nearest(name, known)}")
    if alias:
        aliases = client.get_registered_model(name).aliases
        if alias not in aliases:
            raise TrackingError(f"{source}: model {name!r} has no alias {alias!r}; {nearest(alias, aliases)}")
        number = str(aliases[alias])
    found = {str(version.version): version for version in versions}
    if number and number not in found:
        raise TrackingError(f"{source}: model {name!r} has no version {number}; {nearest(number, found)}")
    return found[number] if number else versions[0]


def _parse(source: str) -> tuple[str, str, str]:
    """Name, alias and version of a `models:/…` source; the latter two may be empty."""
    match = re.fullmatch(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))?", source)
    if match is None:
        raise TrackingError(f"{source}: must be models:/<name>@<alias>, models:/<name>/<version> or models:/<name>")
    return match["name"], match["alias"] or "", match["number"] or ""


def _version_of_run(client: MlflowClient, source: str) -> ModelVersion:
    run_id, _, alias = source.removeprefix("run:").partition("@")
    versions = client.search_model_versions(f"run_id = {_quoted(run_id)}")
    if not versions:
        client.get_run(run_id)  # says so when there is no such run at all
        raise TrackingError(f"{source}: the run has registered no model")
    fitting = [version for version in versions if not alias or alias in _aliases_at_birth(version)]
    if not fitting:
        known = {each for version in versions for each in _aliases_at_birth(version)}
        raise TrackingError(f"{source}: the run has registered no model as {alias!r}; {nearest(alias, known)}")
    return max(fitting, key=lambda version: (version.creation_timestamp, int(version.version)))


def _aliases_at_birth(version: ModelVersion) -> list[str]:
    """The aliases that a version was registered with; those of the registry move on to newer versions."""
    return str(version.tags.get("segsweep.aliases", "")).split(",")


def _quoted(text: str) -> str:
    """A text within MLflow's search language, which knows no escape."""
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise TrackingError(f"{text!r}: MLflow cannot look up a name that holds both kinds of quotes")


def _fetch(uri: str, version: ModelVersion, cache: Path) -> Path:
    """The model folder within a version's artifacts: where it lies, or a copy in `cache` when it lies on a server."""
    mlflow = load_mlflow()
    from mlflow.utils.file_utils import local_file_uri_to_path

    from segsweep.files import atomic_directory

    label = f"version {version.version} of {version.name!r}"
    location = client_of(uri).get_model_version_download_uri(version.name, version.version)
    if location.startswith(("file:", "/")):
        stored = Path(local_file_uri_to_path(location))
        if not stored.is_dir():
            raise TrackingError(f"{label} is no longer at {stored}; was the workspace moved or cleaned?")
    else:
        # a location holds an id of its own and never changes what it holds
        stored = cache / hashlib.sha256(f"{uri} {location}".encode()).hexdigest()[:32]
        if not stored.is_dir():
            with atomic_directory(stored) as aside:
                mlflow.artifacts.download_artifacts(location, dst_path=str(aside), tracking_uri=uri, registry_uri=uri)
    found = sorted(path.parent for path in stored.rglob("artifacts/*/config.json"))
    if not found:
        raise TrackingError(f"{label} is no network of Segsweep: it holds no model folder")
    _check_model_folder(found[0], label)
    return found[0]


def _check_model_folder(folder: Path, label: str) -> None:
    missing = [name for name in _MODEL_FILES if not (folder / name).is_file()]
    if not folder.is_dir():
        raise TrackingError(f"{label}: no such folder; write models:/<name>@<alias>, run:<id> or a model folder's path")
    if missing:
        raise TrackingError(f"{label}: is no model folder, it has no {' and no '.join(missing)}")
