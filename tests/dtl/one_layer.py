"""One layer by itself: what it does to an element and to the classes, and what it says about wrong settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segsweep.annotation import Annotation, LabeledObject, Project, ProjectMeta, Tag
from segsweep.dtl import LAYERS, check_graph, read_layers
from segsweep.dtl.element import Element, Picture, Source
from segsweep.dtl.layer import Call, Given
from segsweep.errors import Problems

SOURCE = Source("p", "d", "a.png")


def no_pixels() -> Any:
    """Instead of a picture, where none should be needed."""
    raise AssertionError("the picture was looked at")


def element(
    *objects: LabeledObject,
    size: tuple[int, int] = (20, 12),
    tags: Sequence[Tag] = (),
    source: Source = SOURCE,
    picture: Picture | None = None,
) -> Element:
    """An element of `size` (width, height) whose pixels must not be looked at, unless a picture is given."""
    annotation = Annotation(*size, objects, tuple(tags))
    return Element(source, annotation, picture or Picture(no_pixels, Path("a.png")), source.dataset)


def call_of(
    action: str,
    settings: Mapping[str, Any],
    *,
    meta: ProjectMeta | None = None,
    seed: int = 0,
    sources: Sequence[Source] = (SOURCE,),
    projects: Mapping[str, Project] | None = None,
) -> tuple[Any, Call]:
    """The typed settings and the prepared call of a layer."""
    layer, meta = LAYERS[action], meta or ProjectMeta()
    typed = layer.settings.model_validate(settings)
    given = Given("one", "dtl.layers.one", seed, meta, sources, projects or {})
    return typed, Call("one", seed, meta, layer.prepare(typed, given) if layer.prepare else None)


def apply(action: str, settings: Mapping[str, Any], one: Element, **given: Any) -> list[Element]:
    """What a layer makes of an element."""
    typed, call = call_of(action, settings, **given)
    return list(LAYERS[action].apply(one, typed, call))


def objects_after(action: str, settings: Mapping[str, Any], one: Element, **given: Any) -> list[LabeledObject]:
    """The objects of the one element that a layer makes of one; all else is as it was."""
    (made,) = apply(action, settings, one, **given)
    assert made.picture is one.picture and made.source == one.source and made.size == one.size
    assert made.annotation.tags == one.annotation.tags
    return list(made.annotation.objects)


def route(action: str, settings: Mapping[str, Any], one: Element, **given: Any) -> int:
    """The output that a layer sends an element to."""
    typed, call = call_of(action, settings, **given)
    choose = LAYERS[action].route
    assert choose is not None
    return choose(one, typed, call)


def meta_after(action: str, settings: Mapping[str, Any], meta: ProjectMeta) -> ProjectMeta:
    """Classes and tags after a layer."""
    layer = LAYERS[action]
    return layer.meta(meta, layer.settings.model_validate(settings))


def problems_of(action: str, settings: Any, meta: ProjectMeta, dst: Any = "$o", **others: ProjectMeta) -> list[str]:
    """What is wrong with a graph of a data layer, this layer and a saving layer; "p" has the classes `meta`."""
    return [str(problem) for problem in _checked(action, settings, {"p": meta, **others}, dst).found]


def warnings_of(action: str, settings: Any, meta: ProjectMeta, dst: Any = "$o") -> list[str]:
    """What is told of such a graph although it can be run."""
    problems = _checked(action, settings, {"p": meta}, dst)
    assert not problems.found
    return [str(warning) for warning in problems.warnings]


def _checked(action: str, settings: Any, metas: Mapping[str, ProjectMeta], dst: Any) -> Problems:
    graph = [
        {"action": "data", "src": ["p"], "dst": "$d", "settings": {"classes_mapping": "default"}},
        {"action": action, "src": ["$d"], "dst": dst, "settings": settings},
        {"action": "supervisely", "src": [dst if isinstance(dst, str) else dst[0]], "dst": "r", "settings": {}},
    ]
    problems = Problems()
    check_graph(read_layers(graph), metas, problems)
    return problems


def mask(*rows: str) -> np.ndarray:
    """A mask drawn with '#'."""
    return np.array([[letter == "#" for letter in row] for row in rows], dtype=np.bool_)
