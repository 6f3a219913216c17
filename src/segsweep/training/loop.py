"""The training, from top to bottom."""

from __future__ import annotations

import math
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsweep.annotation import Project
from segsweep.errors import TrainingError
from segsweep.models import build_model
from segsweep.models.devices import choose_precision
from segsweep.models.folder import WEIGHTS_FILE, ModelConfig, check_place, read_config, save_model
from segsweep.models.preprocess import normalise
from segsweep.models.weights import read_weights, transfer_weights
from segsweep.randomness import seed_of
from segsweep.reporting import Reporter
from segsweep.training.batches import Batch, batch_sizes, training_batches, validation_batches
from segsweep.training.classes import ClassPlan, plan_classes
from segsweep.training.devices import training_device
from segsweep.training.losses import binary_loss, cross_entropy
from segsweep.training.metrics import accuracy, dice
from segsweep.training.pictures import side_by_side
from segsweep.training.samples import Samples, read_samples
from segsweep.training.schedule import one_cycle_lr, should_decrease, validation_steps
from segsweep.training.settings import TrainingResult, TrainingSettings

__all__ = ["run_training"]

_PICTURES = 2


def run_training(project: Path, output: Path, settings: TrainingSettings, reporter: Reporter) -> TrainingResult:
    """What `segsweep.training.train` promises."""
    started = time.perf_counter()
    source = Project.open(project)
    start_config = _start_config(settings)
    continued = start_config if settings.weights_init_type == "continue_training" else None
    classes = plan_classes(source.meta, settings.background, settings.neutral, continued)

    compute = _Compute(training_device(settings.devices, reporter), settings, classes)
    model = _initial_model(settings, classes, reporter).to(compute.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
    config = ModelConfig(
        settings={**settings.documented, "input_size": {"width": settings.width, "height": settings.height}},
        out_classes=classes.out_classes,
        class_title_to_idx=classes.class_title_to_idx,
        model={"name": settings.model_name, "width": settings.model_width},
    )
    for name in ("best", "last"):
        check_place(output / name, config)
    parameters = sum(value.numel() for value in model.parameters())
    reporter.message(
        f"training {settings.model_name} with {parameters:,} weights for the classes "
        f"{', '.join(classes.class_title_to_idx)} on {compute.device} in {compute.precision}"
    )

    train_set, val_set = read_samples(source, classes, settings, reporter)
    sizes = batch_sizes(len(train_set), settings)
    _check_batch_normalisation(min(sizes), settings)
    per_epoch = len(sizes)
    total = settings.epochs * per_epoch
    due = set(validation_steps(settings.epochs, per_epoch, settings.val_every))
    lr, last_reset = settings.lr, 0
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    losses: list[float] = []
    best_step, best_values, values = 0, {"val/loss": math.inf}, {"val/loss": math.inf}

    with (
        closing(training_batches(train_set, settings, classes.ignore_index)) as batches,
        reporter.progress("Training", total, "step") as advance,
    ):
        for step, batch in enumerate(batches):
            epoch = (step + 1) / per_epoch
            if settings.lr_schedule == "one_cycle":
                lr = one_cycle_lr(step, total, settings.lr)
                optimizer.param_groups[0]["lr"] = lr

            model.train()
            logits, targets = compute.forward(model, batch)
            loss = compute.loss(logits, targets)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            measured = compute.measure(loss, logits, targets)
            _check_finite(measured["loss"], "training", step, epoch, lr)
            reporter.metrics({f"train/{key}": value for key, value in measured.items()} | {"train/lr": lr}, step, epoch)

            if step in due:
                values = _validate(model, val_set, compute, settings, step, epoch, reporter)
                _check_finite(values["val/loss"], "validation", step, epoch, lr)
                reporter.metrics(values, step, epoch)
                losses.append(values["val/loss"])
                save_model(output / "last", config, model.state_dict())
                if values["val/loss"] < best_values["val/loss"]:
                    best_step, best_values = step, values
                    save_model(output / "best", config, model.state_dict())
                if settings.lr_schedule == "constant" and should_decrease(losses, last_reset, settings.lr_patience):
                    lr, last_reset = lr / settings.lr_divisor, len(losses)
                    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
                    reporter.message(
                        f"no better validation for {settings.lr_patience}: the learning rate is now {lr:g}"
                    )
            advance(1)

    return TrainingResult(
        best=output / "best",
        last=output / "last",
        best_epoch=(best_step + 1) / per_epoch,
        best_step=best_step,
        best_val_loss=best_values["val/loss"],
        best_metrics=best_values,
        last_metrics=values,
        steps=total,
        seconds=time.perf_counter() - started,
        parameters=parameters,
        device=str(compute.device),
        precision=compute.precision,
        class_title_to_idx=classes.class_title_to_idx,
        train_samples=len(train_set),
        val_samples=len(val_set),
    )


class _Compute:
    """Forward pass, loss and metrics, with the device, the precision and the classes fixed."""

    def __init__(self, device: torch.device, settings: TrainingSettings, classes: ClassPlan) -> None:
        self.device = device
        self.dtype = choose_precision(settings.precision, device)
        self.precision = "bf16" if self.dtype == torch.bfloat16 else "fp32"
        self.settings = settings
        self.classes = classes

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Float32 logits N×C×H×W and int64 targets N×H×W, on the device."""
        images = normalise(batch.images.to(self.device))
        targets = batch.masks.to(self.device).long()
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            logits = model(images)
        return logits.float(), targets

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The two-class loss, or cross-entropy for any other number of classes."""
        if self.classes.is_binary:
            weights = (self.settings.loss_bce, self.settings.loss_dice)
            return binary_loss(logits, targets, self.classes.ignore_index, *weights)
        return cross_entropy(logits, targets, self.classes.ignore_index)

    @torch.no_grad()
    def measure(self, loss: Tensor, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """`loss`, `accuracy` and, for two classes, `dice` of a batch; one transfer from the device."""
        predicted = logits.argmax(dim=1)
        measured = {"loss": loss.detach(), "accuracy": accuracy(predicted, targets, self.classes.ignore_index)}
        if self.classes.is_binary:
            measured["dice"] = dice(predicted, targets, self.classes.ignore_index)
        return dict(zip(measured, torch.stack(list(measured.values())).tolist(), strict=True))


@torch.inference_mode()
def _validate(
    model: nn.Module,
    samples: Samples,
    compute: _Compute,
    settings: TrainingSettings,
    step: int,
    epoch: float,
    reporter: Reporter,
) -> dict[str, float]:
    """Measures the whole validation set, every sample weighing the same, and shows the first few."""
    model.train(not settings.validate_with_model_eval)
    sums: dict[str, float] = {}
    pictured: set[str] = set()
    done = 0
    with (
        closing(validation_batches(samples, settings, compute.classes.ignore_index)) as batches,
        reporter.progress("Validating", len(samples), "image") as advance,
    ):
        for batch in batches:
            logits, targets = compute.forward(model, batch)
            count = len(batch.sizes)
            for key, value in compute.measure(compute.loss(logits, targets), logits, targets).items():
                sums[f"val/{key}"] = sums.get(f"val/{key}", 0.0) + value * count
            for index in range(count):
                name = Path(samples.items[done + index].name).stem
                if len(pictured) < _PICTURES and name not in pictured:
                    pictured.add(name)
                    picture = _picture(batch, index, logits[index].argmax(dim=0), compute.classes)
                    reporter.image(f"validation/{name}", picture, step)
            done += count
            advance(count)
    return {key: value / done for key, value in sums.items()}


def _picture(batch: Batch, index: int, predicted: Tensor, classes: ClassPlan) -> NDArray[np.uint8]:
    height, width = batch.sizes[index]
    image, truth = batch.images[index].numpy(), batch.masks[index].numpy()
    part = np.s_[:height, :width]
    return side_by_side(image[part], truth[part], predicted.cpu().numpy()[part], classes)


def _start_config(settings: TrainingSettings) -> ModelConfig | None:
    """The config of the starting model, if it has one, checked against the network that is asked for."""
    start = settings.start_model
    if settings.weights_init_type == "continue_training" and (start is None or not start.is_dir()):
        raise TrainingError(
            "continue_training needs the folder of a model with its config.json, "
            f"not {'nothing' if start is None else start}; or use transfer_learning"
        )
    if start is None or start.is_file():
        return None
    config = read_config(start)
    theirs, ours = (config.model["name"], config.model["width"]), (settings.model_name, settings.model_width)
    if theirs != ours:
        raise TrainingError(
            f"{start} is a {theirs[0]} of base width {theirs[1]}, and the network to train a {ours[0]} of base width "
            f"{ours[1]}; weights only move between equal networks"
        )
    return config


def _initial_model(settings: TrainingSettings, classes: ClassPlan, reporter: Reporter) -> nn.Module:
    """A network whose weights depend on the seed and the starting model; torch's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_of(settings.seed, "initial weights") % 2**63)
        model = build_model(settings.model_name, classes.outputs, settings.model_width)
    if settings.start_model is None:
        reporter.message("training starts from random weights")
        return model
    path = settings.start_model / WEIGHTS_FILE if settings.start_model.is_dir() else settings.start_model
    done = transfer_weights(model, read_weights(path), settings.weights_init_type)
    reporter.message(f"training starts from {settings.start_model} ({settings.weights_init_type}): {done}")
    return model


def _check_batch_normalisation(smallest: int, settings: TrainingSettings) -> None:
    """Batch normalisation needs more than one value a channel; 16x16 pixels are one at the bottleneck."""
    if settings.width * settings.height == 16 * 16 and smallest == 1:
        raise TrainingError(
            "an input_size of 16x16 leaves one pixel at the bottleneck, too few for a batch of one sample; "
            "use a larger input_size or a batch_size.train that leaves no batch of one"
        )


def _check_finite(loss: float, what: str, step: int, epoch: float, lr: float) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the {what} loss is no finite number any more at step {step} (epoch {epoch:.2f}, learning rate {lr:g}); "
            "try a lower lr, or precision=fp32"
        )
