"""Losses and metrics against their formulas written out, and what neutral pixels must not do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import Tensor
from torch.nn import functional

from segsweep.training.losses import binary_loss, cross_entropy, soft_dice
from segsweep.training.metrics import accuracy, dice

IGNORE = 2


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 8, 8, generator=generator)
    targets = torch.randint(0, 3, (3, 8, 8), generator=generator)
    return logits, targets


def test_binary_loss_is_the_documented_formula(batch: tuple[Tensor, Tensor]) -> None:
    logits, targets = batch
    probability = logits.softmax(dim=1)[:, 1].double()
    valid = targets != IGNORE
    truth = (targets == 1).double()
    bce = functional.binary_cross_entropy(probability[valid], truth[valid])
    scores = [
        2 * ((p * t)[v].sum() + 1) / (p[v].sum() + t[v].sum() + 1)
        for p, t, v in zip(probability, truth, valid, strict=True)
    ]
    expected = (3 * bce + 2 * (1 - torch.stack(scores).mean().clamp(0, 1))) / 5
    assert binary_loss(logits, targets, IGNORE, 3.0, 2.0).item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_choose_between_the_parts(batch: tuple[Tensor, Tensor]) -> None:
    logits, targets = batch
    bce = binary_loss(logits, targets, IGNORE, 1.0, 0.0)
    overlap = binary_loss(logits, targets, IGNORE, 0.0, 1.0)
    assert bce.item() == pytest.approx(cross_entropy(logits, targets, IGNORE).item(), rel=1e-5)
    assert binary_loss(logits, targets, IGNORE, 1.0, 1.0).item() == pytest.approx((bce + overlap).item() / 2, rel=1e-5)


def test_soft_dice_of_nothing_predicted_where_nothing_is_is_two_and_costs_nothing() -> None:
    assert soft_dice(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)).item() == 2
    logits = torch.stack([torch.full((4, 4), 50.0), torch.full((4, 4), -50.0)])[None]
    assert binary_loss(logits, torch.zeros(1, 4, 4, dtype=torch.int64), IGNORE, 1, 1).item() == pytest.approx(0)


@pytest.mark.parametrize("kind", ["binary", "cross entropy"])
def test_neutral_pixels_change_neither_value_nor_gradient(batch: tuple[Tensor, Tensor], kind: str) -> None:
    logits, targets = batch
    neutral = targets == IGNORE

    def loss(values: Tensor) -> Tensor:
        if kind == "binary":
            return binary_loss(values, targets, IGNORE, 1.0, 1.0)
        return cross_entropy(values, targets, IGNORE)

    logits.requires_grad_()
    value = loss(logits)
    (gradient,) = torch.autograd.grad(value, logits)
    at_neutral = gradient.permute(0, 2, 3, 1)[neutral]
    assert at_neutral.abs().max() == 0
    assert gradient.abs().max() > 0
    changed = logits.detach() + 100 * neutral[:, None] * torch.randn_like(logits)
    assert loss(changed).item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["binary", "cross entropy"])
def test_a_batch_of_neutral_pixels_alone_costs_nothing(kind: str) -> None:
    logits = torch.randn(2, 2, 4, 4, requires_grad=True)
    targets = torch.full((2, 4, 4), IGNORE)
    loss = binary_loss(logits, targets, IGNORE, 1, 1) if kind == "binary" else cross_entropy(logits, targets, IGNORE)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and logits.grad.abs().max() == 0


def test_cross_entropy_of_several_classes_is_torchs_mean() -> None:
    logits = torch.randn(2, 4, 6, 6)
    targets = torch.randint(0, 5, (2, 6, 6))
    assert cross_entropy(logits, targets, 4).item() == pytest.approx(
        functional.cross_entropy(logits, targets, ignore_index=4).item(), rel=1e-5
    )


def test_accuracy_and_dice_agree_with_a_second_opinion(batch: tuple[Tensor, Tensor]) -> None:
    logits, targets = batch
    predicted = logits.argmax(dim=1)
    valid = (targets != IGNORE).numpy()
    t, p = targets.numpy(), predicted.numpy()
    assert accuracy(predicted, targets, IGNORE).item() == pytest.approx(float((t == p)[valid].mean()))
    expected = np.mean([f1_score(t[i][valid[i]], p[i][valid[i]]) for i in range(len(t))])
    assert dice(predicted, targets, IGNORE).item() == pytest.approx(float(expected))


def test_an_empty_image_predicted_empty_is_right() -> None:
    empty = torch.zeros(1, 4, 4, dtype=torch.int64)
    full = torch.ones(1, 4, 4, dtype=torch.int64)
    assert dice(empty, empty, IGNORE).item() == 1
    assert dice(full, empty, IGNORE).item() == 0
    assert dice(empty, full, IGNORE).item() == 0
    assert dice(full, torch.full_like(full, IGNORE), IGNORE).item() == 1
    assert accuracy(full, torch.full_like(full, IGNORE), IGNORE).item() == 1
