"""`segsweep data`: the projects of a workspace, made, listed, described, exported and imported again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from segsweep.annotation import Project, class_indices
from segsweep.app.tables import show_table

from .conftest import SEGSWEEP, SMALL_DATA, Command


@pytest.fixture(scope="module")
def workspace(segsweep: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "my dätä"
    folder.mkdir()
    made = segsweep("data", "make", "data=vessels_synthetic", *SMALL_DATA, cwd=folder)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [
        "for\tproject\timages\tfolder",
        f"train\tvessels\t2\t{folder / 'projects' / 'vessels'}",
        f"val\tvessels_val\t1\t{folder / 'projects' / 'vessels_val'}",
        f"test\tvessels_test\t2\t{folder / 'projects' / 'vessels_test'}",
    ]
    return folder


def shown(path: Path) -> list[list[list[int]]]:
    project = Project.open(path)
    return [class_indices(item.annotation(project.meta), {"vessel": 1}).tolist() for item in project.items]


def test_making_again_finds_what_is_there_and_nothing_else_is_left(segsweep: Command, workspace: Path) -> None:
    stamp = (workspace / "projects" / "vessels" / "meta.json").stat().st_mtime_ns
    assert segsweep("data", "make", "data=vessels_synthetic", *SMALL_DATA, cwd=workspace).returncode == 0
    assert (workspace / "projects" / "vessels" / "meta.json").stat().st_mtime_ns == stamp
    assert {entry.name for entry in workspace.iterdir()} == {"projects", ".locks"}


def test_projects_are_listed_a_line_each_also_broken_ones(segsweep: Command, workspace: Path) -> None:
    broken = workspace / "projects" / "broken"
    broken.mkdir()
    (broken / "meta.json").write_text("{")
    done = segsweep("data", "list", cwd=workspace)
    (broken / "meta.json").unlink()
    broken.rmdir()
    assert done.returncode == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0] == ["project", "images", "data sets", "classes", "made by", "size"]
    assert [row[:5] for row in rows[1:]] == [
        ["broken", "?", "?", "?", "?"],
        ["vessels", "2", "1", "vessel", "vessels_synthetic"],
        ["vessels_test", "2", "1", "vessel", "vessels_synthetic"],
        ["vessels_val", "1", "1", "vessel", "vessels_synthetic"],
    ]
    assert "warning: broken cannot be read: " in done.stderr


def test_a_project_is_described(segsweep: Command, workspace: Path) -> None:
    done = segsweep("data", "describe", "project=vessels", cwd=workspace)
    assert done.returncode == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert ["made by", "vessels_synthetic"] in rows
    assert ["credit: licence", "Apache-2.0"] in rows
    assert ["image sizes", "256x256 (2)"] in rows
    share = np.mean(shown(workspace / "projects" / "vessels"))
    assert ["vessel", "bitmap", "#14B8A6", "2", "2", f"{share:.2%}"] in rows


@pytest.mark.parametrize("form", ["coco", "pascal_voc", "masks_indexed", "masks_colored"])
def test_an_export_can_be_imported_again_where_it_lies(
    segsweep: Command, workspace: Path, tmp_path: Path, form: str
) -> None:
    output = tmp_path / "out"
    done = segsweep("data", "export", "project=vessels", f"format={form}", f"output={output}", cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"2 images of vessels are in {output}\n"
    done = segsweep("data", "import", "data=exported", f"workspace={tmp_path / 'new'}", cwd=output)
    assert done.returncode == 0, done.stderr
    assert shown(tmp_path / "new" / "projects" / "vessels") == shown(workspace / "projects" / "vessels")


def test_what_a_format_cannot_hold_is_told(segsweep: Command, shared: Path, tmp_path: Path) -> None:
    project = shared / "data" / "supervisely_projects" / "sly_cookbook_tagged"
    done = segsweep("data", "export", f"project={project}", "format=coco", "output=out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: coco cannot hold: " in done.stderr
    assert len(json.loads((tmp_path / "out" / "annotations" / "instances_default.json").read_text())["images"]) == 5


def test_a_project_that_lies_elsewhere_is_not_copied(segsweep: Command, shared: Path, tmp_path: Path) -> None:
    project = shared / "data" / "supervisely_projects" / "sly_cookbook_tagged"
    done = segsweep("data", "import", "data=supervisely_project", f"data.path={project}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "used where they lie, not copied: project" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_workspace_says_how_to_fill_it(segsweep: Command, tmp_path: Path) -> None:
    done = segsweep("data", "list", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "make some: segsweep data make data=vessels_synthetic" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lst"], ["segsweep data cannot run", "unknown action 'lst'; did you mean 'list'?"]),
        (["import"], ["segsweep data import cannot run", "data: must be given"]),
        (["import", "data=coco"], ["data.annotations: must be given", "data.images: must be given"]),
        (["import", "data.images=x"], ["data.images: belongs to data=…, which is not given; known: chase_db1, coco"]),
        (
            ["import", "data=coco", "data.annotations=a.json", "data.images=.", "data.shape=circle", "data.imges=1"],
            [
                "data.imges: unknown key 'imges'; did you mean 'images'",
                "data.shape: 'circle' is not possible; must be 'auto', 'bitmap', 'polygon' or 'rectangle'",
                "a.json: cannot be read",
            ],
        ),
        (
            ["export", "project=vesels", "format=coc", "output=.."],
            ["project: no project 'vesels'", "format: unknown format 'coc'; did you mean 'coco'?", "is there already"],
        ),
        (["describe", "project=nothing", "workspac=x"], ["workspac: unknown key", "no project 'nothing'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_requests_are_told_at_once(
    segsweep: Command, tmp_path: Path, arguments: list[str], told: list[str]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    done = segsweep("data", *arguments, cwd=here)
    assert done.returncode == 2
    for text in told:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert list(here.iterdir()) == []


def test_help_lists_the_actions_and_the_sources(segsweep: Command, tmp_path: Path) -> None:
    actions = segsweep("data", "--help", cwd=tmp_path).stdout
    assert all(f"\n  {name} " in actions for name in ("list", "describe", "make", "import", "export"))
    done = segsweep("data", "import", "--help", cwd=tmp_path)
    assert done.stdout.startswith("segsweep data import: ")
    assert "data: chase_db1, coco, dubai_aerial, image_mask_folders, pascal_voc" in done.stdout
    assert "output: out" in segsweep("data", "export", "output=out", "--cfg", "job", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("segsweep dat", "data"),
        ("segsweep data ", "list describe make import export"),
        ("segsweep data ex", "export"),
        ("segsweep data import data=co", "data=coco"),
        ("segsweep data export for", "format="),
    ],
)
def test_completion_knows_actions_and_their_keys(
    environment: dict[str, str], tmp_path: Path, line: str, expected: str
) -> None:
    command = [str(SEGSWEEP), "-sc", "query=bash"]
    done = subprocess.run(command, cwd=tmp_path, env={**environment, "COMP_LINE": line}, capture_output=True, text=True)
    assert done.stdout.strip() == expected


def test_tables_are_drawn_on_terminals_and_never_obey_what_stands_in_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [["evil\x1b[2J\tname", "1"], ["[red]x[/red]", "12"]]
    show_table(["name", "count"], rows, numbers=["count"])
    plain = capsys.readouterr().out
    assert plain == "name\tcount\nevil\ufffd[2J\ufffdname\t1\n[red]x[/red]\t12\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    show_table(["name", "count"], rows, numbers=["count"])
    drawn = capsys.readouterr().out
    assert "\t" not in drawn and "\x1b[2J" not in drawn
    assert "[red]x[/red]" in drawn
