"""What a registered model may be told beside the pictures.

MLflow keeps these names with the model, as its signature. It passes on no others, and only warns of them in its log.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from segsweep.typed import Strict

__all__ = ["Loading", "Parameters", "input_example", "signature"]


class Parameters(Strict):
    """The `params` of a prediction. All but `mode`, `output` and `probabilities` are the keys of `inference`.

    Attributes:
        mode: `auto` shows the network pictures as it was trained to see them; else the name of an inference mode, or
            the documented `mode` object as JSON text.
        output: `mask` for class indices, `objects` for an annotation in the Supervisely format.
        probabilities: Whether to add those of every class.
        resolution: See `segsweep.inference.InferenceSettings`, as for all that follow.
    """

    mode: str = "auto"
    output: Literal["mask", "objects"] = "mask"
    probabilities: bool = False
    resolution: Literal["auto", "input_size", "native"] = "auto"
    blend: Literal["uniform", "gaussian"] = "uniform"
    flip_average: bool = False
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    min_component: Annotated[int, Field(ge=0)] = 0
    shape: Literal["bitmap", "polygon"] = "bitmap"


class Loading(Strict):
    """What may be chosen when a model is loaded: MLflow's `model_config`.

    Attributes:
        device: `auto` is the first GPU, if there is one; `cpu`, or the index of a GPU.
        precision: `auto` takes bfloat16 where the hardware computes with it.
        max_pixels: Larger pictures are refused; the default is 8192x8192.
    """

    device: Annotated[int, Field(ge=0)] | Literal["auto", "cpu"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    max_pixels: Annotated[int, Field(ge=1)] = 2**26


_KINDS = {str: "string", bool: "boolean", int: "long", float: "double", type(None): "double"}


def signature() -> Any:
    """MLflow's signature of a registered model.

    It has no schema for the pictures: with one, MLflow would take tables only, and no arrays.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec

    fields = Parameters.model_fields.items()
    specs = [ParamSpec(name, _KINDS[type(field.default)], field.default) for name, field in fields]
    return ModelSignature(params=ParamSchema(specs))


def input_example() -> Any:
    """A table as a server takes it, for people who look at a model: one small grey PNG in base64."""
    import base64

    import numpy as np
    import pandas

    from segsweep.files import encode_image  # imports OpenCV, which changes the environment of the process

    png = encode_image(np.full((32, 32, 3), 128, np.uint8))
    return pandas.DataFrame({"image": [base64.b64encode(png).decode()]})
