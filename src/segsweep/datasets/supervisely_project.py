"""`supervisely_project`: projects in Supervisely's format that exist already, used where they lie."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from segsweep.annotation import project_digest
from segsweep.datasets.source import (
    InPlace,
    PlannedProject,
    Role,
    Settings,
    Source,
    check_folder,
    check_project_names,
)
from segsweep.errors import Problems
from segsweep.reporting import Reporter, track

__all__ = ["SOURCE", "SuperviselyProjectSettings"]

_META = ("meta.json", "classes.json")  # the second is what the oldest projects have


class SuperviselyProjectSettings(Settings):
    """Settings of `supervisely_project`."""

    path: str = Field(min_length=1, description="folder of the project to train on (it holds meta.json)")
    val_path: str | None = Field(None, min_length=1, description="folder of the project to validate on")
    test_path: str | None = Field(None, min_length=1, description="folder of the project to test on")
    project: str | None = Field(None, description="its name; the folder's name by default")
    val_project: str | None = Field(None, description="its name; the folder's name by default")
    test_project: str | None = Field(None, description="its name; the folder's name by default")


def _projects(settings: SuperviselyProjectSettings) -> list[tuple[Role, str, Path, str]]:
    """Role, prefix of its settings, folder and name of every project that is given."""
    given: list[tuple[Role, str, str | None, str | None]] = [
        ("train", "", settings.path, settings.project),
        ("val", "val_", settings.val_path, settings.val_project),
        ("test", "test_", settings.test_path, settings.test_project),
    ]
    return [
        (role, prefix, folder, name or folder.name)
        for role, prefix, path, name in given
        if path is not None
        for folder in [Path(path).expanduser().resolve()]
    ]


def _check(settings: SuperviselyProjectSettings, problems: Problems, where: str) -> None:
    projects = _projects(settings)
    check_project_names({f"{prefix}project": name for _, prefix, _, name in projects}, problems, where)
    seen: dict[Path, str] = {}
    for _, prefix, folder, _ in projects:
        key = f"{where}.{prefix}path"
        if folder in seen:
            problems.add(key, f"is the same folder as {seen[folder]}", "the sets must not share images")
        elif check_folder(folder, problems, key) and not any((folder / name).is_file() for name in _META):
            problems.add(key, f"{folder} is no project: it holds no meta.json")
        seen.setdefault(folder, key)


def _plan(settings: SuperviselyProjectSettings, reporter: Reporter) -> list[PlannedProject]:
    return [
        PlannedProject(name, role, InPlace(folder, project_digest(folder)))
        for role, _, folder, name in track(_projects(settings), reporter, "reading projects", unit="project")
    ]


SOURCE = Source(SuperviselyProjectSettings, _check, _plan)
