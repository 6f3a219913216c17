"""From a project to a folder in another format, which appears whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segsweep.annotation import Project
from segsweep.datasets.exports import coco, masks, pascal_voc
from segsweep.datasets.exports.exporter import Exporter, ExportSettings, Losses
from segsweep.errors import DataError, nearest
from segsweep.files import atomic_directory
from segsweep.reporting import SILENT, Reporter

__all__ = ["EXPORTS", "export_project"]

_CONFIG = "exported"
_AGAIN = f"segsweep data import data={_CONFIG}"

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
        source = exporter.write(project, folder, chosen, losses, reporter)
        (folder / "conf" / "data").mkdir(parents=True)
        (folder / "conf" / "data" / f"{_CONFIG}.yaml").write_text(_config(source), encoding="utf-8")
        (folder / "README.md").write_text(_read_me(project, exporter, losses), encoding="utf-8")
    return losses.lines()


def _config(source: dict[str, Any]) -> str:
    """A data source as a config file; values are written as JSON, which is YAML too."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in source.items()]
    head = ["# Reads this export again, in the folder that holds conf/.", f"# Try:  {_AGAIN}"]
    return "\n".join([*head, *lines]) + "\n"


def _read_me(project: Project, exporter: Exporter, losses: Losses) -> str:
    credit = project.provenance.get("credit")
    told = [f"* {key}: {value}" for key, value in credit.items()] if isinstance(credit, dict) else []
    lost = [f"* {line}" for line in losses.lines()]
    lines = [
        f"# {project.name}",
        "",
        f"{len(project.items)} images, {len(project.meta.classes)} classes: {', '.join(project.meta.titles)}.",
        *(["", "Credit:", "", *told] if told else []),
        "",
        exporter.read_me.strip(),
        "",
        *(["What this format could not hold:", "", *lost, ""] if lost else []),
        f"`conf/data/{_CONFIG}.yaml` says how Segsweep reads it again, in this folder: `{_AGAIN}`",
        "",
    ]
    return "\n".join(lines)
