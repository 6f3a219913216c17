"""Classes and tags of a project: what its `meta.json` holds, in both generations of the format."""

from __future__ import annotations

import colorsys
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from segsweep.errors import DataError, nearest

__all__ = ["SHAPES", "ClassMeta", "ProjectMeta", "TagMeta", "generated_color", "meta_from_json", "meta_to_json"]

SHAPES = ("bitmap", "polygon", "rectangle", "line", "point", "graph", "any")
"""Shapes a class can have; objects of an `any` class say their own."""

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class ClassMeta:
    """A class.

    Attributes:
        title: Its name, unique in the project.
        shape: One of `SHAPES`.
        color: `#RRGGBB`; empty means one is generated from the title.
        extra: Other keys (`hotkey`, `id`, `geometry_config` …), kept as they were read.
    """

    title: str
    shape: str
    color: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.color:
            object.__setattr__(self, "color", generated_color(self.title))


@dataclass(frozen=True)
class TagMeta:
    """A tag that images or objects may carry.

    Attributes:
        name: Its name, unique in the project.
        value_type: `none`, `any_number`, `any_string`, `oneof_string`, `date` …
        extra: Other keys (`values`, `color`, `id` …), kept as they were read.
        plain: Whether it is written as a plain string, the form of the first generation.
    """

    name: str
    value_type: str = "none"
    extra: Mapping[str, Any] = field(default_factory=dict)
    plain: bool = False


@dataclass(frozen=True)
class ProjectMeta:
    """Classes and tags, in order; titles and names are unique."""

    classes: tuple[ClassMeta, ...] = ()
    tags: tuple[TagMeta, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of all classes, in order."""
        return tuple(item.title for item in self.classes)

    def get(self, title: str) -> ClassMeta | None:
        """The class of that title, if there is one."""
        return next((item for item in self.classes if item.title == title), None)

    def get_tag(self, name: str) -> TagMeta | None:
        """The tag of that name, if there is one."""
        return next((item for item in self.tags if item.name == name), None)


def generated_color(title: str) -> str:
    """A vivid colour for a class that has none, always the same for the same title."""
    digest = hashlib.blake2b(title.encode(), digest_size=4).digest()
    hue, light, rest = int.from_bytes(digest[:2]) / 2**16, 0.45 + digest[2] / 1024, 0.65 + digest[3] / 1024
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, light, rest))


def meta_from_json(data: Any, where: str) -> ProjectMeta:
    """Reads the content of `meta.json`, or of the oldest generation's `classes.json` (a bare list of classes).

    Raises:
        DataError: Tells everything that is wrong with it.
    """
    if isinstance(data, list):
        data = {"classes": data}
    if not isinstance(data, dict):
        raise DataError(f"{where}: should hold an object with `classes` and `tags`, not {type(data).__name__}")
    wrong: list[str] = []
    classes = _unique(_classes(data.get("classes", []), wrong), "class", wrong)
    tags = _unique(_tags(data, wrong), "tag", wrong)
    if wrong:
        raise DataError("\n".join(f"{where}: {line}" for line in wrong))
    known = {"classes", "tags", "tags_images", "tags_objects"}
    return ProjectMeta(tuple(classes), tuple(tags), {key: value for key, value in data.items() if key not in known})


def _classes(items: Any, wrong: list[str]) -> Iterable[tuple[str, ClassMeta]]:
    if not isinstance(items, list):
        wrong.append("`classes` should be a list")
        return
    for index, item in enumerate(items):
        key = f"classes[{index}]"
        if not isinstance(item, dict):
            wrong.append(f"{key} should be an object")
            continue
        title, shape, color = item.get("title"), item.get("shape"), item.get("color") or ""
        if not isinstance(title, str) or not title:
            wrong.append(f"{key}.title should be a text")
        elif not isinstance(shape, str) or shape not in SHAPES:
            wrong.append(
                f"{key}.shape of class {title!r} is {shape!r}, which is not supported; {nearest(shape, SHAPES)}"
            )
        elif color and not (isinstance(color, str) and _COLOR.fullmatch(color)):
            wrong.append(f"{key}.color of class {title!r} is {color!r}; it should look like #FF8800")
        else:
            rest = {name: value for name, value in item.items() if name not in {"title", "shape", "color"}}
            yield title, ClassMeta(title, shape, color, rest)


def _tags(data: Mapping[str, Any], wrong: list[str]) -> Iterable[tuple[str, TagMeta]]:
    """Tags of all generations: `tags`, or `tags_images` and `tags_objects`, which may repeat each other."""
    old = {key: data[key] for key in ("tags_images", "tags_objects") if data.get(key)}
    if old and data.get("tags"):
        wrong.append("holds `tags` and also the older " + " and ".join(f"`{key}`" for key in old) + "; keep one form")
    seen: dict[str, TagMeta] = {}
    for key, items in old.items() if old else [("tags", data.get("tags", []))]:
        if not isinstance(items, list):
            wrong.append(f"`{key}` should be a list")
            continue
        for index, item in enumerate(items):
            tag = _tag(item)
            if tag is None:
                wrong.append(f"{key}[{index}] should be a text or an object with a `name`")
            elif old and seen.get(tag.name) == tag:
                continue
            else:
                seen.setdefault(tag.name, tag)
                yield tag.name, tag


def _tag(item: Any) -> TagMeta | None:
    if isinstance(item, str) and item:
        return TagMeta(item, plain=True)
    if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"]:
        return None
    value_type = item.get("value_type", "any_string")  # what the first generation assumed
    if not isinstance(value_type, str):
        return None
    rest = {key: value for key, value in item.items() if key not in {"name", "value_type"}}
    return TagMeta(item["name"], value_type, rest)


def _unique(items: Iterable[tuple[str, Any]], kind: str, wrong: list[str]) -> list[Any]:
    unique: dict[str, Any] = {}
    for name, item in items:
        if name in unique:
            wrong.append(f"{kind} {name!r} is there twice")
        unique[name] = item
    return list(unique.values())


def meta_to_json(meta: ProjectMeta) -> dict[str, Any]:
    """The content of `meta.json`; the inverse of `meta_from_json`."""
    return {
        "classes": [
            {"title": item.title, "shape": item.shape, "color": item.color, **item.extra} for item in meta.classes
        ],
        "tags": [
            item.name if item.plain else {"name": item.name, "value_type": item.value_type, **item.extra}
            for item in meta.tags
        ],
        **meta.extra,
    }
