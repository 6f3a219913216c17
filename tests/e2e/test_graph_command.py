"""`segsweep graph`: the installed command draws a graph, wherever its projects are."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from segsweep.files import read_image

from .conftest import Command, Finished
from .test_run import runs_of

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "dtl.json"


def test_a_pasted_graph_is_drawn_twice_without_its_projects(segsweep: Command, tmp_path: Path) -> None:
    (tmp_path / "graph.json").write_bytes(TUTORIAL.read_bytes())
    for _ in range(2):  # a picture that was drawn before is drawn again
        done = segsweep("graph", "dtl.file=graph.json", cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "graph.svg\ngraph.png\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {"graph.json", "graph.svg", "graph.png"}
    assert "$totrain" in (tmp_path / "graph.svg").read_text()
    ElementTree.parse(tmp_path / "graph.svg")
    assert read_image(tmp_path / "graph.png").std() > 5


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["output=split.svg", "dtl=vessels_split"], ["split.svg"]),
        (["format=png", "output=pictures/my.graph"], ["pictures/my.graph.png"]),
        (["workspace=w", "format=[svg]", "data=vessels_synthetic"], ["w/graph.svg"]),
    ],
)
def test_the_files_are_those_that_were_asked_for(
    segsweep: Command, tmp_path: Path, arguments: list[str], written: list[str]
) -> None:
    done = segsweep("graph", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()) == (0, written)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == written


def test_a_sweep_numbers_its_pictures(segsweep: Command, tmp_path: Path) -> None:
    done = segsweep("graph", "-m", "dtl=vessels,vessels_split", "output=g.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = ((tmp_path / name).read_text() for name in ("g_0.svg", "g_1.svg"))
    assert "vessels_val/*" not in first
    assert "vessels_val/*" in second


def test_a_wrong_graph_is_refused_with_all_its_problems(segsweep: Command, tmp_path: Path) -> None:
    graph = json.loads(TUTORIAL.read_text())
    graph[1]["action"] = "flipp"
    graph[2]["src"] = ["$fw"]
    graph[4]["settings"] = {"multiply": 0}
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    done = segsweep("graph", "dtl.file=graph.json", "format=pdf", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    for told in (
        "unknown action 'flipp'; did you mean 'flip'",
        "unknown connection '$fw'",
        "multiply",
        "'svg' or 'png'",
    ):
        assert told in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["graph.json"]


def test_what_is_no_picture_of_a_graph_is_not_overwritten(segsweep: Command, tmp_path: Path) -> None:
    (tmp_path / "graph.svg").write_text("<svg>mine</svg>")
    done = segsweep("graph", cwd=tmp_path)
    assert done.returncode == 2
    assert "graph.svg is there and is no picture of a graph; name another file" in done.stderr
    assert (tmp_path / "graph.svg").read_text() == "<svg>mine</svg>"
    assert [path.name for path in tmp_path.iterdir()] == ["graph.svg"]


def test_every_run_keeps_the_picture_of_its_graph(finished: Finished) -> None:
    [run] = runs_of(finished.workspace, "vessels_quick")
    [svg] = finished.workspace.glob(f"mlartifacts/*/{run.info.run_id}/artifacts/dtl/graph.svg")
    assert "vessels_train" in ElementTree.parse(svg).getroot().findtext("{http://www.w3.org/2000/svg}title", "")
