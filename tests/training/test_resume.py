"""Interrupted trainings go on to the very same weights; explicit rules say what may differ when they do."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segsweep.errors import DataError, TrainingError
from segsweep.models.folder import load_model
from segsweep.reporting import ListReporter
from segsweep.training import TrainingSettings, train
from segsweep.training.state import STATE_FILE

from .projects import make_project
from .test_training import _Interrupting

SETTINGS = TrainingSettings(
    width=32,
    height=32,
    model_width=2,
    epochs=12,
    val_every=2,
    batch_size_train=2,
    batch_size_val=2,
    lr=0.01,
    lr_schedule="one_cycle",
    ema_decay=0.8,
    deep_supervision=0.4,
    sampling="crop",
    crops_per_image=3,
    foreground_share=0.5,
    augmentation={"flip": {"transform": "HorizontalFlip", "p": 0.5}},
    devices="cpu",
    state_minutes=0.0,
    workers_train=2,
)
PROGRAM = """
import sys
from pathlib import Path
import torch
from tests.training.test_resume import SETTINGS
from segsweep.training import train
torch.set_num_threads(1)
train(Path(sys.argv[1]), Path(sys.argv[2]), SETTINGS)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("projects") / "discs")


@pytest.fixture(scope="module")
def whole(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nobody interrupted."""
    output = tmp_path_factory.mktemp("whole")
    assert start(project, output).wait() == 0
    return output


def start(project: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, str(project), str(output)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


def stamp(output: Path) -> int:
    """When the state was written last; 0 when it was not."""
    path = output / STATE_FILE
    return path.stat().st_mtime_ns if path.is_file() else 0


def same_models(one: Path, other: Path) -> bool:
    for name in ("best", "last"):
        theirs = load_model(other / name)[0].state_dict()
        ours = load_model(one / name)[0].state_dict()
        if not all(torch.equal(value, theirs[key]) for key, value in ours.items()):
            return False
    return True


def test_killed_ten_times_it_ends_with_the_very_same_weights(project: Path, whole: Path, tmp_path: Path) -> None:
    rng = random.Random(time.time_ns())
    steps = []
    for _ in range(10):
        process = start(project, tmp_path / "killed")
        before, deadline = stamp(tmp_path / "killed"), time.monotonic() + 60
        while stamp(tmp_path / "killed") == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)  # until it has done something new
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.wait()
        state = torch.load(tmp_path / "killed" / STATE_FILE, weights_only=True)
        steps.append(state["position"]["step"])
    assert steps == sorted(steps) and steps[0] < 108, "no kill fell into the training"
    assert start(project, tmp_path / "killed").wait() == 0
    assert same_models(tmp_path / "killed", whole)


@pytest.mark.parametrize("at", [0, 7, 17, 18, 50])
def test_interrupted_at_a_step_it_ends_with_the_very_same_weights(project: Path, tmp_path: Path, at: int) -> None:
    settings = replace(SETTINGS, epochs=6)
    train(project, tmp_path / "whole", settings)
    with pytest.raises(KeyboardInterrupt):
        train(project, tmp_path / "out", settings, reporter=_Interrupting(at=at))
    reporter = ListReporter()
    result = train(project, tmp_path / "out", settings, reporter=reporter)
    assert result.resumed_at == at  # the step that was interrupted had not been saved
    assert result.steps == 54 and [step for step, _ in reporter.series("train/loss")] == list(range(at, 54))
    assert same_models(tmp_path / "out", tmp_path / "whole")


def test_patience_and_best_validation_are_remembered(project: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, lr_schedule="constant", lr=0.05, lr_patience=1, val_every=0.5, epochs=6)
    reporters = [ListReporter(), _Interrupting(at=30), ListReporter()]
    expected = train(project, tmp_path / "whole", settings, reporter=reporters[0])
    with pytest.raises(KeyboardInterrupt):
        train(project, tmp_path / "out", settings, reporter=reporters[1])
    found = train(project, tmp_path / "out", settings, reporter=reporters[2])
    assert found.best_step == expected.best_step and found.best_metrics == expected.best_metrics
    rates = reporters[0].series("train/lr")
    assert len({rate for _, rate in rates}) > 1, "the rate never fell, so nothing was tested"
    assert rates[30:] == reporters[2].series("train/lr")
    assert same_models(tmp_path / "out", tmp_path / "whole")


def test_a_finished_training_is_not_done_again(project: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=2)
    first = train(project, tmp_path, settings)
    reporter = ListReporter()
    again = train(project, tmp_path, settings, reporter=reporter)
    assert not reporter.logged
    assert again.best_metrics == first.best_metrics and again.resumed_at == again.steps == first.steps


@pytest.fixture
def begun(project: Path, tmp_path: Path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        train(project, tmp_path, replace(SETTINGS, epochs=2), reporter=_Interrupting(at=9))
    return tmp_path


def test_other_settings_cannot_go_on_and_all_that_differ_are_named(project: Path, begun: Path) -> None:
    other = replace(SETTINGS, epochs=3, lr=0.02, augmentation={})
    with pytest.raises(TrainingError) as raised:
        train(project, begun, other)
    text = str(raised.value)
    assert "epochs was 2, is 3" in text and "lr was 0.01, is 0.02" in text and "augmentation was" in text


def test_settings_of_speed_and_memory_may_differ(project: Path, begun: Path) -> None:
    reporter = ListReporter()
    other = replace(SETTINGS, epochs=2, workers_train=0, cache_bytes=0, keep_every=1, state_minutes=1.0)
    assert train(project, begun, other, reporter=reporter).resumed_at == 9
    assert not [text for level, text in reporter.messages if level == "warning"]
    assert (begun / "00000000" / "model.pt").is_file()


def test_settings_that_change_rounding_may_differ_with_a_warning(project: Path, begun: Path) -> None:
    reporter = ListReporter()
    train(project, begun, replace(SETTINGS, epochs=2, precision="bf16"), reporter=reporter)
    assert [text for level, text in reporter.messages if level == "warning"] == [
        "precision was 'auto' before the interruption and is 'bf16': the result will not be the same to the bit"
    ]


def test_other_samples_cannot_go_on(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = make_project(tmp_path_factory.mktemp("other") / "discs", train=7)
    with pytest.raises(TrainingError, match="used other samples"):
        train(other, begun, replace(SETTINGS, epochs=2))


@pytest.mark.parametrize("damage", [b"", b"not a state", b"PK\x03\x04 half a file"])
def test_a_damaged_state_is_told(project: Path, begun: Path, damage: bytes) -> None:
    (begun / STATE_FILE).write_bytes(damage)
    with pytest.raises(DataError, match="is no state of a training"):
        train(project, begun, replace(SETTINGS, epochs=2))


def test_steps_and_minutes_say_how_long_a_training_takes(project: Path, tmp_path: Path) -> None:
    reporter = ListReporter()
    result = train(project, tmp_path / "steps", replace(SETTINGS, steps=13, val_every=1), reporter=reporter)
    assert result.steps == 13
    assert [step for step, _ in reporter.series("val/loss")] == [8, 12]
    timed = replace(SETTINGS, minutes=0.05, val_every=1000, lr_schedule="cosine", lr_cycles=2)
    reporter = ListReporter()
    result = train(project, tmp_path / "minutes", timed, reporter=reporter)
    assert result.steps > 3 and 3 <= result.seconds < 20
    rates = [rate for _, rate in reporter.series("train/lr")]
    assert rates[0] > 0.009 and min(rates) < 0.005 and any(b > a for a, b in itertools.pairwise(rates))


def test_every_so_many_th_model_is_kept(project: Path, tmp_path: Path) -> None:
    train(project, tmp_path, replace(SETTINGS, epochs=5, val_every=1, keep_every=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000001", "00000003", "best", "last", STATE_FILE]
