"""Finds everything that is wrong with a graph before any image is read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import BaseModel

from segsweep.annotation import ProjectMeta
from segsweep.dtl.graph import LayerSpec
from segsweep.dtl.layers import LAYERS
from segsweep.dtl.mapping import MetaError, merge_metas
from segsweep.dtl.names import DISCARD, SAVES
from segsweep.errors import DataError, Problems, nearest
from segsweep.files import check_name
from segsweep.typed import parse

__all__ = ["Metas", "check_graph", "input_projects", "parse_settings", "parse_source", "project_metas"]


def check_graph(layers: Sequence[LayerSpec], metas: Mapping[str, ProjectMeta] | None, problems: Problems) -> None:
    """Adds every problem of a graph to `problems`.

    Args:
        layers: The graph.
        metas: Classes and tags of the input projects by name, or None when they are not made yet; then only the
            structure and the settings are checked.
        problems: Where problems go, and warnings of classes that layers name although they are not there.
    """
    if not layers:
        problems.add("dtl.layers", "the graph has no layers", "it needs at least a data and a saving layer")
        return
    for layer in layers:
        problems.extend(layer.flaws)
        _check_ends(layer, metas, problems)
    settings = {layer.name: parse_settings(layer, problems) for layer in layers}
    _check_structure(layers, problems)
    if metas is not None and _is_ordered(layers):
        followed = project_metas(layers, settings, metas, problems)
        _warn_of_missing(layers, settings, followed.before, problems)


def _warn_of_missing(
    layers: Sequence[LayerSpec], settings: Mapping[str, Any], before: Mapping[str, ProjectMeta], problems: Problems
) -> None:
    """Classes that layers act on where they are, but that never reach them: most likely misspelt."""
    for layer in layers:
        if layer.name in before:
            titles = before[layer.name].titles
            for title in dict.fromkeys(LAYERS[layer.action].mentions(settings[layer.name])):
                if title not in titles:
                    where = _setting_that_names(title, layer)
                    problems.warn(where, f"there is no class {title!r} here", nearest(title, titles))


def _check_ends(layer: LayerSpec, metas: Mapping[str, ProjectMeta] | None, problems: Problems) -> None:
    """Names of connections, projects and results."""
    if layer.action == "data":
        projects = set()
        for text in layer.src:
            source = parse_source(text)
            if source is None:
                what = f"{text!r} should be 'project', 'project/*' or 'project/dataset'"
                problems.add(f"{layer.where}.src", what)
                continue
            projects.add(source[0])
            if metas is not None and source[0] not in metas:
                problems.unknown(f"{layer.where}.src", source[0], metas, kind="project")
        if len(projects) > 1:
            problems.add(
                f"{layer.where}.src", f"names several projects ({', '.join(sorted(projects))})", "use a data layer each"
            )
    else:
        for text in layer.src:
            _check_connection(text, f"{layer.where}.src", problems)
    for name in _read_besides(layer):
        if metas is not None and name not in metas:
            problems.unknown(f"{layer.where}.settings.project", name, metas, kind="project")
    if layer.action in SAVES:
        for text in layer.dst:
            try:
                check_name(text)
            except DataError:
                text = ""
            if not text or "|" in text:
                problems.add(f"{layer.where}.dst", f"{layer.dst[0]!r} cannot name a result", "use a plain folder name")
        return
    for text in layer.dst:
        if text != DISCARD:
            _check_connection(text, f"{layer.where}.dst", problems)


def _check_connection(text: str, where: str, problems: Problems) -> None:
    if not re.fullmatch(r"\$.+", text):
        problems.add(where, f"{text!r} is no connection", f"connections start with '$': '${text.lstrip('$')}'")


def parse_source(text: str) -> tuple[str, str | None] | None:
    """(project, dataset) of a data layer's source, the dataset None for all; None if it cannot be understood."""
    parts = text.strip("/").split("/")
    if len(parts) > 2 or not all(parts):
        return None
    return parts[0], None if len(parts) == 1 or parts[1] == "*" else parts[1]


def input_projects(layers: Iterable[LayerSpec]) -> list[str]:
    """Names of the projects that a graph reads, in order, each once."""
    layers = list(layers)
    texts = (text for layer in layers if layer.action == "data" for text in layer.src)
    entering = [source[0] for text in texts if (source := parse_source(text)) is not None]
    return list(dict.fromkeys([*entering, *(name for layer in layers for name in _read_besides(layer))]))


def _read_besides(layer: LayerSpec) -> tuple[str, ...]:
    return LAYERS[layer.action].reads(layer.settings) if layer.action in LAYERS else ()


def parse_settings(layer: LayerSpec, problems: Problems) -> BaseModel | None:
    """The checked settings of a layer, or None with problems added."""
    kind = LAYERS.get(layer.action)
    if kind is None:
        return None  # the unknown action is among the layer's flaws
    return parse(kind.settings, layer.settings, problems, f"{layer.where}.settings")


