"""What holds for all sources: problems told at once, projects reused, races survived."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from segsweep.annotation import Project, ProjectMeta, ProjectWriter
from segsweep.datasets import SOURCES, check_source, make_projects
from segsweep.errors import DataError, InvalidRequestError, Problems
from segsweep.reporting import ListReporter

SMALL = {"width": 256, "height": 256, "images": 2, "val_images": 1, "test_images": 1}


def place_in(folder: Path) -> Callable[[str, str], Path]:
    return lambda name, fingerprint: folder / name


def problems_of(source: str, settings: dict[str, object]) -> list[str]:
    problems = Problems()
    check_source(source, settings, problems)
    return [str(problem) for problem in problems.found]


def test_an_unknown_source_is_told_with_the_nearest() -> None:
    assert problems_of("vessel_synthetic", {}) == [
        "data.source: unknown source 'vessel_synthetic'; did you mean 'vessels_synthetic'?"
    ]


def test_every_wrong_setting_is_told_at_once() -> None:
    told = problems_of("vessels_synthetic", {"imges": 3, "width": "x", "seed": -1, "test_project": "vessels"})
    assert told == [
        "data.width: 'x' is not possible; must be a whole number",
        "data.seed: -1 is not possible; must be at least 0",
        "data.imges: unknown key 'imges'; did you mean 'images' or 'val_images' or 'test_images'?",
        "data.test_project: 'vessels' is the name of data.project too; give another name",
    ]


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "a\0b"])
def test_a_project_name_cannot_leave_its_folder(name: str) -> None:
    [problem] = problems_of("vessels_synthetic", {"project": name})
    assert problem.startswith("data.project: ")


def test_wrong_settings_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"data\.images"):
        make_projects("vessels_synthetic", {"images": 0}, place_in(tmp_path / "projects"))
    assert not list(tmp_path.iterdir())


def test_settings_of_every_source_are_described() -> None:
    for source in SOURCES.values():
        assert all(field.description for field in source.settings.model_fields.values())


def test_synthetic_projects_hold_images_masks_and_fields_of_view(tmp_path: Path) -> None:
    reporter = ListReporter()
    made = make_projects("vessels_synthetic", SMALL, place_in(tmp_path), reporter)
    assert (made.train, made.val, made.test) == ("vessels", "vessels_val", "vessels_test")
    project = Project.open(made.paths["vessels"])
    assert project.meta.titles == ("vessel",)
    assert [(item.dataset, item.name) for item in project.items] == [
        ("ds0", "vessels_01.jpg"),
        ("ds0", "vessels_02.jpg"),
    ]
    for item in project.items:
        assert item.side_path("field_of_view") is not None
        annotation = item.annotation(project.meta)
        assert (annotation.width, annotation.height) == (256, 256)
        assert [entry.class_title for entry in annotation.objects] == ["vessel"]
    provenance = json.loads((made.paths["vessels"] / "segsweep.json").read_text())
    assert provenance["source"] == "vessels_synthetic"
    assert provenance["settings"]["images"] == 2
    assert provenance["credit"]["licence"]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_equal_settings_give_equal_bytes(tmp_path: Path) -> None:
    first = make_projects("vessels_synthetic", SMALL, place_in(tmp_path / "a"))
    second = make_projects("vessels_synthetic", SMALL, place_in(tmp_path / "b"))
    assert first.digest == second.digest
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_more_images_keep_the_first_ones(tmp_path: Path) -> None:
    make_projects("vessels_synthetic", SMALL, place_in(tmp_path / "a"))
    make_projects("vessels_synthetic", SMALL | {"images": 3}, place_in(tmp_path / "b"))
    image = "vessels/ds0/img/vessels_02.jpg"
    assert (tmp_path / "a" / image).read_bytes() == (tmp_path / "b" / image).read_bytes()


def test_another_seed_gives_another_fingerprint_and_other_pictures(tmp_path: Path) -> None:
    first = make_projects("vessels_synthetic", SMALL, place_in(tmp_path / "a"))
    second = make_projects("vessels_synthetic", SMALL | {"seed": 1}, place_in(tmp_path / "b"))
    assert first.digest != second.digest
    image = "vessels/ds0/img/vessels_01.jpg"
    assert (tmp_path / "a" / image).read_bytes() != (tmp_path / "b" / image).read_bytes()


def test_a_project_of_the_same_fingerprint_is_used_as_it_is(tmp_path: Path) -> None:
    first = make_projects("vessels_synthetic", SMALL, place_in(tmp_path))
    stamp = (tmp_path / "vessels" / "meta.json").stat().st_mtime_ns
    assert make_projects("vessels_synthetic", SMALL, place_in(tmp_path)) == first
    assert (tmp_path / "vessels" / "meta.json").stat().st_mtime_ns == stamp


def test_a_project_of_another_fingerprint_is_never_overwritten(tmp_path: Path) -> None:
    make_projects("vessels_synthetic", SMALL, place_in(tmp_path))
    before = contents(tmp_path)
    with pytest.raises(DataError, match="holds other data"):
        make_projects("vessels_synthetic", SMALL | {"seed": 1}, place_in(tmp_path))
    assert contents(tmp_path) == before


def test_a_project_that_another_process_finished_first_is_used(tmp_path: Path) -> None:
    other = make_projects("vessels_synthetic", SMALL, place_in(tmp_path / "other"))

    class Overtaken(ListReporter):
        """Moves the other process's project into place while ours is being made."""

        def progress(self, title, total, unit="it"):  # type: ignore[no-untyped-def]
            if title == "making vessels":
                other.paths["vessels"].rename(tmp_path / "mine" / "vessels")
            return super().progress(title, total, unit)

    reporter = Overtaken()
    made = make_projects("vessels_synthetic", SMALL, place_in(tmp_path / "mine"), reporter)
    assert made.digest == other.digest
    assert len(Project.open(made.paths["vessels"]).items) == 2
    assert any("another process" in text for _, text in reporter.messages)
    assert not [path for path in (tmp_path / "mine").iterdir() if path.name.startswith(".")]


