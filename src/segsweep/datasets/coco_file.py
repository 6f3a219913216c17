"""Reading COCO's instances JSON: everything in it is checked, and what is wrong is told at once.

Nothing in the file is trusted: names become paths only component by component, run lengths must cover their image
exactly, and outlines must lie near it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from segsweep.annotation import Rectangle
from segsweep.annotation.geometry import Points
from segsweep.datasets.run_lengths import Runs, check_runs, decompress
from segsweep.datasets.source import item_place
from segsweep.errors import DataError, Problems
from segsweep.files import IMAGE_EXTENSIONS, MAX_IMAGE_PIXELS, read_json

__all__ = ["Category", "CocoFile", "CocoImage", "CocoObject", "Findings", "object_runs", "read_coco"]

_MOST_SHOWN = 5
_PARTS = ("images", "annotations", "categories")

Rings: TypeAlias = tuple[Points, ...]


@dataclass(frozen=True)
class Category:
    """A category: its title (unique in the file) and what else is known of it; `color` may be empty."""

    title: str
    supercategory: str
    color: str


@dataclass(frozen=True)
class CocoObject:
    """An annotation.

    Attributes:
        title: Title of its category.
        outline: A box; or rings of at least three points, whose union it is; or run lengths, as they stand in the file
            (`object_runs` reads them).
        box: The box that the annotation gives, if it gives one.
        crowd: Whether it covers a group of objects.
        instance: Its id, as text.
    """

    title: str
    outline: Rectangle | Rings | list[int] | str
    box: Rectangle | None
    crowd: bool
    instance: str

    @property
    def shape(self) -> str:
        """The shape that holds the outline exactly: `rectangle`, `polygon` or `bitmap`."""
        if isinstance(self.outline, Rectangle):
            return "rectangle"
        return "polygon" if isinstance(self.outline, tuple) else "bitmap"


@dataclass(frozen=True)
class CocoImage:
    """An image, where it lies, and its objects in the file's order."""

    dataset: str
    name: str
    path: Path
    width: int
    height: int
    objects: list[CocoObject] = field(default_factory=list)


@dataclass(frozen=True)
class CocoFile:
    """What an instances JSON holds.

    Attributes:
        categories: In the file's order.
        images: In the file's order.
        left_out: What Segsweep has no place for -> how often it occurs.
        credit: Who made the data, and its licences, as far as the file says so.
    """

    categories: tuple[Category, ...]
    images: tuple[CocoImage, ...]
    left_out: Mapping[str, int]
    credit: Mapping[str, str]


