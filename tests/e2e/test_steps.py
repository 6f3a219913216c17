"""The tutorial step by step: its three JSON files as they stand, each stage by its own command."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import SMALL_DATA, Command
from .test_run import runs_of

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial"


@pytest.fixture(scope="module")
def workspace(segsweep: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steps")
    steps = [
        ["dtl", "data=vessels_synthetic", *SMALL_DATA, f"dtl.file={TUTORIAL}/dtl.json"],
        [
            "train",
            "project=vessels_train",
            f"training.file={TUTORIAL}/training.json",
            "model.width=2",
            "training.epochs=1",
            "training.input_size.width=64",
            "training.input_size.height=64",
        ],
        [
            "predict",
            "model='models:/UNet Trained@last'",
            "data.path=projects/vessels_test",
            f"inference.file={TUTORIAL}/inference.json",
        ],
        [
            "evaluate",
            "evaluation.project_gt=vessels_test",
            "evaluation.project_pred=inf_01",
            "evaluation.classes_mapping={vessel: vessel_unet}",
        ],
    ]
    for step in steps:
        done = segsweep(*step, cwd=folder)
        assert done.returncode == 0, (step, done.stderr)
        (folder / f"{step[0]}.txt").write_text(done.stderr)
    return folder


def test_the_tutorials_graph_makes_forty_four_images_of_each(workspace: Path) -> None:
    assert len(list((workspace / "projects" / "vessels_train" / "ds0" / "img").iterdir())) == 2 * 44


def test_without_the_gpus_there_is_one_warning(workspace: Path) -> None:
    warnings = [line for line in (workspace / "train.txt").read_text().splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert "CPU" in warnings[0]


def test_the_result_has_the_predictions_beside_the_annotations(workspace: Path) -> None:
    from segsweep.annotation import Project

    result = Project.open(workspace / "projects" / "inf_01")
    assert [item.title for item in result.meta.classes] == ["vessel", "bg_unet", "vessel_unet"]


def test_each_step_is_a_run_in_mlflow(workspace: Path) -> None:
    for name in ("train", "predict", "evaluate"):
        [run] = runs_of(workspace, name)
        assert run.info.status == "FINISHED"
    [evaluated] = runs_of(workspace, "evaluate")
    assert 0 <= evaluated.data.metrics["test/dice/vessel"] <= 1


def test_a_result_that_is_there_is_kept_until_it_may_be_replaced(segsweep: Command, workspace: Path) -> None:
    arguments = ["dtl", f"dtl.file={TUTORIAL}/dtl.json", "seed=1"]
    result = workspace / "projects" / "vessels_train"
    before = (result / "segsweep.json").read_text()
    refused = segsweep(*arguments, cwd=workspace)
    assert refused.returncode == 2
    assert "is the result of something else; dtl.overwrite=true replaces it" in refused.stderr
    assert (result / "segsweep.json").read_text() == before
    assert segsweep(*arguments, "dtl.overwrite=true", cwd=workspace).returncode == 0
    assert '"seed": 1' in (result / "segsweep.json").read_text()
    assert {path.name for path in (workspace / "projects").iterdir()} == {
        "inf_01",
        "vessels",
        "vessels_test",
        "vessels_train",
        "vessels_val",
    }
