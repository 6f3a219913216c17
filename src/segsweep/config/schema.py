"""What a composed configuration may hold: one typed model a command, checked as a whole.

The documented JSON keys keep their names, ranges and meaning (defaults too, but for `lr`, whose original default of
0.1 diverges); keys marked "ours" are additions. What only a stage can judge (layers of a graph, settings of a source,
an inference mode, an augmentation) stays a plain mapping here and is checked by that stage.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from segsweep.config.actions import SCHEMAS_OF_ACTIONS, ModelSource, StoreSection
from segsweep.config.fields import (
    Classes,
    Count,
    Devices,
    Name,
    NotNegative,
    PartsAtOnce,
    Positive,
    Precision,
    RegisteredName,
    Side,
    Threshold,
)
from segsweep.typed import Strict

__all__ = [
    "SCHEMAS",
    "DtlConfig",
    "EvaluateConfig",
    "GraphConfig",
    "PredictConfig",
    "RunConfig",
    "TrainConfig",
    "TrainingSection",
]


class Tags(Strict):
    """`dataset_tags`: the image tags that select the two sets."""

    train: Annotated[str, Field(min_length=1)] = "train"
    val: Annotated[str, Field(min_length=1)] = "val"


class BatchSize(Strict):
    """`batch_size`, per device."""

    train: Count = 1
    val: Count = 1


class PerSet(Strict):
    """A count for each set."""

    train: NotNegative = 0
    val: NotNegative = 0


class SpecialClasses(Strict):
    """`special_classes`: the class of index 0, and the one whose pixels are ignored."""

    background: Annotated[str, Field(min_length=1)] = "bg"
    neutral: Annotated[str, Field(min_length=1)] = "neutral"


class InputSize(Strict):
    """`input_size` of the network in pixels; the height defaults to the width (ours)."""

    width: Side = 128
    height: Side | None = None


class LrDecreasing(Strict):
    """`lr_decreasing`: after `patience` validations without a better one, `lr` is divided."""

    patience: Count = 1000
    lr_divisor: Positive = 5.0


class LossWeights(Strict):
    """`loss_weights` of the two-class loss."""

    bce: Annotated[float, Field(ge=0)] = 1.0
    dice: Annotated[float, Field(ge=0)] = 1.0


class TrainingSection(Strict):
    """The training configuration: the documented JSON, key for key, and our additions."""

    dataset_tags: Tags = Tags()
    batch_size: BatchSize = BatchSize()
    data_workers: PerSet = PerSet()
    allow_corrupted_samples: PerSet = PerSet()
    special_classes: SpecialClasses = SpecialClasses()
    input_size: InputSize = InputSize()
    epochs: Count = 2
    val_every: Positive = 0.5
    lr: Positive = 0.001
    momentum: Positive | None = None
    lr_decreasing: LrDecreasing = LrDecreasing()
    loss_weights: LossWeights = LossWeights()
    weights_init_type: Literal["transfer_learning", "continue_training"] = "transfer_learning"
    validate_with_model_eval: bool = True
    gpu_devices: Devices = "auto"
    # ours
    file: str | None = None
    sampling: Literal["resize", "crop"] = "resize"
    crops_per_image: Count = 1
    image_scale: Annotated[float, Field(ge=0.05, le=4)] = 1.0
    foreground_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    normalisation: Literal["imagenet", "image"] = "imagenet"
    steps: Count | None = None
    minutes: Positive | None = None
    lr_schedule: Literal["constant", "one_cycle", "cosine"] = "constant"
    lr_cycles: Count = 1
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    deep_supervision: Annotated[float, Field(ge=0, le=1)] = 0.0
    precision: Precision = "auto"
    compile: bool = False
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    cache_gib: Annotated[float, Field(ge=0)] = 2.0
    keep_every: NotNegative = 0
    state_minutes: Annotated[float, Field(ge=0)] = 1.0


class ModelSection(Strict):
    """The architecture, and the weights that a training starts from."""

    name: str = "unet_v2"
    width: Annotated[int, Field(ge=1, le=256)] = 64
    weights: str | None = None
    registered_name: RegisteredName = "UNet Trained"


class DtlSection(Strict):
    """The data transformation graph: named layers, or the documented list by `file`."""

    layers: Any = None
    file: str | None = None
    workers: Count | None = None
    on_error: Literal["skip", "fail"] = "skip"
    reuse: bool = True
    overwrite: bool = False


class InferenceModelSection(Strict):
    """The documented `model` object."""

    gpu_device: Annotated[Any, BeforeValidator(lambda value: _check_device(value))] = "auto"


def _check_device(value: object) -> object:
    if value in ("auto", "cpu") or (type(value) is int and value >= 0):
        return value
    raise ValueError("must be a device number, 'auto' or 'cpu'")


class ExistingObjects(Strict):
    """`existing_objects` of the older form: which of the project's own objects are kept, and their names' new end."""

    save_classes: Classes = "__all__"
    add_suffix: str = ""


class InferenceSection(Strict):
    """The inference configuration: the documented JSON (`model`, `mode`, `existing_objects`) and our additions."""

    model: InferenceModelSection = InferenceModelSection()
    mode: dict[str, Any] = Field(default_factory=lambda: {"name": "full_image"})
    existing_objects: ExistingObjects = ExistingObjects()
    # ours
    file: str | None = None
    result_project: Name = "inf_01"
    checkpoint: Literal["best", "last"] = "best"
    precision: Precision = "auto"
    batch_size: PartsAtOnce = "auto"
    resolution: Literal["auto", "input_size", "native"] = "auto"
    blend: Literal["uniform", "gaussian"] = "uniform"
    flip_average: bool = False
    threshold: Threshold = None
    min_component: NotNegative = 0
    shape: Literal["bitmap", "polygon"] = "bitmap"


class EvaluationSection(Strict):
    """How predictions are scored."""

    region: Literal["whole_frame", "field_of_view"] = "whole_frame"
    average: Literal["image", "pooled"] = "image"
    measures: Annotated[tuple[str, ...], BeforeValidator(lambda value: _check_names(value))] = ()
    boundary_width: Annotated[float, Field(gt=0, le=1)] = 0.02
    error_width: Annotated[float, Field(gt=0, le=1)] = 0.01
    surface_tolerance: Annotated[float, Field(ge=0)] = 2.0
    objects: Literal["annotated", "components"] = "annotated"
    iou: Annotated[float, Field(gt=0, le=1)] = 0.5
    confidence_tag_name: Annotated[str, Field(min_length=1)] | None = None
    confidence_threshold: float = 0.0
    resamples: Annotated[int, Field(ge=0, le=100_000)] = 2000
    pictures: NotNegative = 12


def _check_names(value: object) -> object:
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise ValueError("must be a list of names")


class StandaloneEvaluationSection(EvaluationSection):
    """The documented keys of the evaluation plugins, for `segsweep evaluate`; `class_suffix` is ours."""

    project_gt: str
    project_pred: str | None = None
    classes_mapping: dict[str, str] | None = None
    class_suffix: Annotated[str, Field(min_length=1)] | None = None
    tags_mapping: dict[str, str] | None = None
    background: str | None = None
    neutral: str = "neutral"


class SamplerSection(Strict):
    """How the values of a sweep are chosen: all of them, or, with `trials`, by a search.

    `study` and `trial` are set for the jobs of a search.
    """

    trials: Annotated[int, Field(ge=1)] | None = None
    metric: Annotated[str, Field(min_length=1)] = "val/dice"
    direction: Literal["maximize", "minimize"] = "maximize"
    startup_trials: Annotated[int, Field(ge=1)] = 5
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    pruning: bool = True
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    study: RegisteredName | None = None
    trial: Annotated[int, Field(ge=0)] | None = None


class TrackingSection(Strict):
    """Where MLflow keeps the runs."""

    experiment: Annotated[str, Field(min_length=1)] = "segsweep"
    uri: str | None = None
    register_model: bool = True
    system_metrics: bool = True


class Common(Strict):
    """What every command has."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    workspace: Annotated[str, Field(min_length=1)] = "."