def test_an_existing_project_is_used_where_it_lies(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "supervisely_projects"
    settings = {
        "path": str(folder / "sly_cookbook_tagged"),
        "test_path": str(folder / "sly_tutorial_legacy_format"),
        "test_project": "held_out",
    }
    made = make_projects("supervisely_project", settings, place_in(tmp_path))
    assert made.paths["sly_cookbook_tagged"] == (folder / "sly_cookbook_tagged").resolve()
    assert (made.train, made.val, made.test) == ("sly_cookbook_tagged", None, "held_out")
    assert not list(tmp_path.iterdir())


def test_a_changed_project_has_another_digest(tmp_path: Path) -> None:
    made = make_projects("vessels_synthetic", SMALL, place_in(tmp_path))
    settings = {"path": str(made.paths["vessels"])}
    first = make_projects("supervisely_project", settings, place_in(tmp_path))
    annotation = next((made.paths["vessels"] / "ds0" / "ann").iterdir())
    annotation.write_text(annotation.read_text().replace('"description": ""', '"description": "seen"'))
    assert make_projects("supervisely_project", settings, place_in(tmp_path)).digest != first.digest


def test_folders_that_are_no_projects_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with ProjectWriter(tmp_path / "fine", ProjectMeta()):
        pass
    told = problems_of(
        "supervisely_project",
        {"path": str(tmp_path / "fine"), "val_path": str(tmp_path / "empty"), "test_path": str(tmp_path / "absent")},
    )
    assert told == [
        f"data.val_path: {tmp_path / 'empty'} is no project: it holds no meta.json",
        f"data.test_path: no such folder: {tmp_path / 'absent'}",
    ]


def test_the_same_project_twice_is_refused(tmp_path: Path) -> None:
    with ProjectWriter(tmp_path / "p", ProjectMeta()):
        pass
    told = problems_of("supervisely_project", {"path": str(tmp_path / "p"), "test_path": str(tmp_path / "p")})
    assert any("is the same folder as data.path" in text for text in told)
