"""Layers that drop objects: `objects_filter`, `objects_filter_by_area`, `drop_lines_by_length`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import gt, lt
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, ModelWrapValidatorHandler, model_validator

from segsweep.annotation import Annotation, ClassMeta, LabeledObject, Line, ProjectMeta, Tag, TagMeta
from segsweep.annotation.geometry import Points, area, bounds
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Layer, Strict
from segsweep.dtl.mapping import add_class, add_tag, require_classes

__all__ = ["LAYERS"]


class AreaSize(Strict):
    """A size that objects are compared with: a part of the image, or the sides of their bounds."""

    percent: Annotated[float, Field(ge=0, le=100)] | None = Field(None, description="area in per cent of the image")
    width: int | None = Field(None, description="width of the bounds in pixels")
    height: int | None = Field(None, description="height of the bounds in pixels")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = {name for name in ("percent", "width", "height") if getattr(self, name) is not None}
        if given not in ({"percent"}, {"width", "height"}):
            raise ValueError("needs either 'percent', or 'width' and 'height'")
        return self


class FilterAction(Strict):
    """What is done with an object: `"delete"`, or `{"remap_class": class}`, which the original does not have."""

    remap_class: str | None = Field(None, min_length=1, description="new class of the objects")

    @model_validator(mode="wrap")
    @classmethod
    def _from_text(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        if value == "delete":
            return read({})
        if not isinstance(value, dict) or value.get("remap_class") is None:
            raise ValueError("should be 'delete', or {'remap_class': class}")
        return read(value)


class PolygonSizes(Strict):
    """Objects of any shape that are smaller, or greater, than a size; equal ones are neither."""

    filtering_classes: list[str] = Field(description="classes whose objects are compared; others are kept")
    area_size: AreaSize = Field(description="{percent}, or {width, height}: either side suffices")
    comparator: Literal["less", "greater"] = Field(description="which objects are meant")
    action: FilterAction = Field(description="'delete', or {'remap_class': class} to give them another class")


class FilterBy(Strict):
    """How `objects_filter` chooses: exactly one of its keys."""

    names: list[str] | None = Field(None, description="classes to keep; objects of all others are deleted")
    polygon_sizes: PolygonSizes | None = Field(None, description="by size, for objects of any shape")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.names is None) == (self.polygon_sizes is None):
            raise ValueError("needs either 'names' or 'polygon_sizes'")
        return self


class ObjectsFilterSettings(Strict):
    """Settings of `objects_filter`; classes stay in the project, whatever becomes of their objects."""

    filter_by: FilterBy = Field(description="'names', or 'polygon_sizes'")


_COMPARE: dict[str, Callable[[float, float], bool]] = {"less": lt, "greater": gt, "lt": lt, "gt": gt}


def _is_meant(item: LabeledObject, sizes: PolygonSizes, annotation: Annotation) -> bool:
    if item.class_title not in sizes.filtering_classes:
        return False
    compare, limit = _COMPARE[sizes.comparator], sizes.area_size
    if limit.percent is not None:
        return compare(100 * area(item.geometry) / (annotation.width * annotation.height), limit.percent)
    assert limit.width is not None and limit.height is not None
    left, top, right, bottom = bounds(item.geometry)
    return compare(right - left, limit.width) or compare(bottom - top, limit.height)


def _objects_filter(element: Element, settings: ObjectsFilterSettings, call: Call) -> Iterable[Element]:
    annotation, names, sizes = element.annotation, settings.filter_by.names, settings.filter_by.polygon_sizes
    objects = []
    for item in annotation.objects:
        meant = item.class_title not in (names or []) if sizes is None else _is_meant(item, sizes, annotation)
        if not meant:
            objects.append(item)
        elif sizes is not None and sizes.action.remap_class is not None:
            objects.append(replace(item, class_title=sizes.action.remap_class))
    yield replace(element, annotation=replace(annotation, objects=tuple(objects)))


def _objects_filter_meta(meta: ProjectMeta, settings: ObjectsFilterSettings) -> ProjectMeta:
    sizes = settings.filter_by.polygon_sizes
    if sizes is None or sizes.action.remap_class is None:
        return meta
    for item in meta.classes:
        if item.title in sizes.filtering_classes:
            meta = add_class(meta, ClassMeta(sizes.action.remap_class, item.shape))
    return meta


def _filtered_classes(settings: ObjectsFilterSettings) -> Iterable[str]:
    sizes = settings.filter_by.polygon_sizes
    return settings.filter_by.names or [] if sizes is None else sizes.filtering_classes


class TagToAdd(Strict):
    """A tag for objects."""

    name: str = Field(min_length=1, description="name of the tag")
    value: str | float | None = Field(None, description="its value, if it has one")

    @property
    def meta(self) -> TagMeta:
        """How the project lists it."""
        kind = "none" if self.value is None else "any_string" if isinstance(self.value, str) else "any_number"
        return TagMeta(self.name, kind)


class ByAreaSettings(Strict):
    """Settings of `objects_filter_by_area`; objects of other classes are never touched."""

    classes: list[str] = Field(min_length=1, description="classes whose objects are compared")
    area: float = Field(ge=0, description="square pixels")
    comparator: Literal["lt", "gt"] = Field(description="which objects are meant: those with less, or greater, area")
    action: Literal["delete", "keep", "add_tags"] = Field(description="what is done with them; 'keep' deletes the rest")
    tags_to_add: list[TagToAdd] = Field([], description="for 'add_tags': tags, each {name, value}")

    @model_validator(mode="after")
    def _tags_with_their_action(self) -> Self:
        if (self.action == "add_tags") != bool(self.tags_to_add):
            raise ValueError("'tags_to_add' and the action 'add_tags' belong together")
        return self


def _by_area(element: Element, settings: ByAreaSettings, call: Call) -> Iterable[Element]:
    objects = []
    for item in element.annotation.objects:
        compared = item.class_title in settings.classes
        meant = compared and _COMPARE[settings.comparator](area(item.geometry), settings.area)
        if compared and settings.action != "add_tags" and meant == (settings.action == "delete"):
            continue
        objects.append(_tagged(item, settings.tags_to_add) if meant else item)
    yield replace(element, annotation=replace(element.annotation, objects=tuple(objects)))


def _tagged(item: LabeledObject, tags: Iterable[TagToAdd]) -> LabeledObject:
    """An object with tags; one of a name that it has already stays as it is."""
    there = {tag.name for tag in item.tags}
    new = (Tag(tag.name, tag.value) for tag in tags if tag.name not in there)
    return replace(item, tags=(*item.tags, *new))


def _by_area_meta(meta: ProjectMeta, settings: ByAreaSettings) -> ProjectMeta:
    require_classes(meta, settings.classes)
    for tag in settings.tags_to_add:
        meta = add_tag(meta, tag.meta)
    return meta


class LengthSettings(Strict):
    """Settings of `drop_lines_by_length`; unlike in the original, at least one limit is asked for at the start."""

    lines_class: str = Field(min_length=1, description="class of the lines; all other objects are kept")
    min_length: float | None = Field(None, ge=0, description="shorter lines are dropped, in pixels")
    max_length: float | None = Field(None, ge=0, description="longer lines are dropped, in pixels")
    invert: bool = Field(False, description="drop the lines within the limits instead")
    resolution_compensation: bool = Field(False, description="limits are for a width of 1000 pixels")

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.min_length is None and self.max_length is None:
            raise ValueError("needs 'min_length', 'max_length' or both")
        return self


def _drop_lines(element: Element, settings: LengthSettings, call: Call) -> Iterable[Element]:
    scale = element.annotation.width / 1000 if settings.resolution_compensation else 1.0

    def is_kept(item: LabeledObject) -> bool:
        if item.class_title != settings.lines_class or not isinstance(item.geometry, Line):
            return True
        length = _length(item.geometry.points)
        fits = settings.min_length is None or length >= settings.min_length * scale
        fits = fits and (settings.max_length is None or length <= settings.max_length * scale)
        return fits != settings.invert

    kept = tuple(filter(is_kept, element.annotation.objects))
    yield replace(element, annotation=replace(element.annotation, objects=kept))


def _length(points: Points) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())


LAYERS = (
    Layer(
        "objects_filter",
        ObjectsFilterSettings,
        "drops objects by class or by size",
        frozenset({"classes", "objects"}),
        _objects_filter,
        _objects_filter_meta,
        _filtered_classes,
    ),
    Layer(
        "objects_filter_by_area",
        ByAreaSettings,
        "drops or tags objects by their area in pixels",
        frozenset({"classes", "objects"}),
        _by_area,
        _by_area_meta,
        ours=True,
    ),
    Layer(
        "drop_lines_by_length",
        LengthSettings,
        "drops lines that are too short or too long",
        frozenset({"objects"}),
        _drop_lines,
        mentions=lambda settings: (settings.lines_class,),
    ),
)
