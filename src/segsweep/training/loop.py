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
from segsweep.files import digest_json, write_json
from segsweep.models import architecture, build_model
from segsweep.models.folder import CONFIG_FILE, WEIGHTS_FILE, ModelConfig, check_place, read_config, save_model
from segsweep.models.weights import read_weights, transfer_weights
from segsweep.randomness import seed_of
from segsweep.reporting import Reporter
from segsweep.training.averaging import averaged
from segsweep.training.batches import Batch, batch_sizes, training_batches, validation_batches
from segsweep.training.classes import ClassPlan, plan_classes
from segsweep.training.compute import Compute, check_finite
from segsweep.training.group import ALONE, Group
from segsweep.training.pictures import side_by_side
from segsweep.training.samples import Samples, read_samples
from segsweep.training.schedule import cosine_lr, one_cycle_lr, should_decrease, validation_is_due
from segsweep.training.settings import TrainingResult, TrainingSettings
from segsweep.training.state import STATE_FILE, Position, load_state, save_state
from segsweep.training.supervision import supervised

__all__ = ["run_training"]

_PICTURES = 2


def run_training(
    project: Path,
    output: Path,
    settings: TrainingSettings,
    device: torch.device,
    reporter: Reporter,
    group: Group = ALONE,
) -> TrainingResult:
    """What `segsweep.training.train` promises, on one device, alone or as one of a group."""
    source = Project.open(project)
    start_config = _start_config(settings)
    continued = start_config if settings.weights_init_type == "continue_training" else None
    classes = plan_classes(source.meta, settings.background, settings.neutral, continued)

    compute = Compute(device, settings, classes, group)
    model = _initial_model(settings, classes, output, group, reporter).to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
    goes_on = (output / STATE_FILE).is_file()
    config = ModelConfig(
        settings={**settings.documented, "input_size": {"width": settings.width, "height": settings.height}},
        out_classes=classes.out_classes,
        class_title_to_idx=classes.class_title_to_idx,
        model={"name": settings.model_name, "width": settings.model_width},
    )
    if goes_on and (output / "last" / CONFIG_FILE).is_file():
        config = read_config(output / "last")  # as it began; what may differ is checked with the state
    for name in ("best", "last"):
        check_place(output / name, config)
    parameters = sum(value.numel() for value in model.parameters())
    reporter.message(
        f"training {settings.model_name} with {parameters:,} weights for the classes "
        f"{', '.join(classes.class_title_to_idx)} on {compute}"
    )

    train_set, val_set = read_samples(source, classes, settings, reporter)
    sizes = batch_sizes(len(train_set), settings, group.size)
    _check_batch_normalisation(min(sizes) // group.size, len(val_set), settings)
    per_epoch = len(sizes)
    total = settings.steps or (None if settings.minutes else settings.epochs * per_epoch)
    limit = settings.minutes and settings.minutes * 60
    identity = digest_json([train_set.names, val_set.names, classes.class_title_to_idx])

    learner = supervised(model, classes.outputs, settings.deep_supervision, settings.seed).to(device)
    optimizer = _optimizer(learner, settings, settings.lr)
    average = averaged(model, settings.ema_decay)
    shown = model if average is None else average.module
    now = load_state(output, learner, average, optimizer, settings, identity, group.size, reporter)
    now = now or Position(settings.lr)
    resumed_at, started = now.step, time.perf_counter() - now.seconds
    saved = time.perf_counter()
    network = group.wrap(learner)
    if settings.compile:
        network = torch.compile(network)  # type: ignore[assignment]  # a module stays one

    with (
        closing(
            training_batches(train_set, settings, classes.ignore_index, now.step, group.rank, group.size)
        ) as batches,
        reporter.progress("Training", total, "step") as advance,
    ):
        advance(now.step)
        ended = now.step > 0 and (now.step >= total if total else now.seconds >= (limit or 0))
        while not ended:
            batch, step, epoch = next(batches), now.step, (now.step + 1) / per_epoch
            if settings.lr_schedule != "constant":
                place, end = (float(step), float(total)) if total else (min(now.seconds, limit or 0), limit or 0)
                now.lr = _scheduled_lr(settings, place, end)
                optimizer.param_groups[0]["lr"] = now.lr

            network.train()
            outputs, targets = compute.forward(network, batch)
            loss = compute.loss(outputs, targets)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            if average is not None:
                average.update_parameters(model)
            measured = compute.measure(loss, outputs[0], targets)
            check_finite(measured["loss"], "training", step, epoch, now.lr)
            values = {f"train/{key}": value for key, value in measured.items()} | {"train/lr": now.lr}
            reporter.metrics(values, step, epoch)

            now.step, now.seconds = step + 1, group.agreed(time.perf_counter() - started)
            ended = now.step >= total if total else now.seconds >= (limit or 0)
            if ended or validation_is_due(step, per_epoch, settings.val_every, len(now.losses)):
                group.same_buffers(shown)
                now.values = _validate(shown, val_set, compute, settings, step, epoch, reporter)
                check_finite(now.values["val/loss"], "validation", step, epoch, now.lr)
                reporter.metrics(now.values, step, epoch)
                now.losses.append(now.values["val/loss"])
                better = now.values["val/loss"] < now.best_values["val/loss"]
                if better:
                    now.best_step, now.best_values = step, now.values
                if group.leads:
                    for name in _model_folders(len(now.losses), better, settings.keep_every):
                        save_model(output / name, config, shown.state_dict())
                if settings.lr_schedule == "constant" and should_decrease(
                    now.losses, now.last_reset, settings.lr_patience
                ):
                    now.lr, now.last_reset = now.lr / settings.lr_divisor, len(now.losses)
                    optimizer = _optimizer(learner, settings, now.lr)
                    reporter.message(
                        f"no better validation for {settings.lr_patience}: the learning rate is now {now.lr:g}"
                    )
                saved = -math.inf
            if group.leads and time.perf_counter() - saved >= 60 * settings.state_minutes:
                save_state(output, now, learner, average, optimizer, settings, identity, group.size)
                saved = time.perf_counter()
            advance(1)

    return TrainingResult(
        best=output / "best",
        last=output / "last",
        best_epoch=(now.best_step + 1) / per_epoch,
        best_step=now.best_step,
        best_val_loss=now.best_values["val/loss"],
        best_metrics=now.best_values,
        last_metrics=now.values,
        steps=now.step,
        resumed_at=resumed_at,
        seconds=now.seconds,
        parameters=parameters,
        device=str(device) if group.size == 1 else f"{group.size}x {device.type}",
        precision=compute.precision,
        class_title_to_idx=classes.class_title_to_idx,
        train_samples=len(train_set),
        val_samples=len(val_set),
    )


def _optimizer(model: nn.Module, settings: TrainingSettings, lr: float) -> torch.optim.Optimizer:
    """Adam; with decoupled weight decay (Loshchilov and Hutter 2019), which at 0 changes nothing."""
    return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=settings.weight_decay, fused=True)


