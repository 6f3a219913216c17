"""Layers that sort images by what is on them.

`filter_images_by_object`, `filter_images_by_tag`, `filter_images_without_objects`. Each has two outputs, the images
that pass and the rest; a graph that names only the first lets the rest drop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from segsweep.annotation import ProjectMeta, Tag
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Layer, Strict
from segsweep.dtl.mapping import require_classes, require_tags

__all__ = ["LAYERS"]

Match = Literal["all", "any"]
_MATCH = {"all": all, "any": any}


class ByObjectSettings(Strict):
    """Settings of `filter_images_by_object`; `match` is our addition to the successor's."""

    include: list[str] = Field([], description="classes that an image must have objects of")
    exclude: list[str] = Field([], description="classes that an image must not have objects of")
    match: Match = Field("all", description="whether all of 'include' must be there, or any")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.include and not self.exclude:
            raise ValueError("needs classes in 'include', 'exclude' or both")
        both = [title for title in self.include if title in self.exclude]
        if both:
            raise ValueError(f"class {both[0]!r} is in 'include' and in 'exclude'")
        return self


def _titles(element: Element) -> set[str]:
    return {item.class_title for item in element.annotation.objects}


def _by_object(element: Element, settings: ByObjectSettings, call: Call) -> int:
    there = _titles(element)
    included = not settings.include or _MATCH[settings.match](title in there for title in settings.include)
    return 0 if included and there.isdisjoint(settings.exclude) else 1


def _by_object_meta(meta: ProjectMeta, settings: ByObjectSettings) -> ProjectMeta:
    require_classes(meta, [*settings.include, *settings.exclude])
    return meta


class WantedTag(Strict):
    """A tag by name, or by name and value."""

    name: str = Field(min_length=1, description="name of the tag")
    value: str | float | None = Field(None, description="its value; any, if left out")

    @model_validator(mode="wrap")
    @classmethod
    def _from_text(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        return read({"name": value} if isinstance(value, str) else value)

    def among(self, tags: tuple[Tag, ...]) -> bool:
        """Whether one of the tags is meant."""
        return any(tag.name == self.name and self.value in {None, tag.value} for tag in tags)


class ByTagSettings(Strict):
    """Settings of `filter_images_by_tag`; `match` and tags without a value are our additions to the successor's."""

    tags: list[WantedTag] = Field(min_length=1, description="tags, each a name or {name, value}")
    condition: Literal["with_img", "without_img", "with_obj", "without_obj"] = Field(
        "with_img", description="pass images with, or without, these as tags of the image, or of any object"
    )
    match: Match = Field("all", description="whether that must hold for all of 'tags', or for any")


def _by_tag(element: Element, settings: ByTagSettings, call: Call) -> int:
    kind, place = settings.condition.split("_")
    annotation = element.annotation
    tags = annotation.tags if place == "img" else tuple(tag for item in annotation.objects for tag in item.tags)
    holds = _MATCH[settings.match](tag.among(tags) == (kind == "with") for tag in settings.tags)
    return 0 if holds else 1


def _by_tag_meta(meta: ProjectMeta, settings: ByTagSettings) -> ProjectMeta:
    require_tags(meta, (tag.name for tag in settings.tags))
    return meta


class WithoutObjectsSettings(Strict):
    """Settings of `filter_images_without_objects`; left out, `exclude_classes` means all classes."""

    exclude_classes: list[str] | None = Field(
        None, min_length=1, description="classes that an image must not have objects of; all, if left out"
    )


def _without_objects(element: Element, settings: WithoutObjectsSettings, call: Call) -> int:
    there = _titles(element)
    excluded = there if settings.exclude_classes is None else there.intersection(settings.exclude_classes)
    return 1 if excluded else 0


def _without_objects_meta(meta: ProjectMeta, settings: WithoutObjectsSettings) -> ProjectMeta:
    require_classes(meta, settings.exclude_classes or [])
    return meta


def _outputs(settings: Mapping[str, Any]) -> tuple[str, ...]:
    return ("passed", "rest")


LAYERS = (
    Layer(
        "filter_images_by_object",
        ByObjectSettings,
        "passes images with objects of some classes, and without others",
        meta=_by_object_meta,
        outputs=_outputs,
        optional_outputs=1,
        route=_by_object,
        ours=True,
    ),
    Layer(
        "filter_images_by_tag",
        ByTagSettings,
        "passes images with, or without, tags",
        meta=_by_tag_meta,
        outputs=_outputs,
        optional_outputs=1,
        route=_by_tag,
        aliases=("filter_image_by_tag",),
        ours=True,
    ),
    Layer(
        "filter_images_without_objects",
        WithoutObjectsSettings,
        "passes images without objects of some classes, or of any",
        meta=_without_objects_meta,
        outputs=_outputs,
        optional_outputs=1,
        route=_without_objects,
        aliases=("filter_image_without_objects",),
        ours=True,
    ),
)
