"""Kinds of values that the keys of a configuration hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

__all__ = [
    "Classes",
    "Count",
    "Devices",
    "Name",
    "NotNegative",
    "PartsAtOnce",
    "Positive",
    "Precision",
    "RegisteredName",
    "Side",
    "Threshold",
]


def _check_devices(value: object) -> object:
    if value in ("auto", "cpu"):
        return value
    good = isinstance(value, list) and value and all(type(item) is int and item >= 0 for item in value)
    if not good:
        raise ValueError("must be 'auto', 'cpu' or a list of device numbers such as [0]")
    return value


def _one_component(value: str) -> str:
    if not value or value in {".", ".."} or any(sign in value for sign in '/\\\0\n"'):
        raise ValueError("must be a plain name without separators")
    return value


def _registrable(value: str) -> str:
    if not value.strip() or any(sign in value for sign in "/:@"):
        raise ValueError("must be a name without / : @, which MLflow and models:/name@alias need for themselves")
    return value


def _check_threshold(value: object) -> object:
    if value in (None, "train") or _is_share(value):
        return value
    if isinstance(value, dict) and value and all(map(_is_share, value.values())):
        return value
    raise ValueError(
        "must be a number from 0 to 1, a mapping of classes to such numbers, 'train' for the best one on the training "
        "images, or null"
    )


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _check_batch_size(value: object) -> object:
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    raise ValueError("must be 'auto' or a number of at least 1")


def _check_classes(value: object) -> object:
    if value == "__all__" or (isinstance(value, list) and all(isinstance(item, str) and item for item in value)):
        return value
    raise ValueError("must be __all__ or a list of names")


Devices = Annotated[Any, BeforeValidator(_check_devices)]
Threshold = Annotated[Any, BeforeValidator(_check_threshold)]
PartsAtOnce = Annotated[Any, BeforeValidator(_check_batch_size)]
Classes = Annotated[Any, BeforeValidator(_check_classes)]
Name = Annotated[str, AfterValidator(_one_component)]
RegisteredName = Annotated[str, AfterValidator(_registrable)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(ge=16, le=16384, multiple_of=16)]
Precision = Literal["auto", "fp32", "bf16"]
