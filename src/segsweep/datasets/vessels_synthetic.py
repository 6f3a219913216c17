"""`vessels_synthetic`: fundus-like pictures with exact vessel masks, made from a seed. Needs no download."""

from __future__ import annotations

from functools import partial

from pydantic import Field

from segsweep.annotation import ClassMeta, ProjectMeta, ProjectWriter
from segsweep.datasets.fundus import make_fundus
from segsweep.datasets.source import (
    Content,
    PlannedProject,
    Role,
    Settings,
    Source,
    check_project_names,
    mask_annotation,
)
from segsweep.errors import Problems
from segsweep.files import encode_image
from segsweep.randomness import generator
from segsweep.reporting import Reporter, track

__all__ = ["SOURCE", "VesselsSyntheticSettings"]

_VERSION = 1  # of the pictures: to be raised with every change of what a seed gives


class VesselsSyntheticSettings(Settings):
    """Settings of `vessels_synthetic`."""

    project: str = Field("vessels", description="name of the project to train on")
    val_project: str = Field("vessels_val", description="name of the project to validate on")
    test_project: str = Field("vessels_test", description="name of the project to test on")
    width: int = Field(999, ge=256, le=8192, description="pixels")
    height: int = Field(960, ge=256, le=8192, description="pixels")
    images: int = Field(6, ge=1, le=10_000, description="how many to train on")
    val_images: int = Field(2, ge=0, le=10_000, description="how many to validate on; 0 makes no such project")
    test_images: int = Field(6, ge=0, le=10_000, description="how many to test on; 0 makes no such project")
    seed: int = Field(0, ge=0, description="another seed gives other pictures")


def _check(settings: VesselsSyntheticSettings, problems: Problems, where: str) -> None:
    names = {
        "project": settings.project,
        "val_project": settings.val_project if settings.val_images else None,
        "test_project": settings.test_project if settings.test_images else None,
    }
    check_project_names(names, problems, where)


def _plan(settings: VesselsSyntheticSettings, reporter: Reporter) -> list[PlannedProject]:
    wanted: list[tuple[str, Role, int]] = [
        (settings.project, "train", settings.images),
        (settings.val_project, "val", settings.val_images),
        (settings.test_project, "test", settings.test_images),
    ]
    return [PlannedProject(name, role, _content(settings, name, count)) for name, role, count in wanted if count]


def _content(settings: VesselsSyntheticSettings, name: str, count: int) -> Content:
    identity = {
        "version": _VERSION,
        "project": name,
        "seed": settings.seed,
        "size": [settings.width, settings.height],
        "images": count,
    }
    meta = ProjectMeta(classes=(ClassMeta("vessel", "bitmap", "#14B8A6"),))
    credit = {"text": "Synthetic pictures; they show no person's eye.", "licence": "Apache-2.0"}
    return Content(identity, meta, partial(_write, settings, name, count), credit)


def _write(
    settings: VesselsSyntheticSettings, project: str, count: int, writer: ProjectWriter, reporter: Reporter
) -> None:
    digits = max(2, len(str(count)))
    for index in track(range(count), reporter, f"making {project}", unit="image"):
        fundus = make_fundus(generator(settings.seed, project, index), settings.width, settings.height)
        name = f"{project}_{index + 1:0{digits}d}.jpg"
        annotation = mask_annotation({"vessel": fundus.vessels}, settings.width, settings.height)
        writer.add("ds0", name, annotation, encode_image(fundus.image, ".jpg"))
        writer.add_side("ds0", "field_of_view", name, encode_image(fundus.field.astype("uint8") * 255))


SOURCE = Source(VesselsSyntheticSettings, _check, _plan)
