"""Tells which layers there are and what they take, from their declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from segsweep.dtl.layer import Layer
from segsweep.dtl.layers import ALIASES, FAMILIES, LAYERS
from segsweep.errors import Problems

__all__ = ["Setting", "layers_markdown", "layers_text", "settings_of"]

Setting = tuple[str, str, str]
"""Dotted key, what it may be, and what it means."""


def settings_of(model: type[BaseModel]) -> list[Setting]:
    """All settings of a layer; those that must be given are marked `required`."""
    schema = model.model_json_schema(by_alias=True)
    return list(_settings(schema, schema.get("$defs", {}), ""))


def _settings(schema: Mapping[str, Any], shared: Mapping[str, Any], prefix: str) -> Iterator[Setting]:
    for key, value in schema.get("properties", {}).items():
        required = key in schema.get("required", ())
        # Beside a reference pydantic puts the description and the default of this use of the type.
        kind = {**_resolved(value, shared), **{k: v for k, v in value.items() if k in {"description", "default"}}}
        nested = "properties" in kind
        words = "object" if nested else _kind(kind, shared)
        if required:
            words += ", required"
        elif "default" in kind and not nested and kind["default"] is not None:
            words += f" = {_json(kind['default'])}"
        about = value.get("description", "") if nested else kind.get("description", "")
        yield f"{prefix}{key}", words, " ".join(str(about).split())
        if nested:
            yield from _settings(kind, shared, f"{prefix}{key}.")


def _resolved(value: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    """A type without references and without `or null`."""
    options = [option for option in value.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        value = {**{key: item for key, item in value.items() if key != "anyOf"}, **options[0]}
    if "$ref" in value:
        return shared[str(value["$ref"]).rsplit("/", 1)[-1]]  # type: ignore[no-any-return]
    return value


def _kind(value: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    value = _resolved(value, shared)
    if "enum" in value or "const" in value:
        return " | ".join(_json(item) for item in value.get("enum", [value.get("const")]))
    if "anyOf" in value:
        return " or ".join(_kind(option, shared) for option in value["anyOf"])
    words = {"string": "text", "array": "list", "boolean": "bool", "integer": "int"}
    kind = words.get(str(value.get("type", "any")), str(value.get("type", "any")))
    if kind == "list" and "items" in value:
        kind = f"list of {_kind(value['items'], shared)}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        kind = f"object of {_kind(value['additionalProperties'], shared)}"
    bounds = (("≥", "minimum"), (">", "exclusiveMinimum"), ("≤", "maximum"), ("<", "exclusiveMaximum"))
    limits = [f"{sign} {value[key]:g}" for sign, key in bounds if key in value]
    return " ".join([kind, *limits])


def _json(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


def layers_text(names: Sequence[str] = ()) -> str:
    """A line for every layer, or all about the layers that are named.

    Raises:
        InvalidRequestError: There is no layer of a name; tells the nearest ones.
    """
    problems = Problems()
    for name in names:
        if name not in LAYERS and name not in ALIASES:
            problems.unknown("--layers", name, [*LAYERS, *ALIASES], kind="layer")
    problems.raise_if_any("segsweep dtl cannot tell")
    if names:
        return "\n\n".join(_one(LAYERS[ALIASES.get(name, name)]) for name in names)
    width = max(map(len, LAYERS))
    lines = []
    for family, layers in FAMILIES.items():
        lines += ["", family, *(f"  {layer.action:<{width}}  {layer.about}" for layer in layers)]
    ours = ", ".join(layer.action for layer in LAYERS.values() if layer.ours)
    return "\n".join(
        [
            f"{len(LAYERS)} layers; segsweep dtl --layers NAME … tells all about some",
            *lines,
            "",
            f"Not in the original language: {ours}",
        ]
    )


def _facts(layer: Layer) -> list[str]:
    facts = [f"changes: {', '.join(sorted(layer.changes)) or 'nothing'}"]
    outputs = layer.outputs({})
    if layer.route is not None:
        facts.append("outputs: " + (", ".join(outputs) if outputs else "one for each part"))
    if layer.aliases:
        facts.append(f"also called: {', '.join(layer.aliases)}")
    if layer.ours:
        facts.append("not in the original language")
    return facts


def _notes(layer: Layer) -> str:
    """What the settings' docstring says."""
    return " ".join((layer.settings.__doc__ or "").split())


def _one(layer: Layer) -> str:
    settings = settings_of(layer.settings)
    columns = [max((len(row[index]) for row in settings), default=0) for index in (0, 1)]
    rows = [f"  {key:<{columns[0]}}  {kind:<{columns[1]}}  {about}".rstrip() for key, kind, about in settings]
    return "\n".join([f"{layer.action}: {layer.about}", f"  ({'; '.join(_facts(layer))})", *rows])


def layers_markdown() -> str:
    """The page of all layers, `docs/dtl_layers.md`."""
    lines = [
        "# The layers of DTL",
        "",
        "Made from the layers' declarations (`src/segsweep/dtl/layers/`); `segsweep dtl --layers` tells the same.",
        "A graph in Segsweep's form names its layers, so that every setting can be overridden and swept:",
        "`dtl.layers.<name>.settings.<key>=…`.",
    ]
    for family, layers in FAMILIES.items():
        lines += ["", f"## {family[:1].upper()}{family[1:]}"]
        for layer in layers:
            about, facts = f"{layer.about}.", "; ".join(_facts(layer))
            lines += ["", f"### {layer.action}", "", about[:1].upper() + about[1:], f"*({facts})*", "", _notes(layer)]
            settings = settings_of(layer.settings)
            if settings:
                lines += ["", "| setting | | meaning |", "|---|---|---|"]
                lines += [_row(*setting) for setting in settings]
    return "\n".join(lines) + "\n"


def _row(key: str, kind: str, about: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{key}`", kind, about)) + " |"
