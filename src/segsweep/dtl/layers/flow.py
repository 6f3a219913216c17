"""Layers that steer elements: `dummy`, `multiply`, `if`, `dataset`, `tag`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    field_validator,
    model_validator,
)

from segsweep.annotation import ProjectMeta, Tag, TagMeta
from segsweep.annotation.geometry import area
from segsweep.dtl.element import Element, Source
from segsweep.dtl.layer import Call, Given, Layer, Strict
from segsweep.dtl.mapping import add_tag, remove_tag
from segsweep.errors import DataError

__all__ = ["LAYERS"]


class DummySettings(BaseModel):
    """Settings of `dummy`: anything may stand here, and nothing comes of it."""

    model_config = ConfigDict(extra="allow", frozen=True)


class MultiplySettings(Strict):
    """Settings of `multiply`."""

    multiply: int = Field(ge=1, description="how many copies there are in all")


def _multiply(element: Element, settings: MultiplySettings, call: Call) -> Iterable[Element]:
    for _ in range(settings.multiply):
        yield element


class Condition(Strict):
    """A condition of `if`: exactly one form; `classes` and `frame_step` belong to one form each."""

    probability: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="by chance, every image by itself; 1 is always, 0 never"
    )
    regex_names: list[str] | None = Field(
        None, description="any of these regular expressions is found in the image's name, without its extension"
    )
    project_datasets: list[str] | None = Field(
        None, description="the image comes from any of these, each 'project/dataset'; '*' stands for any"
    )
    min_objects_count: Annotated[int, Field(ge=0)] | None = Field(
        None, description="there are at least so many objects, a background among them"
    )
    include_classes: list[str] | None = Field(None, description="there is an object of any of these classes")
    tags: list[str] | None = Field(None, description="the image has any of these tags; values do not matter")
    min_height: int | None = Field(None, description="at least so many pixels high")
    min_width: int | None = Field(None, description="at least so many pixels wide")
    min_area: int | None = Field(None, description="at least so many pixels in all")
    sum_object_area: float | None = Field(
        None, description="the objects of 'classes' have at least so many square pixels together"
    )
    classes: list[str] | None = Field(None, description="with 'sum_object_area': the classes that count")
    name_in_range: Annotated[list[str], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="[first, last]: the image's name, without its extension, is one of these or lies between them in "
        "the order of texts; needs 'frame_step'",
    )
    frame_step: Annotated[int, Field(ge=1)] | None = Field(
        None, description="with 'name_in_range': of those, the first and every n-th after it"
    )

    @field_validator("regex_names")
    @classmethod
    def _regular(cls, value: list[str] | None) -> list[str] | None:
        for pattern in value or []:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return value

    @field_validator("project_datasets")
    @classmethod
    def _paired(cls, value: list[str] | None) -> list[str] | None:
        for pair in value or []:
            if pair.count("/") != 1 or not all(pair.split("/")):
                raise ValueError(f"{pair!r} should be 'project/dataset'; '*' stands for any")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        forms = sorted(self.model_fields_set & CONDITIONS.keys())
        if len(forms) != 1 or getattr(self, forms[0]) is None:
            raise ValueError(
                f"needs exactly one of {', '.join(sorted(CONDITIONS))}; it has {', '.join(forms) or 'none of them'}"
            )
        for form, companion in (("sum_object_area", "classes"), ("name_in_range", "frame_step")):
            if (form in forms) != (getattr(self, companion) is not None):
                raise ValueError(f"{form!r} and {companion!r} belong together")
        return self


def _by_project_dataset(element: Element, condition: Condition, call: Call) -> bool:
    pairs = (pair.split("/") for pair in condition.project_datasets or [])
    return any(
        project in {"*", element.source.project} and dataset in {"*", element.source.dataset}
        for project, dataset in pairs
    )


CONDITIONS: Mapping[str, Callable[[Element, Any, Call], bool]] = {
    "probability": lambda element, when, call: bool(call.random(element).random() < when.probability),
    "regex_names": lambda element, when, call: any(
        re.search(pattern, element.source.base) for pattern in when.regex_names
    ),
    "project_datasets": _by_project_dataset,
    "min_objects_count": lambda element, when, call: len(element.annotation.objects) >= when.min_objects_count,
    "include_classes": lambda element, when, call: any(
        item.class_title in when.include_classes for item in element.annotation.objects
    ),
    "tags": lambda element, when, call: any(tag.name in when.tags for tag in element.annotation.tags),
    "min_height": lambda element, when, call: element.size[1] >= when.min_height,
    "min_width": lambda element, when, call: element.size[0] >= when.min_width,
    "min_area": lambda element, when, call: element.size[0] * element.size[1] >= when.min_area,
    "sum_object_area": lambda element, when, call: (
        sum(area(item.geometry) for item in element.annotation.objects if item.class_title in when.classes)
        >= when.sum_object_area
    ),
    "name_in_range": lambda element, when, call: (
        element.source in call.prepared and call.prepared[element.source] % when.frame_step == 0
    ),
}


class IfSettings(Strict):
    """Settings of `if`."""

    condition: Condition = Field(description="exactly one of the forms below")


def _if_classes(settings: IfSettings) -> Iterable[str]:
    return (*(settings.condition.include_classes or ()), *(settings.condition.classes or ()))


def _if_route(element: Element, settings: IfSettings, call: Call) -> int:
    (form,) = settings.condition.model_fields_set & CONDITIONS.keys()
    return 0 if CONDITIONS[form](element, settings.condition, call) else 1


def _frames(settings: IfSettings, given: Given) -> dict[Source, int]:
    """For `name_in_range`: the number of every source in the range, counted from 0.

    Counting sources, not elements, keeps the choice independent of the order of work; all elements of one source
    share it.
    """
    if settings.condition.name_in_range is None:
        return {}
    low, high = settings.condition.name_in_range
    inside = [source for source in given.sources if low <= source.base <= high]
    return {source: index for index, source in enumerate(inside)}


class DatasetSettings(Strict):
    """Settings of `dataset`: either a name or a rule.

    Without this layer a dataset keeps its name, or becomes `<project>__<dataset>` where several projects have one of
    that name.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9 _-]+$", max_length=240)] | None = Field(
        None, description="name of the result's dataset: letters, digits, spaces, '_' and '-'"
    )
    rule: Literal["save_original"] | None = Field(
        None, description="keep the source's name, whatever others are called"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.name is None) == (self.rule is None):
            raise ValueError("needs either 'name' or 'rule': 'save_original'")
        return self


