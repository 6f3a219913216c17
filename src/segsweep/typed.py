"""Typed settings: what a mapping may hold, and pydantic's findings in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from segsweep.errors import Problems

__all__ = ["Strict", "parse", "parse_what_is_right"]

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """Base of all typed settings: no unknown keys, no silent conversions, no infinities, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())


def parse(model: type[Model], values: Mapping[str, Any], problems: Problems, where: str) -> Model | None:
    """The typed settings, or None with every problem noted under the key `where`."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as failure:
        _note(failure, model, values, problems, where, ())
        return None


def parse_what_is_right(
    model: type[Model],
    values: Mapping[str, Any],
    problems: Problems,
    where: str = "",
    known_missing: Sequence[str] = (),
) -> Model | None:
    """The typed settings with every problem noted, so that what is right can be checked further in the same go.

    Args:
        model: The type that is asked for.
        values: What was given.
        problems: Where the problems go.
        where: The key that `values` stand under; empty for the top.
        known_missing: Keys whose absence was told already.

    Returns:
        The settings; wrong ones are at their defaults. None when one that has no default is wrong or missing.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as failure:
        _note(failure, model, values, problems, where, known_missing)
        sound: Any = dict(values)
        for error in failure.errors():
            sound = _without(sound, _present(values, error["loc"]))
    try:
        return model.model_validate(sound)
    except ValidationError:
        return None


def _note(
    failure: ValidationError,
    model: type[BaseModel],
    values: Mapping[str, Any],
    problems: Problems,
    where: str,
    known_missing: Sequence[str],
) -> None:
    """Notes what pydantic found: the key, the value, what is allowed, the nearest spelling."""
    for detail in failure.errors(include_url=False):
        path = _present(values, detail["loc"])
        if detail["type"] == "missing":
            path = (*path, detail["loc"][len(path)])
        key = ".".join([*([where] if where else []), *map(str, path)])
        if detail["type"] == "missing":
            if key not in known_missing:
                problems.add(key, "must be given", f"add {key}=…")
        elif detail["type"] == "extra_forbidden":
            problems.unknown(key, str(path[-1]), _known_keys(model, path[:-1]), kind="key")
        elif detail["type"] == "value_error" and detail["input"] == values:
            problems.add(key, _allowed(detail))  # a rule about several keys: repeating them all would help nobody
        else:
            problems.add(key, f"{detail['input']!r} is not possible", _allowed(detail))


def _present(values: Any, place: Sequence[int | str]) -> tuple[int | str, ...]:
    """The part of an error's place that is in the values; pydantic appends the names of types that it tried."""
    if place and isinstance(values, Mapping) and place[0] in values:
        return (place[0], *_present(values[place[0]], place[1:]))
    if place and isinstance(values, list | tuple) and isinstance(place[0], int):
        return (place[0], *_present(values[place[0]], place[1:]))
    return ()


def _without(values: Any, place: Sequence[int | str]) -> Any:
    """Nested mappings without the entry at a place."""
    if not place or not isinstance(values, Mapping):
        return values
    first, rest = place[0], place[1:]
    if rest and isinstance(values.get(first), Mapping):
        return {**values, first: _without(values[first], rest)}
    return {key: value for key, value in values.items() if key != first}


def _known_keys(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """The keys that nested settings at `path` may have."""
    for part in path:
        field = next((item for name, item in model.model_fields.items() if part in {name, item.alias}), None)
        kinds: tuple[Any, ...] = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return [item.alias or name for name, item in model.model_fields.items()]


_KINDS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "finite_number": "must be a finite number",
    "string_too_short": "must not be empty",
}
_BOUNDS = {
    "greater_than": ("must be greater than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
    "multiple_of": ("must be a multiple of", "multiple_of"),
}


def _allowed(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{words} {context[key]:g}"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern']}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    return detail["msg"][:1].lower() + detail["msg"][1:]