def _scheduled_lr(settings: TrainingSettings, place: float, end: float) -> float:
    """The learning rate at a place of a training that ends at `end`, both in steps or both in seconds."""
    if settings.lr_schedule == "one_cycle":
        return one_cycle_lr(place, end, settings.lr)
    return cosine_lr(place, end, settings.lr, settings.lr_cycles)


def _model_folders(validation: int, better: bool, keep_every: int) -> list[str]:
    """Where the model of a validation (from 1) is kept; `last` comes last, since it says that the others are there."""
    kept = [f"{validation - 1:08d}"] if keep_every and validation % keep_every == 0 else []
    return [*kept, *(["best"] if better else []), "last"]


@torch.inference_mode()
def _validate(
    model: nn.Module,
    samples: Samples,
    compute: Compute,
    settings: TrainingSettings,
    step: int,
    epoch: float,
    reporter: Reporter,
) -> dict[str, float]:
    """Measures the whole validation set, every sample weighing the same, and shows the first few."""
    model.train(not settings.validate_with_model_eval)
    group, ignore = compute.group, compute.classes.ignore_index
    names = compute.names
    sums = torch.zeros(len(names), dtype=torch.float64)
    pictured: set[str] = set()
    with (
        closing(validation_batches(samples, settings, ignore, group.rank, group.size)) as batches,
        reporter.progress("Validating", len(samples), "image") as advance,
    ):
        for start, batch in batches:
            [logits], targets = compute.forward(model, batch)
            measured = compute.measure_alone(logits, targets)
            sums += torch.tensor([measured[name] for name in names], dtype=torch.float64) * len(batch.sizes)
            for index in range(len(batch.sizes)):
                name = Path(samples.items[start + index].name).stem
                if len(pictured) < _PICTURES and name not in pictured:
                    pictured.add(name)
                    picture = _picture(batch, index, logits[index].argmax(dim=0), compute.classes)
                    reporter.image(f"validation/{name}", picture, step)
            advance(len(batch.sizes) * group.size)
    means = group.total(sums.to(compute.device)) / len(samples)
    return {f"val/{name}": value for name, value in zip(names, means.tolist(), strict=True)}


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


def _initial_model(
    settings: TrainingSettings, classes: ClassPlan, output: Path, group: Group, reporter: Reporter
) -> nn.Module:
    """A network whose weights depend on the seed and the starting model; torch's random state stays as it was.

    What became of every weight of the starting model is kept in `transfer.json`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_of(settings.seed, "initial weights") % 2**63)
        model = build_model(settings.model_name, classes.outputs, settings.model_width)
    if settings.start_model is None:
        reporter.message("training starts from random weights")
        return model
    path = settings.start_model / WEIGHTS_FILE if settings.start_model.is_dir() else settings.start_model
    done = transfer_weights(model, read_weights(path), settings.weights_init_type)
    how = f"{settings.start_model} ({settings.weights_init_type})"
    reporter.message(f"training starts from {how}: {done}\n{done.table()}")
    if group.leads:
        write_json(output / "transfer.json", done.to_json())
        reporter.file(output / "transfer.json", "checkpoints")
    return model


def _check_batch_normalisation(smallest: int, validated: int, settings: TrainingSettings) -> None:
    """Batch normalisation needs more than one value a channel; the smallest input leaves one at the bottleneck.

    Args:
        smallest: Samples of a device's smallest training batch.
        validated: Samples of the validation set; its last batch may be of one.
        settings: The rest.
    """
    side = architecture(settings.model_name).divisor
    if settings.width * settings.height != side * side:
        return
    left = f"an input_size of {side}x{side} leaves one pixel at the bottleneck, too few for a batch of one sample; "
    if smallest == 1:
        raise TrainingError(f"{left}use a larger input_size or a batch_size.train that leaves no batch of one")
    measured = not settings.validate_with_model_eval and settings.sampling == "resize"
    if measured and 1 in {settings.batch_size_val, validated % settings.batch_size_val}:
        raise TrainingError(f"{left}use a batch_size.val that leaves no batch of one, or validate_with_model_eval=true")
