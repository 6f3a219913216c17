"""Watches whether a layer keeps to its declaration: what `changes` does not name stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from segsweep.annotation import ProjectMeta
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Layer

__all__ = ["watched"]


def watched(layer: Layer) -> Layer:
    """The same layer, which fails where it changes what it does not declare, or anything in place."""

    def apply(element: Element, settings: Any, call: Call) -> Iterable[Element]:
        before = digest(element.annotation)
        for made in layer.apply(element, settings, call):
            check_element(layer, element, made)
            yield made
        assert digest(element.annotation) == before, f"{layer.action} changed what it was given"

    def meta(before: ProjectMeta, settings: Any) -> ProjectMeta:
        after = layer.meta(before, settings)
        assert "classes" in layer.changes or after == before, f"{layer.action} changes classes or tags of the project"
        return after

    return replace(layer, apply=apply, meta=meta)


def check_element(layer: Layer, before: Element, after: Element) -> None:
    """Compares an element that a layer made with the one it was given."""
    old, new, changes = before.annotation, after.annotation, layer.changes
    assert after.source == before.source
    if "pixels" not in changes:
        assert after.picture is before.picture, f"{layer.action} changes pixels"
    if "geometry" not in changes:
        assert after.size == before.size, f"{layer.action} changes the size"
    if "tags" not in changes:
        assert new.tags == old.tags, f"{layer.action} changes tags of images"
    if "objects" not in changes:
        same = len(new.objects) == len(old.objects)
        same = same and all(a is b for a, b in zip(new.objects, old.objects, strict=True))
        assert same, f"{layer.action} changes objects"
    if not changes & {"objects", "geometry", "tags"}:
        assert new is old, f"{layer.action} changes annotations"


def digest(value: Any) -> str:
    """A digest of values and arrays, however nested."""
    state = hashlib.sha256()
    _feed(value, state)
    return state.hexdigest()


def _feed(value: Any, state: Any) -> None:
    if isinstance(value, np.ndarray):
        state.update(f"{value.shape}{value.dtype}".encode() + value.tobytes())
    elif is_dataclass(value):
        for field in fields(value):
            _feed(getattr(value, field.name), state)
    elif isinstance(value, tuple | list):
        state.update(f"{len(value)}".encode())
        for item in value:
            _feed(item, state)
    else:
        state.update(repr(value).encode())
