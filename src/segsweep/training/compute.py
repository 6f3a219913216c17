"""Forward pass, loss and metrics of one device, with the precision and the classes fixed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsweep.errors import TrainingError
from segsweep.models.devices import choose_precision
from segsweep.models.preprocess import normalise
from segsweep.training.batches import Batch
from segsweep.training.classes import ClassPlan
from segsweep.training.group import Group
from segsweep.training.losses import Share, binary_loss, cross_entropy, own
from segsweep.training.metrics import accuracy, dice
from segsweep.training.settings import TrainingSettings

__all__ = ["Compute", "check_finite"]


class Compute:
    """What a device does with a batch.

    Args:
        device: Where.
        settings: How; `precision` is decided here, once.
        classes: The classes.
        group: Who shares the batches.
    """

    def __init__(self, device: torch.device, settings: TrainingSettings, classes: ClassPlan, group: Group) -> None:
        self.device = device
        self.dtype = choose_precision(settings.precision, device)
        self.precision = "bf16" if self.dtype == torch.bfloat16 else "fp32"
        self.settings = settings
        self.classes = classes
        self.group = group

    def __str__(self) -> str:
        shared = f", shared by {self.group.size} processes" if self.group.size > 1 else ""
        return f"{self.device} in {self.precision}, channels last{shared}"

    @property
    def names(self) -> tuple[str, ...]:
        """What is measured."""
        return ("loss", "accuracy", "dice") if self.classes.is_binary else ("loss", "accuracy")

    def forward(self, network: nn.Module, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """Float32 logits N×C×H×W, the network's and those of its heads in training, and int64 targets N×H×W."""
        images = normalise(batch.images.to(self.device))
        targets = batch.masks.to(self.device).long()
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            outputs = network(images)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [logits.float() for logits in outputs], targets

    def loss(self, outputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        """The two-class loss, or cross-entropy for any other number of classes; this device's part of the batch's.

        Of several outputs the mean, the first one's weight being 1, the second's `deep_supervision`, and each further
        one's half of the one's before.
        """
        weights = [1.0, *(self.settings.deep_supervision / 2**index for index in range(len(outputs) - 1))]
        losses = [self._loss(logits, targets, self.group.share) for logits in outputs]
        if len(losses) == 1:
            return losses[0]
        weighted = [weight * loss for weight, loss in zip(weights, losses, strict=True)]
        mean: Tensor = torch.stack(weighted).sum() / sum(weights)
        return mean

    @torch.no_grad()
    def measure(self, loss: Tensor, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """`loss`, `accuracy` and, for two classes, `dice` of a batch over all devices; one transfer from the device."""
        parts = torch.stack([loss.detach(), *self._scores(logits, targets, self.group.share)])
        return dict(zip(self.names, self.group.share(parts).tolist(), strict=True))

    @torch.no_grad()
    def measure_alone(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """The same of a batch that this device does not share."""
        parts = torch.stack([self._loss(logits, targets, own), *self._scores(logits, targets, own)])
        return dict(zip(self.names, parts.tolist(), strict=True))

    def _loss(self, logits: Tensor, targets: Tensor, share: Share) -> Tensor:
        ignore = self.classes.ignore_index
        if self.classes.is_binary:
            weights = (self.settings.loss_bce, self.settings.loss_dice)
            return binary_loss(logits, targets, ignore, *weights, share)
        return cross_entropy(logits, targets, ignore, share)

    def _scores(self, logits: Tensor, targets: Tensor, share: Share) -> list[Tensor]:
        predicted, ignore = logits.argmax(dim=1), self.classes.ignore_index
        scores = [accuracy(predicted, targets, ignore, share)]
        return [*scores, dice(predicted, targets, ignore, share)] if self.classes.is_binary else scores


def check_finite(loss: float, what: str, step: int, epoch: float, lr: float) -> None:
    """Refuses to go on with numbers that mean nothing any more.

    Raises:
        TrainingError: The loss is infinite or no number.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"the {what} loss is no finite number any more at step {step} (epoch {epoch:.2f}, learning rate {lr:g}); "
            "try a lower lr, or precision=fp32"
        )
