"""Layers that add, change or drop classes, and their objects with them.

`background`, `rename`, `drop_obj_by_class`, `color_class`, `duplicate_objects`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from segsweep.annotation import ClassMeta, LabeledObject, ProjectMeta, Rectangle
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Change, Given, Layer, Strict
from segsweep.dtl.mapping import (
    DEFAULT,
    OTHER,
    add_class,
    kept_by_name,
    map_annotation,
    map_meta,
    require_classes,
    resolve_mapping,
)
from segsweep.errors import DataError

__all__ = ["LAYERS"]


class BackgroundSettings(Strict):
    """Settings of `background`.

    The rectangle's corners are the centres of the first and the last pixel: (0, 0) and (width - 1, height - 1).
    """

    class_: str = Field(alias="class", min_length=1, description="class of the rectangle")


def _background(element: Element, settings: BackgroundSettings, call: Call) -> Iterable[Element]:
    width, height = element.size
    if min(width, height) < 2:
        raise DataError(f"an image of {width}x{height} pixels is too small for a background rectangle")
    below = LabeledObject(settings.class_, Rectangle(0, 0, width - 1, height - 1))
    yield replace(element, annotation=replace(element.annotation, objects=(below, *element.annotation.objects)))


def _background_meta(meta: ProjectMeta, settings: BackgroundSettings) -> ProjectMeta:
    return add_class(meta, ClassMeta(settings.class_, "rectangle"))


class RenameSettings(Strict):
    """Settings of `rename`: the mapping of a `data` layer, where classes that are not listed stay.

    Unlike in the original, which silently keeps all other classes, an `__other__` that is written is followed.
    """

    classes_mapping: dict[str, str] = Field(
        description="class -> its new title, '__ignore__' (drop it) or '__default__' (keep it); "
        "'__other__' stands for all that are not listed"
    )


def _new_titles(settings: RenameSettings, meta: ProjectMeta) -> dict[str, str | None]:
    return resolve_mapping({OTHER: DEFAULT, **settings.classes_mapping}, meta.titles)


def _rename_meta(meta: ProjectMeta, settings: RenameSettings) -> ProjectMeta:
    return map_meta(meta, _new_titles(settings, meta))


def _rename_prepare(settings: RenameSettings, given: Given) -> dict[str, str | None]:
    return _new_titles(settings, given.meta)


def _rename(element: Element, settings: RenameSettings, call: Call) -> Iterable[Element]:
    yield replace(element, annotation=map_annotation(element.annotation, call.prepared))


class DropSettings(Strict):
    """Settings of `drop_obj_by_class`."""

    classes: list[str] = Field(description="classes to drop, with their objects")


def _drop_meta(meta: ProjectMeta, settings: DropSettings) -> ProjectMeta:
    require_classes(meta, settings.classes)
    return replace(meta, classes=tuple(item for item in meta.classes if item.title not in settings.classes))


def _drop(element: Element, settings: DropSettings, call: Call) -> Iterable[Element]:
    kept = tuple(item for item in element.annotation.objects if item.class_title not in settings.classes)
    yield replace(element, annotation=replace(element.annotation, objects=kept))


Color = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class ColorSettings(Strict):
    """Settings of `color_class`."""

    classes_color_mapping: dict[str, Color] = Field(description="class -> its new colour, '#RRGGBB'")


def _color_meta(meta: ProjectMeta, settings: ColorSettings) -> ProjectMeta:
    colors = settings.classes_color_mapping
    require_classes(meta, colors)
    return replace(
        meta, classes=tuple(replace(item, color=colors.get(item.title, item.color)) for item in meta.classes)
    )


class DuplicateSettings(Strict):
    """Settings of `duplicate_objects`."""

    classes_mapping: dict[str, str] = Field(description="class -> class of the copies of its objects")


def _duplicate_meta(meta: ProjectMeta, settings: DuplicateSettings) -> ProjectMeta:
    require_classes(meta, settings.classes_mapping)
    classes = {item.title: item for item in meta.classes}
    for title, copy in settings.classes_mapping.items():
        meta = add_class(meta, replace(classes[title], title=copy))
    return meta


def _duplicate(element: Element, settings: DuplicateSettings, call: Call) -> Iterable[Element]:
    copies, objects = settings.classes_mapping, []
    for item in element.annotation.objects:
        objects.append(item)
        if item.class_title in copies:
            objects.append(replace(item, class_title=copies[item.class_title]))
    yield replace(element, annotation=replace(element.annotation, objects=tuple(objects)))


_CLASSES_AND_OBJECTS: frozenset[Change] = frozenset({"classes", "objects"})

LAYERS = (
    Layer(
        "background",
        BackgroundSettings,
        "adds a rectangle of a class below everything",
        _CLASSES_AND_OBJECTS,
        _background,
        _background_meta,
    ),
    Layer(
        "rename",
        RenameSettings,
        "renames, merges or drops classes",
        _CLASSES_AND_OBJECTS,
        _rename,
        _rename_meta,
        lambda settings: kept_by_name(settings.classes_mapping),
        prepare=_rename_prepare,
        aliases=("rename_classes",),
    ),
    Layer(
        "drop_obj_by_class",
        DropSettings,
        "drops classes with all their objects",
        _CLASSES_AND_OBJECTS,
        _drop,
        _drop_meta,
        aliases=("drop_object_by_class",),
    ),
    Layer(
        "color_class",
        ColorSettings,
        "gives classes other colours",
        frozenset({"classes"}),
        meta=_color_meta,
        aliases=("change_class_color",),
    ),
    Layer(
        "duplicate_objects",
        DuplicateSettings,
        "copies the objects of a class to another class",
        _CLASSES_AND_OBJECTS,
        _duplicate,
        _duplicate_meta,
    ),
)
