"""Networks in MLflow's model registry."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.tracking.parameters import Loading, input_example, signature
from segsweep.tracking.quiet import load_mlflow, tracking_errors
from segsweep.tracking.resolve import MODEL_FILES, check_model_folder, is_there, quoted
from segsweep.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, LoggedModelOutput
    from mlflow.entities.model_registry import ModelVersion

    from segsweep.tracking.run import TrackedRun

__all__ = ["REQUIREMENTS", "SERVING_CODE", "add_model", "register_model"]

SERVING_CODE = Path(__file__).resolve().parents[1] / "serving" / "entry.py"
"""The code that MLflow keeps with a model and runs to load it."""

REQUIREMENTS = ("segsweep", "mlflow", "torch", "numpy", "opencv-python-headless", "pandas")
"""What a served model needs; the installed versions are pinned, since working them out takes MLflow 11 s."""

_WAIT_SECONDS = 60
_DIGEST = "segsweep.digest"
_MODEL = "segsweep.model_id"


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

    The same network is registered once: of a training that was used again, the run gets the MLflow model that is there
    among its outputs, and the version that is there gets the aliases.

    Args:
        store: Where it is stored.
        run: The run that trained it, or used its training again.
        model_folder: `config.json` and `model.pt`.
        name: The registered model's name; made when new.
        aliases: Names that from now on mean this version: `best`, `last`.
        code: A Python file that calls `mlflow.models.set_model`; finds the model folder as its artifact `model`.

    Returns:
        The version's number.

    Raises:
        TrackingError: The folder is no model folder, or the store cannot be written.
    """
    check_model_folder(model_folder, str(model_folder))
    with tracking_errors(f"the model in {model_folder} cannot be registered as {name!r}"):
        known = _registered_already(store.client, model_folder, name)
        if known is not None:
            store.client.log_outputs(run.run_id, [_output(known.tags[_MODEL])])
            _give_aliases(store.client, known, aliases)
            return str(known.version)
    return add_model(store, model_folder, name, run_id=run.run_id, aliases=aliases, code=code)


def _registered_already(client: MlflowClient, model_folder: Path, name: str) -> ModelVersion | None:
    """The newest version that a run registered of the very same network, if its files are still there."""
    wanted = f"name = {quoted(name)} AND tags.`{_DIGEST}` = '{_digest(model_folder)}'"
    for version in client.search_model_versions(wanted, order_by=["version_number DESC"]):
        if _MODEL in version.tags and is_there(client.get_model_version_download_uri(name, version.version)):
            return version
    return None


def _digest(model_folder: Path) -> str:
    from segsweep.files import digest_files  # imports OpenCV, which changes the environment of the process

    return digest_files(model_folder, [model_folder / name for name in MODEL_FILES])


def _output(model_id: str) -> LoggedModelOutput:
    from mlflow.entities import LoggedModelOutput

    return LoggedModelOutput(model_id, step=0)


def _give_aliases(client: MlflowClient, version: ModelVersion, aliases: Sequence[str]) -> None:
    """Makes aliases mean a version from now on."""
    for alias in aliases:
        client.set_registered_model_alias(version.name, alias, version.version)


def add_model(
    store: Store,
    model_folder: Path,
    name: str,
    *,
    run_id: str | None = None,
    aliases: Sequence[str] = ("last",),
    description: str = "",
    credit: str = "",
    code: Path = SERVING_CODE,
) -> str:
    """Does what `register_model` does, for a network that comes from anywhere.

    Args:
        store: Where it is stored; the MLflow model belongs to the store's experiment.
        model_folder: `config.json` and `model.pt`.
        name: The registered model's name; made when new.
        run_id: The run that trained it, if it is one of the store's.
        aliases: Names that from now on mean this version.
        description: What people should know of this version.
        credit: Whose it is, and under which licence.
        code: As for `register_model`.

    Returns:
        The version's number.

    Raises:
        TrackingError: The folder is no model folder, or the store cannot be written.
    """
    check_model_folder(model_folder, str(model_folder))
    client = store.client
    tags = {"segsweep.aliases": ",".join(aliases), _DIGEST: _digest(model_folder), **_facts(model_folder)}
    with tracking_errors(f"the model in {model_folder} cannot be registered as {name!r}"):
        logged = _store_model(store, client, run_id, model_folder, code, "-".join(aliases) or "model")
        _make_registered_model(client, name)
        version = client.create_model_version(
            name,
            source=logged.artifact_location,  # `models:/<id>` would be looked up in MLflow's global store
            run_id=run_id,
            tags=tags | {_MODEL: logged.model_id} | ({"segsweep.credit": credit} if credit else {}),
            description=description or None,
            await_creation_for=_WAIT_SECONDS,
            model_id=logged.model_id if run_id else None,  # without a run it would be looked up there too
        )
        known_as = [{"name": name, "version": version.version}]
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps(known_as)})
        _give_aliases(client, version, aliases)
    return str(version.version)


def _facts(model_folder: Path) -> dict[str, str]:
    """What a list of models shows, as tags, so that no model need be fetched to be listed."""
    from segsweep.files import read_json  # imports OpenCV, which changes the environment of the process

    config = read_json(model_folder / "config.json")
    model = config.get("model", {"name": "unet_v2", "width": 64})  # a folder of the original does not say
    indices: dict[str, int] = config.get("class_title_to_idx", {})
    size = config.get("settings", {}).get("input_size")
    return {
        "segsweep.architecture": model["name"],
        "segsweep.width": str(model["width"]),
        "segsweep.classes": json.dumps(sorted(indices, key=lambda title: indices[title]), ensure_ascii=False),
        "segsweep.input_size": f"{size['width']}x{size['height']}" if size else "",
    }


def _store_model(
    store: Store, client: MlflowClient, run_id: str | None, folder: Path, code: Path, name: str
) -> LoggedModel:
    """Logs the MLflow model with clients only: `mlflow.pyfunc.log_model` works on MLflow's global store and run."""
    mlflow = load_mlflow()
    from mlflow.models import Model

    logged = client.create_logged_model(store.experiment_id, name, source_run_id=run_id, model_type="segmentation")
    done = False
    try:
        with tempfile.TemporaryDirectory(prefix="segsweep-model-") as scratch, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it would have type hints
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
                signature=signature(),
                input_example=input_example(),
                model_config=Loading().model_dump(),
                metadata=_facts(folder),
            )  # fmt: skip
            client.log_model_artifacts(logged.model_id, str(place))
        done = True
    finally:
        client.finalize_logged_model(logged.model_id, "READY" if done else "FAILED")
    if run_id is not None:
        client.log_outputs(run_id, [_output(logged.model_id)])
    return logged


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
