"""What layers do to classes and tags, before any image is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from segsweep.annotation import Annotation, ClassMeta, ProjectMeta, TagMeta
from segsweep.errors import nearest

__all__ = [
    "ClassesMapping",
    "MetaError",
    "add_class",
    "add_tag",
    "kept_by_name",
    "map_annotation",
    "map_meta",
    "merge_metas",
    "remove_tag",
    "require_classes",
    "require_tags",
    "resolve_mapping",
]

OTHER, DEFAULT, IGNORE = "__other__", "__default__", "__ignore__"

ClassesMapping = str | dict[str, str]
"""`"default"`, or source class -> target, `__default__` or `__ignore__`, with `__other__` for all not listed."""


class MetaError(Exception):
    """A layer cannot work with the classes or tags it gets.

    Attributes:
        what: What is wrong.
        hint: What is allowed.
        name: The class or tag that it is about, or the setting: the setting that names it is told.
    """

    def __init__(self, what: str, hint: str = "", name: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.name = name


def add_class(meta: ProjectMeta, item: ClassMeta) -> ProjectMeta:
    """Adds a class; one of equal title and shape that is there already stays as it is.

    Raises:
        MetaError: It is there with another shape.
    """
    old = meta.get(item.title)
    if old is None:
        return replace(meta, classes=(*meta.classes, item))
    if old.shape != item.shape:
        raise MetaError(
            f"class {item.title!r} would be {_a(item.shape)} but is {_a(old.shape)} already",
            "choose another name",
            item.title,
        )
    return meta


def _a(shape: str) -> str:
    return f"an {shape}" if shape[:1] in "aeiou" else f"a {shape}"


def add_tag(meta: ProjectMeta, tag: TagMeta) -> ProjectMeta:
    """Adds a tag; one of equal name and type of value that is there already stays as it is.

    Raises:
        MetaError: It is there with another type of value.
    """
    old = meta.get_tag(tag.name)
    if old is None:
        return replace(meta, tags=(*meta.tags, tag))
    if old.value_type != tag.value_type:
        raise MetaError(
            f"tag {tag.name!r} would hold {tag.value_type!r} but holds {old.value_type!r} already",
            "choose another name, or the form that fits",
            tag.name,
        )
    return meta


def remove_tag(meta: ProjectMeta, name: str) -> ProjectMeta:
    """Removes a tag by name, if it is there."""
    return replace(meta, tags=tuple(tag for tag in meta.tags if tag.name != name))


def merge_metas(metas: Iterable[ProjectMeta]) -> ProjectMeta:
    """The union of classes and tags; the first of equal ones wins.

    Raises:
        MetaError: Equal titles have different shapes, or equal tags different types.
    """
    merged: ProjectMeta | None = None
    for meta in metas:
        if merged is None:
            merged = meta
            continue
        try:
            for item in meta.classes:
                merged = add_class(merged, item)
            for tag in meta.tags:
                merged = add_tag(merged, tag)
        except MetaError as error:
            raise MetaError(error.what, "rename or drop one of the two before they meet", error.name) from error
    return merged or ProjectMeta()


def require_classes(meta: ProjectMeta, titles: Iterable[str]) -> None:
    """Sees to it that classes which a layer names are there.

    Raises:
        MetaError: One is not.
    """
    for title in titles:
        if meta.get(title) is None:
            raise MetaError(f"there is no class {title!r} here", nearest(title, meta.titles), title)


def require_tags(meta: ProjectMeta, names: Iterable[str]) -> None:
    """Sees to it that tags which a layer names are there.

    Raises:
        MetaError: One is not.
    """
    for name in names:
        if meta.get_tag(name) is None:
            raise MetaError(f"there is no tag {name!r} here", nearest(name, (tag.name for tag in meta.tags)), name)


def resolve_mapping(mapping: ClassesMapping, titles: Iterable[str]) -> dict[str, str | None]:
    """What becomes of every class: its new title, or None when it is dropped.

    Raises:
        MetaError: The mapping and the classes do not fit.
    """
    known = list(titles)
    if isinstance(mapping, str):
        return {title: title for title in known}
    unknown = [title for title, target in mapping.items() if title not in {*known, OTHER} and target != DEFAULT]
    if unknown:
        raise MetaError(
            "names " + ", ".join(map(repr, unknown)) + ", which the data does not have",
            nearest(unknown[0], known),
            unknown[0],
        )
    missing = [title for title in known if title not in mapping]
    if missing and OTHER not in mapping:
        raise MetaError(
            "says nothing about " + ", ".join(map(repr, missing)),
            f"list every class, or add '{OTHER}': '{DEFAULT}' (keep) or '{IGNORE}' (drop)",
            "classes_mapping",
        )
    # In the order of the mapping's keys, which is the order that renamed classes get.
    order = [title for key in mapping for title in (missing if key == OTHER else [key]) if title in known]
    return {title: _target(title, mapping) for title in order}


def kept_by_name(mapping: ClassesMapping) -> list[str]:
    """Classes that a mapping says to keep as they are; they need not be there."""
    if isinstance(mapping, str):
        return []
    return [title for title, target in mapping.items() if target == DEFAULT and title != OTHER]


def _target(title: str, mapping: Mapping[str, str]) -> str | None:
    target = mapping[title] if title in mapping else mapping[OTHER]
    return title if target == DEFAULT else None if target == IGNORE else target


def map_meta(meta: ProjectMeta, targets: Mapping[str, str | None]) -> ProjectMeta:
    """Classes after a mapping: kept ones in their order, renamed ones behind them with their colour and keys.

    Raises:
        MetaError: Classes of different shapes would become one.
    """
    renamed = [(title, target) for title, target in targets.items() if target is not None and target != title]
    result = replace(meta, classes=tuple(item for item in meta.classes if targets[item.title] == item.title))
    for title, target in renamed:
        item = meta.get(title)
        assert item is not None
        result = add_class(result, replace(item, title=target))
    return result


def map_annotation(annotation: Annotation, targets: Mapping[str, str | None]) -> Annotation:
    """Objects after a mapping: renamed or dropped with their classes."""
    objects = tuple(
        item if target == item.class_title else replace(item, class_title=target)
        for item in annotation.objects
        if (target := targets[item.class_title]) is not None
    )
    return replace(annotation, objects=objects)
