"""What a layer is: its settings, what it does to an element, and what it does to the classes.

One declaration a layer, a `Layer(...)` in `layers/<family>.py`; `layers.LAYERS` holds them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from segsweep.annotation import ProjectMeta
from segsweep.dtl.element import Element, Source
from segsweep.randomness import generator
from segsweep.typed import Strict

__all__ = ["Call", "Layer", "Strict", "keep_meta", "pass_on"]


@dataclass(frozen=True)
class Call:
    """One use of a layer on one element.

    Attributes:
        layer: The layer's name in its graph.
        seed: The graph's seed.
        prepared: What `Layer.prepare` made.
    """

    layer: str
    seed: int
    prepared: Any = None

    def random(self, element: Element) -> np.random.Generator:
        """The randomness of this layer for this element, whatever else was done before."""
        return generator(self.seed, self.layer, str(element.source), element.way)


def pass_on(element: Element, settings: Any, call: Call) -> Iterable[Element]:
    """Yields the element as it is."""
    return (element,)


def keep_meta(meta: ProjectMeta, settings: Any) -> ProjectMeta:
    """The same classes and tags."""
    return meta


@dataclass(frozen=True)
class Layer:
    """A kind of layer.

    Attributes:
        action: Its name in the language.
        settings: The type of its settings.
        apply: (element, settings, call) -> elements; yields none, one or many, lazily.
        meta: (classes and tags before, settings) -> after; raises `mapping.MetaError`.
        choose: For layers with two outputs: whether an element goes to the first.
        prepare: (settings, meta, sources) -> `Call.prepared`; made once, before any image is read. `sources` are the
            images that can reach the layer, in order.
    """

    action: str
    settings: type[BaseModel]
    apply: Callable[[Element, Any, Call], Iterable[Element]] = pass_on
    meta: Callable[[ProjectMeta, Any], ProjectMeta] = keep_meta
    choose: Callable[[Element, Any, Call], bool] | None = None
    prepare: Callable[[Any, ProjectMeta, Sequence[Source]], Any] | None = None
