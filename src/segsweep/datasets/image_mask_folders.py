"""`image_mask_folders`: pictures, mask pictures of the same names, and a table of colours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from segsweep.annotation import ClassMeta, ProjectMeta, ProjectWriter
from segsweep.datasets.color_masks import (
    NOTHING,
    Color,
    parse_color,
    read_colors,
    split_by_class,
    tell_unknown,
    unknown_colors_error,
)
from segsweep.datasets.source import (
    Content,
    PlannedProject,
    Role,
    Settings,
    Source,
    check_project_names,
    file_digest,
    mask_annotation,
    whole_image_size,
)
from segsweep.errors import DataError, Problems
from segsweep.files import IMAGE_EXTENSIONS, check_name
from segsweep.reporting import Reporter, track

__all__ = ["SOURCE", "ImageMaskFoldersSettings"]

_VERSION = 1
_NEUTRAL = "neutral"
_MASK_EXTENSIONS = (".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")  # the exact ones first
_WILDCARD = re.compile(r"[*?]|\[[^\]]+\]")
_MOST_SHOWN = 5


class ImageMaskFoldersSettings(Settings):
    """Settings of `image_mask_folders`."""

    root: str | None = Field(None, min_length=1, description="folder that the other folders are named from")
    images: str = Field(
        min_length=1, description="folder of the pictures, or a pattern of folders ('Tile */images'), a data set each"
    )
    masks: str = Field(
        min_length=1, description="folder of the masks; a pattern must have the wildcards that `images` has"
    )
    colors: dict[str, Color] = Field(
        min_length=1, description="class -> its colour in the masks, '#rrggbb' or an index from 0 to 255"
    )
    neutral: tuple[Color, ...] = Field((), description="colours of pixels that training and scores leave out")
    background: tuple[Color, ...] = Field((), description="colours of pixels that belong to no class")
    unknown_color: Literal["error", "neutral", "ignore"] = Field(
        "error", description="what other colours are: an error, neutral, or no class at all"
    )
    mask_suffix: str = Field("", description="what a mask's name has more than its picture's, before the extension")
    val_images: str | None = Field(None, min_length=1, description="pictures to validate on, as images")
    val_masks: str | None = Field(None, min_length=1, description="their masks")
    test_images: str | None = Field(None, min_length=1, description="pictures to test on, as images")
    test_masks: str | None = Field(None, min_length=1, description="their masks")
    project: str = Field("images", description="name of the project to train on")
    val_project: str = Field("images_val", description="name of the project to validate on")
    test_project: str = Field("images_test", description="name of the project to test on")

    @property
    def table(self) -> dict[int, str]:
        """Colour (0xRRGGBB, or the index) -> class; background colours have the empty class."""
        table = {parse_color(color): title for title, color in self.colors.items()}
        table.update({parse_color(color): _NEUTRAL for color in self.neutral})
        table.update({parse_color(color): NOTHING for color in self.background})
        return table

    @property
    def indexed(self) -> bool:
        """Whether colours are given as indices."""
        return isinstance(next(iter(self.colors.values())), int)


@dataclass(frozen=True)
class _Pair:
    dataset: str
    image: Path
    mask: Path


def _sets(settings: ImageMaskFoldersSettings) -> list[tuple[Role, str, str, str | None, str | None]]:
    """Role, prefix of its settings, project name, images and masks of every set."""

    def below(folder: str | None) -> str | None:
        return folder if folder is None or settings.root is None else str(Path(settings.root) / folder)

    return [
        ("train", "", settings.project, below(settings.images), below(settings.masks)),
        ("val", "val_", settings.val_project, below(settings.val_images), below(settings.val_masks)),
        ("test", "test_", settings.test_project, below(settings.test_images), below(settings.test_masks)),
    ]


def _check(settings: ImageMaskFoldersSettings, problems: Problems, where: str) -> None:
    names: dict[str, str | None] = {}
    used: dict[Path, str] = {}
    for _, prefix, project, images, masks in _sets(settings):
        if images is None and masks is None:
            continue
        names[f"{prefix}project"] = project
        if images is None or masks is None:
            absent, there = ("images", "masks") if images is None else ("masks", "images")
            problems.add(f"{where}.{prefix}{absent}", f"is missing beside {where}.{prefix}{there}")
            continue
        pairs = _pairs(images, masks, settings.mask_suffix, problems, f"{where}.{prefix}")
        shared = {used[pair.image.resolve()] for pair in pairs if pair.image.resolve() in used}
        if shared:
            problems.add(f"{where}.{prefix}images", f"shares pictures with {', '.join(sorted(shared))}")
        used.update({pair.image.resolve(): f"{where}.{prefix}images" for pair in pairs})
    check_project_names(names, problems, where)
    _check_colors(settings, problems, where)


def _check_colors(settings: ImageMaskFoldersSettings, problems: Problems, where: str) -> None:
    given = [(f"colors.{title}", color) for title, color in settings.colors.items()]
    given += [("neutral", color) for color in settings.neutral]
    given += [("background", color) for color in settings.background]
    if len({isinstance(color, int) for _, color in given}) > 1:
        problems.add(f"{where}.colors", "mixes colours and indices", "give all as '#rrggbb' or all as numbers")
    owners: dict[int, str] = {}
    for key, color in given:
        value = parse_color(color)
        if value in owners:
            problems.add(f"{where}.{key}", f"{color!r} is the colour of {where}.{owners[value]} too")
        owners.setdefault(value, key)
    if _NEUTRAL in settings.colors and (settings.neutral or settings.unknown_color == "neutral"):
        problems.add(f"{where}.colors.{_NEUTRAL}", "is the class that neutral colours get", "give it another name")


def _folders(pattern: str) -> dict[tuple[str, ...], tuple[str, Path]]:
    """Folders that match a pattern: what its wildcards stand for -> (name of a data set, folder)."""
    path = Path(pattern).expanduser()
    parts = path.parts
    wild = [index for index, part in enumerate(parts) if _WILDCARD.search(part)]
    if not wild:
        return {(): ("ds0", path)} if path.is_dir() else {}
    shape = re.compile("/".join(_expression(part) for part in parts[wild[0] :]))
    base = Path(*parts[: wild[0]])
    found = {}
    for folder in sorted(base.glob("/".join(parts[wild[0] :]))):
        relative = folder.relative_to(base)
        match = shape.fullmatch(relative.as_posix())
        if folder.is_dir() and match:
            name = "_".join(relative.parts[index - wild[0]] for index in wild)
            found[match.groups()] = (name, folder)
    return found


def _expression(part: str) -> str:
    """A regular expression for one component of a pattern, with a group for every wildcard."""
    pieces, at = [], 0
    for match in _WILDCARD.finditer(part):
        pieces.append(re.escape(part[at : match.start()]))
        sign = match[0]
        inside = {"*": "[^/]*", "?": "[^/]"}.get(sign, sign.replace("[!", "[^"))
        pieces.append(f"({inside})")
        at = match.end()
    return "".join(pieces) + re.escape(part[at:])


def _pairs(images: str, masks: str, suffix: str, problems: Problems, where: str) -> list[_Pair]:
    """The pictures of a set with their masks; notes folders and masks that are missing."""
    image_folders, mask_folders = _folders(images), _folders(masks)
    for setting, pattern, folders in (("images", images, image_folders), ("masks", masks, mask_folders)):
        if not folders:
            problems.add(f"{where}{setting}", f"no such folder: {Path(pattern).expanduser()}")
    if not image_folders or not mask_folders:
        return []
    pairs: list[_Pair] = []
    missing: list[str] = []
    for key, (dataset, folder) in image_folders.items():
        if key not in mask_folders:
            problems.add(f"{where}masks", f"no folder of masks matches {folder}", f"the pattern is {masks}")
            continue
        files = {path.name: path for path in mask_folders[key][1].iterdir() if path.is_file()}
        for image in sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_EXTENSIONS):
            mask = next((files[name] for end in _MASK_EXTENSIONS if (name := image.stem + suffix + end) in files), None)
            if mask is not None and mask != image:
                pairs.append(_Pair(dataset, image, mask))
            elif not (folder == mask_folders[key][1] and suffix and image.stem.endswith(suffix)):
                missing.append(f"{dataset}/{image.stem}{suffix}")
    if missing:
        shown = ", ".join(missing[:_MOST_SHOWN]) + (" …" if len(missing) > _MOST_SHOWN else "")
        problems.add(f"{where}masks", f"{len(missing)} pictures have no mask: {shown}")
    if not pairs and not missing:
        problems.add(f"{where}images", f"{images} holds no pictures", "known: " + ", ".join(sorted(IMAGE_EXTENSIONS)))
    return pairs


def _plan(settings: ImageMaskFoldersSettings, reporter: Reporter) -> list[PlannedProject]:
    planned = []
    for role, prefix, name, images, masks in _sets(settings):
        if images is None or masks is None:
            continue
        problems = Problems()
        pairs = _pairs(images, masks, settings.mask_suffix, problems, f"data.{prefix}")
        problems.raise_if_any()
        planned.append(PlannedProject(name, role, _content(settings, name, pairs)))
    return planned


def _content(settings: ImageMaskFoldersSettings, project: str, pairs: list[_Pair]) -> Content:
    titles = list(settings.colors)
    if settings.neutral or settings.unknown_color == "neutral":
        titles.append(_NEUTRAL)
    shown = {title: "" if settings.indexed else str(settings.colors.get(title, "#9B9B9B")) for title in titles}
    identity = {
        "version": _VERSION,
        "table": {str(color): title for color, title in settings.table.items()},
        "titles": titles,
        "indexed": settings.indexed,
        "unknown_color": settings.unknown_color,
        "files": [[pair.dataset, file_digest(pair.image), file_digest(pair.mask)] for pair in pairs],
    }
    meta = ProjectMeta(classes=tuple(ClassMeta(title, "bitmap", color) for title, color in shown.items()))
    return Content(identity, meta, partial(_write, settings, project, pairs, titles))


def _write(
    settings: ImageMaskFoldersSettings,
    project: str,
    pairs: list[_Pair],
    titles: list[str],
    writer: ProjectWriter,
    reporter: Reporter,
) -> None:
    unknown: list[str] = []
    other = _NEUTRAL if settings.unknown_color == "neutral" else NOTHING
    for pair in track(pairs, reporter, f"making {project}", unit="image"):
        width, height = whole_image_size(pair.image)
        colors = read_colors(pair.mask, indexed=settings.indexed)
        if colors.shape != (height, width):
            rows, columns = colors.shape
            raise DataError(
                f"{pair.mask}: has {columns}x{rows} pixels, but its picture {pair.image.name} has {width}x{height}"
            )
        masks, others = split_by_class(colors, settings.table, titles, other)
        if others and settings.unknown_color == "error":
            unknown.append(tell_unknown(pair.mask, others, indexed=settings.indexed))
        annotation = mask_annotation(masks, width, height)
        writer.add(pair.dataset, check_name(pair.image.name, "image"), annotation, pair.image)
    if unknown:
        hint = "name them in data.colors, data.neutral or data.background, or set data.unknown_color=neutral or =ignore"
        raise unknown_colors_error(unknown, hint)


SOURCE = Source(ImageMaskFoldersSettings, _check, _plan)
