"""Kinds of values that the keys of a configuration hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

__all__ = ["Count", "Devices", "Name", "NotNegative", "Positive", "Precision", "RegisteredName", "Side"]


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


Devices = Annotated[Any, BeforeValidator(_check_devices)]
Name = Annotated[str, AfterValidator(_one_component)]
RegisteredName = Annotated[str, AfterValidator(_registrable)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(ge=16, le=16384, multiple_of=16)]
Precision = Literal["auto", "fp32", "bf16"]
