"""What runs left in their store: files, the table of their test images, curves, the memory they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import numpy as np
from numpy.typing import NDArray

from segsweep.comparison.intervals import Counted
from segsweep.errors import DataError
from segsweep.evaluation.counts import Counts
from segsweep.tracking.names import artifact_path
from segsweep.tracking.quiet import tracking_errors

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["CURVES", "MEMORY", "Curve", "Files", "peak_memory", "read_curves", "read_tested"]

CURVES = ("train/loss", "val/loss", "train/dice", "val/dice")
MEMORY = ("system/gpu_0_memory_usage_megabytes", "system/system_memory_usage_megabytes")
"""The first that was measured is what a run's memory is told by."""

_TABLE = "evaluation/per_image.csv"
_MOST_BYTES = 64 * 1024 * 1024
_MOST_POINTS = 300
_COUNTS = ("tp", "fp", "fn", "tn")
_HEAD = 4
"""Columns before the scores: dataset, image, class, region."""


@dataclass(frozen=True)
class Curve:
    """A metric over the course of a run: int64 steps and float64 values, of one length."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Files:
    """Artifacts of runs as files; those of a server are fetched into `scratch`."""

    client: MlflowClient
    scratch: Path

    def get(self, run: Run, path: str) -> Path | None:
        """The file of an artifact, or None where the run has none of that path."""
        folder = _local(run.info.artifact_uri)
        wanted = artifact_path(path)
        if folder is not None:
            file = folder / wanted
            return file if file.is_file() else None
        file = self.scratch / str(run.info.run_id) / wanted
        if file.is_file():
            return file
        with tracking_errors(f"artifacts of run {run.info.run_id} cannot be read"):
            listed = self.client.list_artifacts(run.info.run_id, wanted.rpartition("/")[0] or None)
            if not any(item.path == wanted and not item.is_dir for item in listed):
                return None
            target = self.scratch / str(run.info.run_id)
            target.mkdir(parents=True, exist_ok=True)
            return Path(self.client.download_artifacts(run.info.run_id, wanted, str(target)))


def _local(uri: str) -> Path | None:
    parts = urlparse(uri)
    return Path(unquote(parts.path)) if parts.scheme in {"", "file"} else None


def read_tested(run: Run, files: Files) -> Counted | None:
    """What the run's test counted, in its headline region; None where it was not tested.

    Raises:
        DataError: Its table is not one of ours.
    """
    path = files.get(run, _TABLE)
    if path is None:
        return None
    import pandas as pd

    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{_TABLE} of run {run.info.run_name} is larger than {_MOST_BYTES} bytes")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)  # a class may be called NA
        return _tested(table, run.data.params.get("evaluation.average", "image"))
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(f"{_TABLE} of run {run.info.run_name} cannot be read: {error}") from error


def _tested(table: pd.DataFrame, average: str) -> Counted:
    import pandas as pd

    region = str(table["region"].iloc[0])  # the headline region comes first
    rows = table[table["region"] == region]
    classes = tuple(dict.fromkeys(rows["class"].tolist()))
    images = tuple(sorted(set(zip(rows["dataset"], rows["image"], strict=True))))
    if len(rows) != len(images) * len(classes):
        raise ValueError(f"{len(rows)} rows for {len(images)} images and {len(classes)} classes")
    at_image = {image: place for place, image in enumerate(images)}
    at_class = {title: place for place, title in enumerate(classes)}
    cells = (
        [at_image[key] for key in zip(rows["dataset"], rows["image"], strict=True)],
        [at_class[title] for title in rows["class"]],
    )
    grids = {key: np.full((len(images), len(classes)), np.nan) for key in rows.columns[_HEAD:]}
    for key, grid in grids.items():
        grid[cells] = pd.to_numeric(rows[key].replace("", "nan"))
    counts = Counts(**{key: grids.pop(key).astype(np.int64) for key in _COUNTS})
    return Counted(images, classes, counts, grids, region, average)


def read_curves(client: MlflowClient, run: Run, keys: Sequence[str] = CURVES) -> Mapping[str, Curve]:
    """The curves of metrics that the run has, thinned to at most 300 points each, first and last kept."""
    return {key: curve for key in keys if key in run.data.metrics and len((curve := _curve(client, run, key)).steps)}


def _curve(client: MlflowClient, run: Run, key: str) -> Curve:
    with tracking_errors(f"{key} of run {run.info.run_id} cannot be read"):
        points = {item.step: item.value for item in client.get_metric_history(run.info.run_id, key)}
    finite = [(step, value) for step, value in sorted(points.items()) if np.isfinite(value)]
    if len(finite) > _MOST_POINTS:
        finite = [finite[int(place)] for place in np.linspace(0, len(finite) - 1, _MOST_POINTS)]
    steps, values = zip(*finite, strict=True) if finite else ((), ())
    return Curve(np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))


def peak_memory(client: MlflowClient, run: Run) -> tuple[str, float] | None:
    """The metric of memory that was measured and its largest value, in megabytes."""
    key = next((key for key in MEMORY if key in run.data.metrics), None)
    if key is None:
        return None
    curve = _curve(client, run, key)
    return (key, float(curve.values.max())) if len(curve.values) else None
