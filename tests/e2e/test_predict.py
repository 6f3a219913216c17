"""`segsweep predict` in every mode, as a sweep: one run in MLflow for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsweep.annotation import Project

from .conftest import SMALL_DATA, Command, Finished
from .test_run import artifacts_of, runs_of

MODES = ("full_image", "native", "roi", "bboxes", "sliding_window")


@pytest.fixture(scope="module")
def workspace(finished: Finished, segsweep: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    [model] = (finished.workspace / "trainings").glob("*/best")
    done = segsweep(
        "predict",
        "-m",
        f"model='{model}'",
        "data=vessels_synthetic",
        *SMALL_DATA,
        f"inference={','.join(MODES)}",
        "+inference.mode.save_probabilities=true",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_each_mode_is_a_run_with_its_masks(workspace: Path) -> None:
    runs = {
        run.data.params["inference.mode.name"]: run
        for run in runs_of(workspace, "predict")
        if "inference.mode.name" in run.data.params
    }
    assert set(runs) == set(MODES)
    for run in runs.values():
        assert run.info.status == "FINISHED"
        assert run.data.metrics["predict/images"] == 2
        assert run.data.metrics["time/predict"] > 0
        assert [item.dataset.name for item in run.inputs.dataset_inputs] == ["vessels_test"]
        assert len(artifacts_of(workspace, run.info.run_id, "predictions/masks")) == 1


def test_each_mode_has_a_project_with_probabilities(workspace: Path) -> None:
    results = {
        run.data.params["inference.mode.name"]: run.data.tags["segsweep.result"]
        for run in runs_of(workspace, "predict")
        if "segsweep.result" in run.data.tags
    }
    assert len(set(results.values())) == len(MODES)
    for result in results.values():
        project = Project.open(Path(result))
        assert project.meta.titles == ("vessel", "bg_unet", "vessel_unet")
        assert all(item.side_path("probability_2") is not None for item in project.items)


def test_what_needs_the_model_is_told_before_anything_is_predicted(
    segsweep: Command, finished: Finished, workspace: Path
) -> None:
    [model] = (finished.workspace / "trainings").glob("*/best")
    done = segsweep(
        "predict",
        f"model='{model}'",
        "data=vessels_synthetic",
        *SMALL_DATA,
        "inference=sliding_window",
        "inference.threshold={vesel: 0.4}",
        cwd=workspace,
    )
    assert done.returncode == 2
    assert "inference.threshold.vesel: unknown class of the model 'vesel'; did you mean 'vessel'?" in done.stderr
