"""Deep supervision: heads on coarse stages of the decoder, for the training alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from segsweep.models import MODELS, build_model
from segsweep.models.folder import load_model
from segsweep.training import TrainingSettings, train
from segsweep.training.classes import ClassPlan
from segsweep.training.compute import Compute
from segsweep.training.group import ALONE
from segsweep.training.supervision import supervised

from .projects import make_project
from .test_training import ONE_STEP


@pytest.mark.parametrize("name", MODELS)
def test_its_first_output_is_the_networks_and_the_others_have_its_shape(name: str) -> None:
    model = build_model(name, 3, 4).eval()
    learner = supervised(model, 3, 0.4, seed=0).eval()
    images = torch.randn(2, 3, 64, 96)
    outputs = learner(images)
    assert torch.equal(outputs[0], model(images))
    assert [tuple(each.shape) for each in outputs] == [(2, 3, 64, 96)] * 3
    assert supervised(model, 3, 0.0, seed=0) is model


def test_the_heads_see_halves_and_quarters_and_depend_on_the_seed_alone() -> None:
    model = build_model("unet_v2", 2, 4)
    first, again, other = (supervised(model, 2, 0.4, seed).heads for seed in (0, 0, 1))
    assert [head.weight.shape for head in first] == [(2, 8, 1, 1), (2, 16, 1, 1)]
    weights = [[value for head in heads for value in head.parameters()] for heads in (first, again, other)]
    assert all(map(torch.equal, weights[0], weights[1]))
    assert not torch.equal(weights[0][0], weights[2][0])


@pytest.mark.parametrize("outputs", [2, 3])
def test_the_loss_is_the_weighted_mean_of_every_outputs(outputs: int) -> None:
    settings = replace(ONE_STEP, deep_supervision=0.5)
    titles = ["bg", "sky", "sea"][:outputs]
    classes = ClassPlan([], {title: index for index, title in enumerate(titles)}, "bg", "neutral")
    compute = Compute(torch.device("cpu"), settings, classes, ALONE)
    logits = [torch.randn(2, outputs, 8, 8) for _ in range(3)]
    targets = torch.randint(outputs, (2, 8, 8))
    own, half, quarter = (compute.loss([each], targets) for each in logits)
    assert compute.loss(logits, targets) == pytest.approx(float((own + half / 2 + quarter / 4) / 1.75), rel=1e-6)
    if outputs == 3:
        assert own == pytest.approx(float(functional.cross_entropy(logits[0], targets)), rel=1e-6)


def test_no_model_keeps_the_heads_and_they_change_what_is_learnt(tmp_path: Path) -> None:
    project = make_project(tmp_path / "discs")
    settings: TrainingSettings = replace(ONE_STEP, epochs=2)
    plain = train(project, tmp_path / "plain", settings)
    deep = train(project, tmp_path / "deep", replace(settings, deep_supervision=0.4))
    before, after = (load_model(result.last)[0].state_dict() for result in (plain, deep))
    assert before.keys() == after.keys() and plain.parameters == deep.parameters
    assert not torch.equal(before["bottle.conv.weight"], after["bottle.conv.weight"])
