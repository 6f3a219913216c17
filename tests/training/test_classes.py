"""Class indices: background 0, the rest in alphabetical order, neutral nowhere."""

from __future__ import annotations

import pytest

from segsweep.annotation import ClassMeta, ProjectMeta
from segsweep.errors import TrainingError
from segsweep.models.folder import ModelConfig
from segsweep.training.classes import plan_classes


def _meta(*titles: str) -> ProjectMeta:
    return ProjectMeta(tuple(ClassMeta(title, "polygon", "#00ff00") for title in titles))


def _continued(indices: dict[str, int]) -> ModelConfig:
    return ModelConfig({}, [], indices)


def test_indices_are_alphabetical_and_out_classes_in_the_projects_order() -> None:
    plan = plan_classes(_meta("vessel", "neutral", "bg", "Disc", "artery"), "bg", "neutral")
    assert plan.class_title_to_idx == {"bg": 0, "Disc": 1, "artery": 2, "vessel": 3}
    assert [entry["title"] for entry in plan.out_classes] == ["vessel", "bg", "Disc", "artery"]
    assert {entry["shape"] for entry in plan.out_classes} == {"bitmap"}
    assert (plan.outputs, plan.ignore_index, plan.is_binary) == (4, 4, False)
    assert plan.drawn == {"bg": 0, "Disc": 1, "artery": 2, "vessel": 3, "neutral": 4}


def test_a_background_that_the_project_lacks_comes_last_and_is_dark() -> None:
    plan = plan_classes(_meta("vessel"), "bg", "neutral")
    assert plan.out_classes == [
        {"title": "vessel", "shape": "bitmap", "color": "#00ff00"},
        {"title": "bg", "shape": "bitmap", "color": "#222222"},
    ]
    assert plan.class_title_to_idx == {"bg": 0, "vessel": 1}
    assert plan.is_binary


def test_background_and_neutral_must_differ() -> None:
    with pytest.raises(TrainingError, match="both 'bg'"):
        plan_classes(_meta("vessel"), "bg", "bg")


def test_continue_training_keeps_the_models_indices() -> None:
    plan = plan_classes(_meta("a", "b", "bg"), "bg", "neutral", _continued({"bg": 0, "b": 1, "a": 2}))
    assert plan.class_title_to_idx == {"bg": 0, "b": 1, "a": 2}


def test_continue_training_refuses_other_classes_and_names_them() -> None:
    with pytest.raises(TrainingError, match=r"only the model has \['c'\], only the project has \['b'\]"):
        plan_classes(_meta("a", "b"), "bg", "neutral", _continued({"bg": 0, "a": 1, "c": 2}))


def test_continue_training_needs_the_background_at_zero() -> None:
    with pytest.raises(TrainingError, match=r"has index 1 in the model, not 0; its background is 'a'"):
        plan_classes(_meta("a"), "bg", "neutral", _continued({"bg": 1, "a": 0}))
