"""A graph as it is written: layers, and the connections between them.

Two forms are read. The documented one is a list of `{action, src, dst, settings}`; its layers are named by their
action (`flip`, `flip_2` …). Ours is a mapping from a layer's name to the same object, so that a single setting can be
overridden by its path; there `dst` may be left out (`$<name>`; for layers with several outputs a list of
`$<name>_<output>`, such as `$<name>_true` and `$<name>_false` of an `if`), `src` may name layers without the `$`, and
a layer set to null is dropped. An action may be called by an alias; what is read has its own name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segsweep.dtl.layers import ALIASES, LAYERS
from segsweep.dtl.names import DISCARD, SAVES
from segsweep.errors import InvalidRequestError, Problem, Problems

__all__ = ["LayerSpec", "read_layers"]

_KEYS = ("action", "src", "dst", "settings")
_ALL_LAYERS = "segsweep dtl --layers lists all"
_NAME = re.compile(r"\w[\w-]*", re.ASCII)


@dataclass(frozen=True)
class LayerSpec:
    """One layer as it is written.

    Attributes:
        name: Its name, unique in the graph.
        action: Its kind.
        src: Connections it reads; for `data`, projects or datasets.
        dst: Connections it writes, one for each of its outputs; for saving layers, the result's name.
        settings: Its settings, not checked yet.
        where: The way to it, for messages.
        flaws: What was wrong with the way it is written.
    """

    name: str
    action: str
    src: tuple[str, ...]
    dst: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    flaws: tuple[Problem, ...] = ()

    def __post_init__(self) -> None:
        if not self.where:
            object.__setattr__(self, "where", f"dtl.layers.{self.name}")

    def to_json(self) -> dict[str, Any]:
        """The layer in the documented form."""
        several = len(self.dst) > 1 or _several_outputs(self.action, self.settings)
        dst = list(self.dst) if several else self.dst[0] if self.dst else ""
        return {"action": self.action, "src": list(self.src), "dst": dst, "settings": dict(self.settings)}


def _several_outputs(action: str, settings: Mapping[str, Any]) -> bool:
    """Whether a layer must have a list of connections to write."""
    kind = LAYERS.get(action)
    return kind is not None and len(kind.outputs(settings)) - kind.optional_outputs > 1


def read_layers(value: Any) -> list[LayerSpec]:
    """Reads a graph in either form; what is wrong inside a layer is kept in its `flaws` for `check_graph`.

    What is wrong but can be understood is read as it is meant, so that it is told once and has no consequences.

    Raises:
        InvalidRequestError: The value is neither a list nor a mapping.
    """
    if isinstance(value, Mapping):
        return _read_mapping(value)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        what = f"should be a list of layers, or a mapping from names to layers, not {type(value).__name__}"
        raise InvalidRequestError([Problem("dtl.layers", what)], "the graph cannot be read")
    counts: Counter[str] = Counter()
    layers = []
    for number, item in enumerate(value, start=1):
        action = item.get("action") if isinstance(item, Mapping) else None
        label = action if isinstance(action, str) and action else "layer"
        counts[label] += 1
        name = label if counts[label] == 1 else f"{label}_{counts[label]}"
        layers.append(_read_layer(name, item, f"layer {number} ({label})"))
    return layers


def _read_mapping(value: Mapping[Any, Any]) -> list[LayerSpec]:
    items = {str(name): item for name, item in value.items() if item is not None}
    filled = {name: _with_defaults(name, item) if isinstance(item, Mapping) else item for name, item in items.items()}
    layers = []
    for name, item in filled.items():
        where = f"dtl.layers.{name}"
        spec = _read_layer(name, item, where)
        flaws = list(spec.flaws)
        if not _NAME.fullmatch(name):
            flaws.append(Problem(where, f"{name!r} cannot name a layer", "use letters, digits, '_' and '-'"))
        src = spec.src if spec.action == "data" else tuple(_connection(text, filled, where, flaws) for text in spec.src)
        layers.append(LayerSpec(name, spec.action, src, spec.dst, spec.settings, where, tuple(flaws)))
    return layers


def _own_name(action: str) -> str:
    return ALIASES.get(action, action)


def _with_defaults(name: str, item: Mapping[str, Any]) -> dict[str, Any]:
    action = _own_name(str(item.get("action")))
    filled = dict(item)
    if filled.get("dst") is None and action not in SAVES:
        settings = item.get("settings")
        settings = settings if isinstance(settings, Mapping) else {}
        several = _several_outputs(action, settings)
        filled["dst"] = [f"${name}_{output}" for output in LAYERS[action].outputs(settings)] if several else f"${name}"
    if isinstance(filled.get("dst"), Sequence) and not isinstance(filled["dst"], str):
        filled["dst"] = [DISCARD if text is None else text for text in filled["dst"]]
    return filled


def _connection(text: str, layers: Mapping[str, Any], where: str, flaws: list[Problem]) -> str:
    """A connection, where the name of a layer stands for what it writes."""
    if text.startswith("$") or text not in layers:
        return text
    dst = layers[text].get("dst") if isinstance(layers[text], Mapping) else None
    if isinstance(dst, str):
        return dst
    flaws.append(Problem(f"{where}.src", f"layer {text!r} has several outputs", f"name the one that is meant: {dst}"))
    return text


def _read_layer(name: str, item: Any, where: str) -> LayerSpec:
    problems = Problems()
    if not isinstance(item, Mapping):
        problems.add(where, f"a layer is an object with {', '.join(_KEYS)}, not {item!r}")
        return LayerSpec(name, "", (), (), {}, where, tuple(problems.found))
    for key in item:
        if key not in _KEYS:
            problems.unknown(f"{where}.{key}", key, _KEYS, kind="key")
    action = item.get("action")
    if not isinstance(action, str):
        what = "is missing" if action is None else f"should be a text, not {action!r}"
        problems.add(f"{where}.action", what, f"name a kind of layer, such as flip; {_ALL_LAYERS}")
        action = ""
    elif _own_name(action) not in LAYERS:
        problems.unknown(f"{where}.action", action, [*LAYERS, *ALIASES], kind="action", otherwise=_ALL_LAYERS)
    action = _own_name(action)
    settings = item.get("settings")
    if settings is not None and not isinstance(settings, Mapping):
        problems.add(f"{where}.settings", f"should be an object, not {settings!r}")
        settings = None
    src = _src(item.get("src"), where, problems)
    dst = _dst(item.get("dst"), action, settings or {}, where, problems)
    return LayerSpec(name, action, src, dst, settings or {}, where, tuple(problems.found))


def _src(value: Any, where: str, problems: Problems) -> tuple[str, ...]:
    if value is None:
        problems.add(f"{where}.src", "is missing", "list the connections to read")
    elif isinstance(value, str):
        problems.add(f"{where}.src", f"should be a list, not the text {value!r}", f"write [{value}]")
        return (value,)
    elif not isinstance(value, Sequence) or not all(isinstance(text, str) for text in value):
        problems.add(f"{where}.src", f"should be a list of texts, not {value!r}")
    elif not value:
        problems.add(f"{where}.src", "is empty", "list at least one connection to read")
    else:
        return tuple(value)
    return ()


def _dst(value: Any, action: str, settings: Mapping[str, Any], where: str, problems: Problems) -> tuple[str, ...]:
    key = f"{where}.dst"
    outputs = LAYERS[action].outputs(settings) if action in LAYERS else ("",)
    most, least = len(outputs), len(outputs) - (LAYERS[action].optional_outputs if action in LAYERS else 0)
    if value is None:
        problems.add(key, "is missing", "name the result" if action in SAVES else "name the connection to write")
    elif isinstance(value, str):
        if least == 1:
            return (value,)
        problems.add(key, f"should be {_several(outputs)}, not the text {value!r}")
        return (value,)
    elif not isinstance(value, Sequence):
        problems.add(key, f"should be {_several(outputs) if most > 1 else 'one text'}, not {value!r}")
    else:
        if most == 1:
            problems.add(key, f"should be one text, not {value!r}", "only layers with several outputs have a list")
        elif not least <= len(value) <= most:
            problems.add(key, f"should be {_several(outputs)}, not {value!r}")
        elif not all(isinstance(text, str) for text in value):
            problems.add(key, f"should be a list of texts, not {value!r}")
        return tuple(text for text in value if isinstance(text, str))
    return ()


def _several(outputs: Sequence[str]) -> str:
    return f"a list of {len(outputs)} connections, for {', '.join(outputs[:-1])} and {outputs[-1]}"
