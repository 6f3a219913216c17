"""The classes of a result project, and what objects are called in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from segsweep.annotation import ClassMeta, ProjectMeta
from segsweep.errors import Problems, nearest
from segsweep.inference.placement import Boxes, Roi, Windows
from segsweep.inference.settings import InferenceSettings
from segsweep.models.folder import ModelConfig
from segsweep.reporting import Reporter

__all__ = ["Names", "name_classes", "read_thresholds"]

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_MODE = "inference.mode"


@dataclass(frozen=True)
class Names:
    """What objects are called in the result.

    Attributes:
        meta: Its classes: those of the project that are kept, the predicted ones, those of saved rectangles.
        kept: The project's class -> its name in the result.
        predicted: The model's class -> the class of its predictions, in the order of class indices.
        indices: The class index of each of them.
        rectangles: The class of saved rectangles; by the class of the object that a box is around, else under "".
        boxed: The project's classes whose objects are predicted in boxes.
    """

    meta: ProjectMeta
    kept: Mapping[str, str]
    predicted: dict[str, str]
    indices: tuple[int, ...]
    rectangles: Mapping[str, str]
    boxed: frozenset[str]

    @property
    def first_predicted(self) -> int:
        """The place of the first predicted class in `meta`."""
        return len(self.kept)


def name_classes(config: ModelConfig, settings: InferenceSettings, meta: ProjectMeta, reporter: Reporter) -> Names:
    """Finds the classes that are meant, and makes sure that no name is taken twice.

    Raises:
        InvalidRequestError: No class is selected, or a name is taken.
    """
    problems = Problems()
    known = config.class_title_to_idx
    wanted = known if settings.save_classes is None else settings.save_classes
    chosen = sorted(_known(wanted, known, "the model", reporter), key=lambda title: known[title])
    if not chosen:
        hint = f"it has: {', '.join(known)}"
        problems.add(f"{_MODE}.model_classes.save_classes", "names no class of the model", hint)
    kept_titles = meta.titles if settings.keep_classes is None else settings.keep_classes
    selected = set(_known(kept_titles, meta.titles, "the project", reporter))
    kept = {title: title + settings.keep_suffix for title in meta.titles if title in selected}
    boxed = _boxed(settings, meta, problems, reporter)
    predicted = {title: title + settings.add_suffix for title in chosen}
    rectangles, key = _rectangles(settings, meta, boxed)
    _check_names(kept, predicted, rectangles, f"{_MODE}.{key}", problems)
    problems.raise_if_any("the predictions cannot be named")

    colours = {entry["title"]: _color(entry.get("color")) for entry in config.out_classes}
    own = [item for item in meta.classes if item.title in kept]
    classes = [
        *(replace(item, title=kept[item.title]) for item in own),
        *(ClassMeta(name, settings.shape, colours.get(title, "")) for title, name in predicted.items()),
        *(ClassMeta(name, "rectangle") for name in dict.fromkeys(rectangles.values())),
    ]
    indices = tuple(known[title] for title in predicted)
    return Names(ProjectMeta(tuple(classes), meta.tags, meta.extra), kept, predicted, indices, rectangles, boxed)


def read_thresholds(config: ModelConfig, threshold: float | Mapping[str, float] | None) -> dict[int, float]:
    """Thresholds by class index; one number is that of every class but the background.

    Raises:
        InvalidRequestError: A class is unknown, or is the background, which gets what no other class claims.
    """
    known = config.class_title_to_idx
    if threshold is None:
        return {}
    if not isinstance(threshold, Mapping):
        return {index: threshold for index in sorted(known.values()) if index}
    problems = Problems()
    for title in threshold:
        if title not in known:
            problems.unknown(f"inference.threshold.{title}", title, known, kind="class of the model")
        elif known[title] == 0:
            what = "is the background, which gets what no other class claims"
            problems.add(f"inference.threshold.{title}", what, "leave it out")
    problems.raise_if_any("the thresholds cannot be used")
    return {known[title]: value for title, value in threshold.items()}


def _known(titles: Iterable[str], known: Iterable[str], owner: str, reporter: Reporter) -> list[str]:
    """The titles that there are; a warning tells each other one."""
    names = list(known)
    for title in titles:
        if title not in names:
            reporter.message(f"{owner} has no class {title!r}; {nearest(title, names)}", "warning")
    return [title for title in titles if title in names]


def _boxed(settings: InferenceSettings, meta: ProjectMeta, problems: Problems, reporter: Reporter) -> frozenset[str]:
    if not isinstance(settings.place, Boxes):
        return frozenset()
    if settings.place.from_classes is None:
        return frozenset(meta.titles)
    found = _known(settings.place.from_classes, meta.titles, "the project", reporter)
    if not found:
        hint = f"it has: {', '.join(meta.titles) or 'none'}"
        problems.add(f"{_MODE}.from_classes", "names no class of the project", hint)
    return frozenset(found)


def _rectangles(settings: InferenceSettings, meta: ProjectMeta, boxed: frozenset[str]) -> tuple[dict[str, str], str]:
    """The classes of saved rectangles, and the key that names them."""
    match settings.place:
        case Boxes(saved_suffix=str(suffix)):
            return {title: title + suffix for title in meta.titles if title in boxed}, "add_suffix"
        case Roi(saved_as=str(name)) | Windows(saved_as=str(name)):
            return {"": name}, "class_name"
    return {}, ""


def _check_names(
    kept: Mapping[str, str], predicted: Mapping[str, str], rectangles: Mapping[str, str], key: str, problems: Problems
) -> None:
    """Notes every name that stands for two classes, under the key that gave the later one."""
    taken = dict.fromkeys(kept.values(), "is in the project already")
    for name in predicted.values():
        if name in taken:
            problems.add(f"{_MODE}.model_classes.add_suffix", f"class {name!r} {taken[name]}", "choose another suffix")
    taken |= dict.fromkeys(predicted.values(), "is a predicted one already")
    for name in rectangles.values():
        if name in taken:
            problems.add(key, f"class {name!r} {taken[name]}", "choose another name")


def _color(value: object) -> str:
    """The colour that a model's config names; empty, for a generated one, where it names none that a meta may hold."""
    return value if isinstance(value, str) and _COLOR.fullmatch(value) else ""
