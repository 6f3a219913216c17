"""What a training is told, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["TrainingResult", "TrainingSettings"]


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. Types and ranges are the caller's promise; what depends on the project is checked by `train`.

    Attributes:
        train_tag: Image tag that selects the training set.
        val_tag: Image tag that selects the validation set; an image with both tags is in both.
        batch_size_train: Samples a step and device.
        batch_size_val: Samples a validation step and device.
        workers_train: Threads that prepare training batches ahead; 0 prepares them between the steps.
        workers_val: The same for validation.
        allow_corrupted_train: How many training samples may be unreadable; they are left out.
        allow_corrupted_val: The same for validation.
        background: Class title of index 0.
        neutral: Class title whose pixels are ignored.
        width: Width of the network's input in pixels, a multiple of what the network divides by.
        height: Its height, a multiple of 16.
        epochs: Passes over the training set, unless `steps` or `minutes` say how long it takes.
        steps: Optimiser steps.
        minutes: Wall time of training and validation; such a training is not repeatable to the bit.
        val_every: Epochs between validations; there is one more at the end if the last one does not fall there.
        lr: Adam's learning rate; the highest one unless `lr_schedule` is `constant`.
        lr_patience: Validations without a better one until `lr` is divided (`constant` only).
        lr_divisor: What it is divided by.
        loss_bce: Weight of the cross-entropy part of the two-class loss.
        loss_dice: Weight of its Dice part; not both may be 0.
        weights_init_type: `transfer_learning`: all weights of `start_model` but the head; `continue_training`: all, and
            its classes.
        start_model: A model folder, or for `transfer_learning` also a file of weights such as torchvision's VGG16-BN.
        validate_with_model_eval: Whether batch normalisation uses its running statistics in validation.
        devices: Indices of GPUs, `auto` (a GPU if there is one) or `cpu`.
        processes: On the CPU: processes that share every batch, as several GPUs do; each takes `batch_size_*` samples.
        precision: `auto` takes bfloat16 where the hardware computes with it.
        compile: Whether the network is compiled by torch first, which takes minutes.
        model_name: A key of `models.MODELS`.
        model_width: Its base width.
        sampling: `resize` squeezes every image to the input size; `crop` takes random crops of that size at native
            resolution, times `image_scale`, and validates on whole images.
        crops_per_image: Crops of each image in an epoch (`crop` only).
        image_scale: What both sides of every image are multiplied by first (`crop` only).
        foreground_share: Share of the crops around a pixel of a class other than the background (`crop` only). The
            class is drawn first, every one that the image has equally likely, so that rare ones are seen.
        normalisation: `image` makes the colours of all images alike first (`models.preprocess.standardise`); `imagenet`
            takes them as they are.
        augmentation: Name -> `{"transform": …, arguments}` or None, applied in order; see `segsweep.augmentations`.
        lr_schedule: `constant`, `one_cycle`, or `cosine`: down to 0 in every one of `lr_cycles`.
        lr_cycles: Equal cycles of `cosine`.
        weight_decay: Share of every weight that a step takes away, times the learning rate (AdamW); 0 is plain Adam.
        ema_decay: What is validated and kept is the exponential moving average of the weights with this decay; 0: the
            weights themselves.
        deep_supervision: Weight of the loss of a head at half the resolution beside the network's own loss; that at a
            quarter has half of it. 0: there are no such heads.
        seed: Determines the initial weights, the order of samples, crops and augmentations.
        cache_bytes: Memory for decoded images and masks.
        keep_every: Besides the best and the last model, that of every so many-th validation is kept; 0 keeps none.
        state_minutes: Minutes between saves of the state that an interrupted training goes on from; it is also saved at
            every validation.
        documented: The merged config under its documented keys, stored as `settings` in the model's `config.json`.
    """

    train_tag: str = "train"
    val_tag: str = "val"
    batch_size_train: int = 1
    batch_size_val: int = 1
    workers_train: int = 0
    workers_val: int = 0
    allow_corrupted_train: int = 0
    allow_corrupted_val: int = 0
    background: str = "bg"
    neutral: str = "neutral"
    width: int = 128
    height: int = 128
    epochs: int = 2
    steps: int | None = None
    minutes: float | None = None
    val_every: float = 0.5
    lr: float = 0.001
    lr_patience: int = 1000
    lr_divisor: float = 5.0
    loss_bce: float = 1.0
    loss_dice: float = 1.0
    weights_init_type: Literal["transfer_learning", "continue_training"] = "transfer_learning"
    start_model: Path | None = None
    validate_with_model_eval: bool = True
    devices: tuple[int, ...] | Literal["auto", "cpu"] = "auto"
    processes: int = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    model_name: str = "unet_v2"
    model_width: int = 64
    sampling: Literal["resize", "crop"] = "resize"
    crops_per_image: int = 1
    image_scale: float = 1.0
    foreground_share: float = 0.0
    normalisation: Literal["imagenet", "image"] = "imagenet"
    augmentation: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    lr_schedule: Literal["constant", "one_cycle", "cosine"] = "constant"
    lr_cycles: int = 1
    weight_decay: float = 0.0
    ema_decay: float = 0.0
    deep_supervision: float = 0.0
    seed: int = 0
    cache_bytes: int = 2 * 2**30
    keep_every: int = 0
    state_minutes: float = 1.0
    documented: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult:
    """What came out of a training.

    Attributes:
        best: Model folder of the validation with the lowest loss.
        last: Model folder of the last validation, which is at the end.
        best_epoch: Epochs trained when `best` was saved.
        best_step: Its step, counted from 0.
        best_val_loss: Its validation loss.
        best_metrics: All its validation values (`val/loss`, `val/accuracy`, `val/dice`).
        last_metrics: The same of the last validation.
        steps: Optimiser steps done, those before an interruption included.
        resumed_at: The step at which an interrupted training went on; 0 if there was none.
        seconds: Wall time of training and validation.
        parameters: Number of weights of the network.
        device: `cpu`, `cuda:0` …
        precision: `fp32` or `bf16`.
        class_title_to_idx: Class title -> output channel.
        train_samples: Samples trained on, without those left out.
        val_samples: Samples validated on.
    """

    best: Path
    last: Path
    best_epoch: float
    best_step: int
    best_val_loss: float
    best_metrics: dict[str, float]
    last_metrics: dict[str, float]
    steps: int
    resumed_at: int
    seconds: float
    parameters: int
    device: str
    precision: str
    class_title_to_idx: dict[str, int]
    train_samples: int
    val_samples: int
