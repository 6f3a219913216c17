"""From a project to a folder in another format, which appears whole or not at all."""

from __future__ import annotations

import shlex
from pathlib import Path

from segsweep.annotation import Project
from segsweep.datasets.exports import coco, masks, pascal_voc
from segsweep.datasets.exports.exporter import Exporter, ExportSettings, Losses
from segsweep.errors import DataError, nearest
from segsweep.files import atomic_directory
from segsweep.reporting import SILENT, Reporter

__all__ = ["EXPORTS", "export_project"]

EXPORTS: dict[str, Exporter] = {
    "coco": coco.EXPORTER,
    "pascal_voc": pascal_voc.EXPORTER,
    "masks_indexed": masks.INDEXED,
    "masks_colored": masks.COLORED,
}


def export_project(
    project: Project,
    format_name: str,
    output: Path,
    settings: ExportSettings | None = None,
    reporter: Reporter = SILENT,
) -> list[str]:
    """Writes a project in another format.

    Args:
        project: What is written.
        format_name: A name from `EXPORTS`.
        output: The folder to make; it must not exist, or be empty.
        settings: How masks treat the background and the neutral class.
        reporter: Hears of the progress.

    Returns:
        What the format could not hold, a line each; the folder's README.md tells it too.

    Raises:
        DataError: The format is unknown, the project damaged, or beyond what the format can hold at all.
        FileExistsError: `output` is there already.
    """
    if format_name not in EXPORTS:
        raise DataError(f"unknown format {format_name!r}; {nearest(format_name, EXPORTS)}")
    exporter, chosen, losses = EXPORTS[format_name], settings or ExportSettings(), Losses()
    with atomic_directory(output) as folder:
        exporter.write(project, folder, chosen, losses, reporter)
        (folder / "README.md").write_text(_read_me(project, exporter, chosen, losses), encoding="utf-8")
    return losses.lines()


def _read_me(project: Project, exporter: Exporter, settings: ExportSettings, losses: Losses) -> str:
    words = " ".join(map(shlex.quote, exporter.again(project.meta, settings)))
    credit = project.provenance.get("credit")
    told = [f"* {key}: {value}" for key, value in credit.items()] if isinstance(credit, dict) else []
    lines = [
        f"# {project.name}",
        "",
        f"{len(project.items)} images, {len(project.meta.classes)} classes: {', '.join(project.meta.titles)}.",
        *(["", "Credit:", "", *told] if told else []),
        "",
        exporter.read_me.strip(),
        "",
        *(
            ["What this format could not hold:", "", *(f"* {line}" for line in losses.lines()), ""]
            if losses.lines()
            else []
        ),
        "Read again, in this folder:",
        "",
        f"    segsweep data import {words}",
        "",
    ]
    return "\n".join(lines)
