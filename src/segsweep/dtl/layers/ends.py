"""Where data enters and leaves a graph: `data`, `supervisely`, `save`, `save_masks`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from segsweep.annotation import ProjectMeta
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Given, Layer, Strict
from segsweep.dtl.mapping import ClassesMapping, kept_by_name, map_annotation, map_meta, resolve_mapping
from segsweep.dtl.painting import Color, class_colors, machine_mask, overlay

__all__ = ["LAYERS", "SaveSettings"]


def _mapping(value: Any) -> Any:
    if value == "default":
        return value
    if not isinstance(value, dict) or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise ValueError("should be 'default', or an object of class: new class, '__default__' or '__ignore__'")
    return value


class DataSettings(Strict):
    """Settings of `data`."""

    classes_mapping: Annotated[Any, BeforeValidator(_mapping)] = Field(
        description="'default' (keep everything), or class -> its new title, '__ignore__' (drop it) or '__default__' "
        "(keep it); '__other__' stands for all that are not listed"
    )


def _targets(settings: DataSettings, meta: ProjectMeta) -> dict[str, str | None]:
    mapping: ClassesMapping = settings.classes_mapping
    return resolve_mapping(mapping, meta.titles)


def _data_meta(meta: ProjectMeta, settings: DataSettings) -> ProjectMeta:
    return map_meta(meta, _targets(settings, meta))


def _data_prepare(settings: DataSettings, given: Given) -> dict[str, str | None]:
    return _targets(settings, given.meta)


def _data(element: Element, settings: DataSettings, call: Call) -> Iterable[Element]:
    yield replace(element, annotation=map_annotation(element.annotation, call.prepared))


class _Files(BaseModel):
    """How images are written."""

    image_format: Literal["png", "jpg"] | None = Field(
        None, description="ours: all results in this format, instead of their sources' own"
    )
    untouched: Literal["link", "copy"] = Field(
        "link", description="ours: whether files whose pixels never changed are hard-linked into the result, or copied"
    )


class SaveSettings(_Files):
    """Settings of `supervisely`; other keys are passed over, because the language leaves them open."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class VisualizeSettings(SaveSettings):
    """Settings of `save`; other keys are passed over, because the language leaves them open."""

    visualize: bool = Field(
        False, description="also saves pictures in visualize/: the image, and beside it the image under its objects"
    )


def _visualize(element: Element, settings: VisualizeSettings, call: Call) -> Mapping[str, NDArray[np.uint8]]:
    if not settings.visualize:
        return {}
    return {"visualize": overlay(element.picture.pixels, element.annotation, class_colors(call.meta))}


Level = Annotated[int, Field(ge=0, le=255)]
Colors = dict[str, Annotated[list[Level], Field(min_length=3, max_length=3)]]


class MasksSettings(_Files, Strict):
    """Settings of `save_masks`. Classes without a colour are not drawn."""

    masks_machine: bool = Field(description="saves pictures in masks_machine/: objects in the colours of their classes")
    masks_human: bool = Field(
        description="saves pictures in masks_human/: the image, and beside it the image under its objects"
    )
    gt_machine_color: Colors | None = Field(None, description="class -> [red, green, blue] in masks_machine")
    gt_human_color: Colors | None = Field(None, description="class -> [red, green, blue] in masks_human")

    @model_validator(mode="after")
    def _colors_are_given(self) -> Self:
        if not (self.masks_machine or self.masks_human):
            raise ValueError("masks_machine or masks_human must be true")
        for kind in ("machine", "human"):
            if getattr(self, f"masks_{kind}") and getattr(self, f"gt_{kind}_color") is None:
                raise ValueError(f"masks_{kind} needs gt_{kind}_color: class -> [red, green, blue]")
        return self


def _masks(element: Element, settings: MasksSettings, call: Call) -> Mapping[str, NDArray[np.uint8]]:
    pictures = {}
    if settings.masks_machine:
        pictures["masks_machine"] = machine_mask(element.annotation, _tuples(settings.gt_machine_color))
    if settings.masks_human:
        colors = _tuples(settings.gt_human_color)
        pictures["masks_human"] = overlay(element.picture.pixels, element.annotation, colors)
    return pictures


def _tuples(colors: Colors | None) -> dict[str, Color]:
    return {title: (red, green, blue) for title, (red, green, blue) in (colors or {}).items()}


LAYERS = (
    Layer(
        "data",
        DataSettings,
        "reads a project, or datasets of it; keeps, renames or drops classes",
        frozenset({"classes", "objects"}),
        _data,
        _data_meta,
        mentions=lambda settings: kept_by_name(settings.classes_mapping),
        prepare=_data_prepare,
        aliases=("images_project",),
    ),
    Layer("supervisely", SaveSettings, "saves the result as a project", aliases=("create_new_project",)),
    Layer(
        "save",
        VisualizeSettings,
        "saves the result as a project, with pictures of the objects if wanted",
        pictures=_visualize,
        aliases=("export_archive",),
    ),
    Layer(
        "save_masks",
        MasksSettings,
        "saves the result as a project, with the objects drawn as pictures",
        mentions=lambda settings: (*(settings.gt_machine_color or ()), *(settings.gt_human_color or ())),
        pictures=_masks,
        aliases=("export_archive_with_masks",),
    ),
)
