"""Where data enters and leaves a graph: `data`, `supervisely`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from segsweep.annotation import ProjectMeta
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Given, Layer, Strict
from segsweep.dtl.mapping import ClassesMapping, map_annotation, map_meta, resolve_mapping

__all__ = ["LAYERS", "SaveSettings"]


def _mapping(value: Any) -> Any:
    if value == "default":
        return value
    if not isinstance(value, dict) or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise ValueError("should be 'default', or an object of class: new class, '__default__' or '__ignore__'")
    return value


class DataSettings(Strict):
    """Settings of `data`."""

    classes_mapping: Annotated[Any, BeforeValidator(_mapping)]


def _targets(settings: DataSettings, meta: ProjectMeta) -> dict[str, str | None]:
    mapping: ClassesMapping = settings.classes_mapping
    return resolve_mapping(mapping, meta.titles)


def _data_meta(meta: ProjectMeta, settings: DataSettings) -> ProjectMeta:
    return map_meta(meta, _targets(settings, meta))


def _data_prepare(settings: DataSettings, given: Given) -> dict[str, str | None]:
    return _targets(settings, given.meta)


def _data(element: Element, settings: DataSettings, call: Call) -> Iterable[Element]:
    yield replace(element, annotation=map_annotation(element.annotation, call.prepared))


class SaveSettings(BaseModel):
    """Settings of `supervisely`; the language leaves them open.

    Attributes:
        image_format: Ours: all results in this format, instead of their sources' own.
        untouched: Ours: how files whose pixels never changed get into the result.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    image_format: Literal["png", "jpg"] | None = None
    untouched: Literal["link", "copy"] = "link"


LAYERS = (
    Layer(
        "data",
        DataSettings,
        "reads a project, or data sets of it; keeps, renames or drops classes",
        frozenset({"classes", "objects"}),
        _data,
        _data_meta,
        prepare=_data_prepare,
        aliases=("images_project",),
    ),
    Layer("supervisely", SaveSettings, "saves the result as a project", aliases=("create_new_project",)),
)
