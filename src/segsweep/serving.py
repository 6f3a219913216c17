"""The registered model as MLflow serves it: pictures in, masks of class indices out.

MLflow keeps a copy of this file with every version ("models from code") and runs it to load the model; the network
itself lies beside it as a model folder. So nothing is pickled, and Segsweep must be installed where it is served.

    model = mlflow.pyfunc.load_model("models:/UNet Trained@best")
    masks = model.predict([{"image": rgb}])                          # arrays in, arrays out
    masks = model.predict(pandas.DataFrame({"image": [base64_png]}), params={"probabilities": True})
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from numpy.typing import NDArray

from segsweep.errors import DataError, nearest

__all__ = ["Predictor", "SegmentationModel"]

MODES = ("auto", "native", "full_image")
MAX_ENCODED = 256 * 1024 * 1024
"""Characters of an encoded picture that are taken, before anything is decoded."""


class Predictor:
    """A trained network that takes what MLflow's `predict` is given.

    Args:
        folder: A model folder. The network runs on the first GPU, if there is one.
    """

    def __init__(self, folder: Path) -> None:
        from segsweep.models.devices import choose_device
        from segsweep.models.folder import load_model

        network, self.config = load_model(folder)
        self.network = network.to(choose_device("auto"))

    def __call__(self, model_input: Any, params: Mapping[str, Any]) -> Any:
        """Masks of class indices, uint8 HxW, of the pictures' own size; indices as in `class_title_to_idx`.

        Args:
            model_input: One picture (uint8 HxWx3 RGB), a batch of them, a list, or a table or records with a column
                `image`. A picture may also be a text: a PNG or JPEG file in base64; its mask is then a PNG in base64.
            params: `probabilities` (false): each result is `{"mask", "probabilities"}`, the latter float32 CxHxW, or
                for a text one 16-bit grey PNG in base64 per class, where 65535 is 1. `mode` (`auto`): `native` for the
                whole picture at its own resolution, `full_image` squeezed to the training's input size, `auto` for
                what the network was trained on.

        Returns:
            The result for one picture, else a list of results in the order of the pictures.

        Raises:
            DataError: A picture cannot be read, or has another shape or type; an unknown mode.
        """
        wanted = {"probabilities": False, "mode": "auto"} | dict(params)
        if wanted["mode"] not in MODES:
            raise DataError(f"params.mode: unknown mode {wanted['mode']!r}; {nearest(wanted['mode'], MODES)}")
        if isinstance(model_input, np.ndarray) and model_input.ndim == 3:
            return self._result(model_input, wanted)
        return [self._result(picture, wanted) for picture in _pictures(model_input)]

    def _result(self, picture: Any, wanted: Mapping[str, Any]) -> Any:
        from segsweep.inference.network import probabilities

        encoded = isinstance(picture, str)
        image = _decoded(picture) if encoded else _checked(np.asarray(picture))
        settings = self.config.settings
        squeeze = wanted["mode"] == "full_image" or (wanted["mode"] == "auto" and settings.get("sampling") != "crop")
        size = settings.get("input_size") if squeeze else None
        found = probabilities(
            self.network,
            image,
            None if size is None else (size["width"], size["height"]),
            standardised=self.config.standardised,
            divisor=self.config.divisor,
        )
        mask = found.argmax(axis=0).astype(np.uint8)
        if not wanted["probabilities"]:
            return _encoded(mask) if encoded else mask
        if not encoded:
            return {"mask": mask, "probabilities": found}
        layers = np.round(found.clip(0, 1) * 65535).astype(np.uint16)
        return {"mask": _encoded(mask), "probabilities": [_encoded(layer) for layer in layers]}


def _pictures(model_input: Any) -> Iterable[Any]:
    """The pictures of a table, of records, of a mapping with one column, of a batch or of a list."""
    if hasattr(model_input, "columns") or isinstance(model_input, Mapping):
        if "image" not in model_input:
            raise DataError(f"the input has no column 'image'; it has {', '.join(map(str, model_input)) or 'none'}")
        column = model_input["image"]
        return [column] if isinstance(column, str) else list(column)
    if isinstance(model_input, str):
        return [model_input]
    return [item["image"] if isinstance(item, Mapping) else item for item in model_input]


def _checked(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(f"a picture must be HxWx3 RGB, not of shape {image.shape}")
    if not np.issubdtype(image.dtype, np.integer) or image.min() < 0 or image.max() > 255:
        raise DataError(f"a picture must hold whole numbers from 0 to 255 (uint8), not {image.dtype}")
    return np.ascontiguousarray(image, dtype=np.uint8)


def _decoded(text: str) -> NDArray[np.uint8]:
    from segsweep.files import read_image

    if len(text) > MAX_ENCODED:
        raise DataError(f"an encoded picture of {len(text)} characters is more than the {MAX_ENCODED} that are allowed")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"an encoded picture is no base64: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        path.write_bytes(data)
        return read_image(path)


def _encoded(picture: NDArray[Any]) -> str:
    from segsweep.files import encode_image

    return base64.b64encode(encode_image(picture)).decode()


class SegmentationModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow has no types
    """`Predictor` as MLflow calls it."""

    # MLflow would warn at every loading that a type hint of `model_input` is missing, or is none that it understands.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Loads the network from the model folder that was stored as the artifact `model`."""
        self.predictor = Predictor(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input, params: dict[str, Any] | None = None) -> Any:  # type: ignore[no-untyped-def]
        """See `Predictor.__call__`; `context` is MLflow's and was read when the model was loaded."""
        return self.predictor(model_input, params or {})


mlflow.models.set_model(SegmentationModel())
