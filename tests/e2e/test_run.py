"""The main job, small: what it leaves in MLflow and on disk, and how it ends when it cannot go on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import SMALL, Command, Finished

mlflow = pytest.importorskip("mlflow")


def client_of(workspace: Path) -> mlflow.MlflowClient:
    from segsweep.tracking import default_uri

    return mlflow.MlflowClient(default_uri(workspace), default_uri(workspace))


def runs_of(workspace: Path, experiment: str) -> list[mlflow.entities.Run]:
    client = client_of(workspace)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def artifacts_of(workspace: Path, run_id: str, folder: str = "") -> set[str]:
    return {item.path for item in client_of(workspace).list_artifacts(run_id, folder or None)}


def test_the_run_is_finished_and_has_its_scores(finished: Finished) -> None:
    [run] = runs_of(finished.workspace, "vessels_quick")
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "vessels_quick"
    metrics = run.data.metrics
    for key in ("dice", "iou", "precision", "recall", "accuracy", "auc", "dice/vessel", "auc/vessel"):
        assert 0 <= metrics[f"test/{key}"] <= 1, key
    assert 0 <= metrics["test_field_of_view/dice/vessel"] <= 1
    assert {"train/loss", "train/dice", "val/loss", "val/dice", "epoch", "time/train", "time/total"} <= set(metrics)
    assert any(key.startswith("system/") for key in metrics)
    assert f"{metrics['test/dice/vessel']:.4f}" in finished.process.stderr


def test_the_settings_are_params_under_their_documented_keys(finished: Finished) -> None:
    [run] = runs_of(finished.workspace, "vessels_quick")
    params = run.data.params
    assert params["training.lr"] == "0.01"
    assert params["training.input_size.width"] == "64"
    assert params["dtl.layers.crop.settings.random_part.width.min_percent"] == "70"
    assert run.data.tags["segsweep.kind"] == "run"
    assert len(run.data.tags["segsweep.data_digest"]) == 64
    assert len(run.data.tags["segsweep.fingerprint"]) == 64
    assert run.data.tags["segsweep.code"]
    assert {entry.tags[0].value for entry in run.inputs.dataset_inputs} == {"training", "test"}


def test_pictures_tables_and_checkpoints_are_artifacts(finished: Finished) -> None:
    [run] = runs_of(finished.workspace, "vessels_quick")
    run_id = run.info.run_id
    assert {"config", "dtl", "predictions", "evaluation", "checkpoints", "environment"} <= artifacts_of(
        finished.workspace, run_id
    )
    assert {"checkpoints/best", "checkpoints/last"} == artifacts_of(finished.workspace, run_id, "checkpoints")
    assert {"evaluation/per_image.csv", "evaluation/per_class.csv", "evaluation/confusion_matrix.png"} <= artifacts_of(
        finished.workspace, run_id, "evaluation"
    )
    pictures = artifacts_of(finished.workspace, run_id, "predictions/ds0")
    assert pictures == {"predictions/ds0/vessels_test_01.png", "predictions/ds0/vessels_test_02.png"}
    assert len(artifacts_of(finished.workspace, run_id, "predictions/masks/ds0")) == 2


def test_the_network_is_a_registered_model_with_aliases(finished: Finished) -> None:
    client = client_of(finished.workspace)
    [run] = runs_of(finished.workspace, "vessels_quick")
    for alias in ("best", "last"):
        version = client.get_model_version_by_alias("UNet Trained", alias)
        assert version.run_id == run.info.run_id


def test_the_registered_network_is_served_as_it_was_trained(finished: Finished) -> None:
    import json

    import numpy as np

    from segsweep.inference.network import probabilities
    from segsweep.models.folder import load_model
    from segsweep.serving.predictor import Predictor
    from segsweep.tracking import resolve_model
    from segsweep.tracking.parameters import Loading

    folder = resolve_model(finished.workspace, "models:/UNet Trained@best")
    assert json.loads((folder / "config.json").read_text())["settings"]["sampling"] == "crop"
    image = np.random.default_rng(0).integers(0, 255, (100, 90, 3), dtype=np.uint8)
    native = probabilities(load_model(folder)[0], image, None)
    served = Predictor(folder, Loading(device="cpu"))(image, {})
    assert np.mean(served != native.argmax(0)) < 1e-3  # another memory format adds up in another order


def test_an_equal_run_makes_no_data_again(finished: Finished, segsweep: Command) -> None:
    before = sorted(path.name for path in (finished.workspace / "projects").iterdir())
    again = segsweep("run", "experiments=vessels_quick", "name=again", *SMALL, cwd=finished.workspace)
    assert again.returncode == 0, again.stderr
    assert "vessels_train is there already and is used again" in again.stderr
    assert sorted(path.name for path in (finished.workspace / "projects").iterdir()) == before
    [first] = runs_of(finished.workspace, "vessels_quick")
    [second] = runs_of(finished.workspace, "again")
    assert second.data.metrics["test/dice/vessel"] == first.data.metrics["test/dice/vessel"]


def test_a_failing_training_is_recorded_as_such(finished: Finished, segsweep: Command) -> None:
    done = segsweep("run", "experiments=vessels_quick", "name=bad", *SMALL, "training.lr=1e30", cwd=finished.workspace)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [run] = runs_of(finished.workspace, "bad")
    assert run.info.status == "FAILED"
    assert "loss is no finite number" in run.data.tags["segsweep.status_reason"]
    assert "log/error.txt" in artifacts_of(finished.workspace, run.info.run_id, "log")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_is_killed_and_leaves_nothing_half(
    finished: Finished, interrupted: Callable[..., tuple[int, str]], number: int, status: int
) -> None:
    name = f"interrupted_{number}"
    arguments = ["run", "experiments=vessels_quick", f"name={name}", *SMALL, "training.epochs=2000"]
    ended, rest = interrupted(*arguments, cwd=finished.workspace, number=number)
    assert ended == status, rest
    [run] = runs_of(finished.workspace, name)
    assert run.info.status == "KILLED"
    assert not [path for path in (finished.workspace / "projects").iterdir() if path.name.startswith(".")]
