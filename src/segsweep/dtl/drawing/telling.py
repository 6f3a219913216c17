"""What a layer's settings come to, in a word or two for a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from segsweep.dtl.graph import LayerSpec
from segsweep.dtl.names import SAVES

__all__ = ["telling_settings"]

_DEPTH = 4
_SPECIAL_CLASSES = {"__other__": "others", "__default__": "kept", "__ignore__": "dropped"}
_UNITS = {"percent": " %", "degrees": "°"}


def telling_settings(layer: LayerSpec) -> list[str]:
    """Short phrases such as `axis: vertical`, `×10` or `width, height: 70–90 %`; what is off is not told."""
    if layer.action in SAVES:
        return [*layer.dst, *_phrases(layer.settings)]
    return _OWN[layer.action](layer) if layer.action in _OWN else _phrases(layer.settings)


def _data(layer: LayerSpec) -> list[str]:
    return [", ".join(layer.src), *_phrases(layer.settings)]


def _tag(layer: LayerSpec) -> list[str]:
    tag = layer.settings.get("tag")
    text = f"{tag.get('name')}: {tag.get('value')}" if isinstance(tag, Mapping) else _value(tag)
    return [("− " if layer.settings.get("action") == "delete" else "+ ") + text]


_OWN: Mapping[str, Callable[[LayerSpec], list[str]]] = {
    "data": _data,
    "dummy": lambda layer: [],  # its settings mean nothing
    "multiply": lambda layer: [f"×{_value(layer.settings.get('multiply'))}"],
    "tag": _tag,
}


def _phrases(settings: Mapping[Any, Any]) -> list[str]:
    """`key: value` for what is inside, keys with equal values together."""
    told: dict[str, list[str]] = {}  # value -> keys; flags have their own name as value
    for key, value in _flat(settings):
        told.setdefault(value or key, []).append(key if value else "")
    return [f"{', '.join(filter(None, keys))}: {text}" if any(keys) else text for text, keys in told.items()]


def _flat(settings: Mapping[Any, Any], depth: int = 0) -> list[tuple[str, str]]:
    """(key, value) of everything inside; a range has an empty key where its name is that of what it lies in.

    A flag has an empty value.
    """
    found: list[tuple[str, str]] = []
    rest = dict(settings)
    for low in [key for key in settings if str(key).startswith("min")]:
        tail = str(low)[3:]
        high = f"max{tail}"
        if _is_number(settings[low]) and _is_number(settings.get(high)):
            unit = tail.lstrip("_")
            text = _range(settings[low], settings[high]) + _UNITS.get(unit, "")
            found.append(("" if unit in _UNITS else unit, text))
            del rest[low], rest[high]
    for key, value in rest.items():
        name = str(key)
        if name == "classes_mapping" and isinstance(value, Mapping):
            found += [("", f"{_class(old)} → {_class(new)}") for old, new in value.items()]
        elif isinstance(value, Mapping):
            pair = _pair(value)
            inner = [("", pair)] if pair else _flat(value, depth + 1) if depth < _DEPTH else [("", "…")]
            if len(inner) == 1 and not inner[0][1]:
                found.append((name, inner[0][0]))
            else:
                found += [(inner_key or name, text) for inner_key, text in inner]
        elif value is True:
            found.append((name, ""))
        elif value is not None and value is not False and not (name == "classes_mapping" and value == "default"):
            found.append((name, _value(value) or "''"))
    return found


def _pair(value: Mapping[Any, Any]) -> str:
    """A size or a place of two numbers as `48×40`; empty when it is something else."""
    for names in (("width", "height"), ("x", "y")):
        if set(value) == set(names) and all(_is_number(value[name]) for name in names):
            return "×".join(_value(value[name]) for name in names)
    return ""


def _range(low: float, high: float) -> str:
    if low == high:
        return _value(low)
    return f"{_value(low)} … {_value(high)}" if low < 0 else f"{_value(low)}–{_value(high)}"


def _class(name: object) -> str:
    return _SPECIAL_CLASSES.get(str(name), _value(name))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}".replace("-", "−")
    if isinstance(value, int):
        return str(value).replace("-", "−")
    if isinstance(value, list | tuple):
        return ", ".join(str(item) if not isinstance(item, list | tuple | Mapping) else "…" for item in value[:20])
    return str(value)
