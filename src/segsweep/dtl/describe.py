"""Tells which layers there are and what they take, from their declarations.

The page of all layers is made by  python -m segsweep.dtl.describe > docs/dtl_layers.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
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
        items = _resolved(kind.get("items", {}), shared)
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
        elif "properties" in items:
            yield from _settings(items, shared, f"{prefix}{key}[].")


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
        kinds = [_kind(option, shared) for option in value["anyOf"] if option.get("type") != "null"]
        return " or ".join(kind for kind in kinds if kind != "int" or "number" not in kinds)
    words = {"string": "text", "array": "list", "boolean": "bool", "integer": "int"}
    kind = words.get(str(value.get("type", "any")), str(value.get("type", "any")))
    if kind == "list" and "items" in value:
        kind = f"list of {_kind(value['items'], shared)}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        kind = f"object of {_kind(value['additionalProperties'], shared)}"
    return kind + _limits(value)


def _limits(value: Mapping[str, Any]) -> str:
    """` 0 … 1`, ` ≥ 1`, or nothing."""
    if "minimum" in value and "maximum" in value:
        return f" {value['minimum']:g} … {value['maximum']:g}".replace("-", "−")
    bounds = (("≥", "minimum"), (">", "exclusiveMinimum"), ("≤", "maximum"), ("<", "exclusiveMaximum"))
    return "".join(f" {sign} {value[key]:g}".replace("-", "−") for sign, key in bounds if key in value)


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
            problems.unknown(
                "--layers", name, [*LAYERS, *ALIASES], kind="layer", otherwise="segsweep dtl --layers lists all"
            )
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
    facts = [f"changes {_listed(sorted(layer.changes))}" if layer.changes else "changes nothing"]
    if layer.route is not None:
        optional = ", the last may be left out" if layer.optional_outputs else ""
        facts.append(f"outputs: {', '.join(layer.outputs({}))}{optional}")
    if layer.aliases:
        facts.append(f"also called {_listed(layer.aliases)}")
    if layer.ours:
        facts.append("not in the original language")
    return facts


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _notes(layer: Layer) -> list[str]:
    """The paragraphs of the settings' docstring, without the words that introduce it."""
    text = cleandoc(layer.settings.__doc__ or "").partition("\nAttributes:")[0]
    text = re.sub(r"^Settings [^.:;]*[.:;]\s*", "", text)
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return [_capital(part) for part in paragraphs if part]


def _one(layer: Layer) -> str:
    settings = settings_of(layer.settings)
    columns = [max((len(row[index]) for row in settings), default=0) for index in (0, 1)]
    rows = [f"  {key:<{columns[0]}}  {kind:<{columns[1]}}  {about}".rstrip() for key, kind, about in settings]
    notes = [f"  {part}" for part in _notes(layer)]
    return "\n".join([f"{layer.action}: {layer.about}", f"  ({'; '.join(_facts(layer))})", *notes, *rows])


_PAGE = """# The layers of DTL

A graph of the Data Transformation Language turns annotated projects into another one. Its nodes are layers: each reads
connections (`src`), writes others (`dst`) and has `settings`. This page lists all {count} layers and is made from their
declarations. `segsweep dtl --layers` lists them too, `segsweep dtl --layers crop` tells all about one, and
`segsweep graph` draws a graph.

## Two forms of a graph

The documented form is a list. It runs as it stands: `segsweep dtl dtl.file=graph.json`.

```json
[
  {{"action": "data", "src": ["vessels/*"], "dst": "$sample", "settings": {{"classes_mapping": "default"}}}},
  {{"action": "flip", "src": ["$sample"], "dst": "$mirrored", "settings": {{"axis": "vertical"}}}},
  {{"action": "if", "src": ["$sample", "$mirrored"], "dst": ["$wide", "null"],
   "settings": {{"condition": {{"min_width": 256}}}}}},
  {{"action": "supervisely", "src": ["$wide"], "dst": "vessels_train", "settings": {{}}}}
]
```

Segsweep's own form, for files in `conf/dtl`, gives every layer a name, so that each setting can be overridden and
swept: `segsweep run -m dtl.layers.wide.settings.condition.min_width=128,256`. A layer set to `null` is left out.

```yaml
layers:
  sample: {{action: data, src: [vessels/*], settings: {{classes_mapping: default}}}}
  mirrored: {{action: flip, src: [$sample], settings: {{axis: vertical}}}}
  wide: {{action: if, src: [$sample, $mirrored], dst: [$wide, null], settings: {{condition: {{min_width: 256}}}}}}
  save: {{action: supervisely, src: [$wide], dst: vessels_train, settings: {{}}}}
```

* `dst` is one connection, or a list of one for each output where a layer has several. In the named form it may be left
  out: it is `$<name>`, or `$<name>_<output>` for each output (`$wide_true`, `$wide_false`).
* Several layers may write one connection, and several may read it; each reader gets every image. What nobody reads, or
  goes to `null`, is dropped.
* Every graph has one saving layer, and one data layer or more. Classes are followed through the graph before any image
  is read: a layer that needs a class which is not there is refused; one that only acts on it where it is brings a
  warning.
* Chance follows the `seed` of the run: equal seeds give equal results, whatever the number of processes.
* An image that a layer cannot work on is left out whole, and the summary tells where and why; `dtl.on_error=fail` stops
  instead.
"""


def layers_markdown() -> str:
    """The page of all layers, `docs/dtl_layers.md`."""
    families = {layer.action: family for family, layers in FAMILIES.items() for layer in layers}
    lines = [_PAGE.format(count=len(LAYERS)), "## All layers", "", "| layer | family | |", "|---|---|---|"]
    lines += [f"| [{name}](#{name}) | {families[name]} | {LAYERS[name].about} |" for name in sorted(LAYERS)]
    for family, layers in FAMILIES.items():
        lines += ["", f"## {_capital(family)}"]
        for layer in layers:
            lines += [
                "",
                f"### {layer.action}",
                "",
                f"{_capital(layer.about)}. *{_capital('; '.join(_facts(layer)))}.*",
            ]
            lines += [line for part in _notes(layer) for line in ("", part)]
            settings = settings_of(layer.settings)
            if settings:
                lines += ["", "| setting | value | meaning |", "|---|---|---|"]
                lines += [_row(*setting) for setting in settings]
    return "\n".join(lines) + "\n"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _row(key: str, kind: str, about: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{key}`", kind, about)) + " |"


if __name__ == "__main__":
    sys.stdout.write(layers_markdown())
