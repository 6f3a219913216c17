from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsweep.annotation import Annotation, Project, ProjectMeta, ProjectWriter
from segsweep.errors import DataError
from segsweep.files import write_bytes
from segsweep.inference import reading
from segsweep.inference.reading import pictures
from segsweep.models.preprocess import standardise


@pytest.fixture
def project(tmp_path: Path) -> Project:
    random = np.random.default_rng(0)
    with ProjectWriter(tmp_path / "p", ProjectMeta()) as writer:
        for number in range(5):
            image = random.integers(0, 200, (30, 40 + number, 3), dtype=np.uint8)
            writer.add("ds", f"{number}.png", Annotation(40 + number, 30), image)
    return Project.open(tmp_path / "p")


@pytest.mark.parametrize("large", [0, 30 * 42, 2**30])
def test_images_come_in_order_whether_they_are_read_ahead_or_not(
    project: Project, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_READ_AHEAD", large)
    seen = [take() for _, take in pictures(project.items, project.meta, standardised=False)]
    assert [picture.item for picture in seen] == list(project.items)
    assert [picture.image.shape[1] for picture in seen] == [40, 41, 42, 43, 44]


def test_what_cannot_be_read_is_told_when_it_is_its_turn(project: Project) -> None:
    write_bytes(project.items[1].image_path, b"no image")
    wrong = []
    for item, take in pictures(project.items, project.meta, standardised=False):
        try:
            take()
        except DataError:
            wrong.append(item.name)
    assert wrong == ["1.png"]


def test_an_image_of_another_size_than_its_annotation_is_refused(project: Project) -> None:
    project.items[0].image_path.write_bytes(project.items[1].image_path.read_bytes())
    _, take = next(iter(pictures(project.items, project.meta, standardised=False)))
    with pytest.raises(DataError, match="the image has 41x30 pixels, its annotation says 40x30"):
        take()


def test_images_are_made_alike_as_in_training(project: Project) -> None:
    plain = [take() for _, take in pictures(project.items, project.meta, standardised=False)]
    alike = [take() for _, take in pictures(project.items, project.meta, standardised=True)]
    for one, other in zip(plain, alike, strict=True):
        np.testing.assert_array_equal(other.image, standardise(one.image))
    dark = np.full((4, 5, 3), 3, np.uint8)
    assert (standardise(dark, out=np.zeros_like(dark)) == 3).all()