class Findings:
    """What is wrong with a file; of each kind the first few are told, and how many more there are."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, what: str) -> None:
        """Notes one thing of a kind (`wrong images`)."""
        self._found.setdefault(kind, []).append(what)

    def tell(self, problems: Problems, where: str) -> None:
        """Adds everything to the problems."""
        for kind, lines in self._found.items():
            for line in lines[:_MOST_SHOWN]:
                problems.add(where, f"{self._file}: {line}")
            if len(lines) > _MOST_SHOWN:
                problems.add(where, f"{self._file}: … and {len(lines) - _MOST_SHOWN} more {kind}")


def read_coco(path: Path, folder: Path, problems: Problems, where: str) -> CocoFile | None:
    """Reads an instances JSON; None where it cannot be read at all.

    Args:
        path: The JSON.
        folder: Where its images lie; they must be there, but are not opened.
        problems: Where everything wrong is noted.
        where: The key under which that is told.
    """
    try:
        data = read_json(path)
    except DataError as error:
        problems.add(where, str(error))
        return None
    if not isinstance(data, dict) or any(not isinstance(data.get(part), list) for part in _PARTS):
        found = "a list, as files of results do" if isinstance(data, list) else "something else"
        problems.add(where, f"{path}: holds {found}", f"instances have an object with the lists {', '.join(_PARTS)}")
        return None
    findings = Findings(path)
    left_out: Counter[str] = Counter()
    categories = _categories(data["categories"], findings)
    images = dict(_images(data["images"], folder, findings))
    for index, item in enumerate(data["annotations"]):
        try:
            _read_annotation(item, images, categories, left_out)
        except DataError as error:
            known = f" (id {item['id']!r})" if isinstance(item, dict) and "id" in item else ""
            findings.add("wrong annotations", f"annotations[{index}]{known}: {error}")
    findings.tell(problems, where)
    return CocoFile(tuple(categories.values()), tuple(images.values()), left_out, _credit(data))


def _categories(items: list[Any], findings: Findings) -> dict[int | str, Category]:
    """Categories by id. Several of one name are told apart by their supercategory."""
    read: dict[int | str, Category] = {}
    for index, item in enumerate(items):
        known: Mapping[str, Any] = item if isinstance(item, dict) else {}
        key: Any = known.get("id")
        name = known.get("name")
        if not _is_id(key) or not isinstance(name, str) or not name:
            findings.add("wrong categories", f"categories[{index}] should have an id and a name")
        elif key in read:
            findings.add("wrong categories", f"categories[{index}]: the id {key!r} is that of {read[key].title!r} too")
        else:
            above = known.get("supercategory")
            read[key] = Category(name, above if isinstance(above, str) else "", _color(known.get("color")))
    names = Counter(category.title for category in read.values())
    unique: dict[int | str, Category] = {}
    for key, category in read.items():
        title = category.title
        if names[title] > 1 and category.supercategory:
            title = f"{title} ({category.supercategory})"
        if any(title == other.title for other in unique.values()):
            findings.add("wrong categories", f"two categories are named {title!r}; rename one of them")
        unique[key] = Category(title, category.supercategory, category.color)
    return unique


def _color(value: Any) -> str:
    """`#rrggbb` of the colour that panoptic files give their categories; empty where there is none."""
    if isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value):
        return "#" + "".join(f"{part:02x}" for part in value)
    return ""


def _is_id(value: Any) -> bool:
    return type(value) in (int, str)


def _images(items: list[Any], folder: Path, findings: Findings) -> Iterator[tuple[int | str, CocoImage]]:
    ids: set[int | str] = set()
    taken: dict[tuple[str, str], str] = {}
    for index, item in enumerate(items):
        try:
            key, image = _image(item, folder)
        except DataError as error:
            findings.add("wrong images", f"images[{index}]: {error}")
            continue
        place, name = (image.dataset, image.name), str(item["file_name"])
        if key in ids:
            findings.add("wrong images", f"images[{index}]: the id {key!r} is there twice")
        elif place in taken:
            findings.add("wrong images", f"images[{index}]: {name!r} would be the same item as {taken[place]!r}")
        elif not image.path.is_file():
            findings.add("missing images", f"{name} is not in {folder}")
        ids.add(key)
        taken[place] = name
        yield key, image


def _image(item: Any, folder: Path) -> tuple[int | str, CocoImage]:
    if not isinstance(item, dict) or not _is_id(item.get("id")) or not isinstance(item.get("file_name"), str):
        raise DataError("should have an id and a file_name")
    dataset, name, relative = item_place(item["file_name"], "file_name")
    if Path(name).suffix.lower() not in IMAGE_EXTENSIONS:
        raise DataError(f"{item['file_name']!r} is no image; known: {', '.join(sorted(IMAGE_EXTENSIONS))}")
    width, height = item.get("width"), item.get("height")
    if type(width) is not int or type(height) is not int or width < 1 or height < 1:
        raise DataError(f"{item['file_name']!r} has the size {width!r} x {height!r}; both should be whole numbers")
    if width * height > MAX_IMAGE_PIXELS:
        raise DataError(f"{item['file_name']!r} has {width}x{height} pixels, more than the {MAX_IMAGE_PIXELS} allowed")
    return item["id"], CocoImage(dataset, name, folder / relative, width, height)


def _read_annotation(
    item: Any,
    images: Mapping[int | str, CocoImage],
    categories: Mapping[int | str, Category],
    left_out: Counter[str],
) -> None:
    """Adds an annotation to its image."""
    if not isinstance(item, dict):
        raise DataError("should be an object")
    if "segments_info" in item or ("caption" in item and "category_id" not in item):
        raise DataError("is no instance; panoptic files and captions are not supported")
    image = images.get(item["image_id"]) if _is_id(item.get("image_id")) else None
    category = categories.get(item["category_id"]) if _is_id(item.get("category_id")) else None
    wrong = []
    if image is None:
        wrong.append(f"image_id {item.get('image_id')!r} is no image of the file")
    if category is None:
        known = ", ".join(map(repr, list(categories)[:10])) + (", …" if len(categories) > 10 else "")
        wrong.append(f"category_id {item.get('category_id')!r} is no category of the file (known: {known})")
    if item.get("iscrowd", 0) not in (0, 1):
        wrong.append(f"iscrowd is {item['iscrowd']!r}; it should be 0 or 1")
    if wrong or image is None or category is None:
        raise DataError("; ".join(wrong))
    keypoints = item.get("keypoints")
    if isinstance(keypoints, list) and any(keypoints):
        left_out["annotations have keypoints, which are left out"] += 1
    box = _box(item.get("bbox"), image)
    outline = _outline(item.get("segmentation"), box, image)
    if outline is None:
        left_out["annotations have no area and are left out"] += 1
        return
    instance = str(item.get("id", ""))
    image.objects.append(CocoObject(category.title, outline, box, item.get("iscrowd", 0) == 1, instance))


def _box(value: Any, image: CocoImage) -> Rectangle | None:
    if value is None or value == []:
        return None
    x, y, width, height = _numbers(value, "bbox", 4)
    _check_near([x, y, x + width, y + height], image, "bbox")
    return Rectangle(x, y, x + width, y + height)


def _outline(value: Any, box: Rectangle | None, image: CocoImage) -> Rectangle | Rings | list[int] | str | None:
    if isinstance(value, dict):
        return _runs(value, image)
    if value in (None, [], [[]]):
        if box is None:
            raise DataError("has neither a segmentation nor a bbox")
        return box if box.left < box.right and box.top < box.bottom else None
    if not isinstance(value, list):
        raise DataError("segmentation should be a list of rings [x, y, x, y, …], or run lengths")
    rings = tuple(_ring(ring, f"segmentation[{index}]", image) for index, ring in enumerate(value))
    alone = _as_box(rings[0], box) if len(rings) == 1 and box is not None else None
    if alone is not None:
        return alone
    return tuple(ring for ring in rings if len(ring) >= 3) or None


def _ring(value: Any, key: str, image: CocoImage) -> Points:
    numbers = _numbers(value, key)
    if len(numbers) % 2:
        raise DataError(f"{key} has an odd count of numbers; it should be [x, y, x, y, …]")
    _check_near(numbers, image, key)
    return np.array(numbers, dtype=np.float64).reshape(-1, 2)


def _numbers(value: Any, key: str, count: int | None = None) -> list[float]:
    good = isinstance(value, list) and set(map(type, value)) <= {int, float}
    if not good or (count is not None and len(value) != count):
        raise DataError(f"{key} should be a list of {count or ''}{' ' if count else ''}numbers")
    if not all(map(_is_finite, value)):
        raise DataError(f"{key} holds what is no number")
    numbers: list[float] = value
    return numbers


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def _check_near(numbers: list[float], image: CocoImage, key: str) -> None:
    """Outlines (x, y, x, y …) may reach beyond their image, but not by more than its size."""
    for values, size in ((numbers[::2], image.width), (numbers[1::2], image.height)):
        if values and (min(values) < -size or max(values) > 2 * size):
            raise DataError(f"{key} lies far outside of its image of {image.width}x{image.height}")


def _as_box(ring: Points, box: Rectangle) -> Rectangle | None:
    """The box that a ring is, if it is just that: files write it so that must give every object a segmentation."""
    if len(ring) != 4 or box.left >= box.right or box.top >= box.bottom:
        return None
    (left, top), (right, bottom) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
    corners = {(left, top), (left, bottom), (right, bottom), (right, top)}
    given = (box.left, box.top, box.right, box.bottom)
    same = np.allclose((left, top, right, bottom), given, rtol=0, atol=1e-6)
    return Rectangle(left, top, right, bottom) if same and {(x, y) for x, y in ring.tolist()} == corners else None


def _runs(value: Mapping[str, Any], image: CocoImage) -> list[int] | str:
    if value.get("size") != [image.height, image.width]:
        raise DataError(
            f"segmentation.size is {value.get('size')!r}, its image has [{image.height}, {image.width}] (height, width)"
        )
    counts: Any = value.get("counts")
    plain = isinstance(counts, list) and counts and all(type(item) is int for item in counts)
    if not plain and not isinstance(counts, str):
        raise DataError("segmentation.counts should be a list of whole numbers, or a text")
    check_runs(object_runs(counts), image.width, image.height)
    known: list[int] | str = counts
    return known


def object_runs(counts: list[int] | str) -> Runs:
    """Run lengths in either of their forms.

    Raises:
        DataError: They are damaged.
    """
    if isinstance(counts, str):
        return decompress(counts)
    try:
        return np.array(counts, dtype=np.int64)
    except OverflowError as error:
        raise DataError("segmentation.counts holds a number that no image needs") from error


def _credit(data: Mapping[str, Any]) -> dict[str, str]:
    info = data.get("info")
    known = info if isinstance(info, dict) else {}
    credit = {key: str(known[key])[:500] for key in ("description", "contributor", "url", "year") if known.get(key)}
    licences = data.get("licenses")
    names = [str(item.get("name")) for item in licences if isinstance(item, dict)] if isinstance(licences, list) else []
    return {**credit, **({"licence": ", ".join(names)[:500]} if any(names) else {})}
