"""Where made projects lie, and that nothing which is there is overwritten."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsweep import stages
from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, Project, ProjectMeta, ProjectWriter
from segsweep.config.schema import DtlSection
from segsweep.errors import DataError
from segsweep.reporting import SILENT, ListReporter

LAYERS: dict[str, Any] = {
    "sample": {"action": "data", "src": ["cells/*"], "settings": {"classes_mapping": "default"}},
    "flip": {"action": "flip", "src": ["sample"], "settings": {"axis": "vertical"}},
    "save": {"action": "supervisely", "src": ["sample", "flip"], "dst": "cells_train", "settings": {}},
}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    disc = LabeledObject("cell", Bitmap(np.ones((4, 5), bool), 3, 2))
    with ProjectWriter(tmp_path / "projects" / "cells", ProjectMeta((ClassMeta("cell", "bitmap"),))) as writer:
        for name in ("a.png", "b.png"):
            writer.add("ds", name, Annotation(20, 16, (disc,)), np.full((16, 20, 3), 90, np.uint8))
    return tmp_path


def transform(workspace: Path, seed: int = 0, layers: Any = LAYERS, reporter: Any = SILENT) -> Path:
    section = DtlSection(layers=layers, workers=1)
    return stages.transform(stages.plan_transform(workspace, section, {}, seed), section, reporter).result


def test_an_equal_transformation_is_found_again(workspace: Path) -> None:
    first = transform(workspace)
    reporter = ListReporter()
    assert transform(workspace, reporter=reporter) == first == workspace / "projects" / "cells_train"
    assert ("info", "transform: cells_train is there already and is used again") in reporter.messages


def test_another_transformation_of_the_same_name_gets_a_place_of_its_own(workspace: Path) -> None:
    first, second = transform(workspace), transform(workspace, seed=1)
    assert first.name == "cells_train"
    fingerprint = stages.fingerprint_of(second)
    assert fingerprint is not None
    assert second.name == f"cells_train-{fingerprint[:8]}"


def test_a_made_project_that_was_edited_is_another_project(workspace: Path) -> None:
    made = transform(workspace)
    identity = stages.identity_of(made)
    assert identity == stages.fingerprint_of(made)
    annotation = made / "ds" / "ann" / "a.png.json"
    text = annotation.read_text()
    time.sleep(0.05)  # file systems tell time in steps
    annotation.write_text(text.replace("cell", "cell "))
    edited = stages.identity_of(made)
    annotation.write_text(text.replace("cell", "cell  "))
    assert len({identity, edited, stages.identity_of(made)}) == 3
    again = transform(workspace, seed=2)
    identity = stages.identity_of(again)
    time.sleep(0.05)
    (again / "ds" / "img" / "a.png").unlink()
    (again / "ds" / "ann" / "a.png.json").unlink()
    assert stages.identity_of(again) != identity


def test_changed_input_is_another_transformation(workspace: Path) -> None:
    first = transform(workspace)
    (image := workspace / "projects" / "cells" / "ds" / "img" / "a.png").write_bytes(
        (workspace / "projects" / "cells" / "ds" / "img" / "b.png").read_bytes() + b"\0"
    )
    assert image.is_file()
    assert transform(workspace) != first


def test_what_a_user_put_there_is_kept(workspace: Path) -> None:
    own = workspace / "projects" / "cells_train"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    assert transform(workspace) != own
    assert (own / "notes.txt").read_text() == "mine"


def test_two_at_once_end_with_one_result(workspace: Path) -> None:
    results: list[Path] = []
    start = threading.Barrier(2)

    def work() -> None:
        start.wait()
        results.append(transform(workspace))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [workspace / "projects" / "cells_train"] * 2
    assert len(Project.open(results[0]).items) == 4
    assert not [path for path in (workspace / "projects").iterdir() if path.name.startswith(".")]


def test_a_graph_that_gives_nothing_is_an_error_and_leaves_nothing(workspace: Path) -> None:
    for path in (workspace / "projects" / "cells" / "ds" / "img").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="the graph gave no image"):
        transform(workspace)
    assert [path.name for path in (workspace / "projects").iterdir()] == ["cells"]


def test_an_unknown_project_is_told_with_the_nearest(workspace: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'cells'"):
        stages.project_path(workspace, "cels")
