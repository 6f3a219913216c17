"""Several processes train one network as one process would with the whole batch."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segsweep.errors import TrainingError
from segsweep.models import MODELS, Architecture
from segsweep.models.folder import load_model
from segsweep.reporting import ListReporter
from segsweep.training import TrainingSettings, train

from .projects import make_project

SETTINGS = TrainingSettings(
    deep_supervision=0.4,
    width=32,
    height=32,
    model_name="plain",
    model_width=4,
    epochs=6,
    val_every=2,
    batch_size_train=4,
    batch_size_val=2,
    lr=0.01,
    lr_schedule="one_cycle",
    sampling="crop",
    devices="cpu",
    precision="fp32",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven images: the last batch of an epoch has three, which two devices cannot share evenly."""
    return make_project(tmp_path_factory.mktemp("projects") / "discs", train=11)


def use_plain_network() -> None:
    MODELS["plain"] = Architecture(PlainNetwork, divisor=16)


class PlainNetwork(nn.Module):
    """Three stages of a decoder, without batch statistics."""

    def __init__(self, outputs: int, width: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(3 + skip, width, 3, padding=1) for skip in (0, width, width))
        self.decoder_channels = (width, width, width)
        self.last_conv = nn.Conv2d(width, outputs, 1)

    def decode(self, images: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for stage, factor in zip(self.stages, (4, 2, 1), strict=True):
            inputs = [functional.avg_pool2d(images, factor)]
            inputs += [functional.interpolate(below, scale_factor=2) for below in found[-1:]]
            found.append(functional.relu(stage(torch.cat(inputs, dim=1))))
        return found

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last_conv(self.decode(images)[-1])
        return logits


def one_of_two(rank: int, meeting: Path, project: Path, output: Path, settings: TrainingSettings) -> None:
    from torch import distributed

    from segsweep.training.group import Group
    from segsweep.training.loop import run_training

    use_plain_network()
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=2)
    reporter = ListReporter()
    run_training(project, output, settings, torch.device("cpu"), reporter, Group(rank, 2))
    (output / f"logged{rank}.json").write_text(json.dumps(reporter.logged))
    distributed.destroy_process_group()


def test_two_processes_learn_as_one_does_with_the_doubled_batch(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "plain", MODELS["unet_v2"])
    use_plain_network()
    reporter = ListReporter()
    train(project, tmp_path / "one", SETTINGS, reporter=reporter)
    (tmp_path / "two").mkdir()
    context = multiprocessing.get_context("spawn")
    settings = replace(SETTINGS, batch_size_train=2)
    processes = [
        context.Process(target=one_of_two, args=(rank, tmp_path / "meeting", project, tmp_path / "two", settings))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    first, second = (json.loads((tmp_path / "two" / f"logged{rank}.json").read_text()) for rank in range(2))
    assert first == second  # what is measured is of all
    assert len(first) == len(reporter.logged) == 18 + 3
    for (ours, step, _), (theirs, their_step, _) in zip(reporter.logged, first, strict=True):
        assert step == their_step and ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert theirs[key] == pytest.approx(value, rel=2e-4, abs=2e-5), (key, step)
    one, two = (load_model(tmp_path / name / "last")[0].state_dict() for name in ("one", "two"))
    for key, value in one.items():
        assert torch.allclose(value, two[key], rtol=1e-3, atol=1e-4), key


def test_processes_are_started_report_and_stop(project: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, model_name="unet_v2", model_width=2, processes=2, epochs=4, batch_size_train=2)
    reporter = ListReporter()
    result = train(project, tmp_path, settings, reporter=reporter)
    assert result.device == "2x cpu" and result.steps == 12
    assert [step for step, _ in reporter.series("train/loss")] == list(range(12))
    assert any("shared by 2 processes" in text for _, text in reporter.messages)
    assert reporter.images
    load_model(result.best)
    assert not multiprocessing.active_children()


def test_what_goes_wrong_in_a_process_is_told_as_usual(project: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no image has the tag 'nope'"):
        train(project, tmp_path, replace(SETTINGS, model_name="unet_v2", processes=2, val_tag="nope"))
    assert not multiprocessing.active_children()


def test_more_processes_than_samples_are_refused(project: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, model_name="unet_v2", sampling="resize", processes=12)
    with pytest.raises(TrainingError, match="11 training samples cannot be shared by 12 devices"):
        train(project, tmp_path, settings)
