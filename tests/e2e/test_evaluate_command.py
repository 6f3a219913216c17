"""`segsweep evaluate` on its own: one human against another, project against project and by a suffix."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ..evaluation.projects import write_observer
from .conftest import Command


def metrics_of(workspace: Path) -> dict[str, float]:
    with sqlite3.connect(workspace / "mlflow.db") as store:
        return dict(store.execute("select key, value from latest_metrics where is_nan = 0").fetchall())


@pytest.fixture(scope="module")
def observers(segsweep: Command, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the second observer of CHASE_DB1 was scored against the first."""
    workspace = tmp_path_factory.mktemp("observers")
    chase, projects = shared / "data" / "chase_db1", workspace / "projects"
    write_observer(chase, "first_observer", "1stHO", "vessel", projects / "first")
    write_observer(chase, "second_observer", "2ndHO", "vessel_second", projects / "second")
    done = segsweep(
        "evaluate",
        "evaluation.project_gt=first",
        "evaluation.project_pred=second",
        "evaluation.class_suffix=_second",
        "evaluation.measures=all",
        "evaluation.pictures=1",
        cwd=workspace,
    )
    assert done.returncode == 0, done.stderr
    return workspace


def test_the_second_observer_reaches_the_known_scores(observers: Path) -> None:
    metrics = metrics_of(observers)
    assert metrics["test/dice"] == pytest.approx(0.7681, abs=1e-4)
    assert metrics["test/dice/vessel"] == metrics["test/dice"]
    assert metrics["test_ci/dice/low"] < 0.7681 < metrics["test_ci/dice/high"]
    assert metrics["test_ci/dice/high"] - metrics["test_ci/dice/low"] < 0.04


def test_the_other_measures_are_what_two_careful_people_give(observers: Path) -> None:
    metrics = metrics_of(observers)
    assert metrics["test/mcc"] < metrics["test/dice"], "the rare class is not all"
    assert metrics["test/dice"] < metrics["test/cldice"] < 0.9, "they agree more about the course of vessels than width"
    assert metrics["test/boundary_iou"] == pytest.approx(metrics["test/iou"], abs=1e-3), "vessels are all boundary"
    assert 10 < metrics["test/hd95"] < 60
    assert 0.7 < metrics["test/surface_dice"] < 0.9
    kinds = [metrics[f"test/error_{kind}"] for kind in ("boundary", "extent", "segment")]
    assert sum(kinds) + metrics["test/iou"] == pytest.approx(1)
    assert kinds == sorted(kinds, reverse=True), "most of what they disagree about is where a vessel's edge is"
    assert metrics["test/union_iou"] == pytest.approx(0.6224, abs=1e-3), "pooled, as the original's plugin has it"
    assert metrics["test/object_recall"] == 1, "one bitmap a class is one object"
    assert 0.9 < metrics["test/auc"] < 1 and 0.7 < metrics["test/average_precision"] < 0.95
    assert metrics["test/calibration_error"] < 0.05
    assert metrics["test_field_of_view/specificity"] < metrics["test/specificity"]


def test_wrong_requests_are_told_at_once(segsweep: Command, observers: Path) -> None:
    def told(*arguments: str) -> str:
        done = segsweep("evaluate", "evaluation.project_gt=first", *arguments, cwd=observers)
        assert done.returncode == 2
        return done.stderr

    message = told("evaluation.measures=[cl_dice,hd95]")
    assert "evaluation.measures: unknown measure 'cl_dice'; did you mean 'cldice'" in message
    assert "evaluation.classes_mapping: must be given" in message
    message = told("evaluation.project_pred=second", "evaluation.class_suffix=_unet", "evaluation.pictures=0")
    assert "no class of first with '_unet' appended; its classes: vessel_second" in message