def _dataset(element: Element, settings: DatasetSettings, call: Call) -> Iterable[Element]:
    yield replace(element, dataset=settings.name or element.source.dataset)


class NamedTag(Strict):
    """A tag as a plain name, or as a name with a value."""

    name: str = Field(min_length=1, description="name of the tag")
    value: str | None = Field(None, description="its value, if it is to have one")
    _plain: bool = PrivateAttr(default=False)

    @model_validator(mode="wrap")
    @classmethod
    def _from_text(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        tag = read({"name": value} if isinstance(value, str) else value)
        tag._plain = isinstance(value, str)
        return tag

    @property
    def plain(self) -> bool:
        """Whether it was given as a plain name, and so is written as one."""
        return self._plain


class TagSettings(Strict):
    """Settings of `tag`.

    A tag of that name which is there already stays as it is; one with another value makes the image fail.
    """

    tag: NamedTag = Field(description="a name, or {name, value}")
    action: Literal["add", "delete"] = Field(description="'delete' goes by the name alone")

    @model_validator(mode="after")
    def _delete_by_name(self) -> Self:
        if self.action == "delete" and self.tag.value is not None:
            raise ValueError("a tag is deleted by its name; leave the value out")
        return self


def _tag(element: Element, settings: TagSettings, call: Call) -> Iterable[Element]:
    annotation, asked = element.annotation, settings.tag
    if settings.action == "delete":
        kept = tuple(tag for tag in annotation.tags if tag.name != asked.name)
        yield replace(element, annotation=replace(annotation, tags=kept))
        return
    present = next((tag for tag in annotation.tags if tag.name == asked.name), None)
    if present is None:
        tag = Tag(asked.name, asked.value, plain=asked.plain)
        yield replace(element, annotation=replace(annotation, tags=(*annotation.tags, tag)))
    elif asked.value is None or asked.value == present.value:
        yield element
    else:
        raise DataError(f"the image has the tag {present.name!r} with {present.value!r} already, not {asked.value!r}")


def _tag_meta(meta: ProjectMeta, settings: TagSettings) -> ProjectMeta:
    tag = settings.tag
    if settings.action == "delete":
        return remove_tag(meta, tag.name)
    return add_tag(meta, TagMeta(tag.name, "none" if tag.plain else "any_string", plain=tag.plain))


LAYERS = (
    Layer("dummy", DummySettings, "passes everything on; joins streams"),
    Layer("multiply", MultiplySettings, "gives every image several times", apply=_multiply),
    Layer(
        "if",
        IfSettings,
        "sends images that fulfil a condition one way, the others another",
        mentions=_if_classes,
        prepare=_frames,
        outputs=lambda settings: ("true", "false"),
        route=_if_route,
    ),
    Layer("dataset", DatasetSettings, "names the dataset of the result", apply=_dataset),
    Layer(
        "tag",
        TagSettings,
        "adds a tag to images, or deletes one",
        frozenset({"classes", "tags"}),
        _tag,
        _tag_meta,
        aliases=("image_tag",),
    ),
)
