"""What a layer is: its settings, what it does to an element, and what it does to the classes.

One declaration a layer, a `Layer(...)` in `layers/<family>.py`; `layers.LAYERS` holds them all. Checking a graph,
following its classes, running it, the page of all layers and `segsweep dtl --layers` follow from the declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from segsweep.annotation import Project, ProjectMeta
from segsweep.dtl.element import Element, Source
from segsweep.randomness import generator
from segsweep.typed import Strict

__all__ = ["Call", "Change", "Given", "Layer", "Strict", "keep_meta", "one_output", "pass_on"]

Change = Literal["classes", "objects", "tags", "geometry", "pixels"]
"""What a layer may change: the classes of the project; the objects or tags of an image; its size and the place of its
objects; its pixels."""


@dataclass(frozen=True)
class Call:
    """One use of a layer on one element.

    Attributes:
        layer: The layer's name in its graph.
        seed: The graph's seed.
        meta: Classes and tags that arrive at the layer.
        prepared: What `Layer.prepare` made.
    """

    layer: str
    seed: int
    meta: ProjectMeta
    prepared: Any = None

    def random(self, element: Element) -> np.random.Generator:
        """The randomness of this layer for this element, whatever else was done before."""
        return generator(self.seed, self.layer, str(element.source), element.way)


@dataclass(frozen=True)
class Given:
    """What a layer may prepare itself from, before any image is read.

    Attributes:
        layer: The layer's name in its graph.
        where: The way to the layer, for messages.
        seed: The graph's seed.
        meta: Classes and tags that arrive at the layer.
        sources: The images that can reach the layer, in order.
        projects: The input projects, by the names that the graph calls them.
    """

    layer: str
    where: str
    seed: int
    meta: ProjectMeta
    sources: Sequence[Source]
    projects: Mapping[str, Project]


def pass_on(element: Element, settings: Any, call: Call) -> Iterable[Element]:
    """Yields the element as it is."""
    return (element,)


def keep_meta(meta: ProjectMeta, settings: Any) -> ProjectMeta:
    """The same classes and tags."""
    return meta


def one_output(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Everything goes to one connection."""
    return ("",)


@dataclass(frozen=True)
class Layer:
    """A kind of layer.

    Attributes:
        action: Its name in the language.
        settings: The type of its settings; descriptions of its fields make the page of all layers.
        about: What it does, in one line.
        changes: What it may change; what is not named here stays as it is.
        apply: (element, settings, call) -> elements; yields none, one or many, lazily.
        meta: (classes and tags before, settings) -> after; raises `mapping.MetaError`.
        mentions: settings -> classes that it acts on where they are; a person is warned of those that are not.
        prepare: (settings, given) -> `Call.prepared`; made once, before any image is read, and sent to every process.
        outputs: (settings as written) -> names of its outputs, a connection each; `("",)` where there is one.
        optional_outputs: How many of the last outputs a graph may leave out; what goes there is dropped.
        route: For layers with several outputs: (element, settings, call) -> the index of the output it goes to.
        reads: (settings as written) -> projects that it reads besides what flows in; their classes and tags join.
        pictures: For saving layers: (element, settings, call) -> folder -> picture (uint8 RGB HxWx3) that is saved
            beside `img` and `ann`.
        aliases: Other names, those of the language's successor.
        ours: Whether the original language lacks it.
    """

    action: str
    settings: type[BaseModel]
    about: str
    changes: frozenset[Change] = frozenset()
    apply: Callable[[Element, Any, Call], Iterable[Element]] = pass_on
    meta: Callable[[ProjectMeta, Any], ProjectMeta] = keep_meta
    mentions: Callable[[Any], Iterable[str]] = lambda settings: ()
    prepare: Callable[[Any, Given], Any] | None = None
    outputs: Callable[[Mapping[str, Any]], tuple[str, ...]] = one_output
    optional_outputs: int = 0
    route: Callable[[Element, Any, Call], int] | None = None
    reads: Callable[[Mapping[str, Any]], tuple[str, ...]] = lambda settings: ()
    pictures: Callable[[Element, Any, Call], Mapping[str, NDArray[np.uint8]]] | None = None
    aliases: tuple[str, ...] = ()
    ours: bool = False
