"""`segsweep dtl` on its own: found results, the summary, and ends that come early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from segsweep.annotation import Project
from segsweep.files import atomic_directory

from .conftest import SEGSWEEP, SMALL_DATA, Command, heeds_ctrl_c

GRAPH = ["dtl", "data=vessels_synthetic", *SMALL_DATA]


def stamp(project: Path) -> int:
    return (project / "meta.json").stat().st_mtime_ns


@pytest.fixture(scope="module")
def workspace(segsweep: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dtl") / "with a space"
    folder.mkdir()
    done = segsweep(*GRAPH, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stderr)
    return folder


def test_every_layer_tells_what_it_did(workspace: Path) -> None:
    said = (workspace / "said.txt").read_text()
    assert [line.split() for line in said.splitlines() if line.startswith(("layer", "multiply", "split"))] == [
        ["layer", "in", "out", "dropped", "failed"],
        ["multiply", "8", "80", "·", "·"],
        ["split", "88", "88", "·", "·"],
    ]


def test_a_result_tells_how_it_came_to_be(workspace: Path) -> None:
    made = Project.open(workspace / "projects" / "vessels_train").provenance
    source = Project.open(workspace / "projects" / "vessels").provenance
    assert made["inputs"] == {"vessels": source["fingerprint"]}
    assert made["seed"] == 0 and made["graph"]["fv"]["settings"] == {"axis": "vertical"}
    assert made["versions"]["segsweep"] and made["versions"]["opencv"]
    assert made["summary"]["outputs"] == 88


def test_validate_tells_of_classes_that_are_not_there(segsweep: Command, workspace: Path) -> None:
    layers = [
        {"action": "data", "src": ["vessels"], "dst": "$d", "settings": {"classes_mapping": "default"}},
        {"action": "split_masks", "src": ["$d"], "dst": "$s", "settings": {"classes": ["vesel"]}},
        {"action": "supervisely", "src": ["$s"], "dst": "split", "settings": {}},
    ]
    (workspace / "misspelt.json").write_text(json.dumps(layers))
    done = segsweep("validate", "dtl", "dtl.file=misspelt.json", cwd=workspace)
    assert done.returncode == 0 and "no problems" in done.stdout
    told = "layer 2 (split_masks).settings.classes: there is no class 'vesel' here; did you mean 'vessel'?"
    assert done.stderr.strip() == f"warning: {told}"


def test_a_split_by_image_shares_no_source_and_leaves_validation_untouched(segsweep: Command, tmp_path: Path) -> None:
    less = "dtl.layers.multiply.settings.multiply=1"
    done = segsweep(*GRAPH, "dtl=split_by_image", less, "data.images=3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = Project.open(tmp_path / "projects" / "vessels_train")
    tagged = [(item, {tag.name for tag in item.annotation(made.meta).tags}) for item in made.items]
    (kept,) = [item for item, tags in tagged if tags == {"val"}]
    train = [item for item, tags in tagged if tags == {"train"}]
    assert len(train) == 2 * 8 and not [item for item in train if item.name.startswith(Path(kept.name).stem)]
    source = tmp_path / "projects" / "vessels" / kept.dataset / "img" / kept.name
    assert kept.image_path.read_bytes() == source.read_bytes()
    sweep = [*GRAPH, "dtl=split_by_image", "dtl.layers.split.settings.parts.train=50,80"]
    assert "(2 jobs)" in segsweep("validate", "dtl", "-m", *sweep[1:], cwd=tmp_path).stdout


def test_the_plainest_graph_gives_the_same_images_in_the_format_asked_for(segsweep: Command, tmp_path: Path) -> None:
    done = segsweep(*GRAPH, "dtl=identity", "dtl.layers.save.settings.image_format=png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = (Project.open(tmp_path / "projects" / name) for name in ("vessels", "vessels_train"))
    assert [item.name for item in after.items] == [Path(item.name).stem + ".png" for item in before.items]


def test_a_pasted_graph_must_be_named(segsweep: Command, tmp_path: Path) -> None:
    done = segsweep("dtl", "dtl=from_json", cwd=tmp_path)
    assert done.returncode == 2 and "choose a graph with dtl=… or dtl.file=graph.json" in done.stderr


def test_an_equal_graph_is_found_and_not_computed_again(segsweep: Command, workspace: Path) -> None:
    project = workspace / "projects" / "vessels_train"
    before = stamp(project)
    found = segsweep(*GRAPH, cwd=workspace)
    assert found.returncode == 0 and "vessels_train is there already and is used again" in found.stderr
    assert stamp(project) == before
    again = segsweep(*GRAPH, "dtl.reuse=false", cwd=workspace)
    assert again.returncode == 0 and "is used again" not in again.stderr
    assert stamp(project) != before
    assert {
        path.name for path in (workspace / "projects").iterdir() if path.name.startswith(("vessels_train", "."))
    } == {"vessels_train"}


def test_images_that_were_left_out_are_told_again_when_the_result_is_found(segsweep: Command, tmp_path: Path) -> None:
    assert segsweep("dtl", "data=vessels_synthetic", *SMALL_DATA, cwd=tmp_path).returncode == 0
    project = tmp_path / "projects" / "mine"
    (tmp_path / "projects" / "vessels").rename(project)
    (project / "segsweep.json").unlink()
    broken = next(project.glob("*/img/*"))
    os.truncate(broken, 1000)
    graph = [
        {"action": "data", "src": ["mine/*"], "dst": "$d", "settings": {"classes_mapping": "default"}},
        {"action": "flip", "src": ["$d"], "dst": "$f", "settings": {"axis": "vertical"}},
        {"action": "supervisely", "src": ["$f"], "dst": "flipped", "settings": {}},
    ]
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    first, second = (segsweep("dtl", "dtl.file=graph.json", cwd=tmp_path) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert "is left out" in first.stderr and "was left out" in second.stderr
    for said in (first.stderr, second.stderr):
        assert broken.name in said and "left out: 1 image, such as mine/" in said and "is damaged" in said
    refused = segsweep("dtl", "dtl.file=graph.json", "dtl.on_error=fail", "dtl.reuse=false", cwd=tmp_path)
    assert refused.returncode == 1 and broken.name in refused.stderr
    assert len(list((tmp_path / "projects" / "flipped").glob("*/img/*"))) == 1


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_early_end_leaves_no_half_result_and_no_process(
    segsweep: Command, environment: dict[str, str], workspace: Path, number: signal.Signals
) -> None:
    multiplied = [*GRAPH, "dtl.layers.multiply.settings.multiply=300", "dtl.layers.save.dst=big", "dtl.workers=2"]
    process = subprocess.Popen(
        [str(SEGSWEEP), *multiplied], cwd=workspace, env=environment, stderr=subprocess.PIPE, preexec_fn=heeds_ctrl_c
    )
    projects = workspace / "projects"
    deadline = time.monotonic() + 60
    while not any(projects.glob(".big.*/.aside/*/*/img/*")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    helpers = children(process.pid)
    assert helpers
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    _, alive = psutil.wait_procs(helpers, timeout=20)
    assert not alive
    assert not (projects / "big").exists()
    left = list(projects.glob(".big.*"))
    assert len(left) == (number == signal.SIGKILL)  # who is killed cannot clean up, but the next one can:
    with atomic_directory(projects / "big"):
        assert not set(left) & set(projects.glob(".big.*"))
    (projects / "big").rmdir()
