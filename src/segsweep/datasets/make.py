"""From the settings of a source to project folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from segsweep.annotation import Project, ProjectWriter
from segsweep.datasets import chase_db1, coco, image_mask_folders, pascal_voc, supervisely_project, vessels_synthetic
from segsweep.datasets.source import Content, InPlace, MadeProjects, PlannedProject, Role, Source
from segsweep.errors import DataError, Problems
from segsweep.files import digest_json
from segsweep.reporting import SILENT, Reporter
from segsweep.typed import parse_what_is_right

__all__ = ["SOURCES", "PlannedData", "check_source", "make_projects", "plan_projects"]

SOURCES: dict[str, Source] = {
    "vessels_synthetic": vessels_synthetic.SOURCE,
    "chase_db1": chase_db1.SOURCE,
    "supervisely_project": supervisely_project.SOURCE,
    "image_mask_folders": image_mask_folders.SOURCE,
    "coco": coco.SOURCE,
    "pascal_voc": pascal_voc.SOURCE,
}


def check_source(source: str, settings: Mapping[str, Any], problems: Problems, where: str = "data") -> None:
    """Notes everything that is wrong with a source and its settings; reads folders, writes nothing.

    Args:
        source: A name from `SOURCES`.
        settings: The source's settings by name.
        problems: Takes what is found.
        where: The key under which the settings stand in the configuration.
    """
    if source not in SOURCES:
        problems.unknown(f"{where}.source", source, SOURCES, kind="source")
        return
    values = parse_what_is_right(SOURCES[source].settings, settings, problems, where)
    if values is not None:
        SOURCES[source].check(values, problems, where)


def make_projects(
    source: str,
    settings: Mapping[str, Any],
    place: Callable[[str, str], Path],
    reporter: Reporter = SILENT,
) -> MadeProjects:
    """Makes the projects of a source, or finds them where they were made before.

    Args:
        source: A name from `SOURCES`.
        settings: The source's settings by name.
        place: Says where a project is to lie, from its name and its fingerprint. A project that lies there already
            must have that fingerprint, and is used as it is.
        reporter: Hears of the progress.

    Raises:
        InvalidRequestError: The settings are wrong; nothing was written.
        DataError: Input files are damaged or do not fit together.
    """
    return plan_projects(source, settings, reporter).make(place, reporter)


def plan_projects(source: str, settings: Mapping[str, Any], reporter: Reporter = SILENT) -> PlannedData:
    """The projects that a source's settings mean; makes none of them.

    Input files are read, and fetched where a source is told to.

    Raises:
        InvalidRequestError: The settings are wrong; nothing was written.
        DataError: Input files are damaged or do not fit together.
    """
    problems = Problems()
    check_source(source, settings, problems)
    problems.raise_if_any("the data cannot be made")
    values = SOURCES[source].settings.model_validate(dict(settings))
    return PlannedData(source, values.model_dump(mode="json"), tuple(SOURCES[source].plan(values, reporter)))


@dataclass(frozen=True)
class PlannedData:
    """The projects of a source, before they are made.

    Attributes:
        source: A name from `SOURCES`.
        settings: The source's settings, defaults included.
        projects: What is to be made or used.
    """

    source: str
    settings: Mapping[str, Any]
    projects: tuple[PlannedProject, ...]

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Project name -> SHA-256 of what determines its content."""
        return {project.name: _fingerprint(self.source, project) for project in self.projects}

    @property
    def digest(self) -> str:
        """SHA-256 of everything that determines the content of the projects."""
        return digest_json(self.fingerprints)

    @property
    def names(self) -> dict[Role, str]:
        """What each project is for -> its name."""
        return {project.role: project.name for project in self.projects}

    @property
    def in_place(self) -> dict[str, Path]:
        """The projects that lie somewhere already, by name."""
        return {item.name: item.origin.path for item in self.projects if isinstance(item.origin, InPlace)}

    def make(self, place: Callable[[str, str], Path], reporter: Reporter = SILENT) -> MadeProjects:
        """Makes the projects, or finds them; see `make_projects`."""
        paths = dict(self.in_place)
        for project in self.projects:
            if isinstance(project.origin, Content):
                fingerprint = self.fingerprints[project.name]
                provenance = {
                    "fingerprint": fingerprint,
                    "source": self.source,
                    "settings": dict(self.settings),
                    "credit": dict(project.origin.credit),
                }
                paths[project.name] = _made(project.origin, place(project.name, fingerprint), provenance, reporter)
        return MadeProjects(paths, self.names["train"], self.names.get("val"), self.names.get("test"), self.digest)


def _fingerprint(source: str, project: PlannedProject) -> str:
    if isinstance(project.origin, InPlace):
        return project.origin.digest
    return digest_json({"source": source, "content": project.origin.identity})


def _made(content: Content, path: Path, provenance: dict[str, Any], reporter: Reporter) -> Path:
    if not path.exists():
        try:
            with ProjectWriter(path, content.meta, provenance=provenance) as writer:
                content.write(writer, reporter)
            return path
        except FileExistsError:
            reporter.message(f"{path} was made by another process meanwhile; it is used as it is")
    found = Project.open(path).provenance.get("fingerprint")
    if found != provenance["fingerprint"]:
        raise DataError(f"{path}: holds other data than asked for (fingerprint {found}); move it or take another name")
    return path