class LaunchSection(Strict):
    """How the jobs of a sweep are launched; the launcher itself is Hydra's."""

    jobs: Count = 1
    threads: Count | None = None


class Tracked(Common):
    """What the commands have that MLflow remembers, and that `-m` sweeps."""

    name: Annotated[str, Field(min_length=1)]
    reuse: bool = True
    fail_fast: bool = False
    tracking: TrackingSection = TrackingSection()
    launch: LaunchSection = LaunchSection()
    sampler: SamplerSection = SamplerSection()


class DtlConfig(Common):
    """`segsweep dtl`."""

    dtl: DtlSection
    data: dict[str, Any] | None = None


class GraphConfig(Common):
    """`segsweep graph`."""

    dtl: DtlSection
    data: dict[str, Any] | None = None
    output: Annotated[str, Field(min_length=1)] = "graph"
    format: Annotated[
        tuple[Literal["svg", "png"], ...],
        BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else (value,)),
        Field(min_length=1),
    ] = ("svg", "png")


class TrainConfig(Tracked):
    """`segsweep train`."""

    project: Annotated[str, Field(min_length=1)]
    model: ModelSection
    training: TrainingSection
    augmentation: dict[str, Any] = Field(default_factory=dict)


class PredictConfig(Tracked):
    """`segsweep predict`."""

    model: ModelSource
    data: dict[str, Any]
    inference: InferenceSection


class EvaluateConfig(Tracked):
    """`segsweep evaluate`."""

    evaluation: StandaloneEvaluationSection


class RunConfig(Tracked):
    """`segsweep run`: the whole experiment."""

    data: dict[str, Any]
    dtl: DtlSection
    model: ModelSection
    training: TrainingSection
    augmentation: dict[str, Any] = Field(default_factory=dict)
    inference: InferenceSection
    evaluation: EvaluationSection = EvaluationSection()


class RerunConfig(Strict):
    """`segsweep rerun`."""

    run: Annotated[str, Field(min_length=1)]
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.001
    workspace: Annotated[str, Field(min_length=1)] = "."
    tracking: StoreSection = StoreSection()


class StatusConfig(Strict):
    """`segsweep status`."""

    sweep: Annotated[str, Field(min_length=1)] | None = None
    workspace: Annotated[str, Field(min_length=1)] = "."
    tracking: StoreSection = StoreSection()


class CompareConfig(Strict):
    """`segsweep compare`."""

    sweep: str | None = None
    experiment: str | None = None
    ids: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    filter: str = ""
    score: str | None = None
    images: Annotated[int, Field(ge=0, le=100)] = 12
    runs: Annotated[int, Field(ge=1, le=40)] = 8
    output: Annotated[str, Field(min_length=1)] | None = None
    workspace: Annotated[str, Field(min_length=1)] = "."
    tracking: StoreSection = StoreSection()


SCHEMAS: dict[str, type[Strict]] = {
    "run": RunConfig,
    "dtl": DtlConfig,
    "graph": GraphConfig,
    "train": TrainConfig,
    "predict": PredictConfig,
    "evaluate": EvaluateConfig,
    "rerun": RerunConfig,
    "compare": CompareConfig,
    "status": StatusConfig,
    **SCHEMAS_OF_ACTIONS,
}
