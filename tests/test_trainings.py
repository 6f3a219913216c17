"""Trainings of a workspace: found again, gone on with, begun anew; each run hears the whole of what was measured."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from segsweep import trainings
from segsweep.config.schema import ModelSection, TrainingSection
from segsweep.models.folder import read_config
from segsweep.reporting import ListReporter
from segsweep.training import TrainingResult

from .training.projects import make_project

SECTION: dict[str, Any] = {
    "input_size": {"width": 32},
    "epochs": 4,
    "val_every": 1,
    "batch_size": {"train": 2, "val": 2},
    "gpu_devices": "cpu",
    "state_minutes": 0.0,
}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    make_project(tmp_path / "projects" / "discs")
    return tmp_path


def train(
    workspace: Path, reporter: ListReporter, *, seed: int = 0, reuse: bool = True, **changes: Any
) -> TrainingResult:
    return trainings.train(
        workspace,
        workspace / "projects" / "discs",
        ModelSection(width=2),
        TrainingSection.model_validate({**SECTION, **changes}),
        {},
        start_model=None,
        seed=seed,
        since=None if reuse else time.time(),
        reporter=reporter,
    )


class Stopping(ListReporter):
    """Somebody presses Ctrl-C at a step."""

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        super().metrics(values, step, epoch)
        if step == 7 and "train/loss" in values:
            raise KeyboardInterrupt


def test_an_equal_training_is_found_and_tells_its_curves_again(workspace: Path) -> None:
    first, second = ListReporter(), ListReporter()
    result = train(workspace, first)
    again = train(workspace, second, data_workers={"train": 2}, gpu_devices=[0])
    assert again == result and not (result.last.parent / "state.pt").exists()
    assert second.logged == first.logged and len(first.series("val/loss")) == 4
    assert any("is finished already and is used again" in text for _, text in second.messages)


def test_another_training_has_a_place_of_its_own(workspace: Path) -> None:
    places = {
        train(workspace, ListReporter(), **changes).last.parent for changes in ({}, {"lr": 0.002}, {"seed": 1})
    }  # fmt: skip
    assert len(places) == 3
    assert {read_config(place / "last").settings["lr"] for place in places} == {0.001, 0.002}


def test_begun_anew_when_it_is_asked_for(workspace: Path) -> None:
    train(workspace, ListReporter())
    anew = ListReporter()
    train(workspace, anew, reuse=False)
    assert not any("used again" in text for _, text in anew.messages)
    assert len(anew.series("train/loss")) == 12


def test_an_interrupted_training_goes_on_and_tells_everything_once(workspace: Path) -> None:
    whole = ListReporter()
    train(workspace, whole, seed=5)
    reference = {key: whole.series(key) for key in ("train/loss", "val/loss")}
    expected = (train(workspace, ListReporter(), seed=5).last / "model.pt").read_bytes()
    train(workspace, ListReporter(), seed=5, reuse=False)
    with pytest.raises(KeyboardInterrupt):
        train(workspace, Stopping(), seed=5, reuse=False)
    (folder,) = (path.parent for path in workspace.glob("trainings/*/state.pt"))
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"step": 8, "epo')  # killed in the middle of a line
    resumed = ListReporter()
    result = train(workspace, resumed, seed=5)
    assert result.resumed_at == 7
    assert {key: resumed.series(key) for key in reference} == reference
    assert (result.last / "model.pt").read_bytes() == expected
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert sorted(line["step"] for line in lines if "val/loss" in line["values"]) == [2, 5, 8, 11]


@pytest.mark.parametrize(
    "changes",
    [
        {"data_workers": {"train": 1, "val": 1}},
        {"cache_gib": 1},
        {"keep_every": 2},
        {"state_minutes": 2},
        {"gpu_devices": "auto"},
    ],
)
def test_an_interrupted_training_goes_on_with_other_settings_of_speed(workspace: Path, changes: dict[str, Any]) -> None:
    whole = train(workspace, ListReporter(), seed=1)
    weights = (whole.last / "model.pt").read_bytes()
    shutil.rmtree(workspace / "trainings")
    with pytest.raises(KeyboardInterrupt):
        train(workspace, Stopping(), seed=1)
    assert (whole.last / "model.pt").is_file(), "it was validated before"
    result = train(workspace, ListReporter(), seed=1, **changes)
    assert result.resumed_at == 7
    assert (result.last / "model.pt").read_bytes() == weights


def test_processes_that_share_a_batch_make_another_training(workspace: Path) -> None:
    """`batch_size` is each one's, so two of them take steps of twice as many samples."""
    section = TrainingSection.model_validate(SECTION)
    places = {
        trainings.training_fingerprint("project", ModelSection(width=2), each, {}, None, 0)
        for each in (
            section,
            section.model_copy(update={"gpu_devices": [0]}),
            section.model_copy(update={"gpu_devices": "auto"}),
            section.model_copy(update={"processes": 2}),
        )
    }
    assert len(places) == 2


def test_checkpoints_that_were_not_kept_are_missed_aloud(workspace: Path) -> None:
    reporter = ListReporter()
    train(workspace, ListReporter())
    train(workspace, reporter, keep_every=1)
    assert any("training.keep_every: this training kept its best and its last" in text for _, text in reporter.messages)


def test_two_that_want_the_same_training_do_it_once(workspace: Path) -> None:
    reporters = [ListReporter(), ListReporter()]
    threads = [threading.Thread(target=train, args=(workspace, reporter)) for reporter in reporters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [any("used again" in text for _, text in reporter.messages) for reporter in reporters]
    assert sorted(told) == [False, True]
    assert sorted(reporters[0].logged[0][0]) == sorted(reporters[1].logged[0][0])
