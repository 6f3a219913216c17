"""Takes annotations from another project: `copy_annotations`.

The successor's layer of this name writes annotations into a project that exists; results here are always new, so ours
reads them from one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import Field

from segsweep.annotation import Annotation, Item, ProjectMeta, normalise
from segsweep.dtl.element import Element
from segsweep.dtl.layer import Call, Given, Layer, Strict
from segsweep.dtl.mapping import require_classes
from segsweep.errors import DataError

__all__ = ["LAYERS"]


class CopySettings(Strict):
    """Settings of `copy_annotations`.

    The image is found by its dataset and file name. It must still be as it was read, because the annotations
    would not follow what happened to it.
    """

    project: str = Field(min_length=1, description="name of the input project whose annotations are copied")
    mode: Literal["merge", "replace"] = Field(
        "merge", description="put objects above those that are there, and tags beside them, or in their place"
    )
    missing: Literal["keep", "drop", "fail"] = Field(
        "keep", description="what becomes of an image that the project lacks; 'fail' leaves it out and tells so"
    )
    classes: list[str] | None = Field(
        None, min_length=1, description="copy, and replace, objects of these classes only, and no tags"
    )


@dataclass(frozen=True)
class _Copies:
    """The other project: its classes, and the items that may be asked for, by data set and name."""

    meta: ProjectMeta
    items: Mapping[tuple[str, str], Item]


def _prepare(settings: CopySettings, given: Given) -> _Copies:
    project = given.projects[settings.project]
    wanted = {(source.dataset, source.name) for source in given.sources}
    items = {(item.dataset, item.name): item for item in project.items}
    return _Copies(project.meta, {key: item for key, item in items.items() if key in wanted})


def _copy(element: Element, settings: CopySettings, call: Call) -> Iterable[Element]:
    copies: _Copies = call.prepared
    source = element.source
    item = copies.items.get((source.dataset, source.name))
    if item is None:
        if settings.missing == "fail":
            raise DataError(f"project {settings.project!r} has no image {source.dataset}/{source.name}")
        return (element,) if settings.missing == "keep" else ()
    if element.picture.file is None:
        raise DataError("the image was changed before; copy annotations first")
    other = normalise(item.annotation(copies.meta))
    if (other.width, other.height) != element.size:
        raise DataError(
            f"the image has {element.size[0]}x{element.size[1]} pixels, but {other.width}x{other.height} "
            f"in project {settings.project!r}"
        )
    return (replace(element, annotation=_joined(element.annotation, other, settings)),)


def _joined(own: Annotation, other: Annotation, settings: CopySettings) -> Annotation:
    """Both annotations as one; of tags with the same name, the own one stays when they are merged."""
    classes = settings.classes
    copied = [item for item in other.objects if classes is None or item.class_title in classes]
    kept = [
        item
        for item in own.objects
        if settings.mode == "merge" or (classes is not None and item.class_title not in classes)
    ]
    tags = own.tags
    if classes is None:
        there = {tag.name for tag in own.tags}
        merged = (*own.tags, *(tag for tag in other.tags if tag.name not in there))
        tags = other.tags if settings.mode == "replace" else merged
    return replace(own, objects=(*kept, *copied), tags=tags)


def _meta(meta: ProjectMeta, settings: CopySettings) -> ProjectMeta:
    require_classes(meta, settings.classes or [])
    return meta


def _reads(settings: Mapping[str, Any]) -> tuple[str, ...]:
    project = settings.get("project")
    return (project,) if isinstance(project, str) and project else ()


LAYERS = (
    Layer(
        "copy_annotations",
        CopySettings,
        "puts the annotations of another project on images of the same name",
        frozenset({"classes", "objects", "tags"}),
        _copy,
        _meta,
        prepare=_prepare,
        reads=_reads,
        ours=True,
    ),
)
