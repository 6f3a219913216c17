"""`Predictor` as MLflow loads and calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException

from segsweep.errors import Problems, SegsweepError
from segsweep.serving.predictor import Predictor
from segsweep.tracking.parameters import Loading
from segsweep.typed import parse

__all__ = ["SegmentationModel", "WrongRequestError"]


class WrongRequestError(MlflowException):  # type: ignore[misc]  # MLflow has no types
    """What cannot be predicted, and why: status 400 of a server, with this message alone.

    MLflow's server would write the whole input before the message, which may be megabytes of base64.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason
        super().__init__(reason, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """The reason."""
        return self._reason

    @message.setter
    def message(self, text: str) -> None:
        """Changes nothing."""


class SegmentationModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A network in a model folder, as a pyfunc."""

    # MLflow would warn at every loading that a type hint of `model_input` is missing, or is none that it understands.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Loads the network from the model folder that was stored as the artifact `model`.

        Raises:
            InvalidRequestError: The model's configuration holds what is not possible.
        """
        problems = Problems()
        loading = parse(Loading, context.model_config or {}, problems, "model_config")
        problems.raise_if_any("the model cannot be loaded")
        assert loading is not None
        self.predictor = Predictor(Path(context.artifacts["model"]), loading)

    def predict(self, context: Any, model_input, params: dict[str, Any] | None = None) -> Any:  # type: ignore[no-untyped-def]
        """See `Predictor.__call__`; `context` is MLflow's and was read when the model was loaded.

        Raises:
            WrongRequestError: See there.
        """
        try:
            return self.predictor(model_input, params or {})
        except SegsweepError as error:
            raise WrongRequestError(str(error)) from error