def _producers(layers: Iterable[LayerSpec]) -> dict[str, list[LayerSpec]]:
    producers: dict[str, list[LayerSpec]] = defaultdict(list)
    for layer in layers:
        for text in dict.fromkeys(layer.dst if layer.action not in SAVES else ()):
            if text != DISCARD:
                producers[text].append(layer)
    return producers


def _parents(layers: Iterable[LayerSpec]) -> dict[str, list[str]]:
    """Layer -> the layers it reads from, in the order of its src."""
    layers = list(layers)
    producers = _producers(layers)
    return {
        layer.name: list(
            dict.fromkeys(
                parent.name for text in (layer.src if layer.action != "data" else ()) for parent in producers[text]
            )
        )
        for layer in layers
    }


def _is_ordered(layers: Sequence[LayerSpec]) -> bool:
    try:
        TopologicalSorter(_parents(layers)).prepare()
    except CycleError:
        return False
    return True


def _check_structure(layers: Sequence[LayerSpec], problems: Problems) -> None:
    where = {layer.name: layer.where for layer in layers}
    if not any(layer.action == "data" for layer in layers):
        problems.add("dtl.layers", "the graph has no data layer", "add one that reads a project")
    saves = [layer for layer in layers if layer.action in SAVES]
    if not saves:
        problems.add("dtl.layers", "the graph has no saving layer", "add one, such as supervisely")
    for layer in saves[1:]:
        problems.add(layer.where, f"is a second saving layer beside {saves[0].where}", "a graph has exactly one")

    producers = _producers(layers)
    connected = all(layer.src and layer.dst for layer in layers)
    for layer in layers:
        for text in layer.src if layer.action != "data" else ():
            if text.startswith("$") and text not in producers:
                problems.unknown(f"{layer.where}.src", text, producers, kind="connection")
                connected = False

    parents = _parents(layers)
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        loop: list[str] = error.args[1]
        problems.add(f"{where[loop[0]]}.src", "feeds itself: " + " -> ".join(loop), "a graph has no loops")

    # Where a connection is missing or misspelt, that was told, and layers behind it are no news.
    if connected and saves and any(layer.action == "data" for layer in layers):
        joined = _component(saves[0].name, parents)
        for layer in layers:
            if layer.name not in joined and layer.src and layer not in saves:
                problems.add(layer.where, f"is not connected with {saves[0].where}", "connect it or remove it")


def _component(start: str, parents: Mapping[str, Sequence[str]]) -> set[str]:
    """All layers that hang together with one, whatever the direction."""
    near: dict[str, set[str]] = defaultdict(set)
    for child, above in parents.items():
        for parent in above:
            near[child].add(parent)
            near[parent].add(child)
    seen, todo = {start}, [start]
    while todo:
        for name in near[todo.pop()] - seen:
            seen.add(name)
            todo.append(name)
    return seen


@dataclass(frozen=True)
class Metas:
    """Classes and tags before and after every layer, by its name; layers that cannot be computed are missing."""

    before: Mapping[str, ProjectMeta]
    after: Mapping[str, ProjectMeta]


def project_metas(
    layers: Sequence[LayerSpec],
    settings: Mapping[str, Any],
    metas: Mapping[str, ProjectMeta],
    problems: Problems,
) -> Metas:
    """Follows classes and tags through a graph without loops.

    A connection that several layers write carries the union of theirs.
    """
    parents, producers = _parents(layers), _producers(layers)
    by_name = {layer.name: layer for layer in layers}
    before: dict[str, ProjectMeta] = {}
    after: dict[str, ProjectMeta] = {}
    for name in TopologicalSorter(parents).static_order():
        layer = by_name[name]
        kind, values = LAYERS.get(layer.action), settings[name]
        if layer.action == "data":
            sources = input_projects([layer])
            complete = bool(sources) and all(project in metas for project in sources)
        else:
            complete = bool(layer.src) and all(producers.get(text) for text in layer.src)
            complete = complete and all(parent in after for parent in parents[name])
        complete = complete and all(project in metas for project in _read_besides(layer))
        if kind is None or values is None or not complete:
            continue
        inputs = [metas[source] for source in sources] if layer.action == "data" else [after[p] for p in parents[name]]
        key = "src"
        try:
            arriving = merge_metas(inputs)
            key = "settings.project"
            before[name] = merge_metas([arriving, *(metas[project] for project in _read_besides(layer))])
            key = ""
            after[name] = kind.meta(before[name], values)
        except MetaError as error:
            where = f"{layer.where}.{key}" if key else _setting_that_names(error.name, layer)
            problems.add(where, error.what, error.hint)
    return Metas(before, after)


def _setting_that_names(name: str, layer: LayerSpec) -> str:
    """The way to a setting that is a class or tag, lists it, or has it as a key; to all settings if there is none."""
    settings = f"{layer.where}.settings"
    return _place_of(name, layer.settings, settings) or settings


def _place_of(name: str, value: Any, path: str) -> str | None:
    if value == name or (isinstance(value, list | tuple) and name in value):
        return path
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in pairs:
        place = f"{path}.{key}" if key == name else _place_of(name, item, f"{path}.{key}")
        if place:
            return place
    return None
