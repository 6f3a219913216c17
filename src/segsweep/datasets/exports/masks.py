"""`masks_indexed` and `masks_colored`: a mask picture for each picture, as `image_mask_folders` reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.annotation import Item, Project, ProjectMeta
from segsweep.annotation.meta import generated_color
from segsweep.datasets.exports.exporter import (
    VOID,
    Exporter,
    ExportSettings,
    Losses,
    copy_image,
    count_tags,
    drawn_indices,
    items,
    value_of_classes,
)
from segsweep.errors import DataError
from segsweep.files import encode_image
from segsweep.reporting import Reporter

__all__ = ["COLORED", "INDEXED", "class_colors"]

_LAYOUT = """
`images/` holds the pictures and `masks/` a PNG of the same name for each, both in a folder for each data set.
Where objects lie over each other, a mask shows the upper one, and what was below is lost.
"""


def _write(
    project: Project,
    folder: Path,
    settings: ExportSettings,
    losses: Losses,
    reporter: Reporter,
    paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> None:
    values = value_of_classes(project.meta, settings)
    owners: dict[tuple[str, str], str] = {}
    for item, annotation in items(project, reporter, f"exporting {project.name}"):
        _check_stem(item, owners)
        count_tags(annotation, losses)
        copy_image(item, folder / "images" / item.dataset / item.name)
        mask = folder / "masks" / item.dataset / f"{Path(item.name).stem}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        mask.write_bytes(encode_image(paint(drawn_indices(annotation, values, settings, losses))))


def _check_stem(item: Item, owners: dict[tuple[str, str], str]) -> None:
    key = (item.dataset, Path(item.name).stem)
    if key in owners:
        raise DataError(f"{item.dataset}: {owners[key]} and {item.name} would share a mask; rename one of them")
    owners[key] = item.name


def _write_indexed(
    project: Project, folder: Path, settings: ExportSettings, losses: Losses, reporter: Reporter
) -> dict[str, Any]:
    _write(project, folder, settings, losses, reporter, lambda indices: indices)
    values = value_of_classes(project.meta, settings)
    (folder / "classes.json").write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    colors = {title: value for title, value in values.items() if 0 < value < VOID}
    return _source(project, colors, [0], [VOID] if VOID in values.values() else [])


def _write_colored(
    project: Project, folder: Path, settings: ExportSettings, losses: Losses, reporter: Reporter
) -> dict[str, Any]:
    values = value_of_classes(project.meta, settings)
    colors = class_colors(project.meta, settings)
    for item in project.meta.classes:
        if item.title in colors and colors[item.title] != item.color.lower():
            losses.note(f"the colour {item.color} of {item.title!r} is taken; its masks have {colors[item.title]}")
    palette = np.zeros((VOID + 1, 3), dtype=np.uint8)
    for title, color in colors.items():
        palette[values[title]] = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    _write(project, folder, settings, losses, reporter, lambda indices: palette[indices])
    (folder / "classes.json").write_text(json.dumps(colors, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    plain = {title: color for title, color in colors.items() if title != settings.neutral}
    return _source(project, plain, ["#000000"], [colors[settings.neutral]] if settings.neutral in colors else [])


def _source(
    project: Project, colors: Mapping[str, int | str], background: list[int | str], neutral: list[int | str]
) -> dict[str, Any]:
    """Settings that read the masks again; classes that masks cannot show are not among them."""
    folders = {"images": "images/*", "masks": "masks/*"}
    special = {"background": background, "neutral": neutral}
    return {"source": "image_mask_folders", **folders, "colors": dict(colors), **special, "project": project.name}


def class_colors(meta: ProjectMeta, settings: ExportSettings) -> dict[str, str]:
    """A colour of its own (`#rrggbb`) for every class but the background; black is taken."""
    colors: dict[str, str] = {}
    for item in meta.classes:
        if item.title != settings.background:
            color, tries = item.color.lower(), 0
            while color in {"#000000", *colors.values()}:
                tries += 1
                color = generated_color(f"{item.title} {tries}")
            colors[item.title] = color
    return colors


INDEXED = Exporter(
    "grey mask pictures whose values are the classes 1, 2 …; 0 is none, 255 neutral",
    _write_indexed,
    _LAYOUT + "A mask's grey values are the classes of `classes.json`; 0 is no class or the background, 255 neutral.\n",
)
COLORED = Exporter(
    "mask pictures in the colours of the classes; black is none",
    _write_colored,
    _LAYOUT + "A mask's colours are those of `classes.json`; black is no class or the background.\n",
)
