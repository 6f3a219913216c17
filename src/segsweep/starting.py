"""Where a training starts: what `model.weights` names, as a model folder or a file of weights."""

from __future__ import annotations

from pathlib import Path

from segsweep.models.folder import model_path
from segsweep.models.pretrained import PRETRAINED, pretrained_file
from segsweep.reporting import SILENT, Reporter
from segsweep.tracking import Store, resolve_model

__all__ = ["starting_model"]


def starting_model(store: Store | Path | str, source: str, reporter: Reporter = SILENT) -> Path:
    """The model folder, or the file of weights, that a training starts from.

    Args:
        store: An opened store, a workspace's folder, or a tracking URI.
        source: The name of published weights (`models.pretrained.PRETRAINED`), the path of a file, or whatever
            `tracking.resolve_model` takes: a registered model, a run, the path of a model folder.
        reporter: Told of a download.

    Raises:
        DataError: Published weights cannot be had.
        TrackingError: There is no such model.
    """
    if source in PRETRAINED:
        return pretrained_file(source, reporter)
    path = Path(source).expanduser()
    return model_path(path) if path.is_file() else resolve_model(store, source)
