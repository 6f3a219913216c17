"""A graph made ready to run: settings read, classes followed, images found, layers prepared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsweep.annotation import Item, Project, ProjectMeta
from segsweep.dtl.check import check_graph, parse_settings, parse_source, project_metas
from segsweep.dtl.element import Source
from segsweep.dtl.graph import LayerSpec
from segsweep.dtl.layer import Call, Given
from segsweep.dtl.layers import LAYERS
from segsweep.dtl.names import SAVES
from segsweep.errors import Problem, Problems

__all__ = ["Plan", "Work", "make_plan"]


@dataclass(frozen=True)
class Work:
    """One source image, and where it enters the graph."""

    source: Source
    item: Item
    dataset: str
    entries: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A graph made ready; it is what every process knows."""

    layers: dict[str, LayerSpec]
    settings: dict[str, Any]
    consumers: dict[str, tuple[str, ...]]
    calls: dict[str, Call]
    metas: dict[str, ProjectMeta]
    result_meta: ProjectMeta


def make_plan(
    layers: Sequence[LayerSpec], projects: Mapping[str, Project], seed: int
) -> tuple[Plan, list[Work], list[Problem]]:
    """Makes a graph ready for the images of its projects.

    Returns:
        The plan; the images that data layers read, sorted by project, dataset and name, each once; and warnings.

    Raises:
        InvalidRequestError: The graph is wrong; tells every problem.
    """
    problems = Problems()
    metas = {name: project.meta for name, project in projects.items()}
    check_graph(layers, metas, problems)
    _check_datasets(layers, projects, problems)
    problems.raise_if_any("the graph cannot be run")
    settings = {layer.name: parse_settings(layer, problems) for layer in layers}
    followed = project_metas(layers, settings, metas, problems)
    consumers: dict[str, list[str]] = {}
    for layer in layers:
        for text in dict.fromkeys(layer.src if layer.action != "data" else ()):
            consumers.setdefault(text, []).append(layer.name)
    works = _works(layers, projects)
    reached = _reached(layers, consumers)
    calls = {}
    for layer in layers:
        prepare = LAYERS[layer.action].prepare
        before, prepared = followed.before[layer.name], None
        if prepare is not None:
            sources = [work.source for work in works if any(layer.name in reached[entry] for entry in work.entries)]
            prepared = prepare(settings[layer.name], Given(layer.name, layer.where, seed, before, sources, projects))
        calls[layer.name] = Call(layer.name, seed, before, prepared)
    save = next(layer for layer in layers if layer.action in SAVES)
    plan = Plan(
        {layer.name: layer for layer in layers},
        settings,
        {text: tuple(names) for text, names in consumers.items()},
        calls,
        metas,
        followed.after[save.name],
    )
    return plan, works, problems.warnings


def _sources(layer: LayerSpec) -> list[tuple[str, str | None]]:
    """The (project, dataset) pairs that a data layer reads; other layers read none."""
    texts = layer.src if layer.action == "data" else ()
    return [source for text in texts if (source := parse_source(text)) is not None]


def _check_datasets(layers: Sequence[LayerSpec], projects: Mapping[str, Project], problems: Problems) -> None:
    for layer in layers:
        for project, dataset in _sources(layer):
            known = [item.name for item in projects[project].datasets] if project in projects else []
            if dataset is not None and known and dataset not in known:
                problems.unknown(f"{layer.where}.src", dataset, known, kind="dataset")


def _works(layers: Sequence[LayerSpec], projects: Mapping[str, Project]) -> list[Work]:
    """The images that data layers read, sorted by project, dataset and name, each once."""
    readers: dict[tuple[str, str | None], set[str]] = {}
    for layer in layers:
        for part in _sources(layer):
            readers.setdefault(part, set()).add(layer.name)
    order = {layer.name: index for index, layer in enumerate(layers)}
    entering = {name for name, _ in readers}
    shared = Counter(dataset.name for name in entering for dataset in projects[name].datasets)
    works = []
    for name, project in sorted(projects.items()):
        for dataset in project.datasets:
            fed = readers.get((name, None), set()) | readers.get((name, dataset.name), set())
            label = dataset.name if shared[dataset.name] == 1 else f"{name}__{dataset.name}"
            for item in dataset.items if fed else ():
                source = Source(name, dataset.name, item.name)
                works.append(Work(source, item, label, tuple(sorted(fed, key=order.__getitem__))))
    return works


def _reached(layers: Sequence[LayerSpec], consumers: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """Data layer -> all layers below it."""
    below = {layer.name: {name for text in layer.dst for name in consumers.get(text, ())} for layer in layers}
    reached = {}
    for layer in layers:
        if layer.action == "data":
            seen, todo = {layer.name}, [layer.name]
            while todo:
                new = below[todo.pop()] - seen
                seen |= new
                todo.extend(new)
            reached[layer.name] = seen
    return reached
