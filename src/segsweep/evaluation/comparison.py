"""What is compared with what: which classes, which images, which pixels, and the maps of one image.

Index 0 of every map is the background; the mapped classes follow in the order of the mapping. Objects of all other
classes are not drawn: in the truth they are background, and in the prediction project they are the original objects,
which inference keeps beside its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.annotation import Annotation, Item, Project, class_indices
from segsweep.errors import DataError, Problems, nearest
from segsweep.files import image_size, read_mask

__all__ = ["FIELD_OF_VIEW", "REGIONS", "WHOLE_FRAME", "ClassPairs", "Comparison", "Maps", "plan_comparison"]

WHOLE_FRAME = "whole_frame"
FIELD_OF_VIEW = "field_of_view"
REGIONS = (WHOLE_FRAME, FIELD_OF_VIEW)
UNNAMED_BACKGROUND = "(background)"

Mask = NDArray[np.bool_]
Indices = NDArray[Any]


@dataclass(frozen=True)
class ClassPairs:
    """The classes that are compared.

    Attributes:
        titles: Titles in the truth by index; the background is 0.
        predicted: Titles in the prediction by index; None is a background without a class.
        background: Title of the truth's background, if it has a class.
        neutral: Title of the truth's class whose pixels do not count.
    """

    titles: tuple[str, ...]
    predicted: tuple[str | None, ...]
    background: str | None
    neutral: str

    @property
    def ignored(self) -> int:
        """The index of neutral pixels in the maps of the truth."""
        return len(self.titles)


@dataclass(frozen=True)
class Maps:
    """One image, as far as its scores need it; all arrays are HxW.

    Attributes:
        truth: Class indices, of an integer type; `ClassPairs.ignored` where a pixel is neutral.
        prediction: Class indices.
        valid: By region, the pixels that count; None is all of them.
        probabilities: By class index, uint16; 65535 is certainty.
        annotations: What the maps were drawn from, of truth and prediction; without objects if they were not asked.
    """

    truth: Indices
    prediction: Indices
    valid: Mapping[str, Mask | None]
    probabilities: Mapping[int, NDArray[np.uint16]]
    annotations: tuple[Annotation, Annotation]


@dataclass(frozen=True)
class Comparison:
    """Two projects that fit together.

    Attributes:
        truth: The annotated project.
        prediction: The project with predictions; may be the same.
        classes: The classes that are compared.
        pairs: (true item, predicted item) of every image.
        regions: The regions that can be scored: `whole_frame`, and `field_of_view` where all images have one.
        probability_folders: By class index, the side folder of its probabilities, where all images have them.
    """

    truth: Project
    prediction: Project
    classes: ClassPairs
    pairs: tuple[tuple[Item, Item], ...]
    regions: tuple[str, ...]
    probability_folders: Mapping[int, str]

    def read(self, pair: tuple[Item, Item], *, objects: bool = False) -> Maps:
        """Reads the maps of one image.

        Args:
            pair: One of `pairs`.
            objects: Whether the annotations keep their objects, each of which may be as large as the image.

        Raises:
            DataError: A file is damaged, or does not have the size of the image.
        """
        truth_item, predicted_item = pair
        size = image_size(truth_item.image_path)
        classes = self.classes
        true_indices = {title: index for index, title in enumerate(classes.titles) if index or classes.background}
        true_indices |= {classes.neutral: classes.ignored}
        predicted_indices = {title: index for index, title in enumerate(classes.predicted) if title is not None}

        annotation = _sized(truth_item.annotation(self.truth.meta), size, truth_item.annotation_path)
        truth = _drawn(annotation, true_indices, classes.background)
        kept = [annotation if objects else replace(annotation, objects=())]
        if predicted_item.annotation_path != truth_item.annotation_path:
            annotation = _sized(predicted_item.annotation(self.prediction.meta), size, predicted_item.annotation_path)
        prediction = _drawn(annotation, predicted_indices, classes.predicted[0])
        kept.append(annotation if objects else replace(annotation, objects=()))
        del annotation

        counted = truth != classes.ignored
        valid: dict[str, Mask | None] = {WHOLE_FRAME: None if counted.all() else counted}
        if FIELD_OF_VIEW in self.regions:
            valid[FIELD_OF_VIEW] = counted & _read_field(_side(truth_item, FIELD_OF_VIEW), size)
        probabilities = {
            index: _read_probability(_side(predicted_item, folder), size)
            for index, folder in self.probability_folders.items()
        }
        return Maps(truth, prediction, valid, probabilities, (kept[0], kept[1]))


def plan_comparison(
    truth: Path,
    prediction: Path,
    classes_mapping: Mapping[str, str],
    background: tuple[str, str] | None,
    neutral: str,
    region: str,
) -> tuple[Comparison, list[str]]:
    """Pairs the classes and images of two projects; reads the headers of images, no pixel.

    Args:
        truth: The annotated project's folder.
        prediction: The folder of the project with predictions.
        classes_mapping: Title in the truth to title in the prediction.
        background: The background's titles in both.
        neutral: Title of the truth's class whose pixels do not count.
        region: The region that must be there.

    Returns:
        What is to be compared, and notes for people: what is there for some images only, and so is left out.

    Raises:
        InvalidRequestError: Tells every class that is unknown or named twice.
        DataError: Tells every image that is missing or has another size, and those without the region that is asked.
    """
    annotated = Project.open(truth)
    predicted = annotated if prediction == truth else Project.open(prediction)
    problems = Problems()
    notes: list[str] = []
    classes = _pair_classes(annotated, predicted, classes_mapping, background, neutral)
    pairs = _pair_items(annotated, predicted, problems)

    regions: tuple[str, ...] = (WHOLE_FRAME,)
    without = [_name(item) for item in annotated.items if item.side_path(FIELD_OF_VIEW) is None]
    if not without:
        regions = REGIONS
    elif region == FIELD_OF_VIEW:
        problems.add(
            str(truth),
            f"has no field of view for {_listed(without)}",
            "add <dataset>/field_of_view/<image>.png, or score the whole_frame",
        )
    elif len(without) < len(annotated.items):
        notes.append(f"the field of view is not scored, because it is missing for {_listed(without)}")

    folders: dict[int, str] = {}
    for index, title in enumerate(classes.predicted):
        if index and title in predicted.meta.titles:
            folder = f"probability_{predicted.meta.titles.index(title)}"
            without = [_name(item) for _, item in pairs if item.side_path(folder) is None]
            if not without:
                folders[index] = folder
            elif len(without) < len(pairs):
                notes.append(
                    f"the probabilities of {title!r} are not scored, because {folder} is missing for {_listed(without)}"
                )
    if problems.found:
        raise DataError("\n  - ".join([f"{prediction} cannot be scored against {truth}:", *map(str, problems.found)]))
    return Comparison(annotated, predicted, classes, pairs, regions, folders), notes


def _pair_classes(
    truth: Project,
    prediction: Project,
    mapping: Mapping[str, str],
    background: tuple[str, str] | None,
    neutral: str,
) -> ClassPairs:
    problems = Problems()
    pairs = {title: named for title, named in mapping.items() if background is None or title != background[0]}
    if not pairs:
        problems.add("classes_mapping", "names no class besides the background")
    for title, named in pairs.items():
        if title == neutral:
            problems.add("classes_mapping", f"{title!r} is the neutral class, whose pixels do not count")
        elif title not in truth.meta.titles:
            problems.unknown("classes_mapping", title, truth.meta.titles, f"class of {truth.name}")
        if named not in prediction.meta.titles:
            problems.unknown("classes_mapping", named, prediction.meta.titles, f"class of {prediction.name}")
    named_background = None if background is None else background[1]
    predicted = (named_background, *pairs.values())
    for repeated in sorted({name for name in pairs.values() if predicted.count(name) > 1}):
        problems.add("classes_mapping", f"{repeated!r} stands for more than one class of {truth.name}")
    if background is not None:
        if background[0] == neutral:
            problems.add("background", f"{neutral!r} is the neutral class too")
        if background[0] not in truth.meta.titles and background[1] not in prediction.meta.titles:
            hint = nearest(background[0], [*truth.meta.titles, *prediction.meta.titles])
            problems.add("background", f"neither project has the class {background[0]!r} or {background[1]!r}", hint)
    problems.raise_if_any(f"{prediction.path} cannot be scored against {truth.path}")
    first = None if background is None else background[0]
    return ClassPairs((first or UNNAMED_BACKGROUND, *pairs), predicted, first, neutral)


def _pair_items(truth: Project, prediction: Project, problems: Problems) -> tuple[tuple[Item, Item], ...]:
    ours = {(item.dataset, item.name): item for item in truth.items}
    theirs = {(item.dataset, item.name): item for item in prediction.items}
    missing = [_name(item) for key, item in ours.items() if key not in theirs]
    extra = [_name(item) for key, item in theirs.items() if key not in ours]
    if missing:
        problems.add(str(prediction.path), f"lacks {_listed(missing)}")
    if extra:
        problems.add(str(prediction.path), f"has images that {truth.name} lacks: {_listed(extra)}")
    pairs = tuple((item, theirs[key]) for key, item in ours.items() if key in theirs)
    for ours_item, theirs_item in pairs if prediction.path != truth.path else ():
        try:
            size, other = image_size(ours_item.image_path), image_size(theirs_item.image_path)
        except DataError as error:
            problems.add("", str(error))
            continue
        if size != other:
            problems.add(str(theirs_item.image_path), f"has {_sides(other)} pixels, but the truth has {_sides(size)}")
    return pairs


def _name(item: Item) -> str:
    return f"{item.dataset}/{item.name}"


def _listed(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _sides(size: Iterable[int]) -> str:
    return "x".join(map(str, size))


def _sized(annotation: Annotation, size: tuple[int, int], path: Path) -> Annotation:
    found = (annotation.width, annotation.height)
    if found != size:
        raise DataError(f"{path}: is for {_sides(found)} pixels, but the image has {_sides(size)}")
    return annotation


def _drawn(annotation: Annotation, indices: Mapping[str, int], background: str | None) -> Indices:
    known = tuple(item for item in annotation.objects if item.class_title in indices)
    dtype = np.uint8 if max(indices.values(), default=0) <= np.iinfo(np.uint8).max else np.int32
    return class_indices(replace(annotation, objects=known), indices, background_title=background, dtype=dtype)


def _side(item: Item, folder: str) -> Path:
    path = item.side_path(folder)
    if path is None:
        raise DataError(f"{item.image_path}: its side file in {folder} has vanished")
    return path


def _check_size(path: Path, size: tuple[int, int]) -> None:
    found = image_size(path)
    if found != size:
        raise DataError(f"{path}: has {_sides(found)} pixels, but its image has {_sides(size)}")


def _read_field(path: Path, size: tuple[int, int]) -> Mask:
    _check_size(path, size)
    mask = read_mask(path) > 127
    if not mask.any():
        raise DataError(f"{path}: no pixel lies in the field of view, which should be white (255)")
    return mask if mask.ndim == 2 else np.asarray(mask.any(axis=2))


def _read_probability(path: Path, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Reads 16-bit grey by Pillow, which refuses a damaged file where OpenCV fills it up."""
    _check_size(path, size)
    try:
        with Image.open(path) as image:
            pixels = np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: is damaged: {error}") from error
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise DataError(f"{path}: probabilities are PNG files of one channel of 16 bits")
    return pixels
