"""The inference stage: a trained network and a project in, a project with predictions out.

Importing it imports no torch; `predict` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segsweep.inference.modes import MODES, check_mode, settings_from_mode
from segsweep.inference.result import PredictionResult
from segsweep.inference.settings import InferenceSettings
from segsweep.reporting import SILENT, Reporter

__all__ = ["MODES", "InferenceSettings", "PredictionResult", "check_mode", "predict", "settings_from_mode"]


def predict(
    model: Path,
    project: Path,
    result: Path,
    settings: InferenceSettings,
    *,
    reporter: Reporter = SILENT,
    provenance: Mapping[str, Any] | None = None,
) -> PredictionResult:
    """Applies a network to every image of a project; the result appears whole or not at all.

    The result keeps the datasets, images, tags and objects of the project. After an image's own objects come the
    predicted ones in the order of class indices, then saved rectangles; around objects (`Boxes`) it is what is
    predicted there, the box and the object, for each object.

    Args:
        model: A model folder.
        project: The project to predict.
        result: Folder of the result project; when it exists with the same fingerprint in its provenance, it is used.
        settings: How to predict.
        reporter: Gets progress, and a warning for each image that cannot be read and is left out.
        provenance: Kept in the result's `segsweep.json`.

    Raises:
        InvalidRequestError: Names of predicted classes are taken in the project, or none is selected.
        DataError: The model or the project cannot be read, or nothing is left of an image in a region of interest.
        FileExistsError: `result` exists and is something else.
    """
    from segsweep.inference.run import run_prediction

    return run_prediction(model, project, result, settings, reporter, provenance or {})
