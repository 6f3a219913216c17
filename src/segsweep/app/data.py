"""`segsweep data ACTION`: the projects of a workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsweep import stages
from segsweep.annotation import Project
from segsweep.app.actions import Action, run_action
from segsweep.app.console import ConsoleReporter
from segsweep.app.tables import clean, show_table, show_tables
from segsweep.config.actions import DescribeConfig, ExportConfig, MakeConfig, ProjectsConfig
from segsweep.errors import DataError

__all__ = ["ACTIONS", "main"]

_MOST_SIZES = 5


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    return run_action("data", ACTIONS, arguments)


def _workspace(config: ProjectsConfig) -> Path:
    return Path(config.workspace).expanduser().absolute()


def _list(config: ProjectsConfig, reporter: ConsoleReporter) -> None:
    folder = _workspace(config) / "projects"
    paths = sorted({path.parent for name in ("meta.json", "classes.json") for path in folder.glob(f"[!.]*/{name}")})
    if not paths:
        reporter.message(f"there are no projects in {folder}; make some: segsweep data make data=vessels_synthetic")
        return
    columns = ["project", "images", "data sets", "classes", "made by", "size"]
    rows = [_row(path, reporter) for path in paths]
    show_table(columns, rows, numbers=["images", "data sets", "size"])


def _row(path: Path, reporter: ConsoleReporter) -> list[str]:
    size = _bytes(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))
    try:
        project = Project.open(path)
        counts = [str(len(project.items)), str(len(project.datasets))]
        return [project.name, *counts, ", ".join(project.meta.titles), _made_by(project.provenance), size]
    except DataError as error:
        reporter.message(f"{path.name} cannot be read: {clean(str(error).splitlines()[0])}", "warning")
        return [path.name, "?", "?", "?", "?", size]


def _made_by(provenance: Mapping[str, Any]) -> str:
    """The stage that made a project, or nothing where it came from elsewhere."""
    if isinstance(provenance.get("source"), str):
        return str(provenance["source"])
    if "graph" in provenance:
        return "dtl"
    inputs = provenance.get("inputs")
    return "predict" if isinstance(inputs, dict) and "model" in inputs else ""


def _bytes(count: int) -> str:
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{count} B" if units[0] == "B" else f"{size:.1f} {units[0]}"


def _describe(config: DescribeConfig, reporter: ConsoleReporter) -> None:
    from segsweep.datasets.describe import describe_project

    project = Project.open(stages.project_path(_workspace(config), config.project))
    found = describe_project(project, reporter)
    credit = project.provenance.get("credit")
    common = sorted(found.sizes.items(), key=lambda pair: (-pair[1], pair[0]))
    sizes = [f"{width}x{height} ({count})" for (width, height), count in common[:_MOST_SIZES]]
    more = [f"{len(common) - _MOST_SIZES} more"] if len(common) > _MOST_SIZES else []
    facts = {
        "project": project.name,
        "folder": str(project.path),
        "made by": _made_by(project.provenance),
        **{f"credit: {key}": str(value) for key, value in (credit.items() if isinstance(credit, dict) else ())},
        "images": f"{len(project.items)}, {found.empty} of them without objects",
        "data sets": ", ".join(f"{name} ({count})" for name, count in found.datasets.items()),
        "image sizes": ", ".join([*sizes, *more]),
    }
    show_tables(
        (["", ""], [[key, value] for key, value in facts.items() if value], []),
        (
            ["class", "shape", "colour", "objects", "images", "pixels"],
            [
                [item.title, item.shape, item.color, str(item.objects), str(item.images), f"{item.pixels:.2%}"]
                for item in found.classes
            ]
            + [["(no class)", "", "", "", "", f"{found.uncovered:.2%}"]],
            ["objects", "images", "pixels"],
        ),
        (
            ["tag", "images", "objects"],
            [
                [name, str(found.image_tags.get(name, 0)), str(found.object_tags.get(name, 0))]
                for name in dict.fromkeys(
                    [*(tag.name for tag in project.meta.tags), *found.image_tags, *found.object_tags]
                )
            ],
            ["images", "objects"],
        ),
    )
    for line in found.warnings:
        reporter.message(clean(line), "warning")


def _make(config: MakeConfig, reporter: ConsoleReporter) -> None:
    workspace = _workspace(config)
    made = stages.prepare(workspace, config.data, reporter)
    roles = {"train": made.train, "val": made.val, "test": made.test}
    rows = [
        [role, name, str(len(Project.open(made.paths[name]).items)), str(made.paths[name])]
        for role, name in roles.items()
        if name is not None
    ]
    show_table(["for", "project", "images", "folder"], rows, numbers=["images"])
    elsewhere = [name for name, path in made.paths.items() if path.parent != workspace / "projects"]
    if elsewhere:
        reporter.message(f"used where they lie, not copied: {', '.join(elsewhere)}")


def _export(config: ExportConfig, reporter: ConsoleReporter) -> None:
    from segsweep.datasets.exports import ExportSettings, export_project

    project = Project.open(stages.project_path(_workspace(config), config.project))
    output = Path(config.output).expanduser().absolute()
    settings = ExportSettings(config.background, config.neutral)
    try:
        lost = export_project(project, config.format, output, settings, reporter)
    except FileExistsError as error:
        raise DataError(f"output: {error}") from error
    for line in lost:
        reporter.message(f"{config.format} cannot hold: {line}", "warning")
    reporter.message(f"{len(project.items)} images of {project.name} are in {output}")


ACTIONS = {
    "list": Action(_list, "the projects of the workspace"),
    "describe": Action(_describe, "classes, tags, sizes of a project, and what looks wrong"),
    "make": Action(_make, "make the projects of a data source: data make data=vessels_synthetic"),
    "import": Action(_make, "the same, for your own data: data import data=coco data.annotations=… data.images=…"),
    "export": Action(_export, "a project in another format: data export project=… format=coco output=…"),
}
