"""Artifacts of a run: pictures, tables, files and folders, under names that MLflow's UI can open again."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import numpy as np
from numpy.typing import NDArray

from segsweep.errors import DataError
from segsweep.tracking.names import artifact_path, series_key
from segsweep.tracking.quiet import tracking_errors

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["Uploader", "read_text"]

THUMBNAIL = 256
"""Pixels of the longer side of a thumbnail in the UI's image grid, as MLflow makes them."""


class Uploader:
    """Writes artifacts of one run.

    Args:
        client: MLflow's client.
        run_id: The run.
        scratch: A folder for what has to be a file before it can be uploaded.
    """

    def __init__(self, client: MlflowClient, run_id: str, scratch: Path) -> None:
        self._client = client
        self._run_id = run_id
        self._scratch = scratch
        self._marked_series = False
        self._last: tuple[NDArray[np.uint8], bytes] | None = None
        self._tables: list[dict[str, str]] | None = None

    def write(self, path: str, data: bytes) -> None:
        """Writes bytes to the artifact `path`."""
        folder, _, name = path.rpartition("/")
        staged = self._scratch / name
        staged.write_bytes(data)
        self._client.log_artifact(self._run_id, str(staged), folder or None)
        staged.unlink()

    def picture(self, name: str, image: NDArray[np.uint8]) -> None:
        """Writes `<name>.png`; uint8, HxW or HxWx3 RGB."""
        self.write(artifact_path(f"{name}.png"), self._encoded(image))

    def series_picture(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """Writes a picture and its thumbnail as `MlflowClient.log_image(key=, step=)` names them.

        The UI finds the series by these names and one tag; OpenCV writes them five times faster than MLflow does.
        """
        key = series_key(name).replace("/", "~")
        stem = f"images/{key}+step+{step}+timestamp+{time.time_ns() // 1_000_000}+{uuid.uuid4()}"
        self.write(f"{stem}.png", self._encoded(image))
        self.write(f"{stem}+compressed.webp", _thumbnail(image))
        if not self._marked_series:
            self._client.set_tag(self._run_id, "mlflow.loggedImages", "True", synchronous=True)
            self._marked_series = True

    def _encoded(self, image: NDArray[np.uint8]) -> bytes:
        """A picture as PNG; one that comes twice in a row, alone and in a series, is encoded once."""
        from segsweep.files import encode_image

        if self._last is None or not np.array_equal(self._last[0], image):
            self._last = image.copy(), encode_image(image)
        return self._last[1]

    def table(self, name: str, table: pd.DataFrame) -> None:
        """Writes `<name>.csv` and `<name>.json` in the form of `MlflowClient.log_table`, without appending to it."""
        path = artifact_path(f"{name}.json")
        self.write(artifact_path(f"{name}.csv"), table.to_csv(index=False).encode())
        self.write(path, table.to_json(orient="split", index=False, date_format="iso").encode())
        if self._tables is None:  # a run that goes on has some already
            tags = self._client.get_run(self._run_id).data.tags
            self._tables = json.loads(tags.get("mlflow.loggedArtifacts", "[]"))
        entry = {"path": path, "type": "table"}
        if entry not in self._tables:
            self._tables.append(entry)
            text = json.dumps(self._tables)
            self._client.set_tag(self._run_id, "mlflow.loggedArtifacts", text, synchronous=True)

    def upload(self, path: Path, folder: str) -> None:
        """Copies a file or a folder to `<folder>/<its name>`.

        Raises:
            DataError: There is nothing at `path`.
        """
        target = artifact_path(folder) if folder else ""
        name = artifact_path(path.name)
        if path.is_dir():
            source = _openable(path, self._scratch / "folder")
            self._client.log_artifacts(self._run_id, str(source), f"{target}/{name}".lstrip("/"))
        elif path.is_file():
            source = path if name == path.name else Path(shutil.copyfile(path, self._scratch / name))
            self._client.log_artifact(self._run_id, str(source), target or None)
        else:
            raise DataError(f"{path}: no such file or folder to keep")
        if source != path:
            shutil.rmtree(source) if source.is_dir() else source.unlink()


def _openable(folder: Path, copy: Path) -> Path:
    """`folder`, or its content at `copy` when names in it could not be opened again in the UI."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path: path.relative_to(folder).as_posix() for path in files}
    if all(artifact_path(name) == name for name in names.values()):
        return folder
    for path, name in names.items():
        target = copy / artifact_path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return copy


def _thumbnail(image: NDArray[np.uint8]) -> bytes:
    """A small WebP, which the UI's grid shows until someone clicks on it."""
    import cv2

    height, width = image.shape[:2]
    scale = THUMBNAIL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    pixels = cv2.cvtColor(small, cv2.COLOR_RGB2BGR) if small.ndim == 3 else small
    _, data = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 80])
    return bytes(data)


def read_text(client: MlflowClient, run: Run, path: str) -> str | None:
    """The text of an artifact of a run; None where the run has none of that path.

    Raises:
        TrackingError: The store cannot be read.
    """
    with tracking_errors(f"{path} of run {run.info.run_id} cannot be read"):
        place = urlparse(str(run.info.artifact_uri))
        if place.scheme in {"", "file"}:
            file = Path(unquote(place.path)) / path
            return file.read_text(encoding="utf-8") if file.is_file() else None
        folder = path.rpartition("/")[0]
        if not any(item.path == path for item in client.list_artifacts(run.info.run_id, folder or None)):
            return None
        with tempfile.TemporaryDirectory(prefix="segsweep-run-") as scratch:
            return Path(client.download_artifacts(run.info.run_id, path, scratch)).read_text(encoding="utf-8")
