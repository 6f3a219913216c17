"""MLflow, imported late, without chatter and without telemetry.

Importing mlflow takes about 2 s and reads its environment once, at that moment. So it is imported here, by the first
function that needs it, and the environment is put back as it was.
"""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from segsweep.errors import TrackingError, UnknownNameError

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["client_of", "load_mlflow", "tracking_errors", "without_printing"]

_WHILE_IMPORTING = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}

_NO_BARS = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
"""Where tqdm is installed, MLflow would draw a bar for two small files among our own."""

_NOT_THERE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


@functools.cache
def load_mlflow() -> Any:
    """The module `mlflow`, with telemetry off and its log at warnings, unless the user's environment says otherwise."""
    with _defaults(_WHILE_IMPORTING), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("mlflow")


@contextmanager
def without_printing() -> Iterator[None]:
    """Within the block MLflow prints no links; with a server as its store it would, to stdout, when a run ends."""
    with _defaults({"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}):
        yield


@contextmanager
def _defaults(values: Mapping[str, str]) -> Iterator[None]:
    """Sets variables of the environment that are not set, for the length of the block."""
    missing = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for key in missing:
            os.environ.pop(key, None)


def client_of(uri: str) -> MlflowClient:
    """A client of one store, for tracking and for the registry, whatever the environment or the process has set."""
    return load_mlflow().MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def tracking_errors(doing: str, *, named: bool = False) -> Iterator[None]:
    """Turns what MLflow, its database or its connection raise within the block into a `TrackingError`.

    Args:
        doing: What cannot be done then, and where; the message begins with it.
        named: Whether it is what the user named that is looked up: what MLflow does not know, or cannot read, is then
            an `UnknownNameError`.
    """
    mlflow = load_mlflow()
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _defaults(_NO_BARS):
            yield
    except (mlflow.exceptions.MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        unknown = named and getattr(error, "error_code", "") in _NOT_THERE
        raise (UnknownNameError if unknown else TrackingError)(f"{doing}: {reason[0]}") from error
