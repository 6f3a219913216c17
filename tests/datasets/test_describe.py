"""What a project holds is counted as it is shown, and what looks wrong is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.annotation import Project, class_indices
from segsweep.datasets.describe import describe_project

from .projects import everything, retinas


def test_objects_images_tags_and_sizes_are_counted(tmp_path: Path) -> None:
    project = everything(tmp_path)
    found = describe_project(project)
    assert found.datasets == {"day": 1, "night": 2}
    assert {item.title: (item.objects, item.images) for item in found.classes} == {
        "bg": (1, 1),
        "roof": (4, 2),
        "blob": (1, 1),
        "box": (1, 1),
        "wire": (1, 1),
        "spot": (1, 1),
        "neutral": (1, 1),
    }
    assert found.image_tags == {"val": 1, "night": 1}
    assert found.object_tags == {"iscrowd": 1, "night": 1, "difficult": 1}
    assert found.sizes == {(60, 40): 3}
    assert found.empty == 1
    assert found.warnings == ()
    assert sum(item.pixels for item in found.classes) + found.uncovered == pytest.approx(1)


def test_pixels_are_those_that_a_class_shows(shared: Path, tmp_path: Path) -> None:
    project = retinas(shared, tmp_path, count=1)
    found = describe_project(project)
    indices = class_indices(project.items[0].annotation(project.meta), {"vessel": 1, "second": 2})
    assert [item.pixels for item in found.classes] == [np.mean(indices == 1), np.mean(indices == 2)]
    assert found.uncovered == np.mean(indices == 0)


def test_what_looks_wrong_is_told_and_the_rest_counted(tmp_path: Path) -> None:
    project = everything(tmp_path)
    day, night, _ = project.items
    day.annotation_path.write_text("{")
    Image.new("RGB", (5, 5)).save(night.image_path)
    (project.path / "notes").mkdir()
    found = describe_project(Project.open(project.path))
    assert [line.split(": ")[-1] for line in found.warnings] == [
        f"{project.path / 'notes'} is no dataset (it lacks img/ or ann/) and is left out",
        "Expecting property name enclosed in double quotes at line 1, column 2",
        "has 5x5 pixels, its annotation says 60x40",
    ]
    assert found.sizes == {(60, 40): 2}
