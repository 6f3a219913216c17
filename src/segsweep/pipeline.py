"""The stages of one run, in order, with MLflow remembering each of them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from segsweep import evaluations, stages, trainings
from segsweep.annotation import Annotation, Project, geometry_mask
from segsweep.config.schema import (
    EvaluateConfig,
    InferenceModelSection,
    PredictConfig,
    RunConfig,
    TrackingSection,
    TrainConfig,
)
from segsweep.dtl import read_layers
from segsweep.dtl.drawing import draw_graph, to_svg
from segsweep.errors import DataError
from segsweep.evaluations import Scored
from segsweep.files import digest_json
from segsweep.identity import fingerprint_of, inputs_of, plain_settings, request_of
from segsweep.reporting import Reporter
from segsweep.reports import log_report

if TYPE_CHECKING:
    from segsweep.datasets import PlannedData
    from segsweep.tracking import Store, TrackedRun
    from segsweep.training import TrainingResult

__all__ = [
    "RunContext",
    "RunOutcome",
    "open_store",
    "run_evaluation",
    "run_experiment",
    "run_prediction",
    "run_training",
    "what_is_scored",
]


@dataclass(frozen=True)
class RunOutcome:
    """What a finished run leaves: its id in MLflow, a link to it, and its scores."""

    run_id: str
    url: str
    scores: dict[str, float]


@dataclass(frozen=True)
class RunContext:
    """Where and for whom a run happens.

    Attributes:
        scratch: A folder of the run's own, for checkpoints and tables before they are uploaded.
        overrides: What the command line changed, to be logged.
        reporter: Who shows messages and progress.
        parent: The run id of the sweep's parent, if the run is a job of one.
        name: The run's name; the configuration's if missing.
        experiment: The experiment in MLflow; the configuration's if missing.
        tags: Further tags of the run.
        began: When the command began (seconds since 1970); with `reuse=false`, what was made before is not used.
    """

    scratch: Path
    overrides: list[str]
    reporter: Reporter
    parent: str | None = None
    name: str | None = None
    experiment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.time)

    def since(self, config: Any) -> float | None:
        """From when on a result may be used again; None: from whenever it is."""
        return None if config.reuse else self.began


def open_store(workspace: str, tracking: TrackingSection, reporter: Reporter) -> Store:
    """The MLflow store that the configuration names."""
    from segsweep.tracking import Store

    path = Path(workspace).expanduser().absolute()
    return Store.open(path, uri=tracking.uri, experiment=tracking.experiment, reporter=reporter)


def run_experiment(config: RunConfig, context: RunContext) -> RunOutcome:
    """The whole experiment as one MLflow run: data, DTL, training, prediction, scores."""
    workspace = Path(config.workspace).expanduser().absolute()
    since, began = context.since(config), time.monotonic()
    with _tracked(config, context) as run:
        layers = read_layers(config.dtl.layers)
        run.text("dtl/graph.json", json.dumps([layer.to_json() for layer in layers], indent=2) + "\n")
        run.text("dtl/graph.svg", to_svg(draw_graph(layers)))
        with _timed(run, "data"):
            planned = stages.plan_data(config.data, run)
            _identify(run, config, planned)
            made = stages.prepare(workspace, planned, run, since=since)
        assert made.test is not None  # the request was checked
        test = made.paths[made.test]
        _log_dataset(run, made.paths[made.train], "training")
        _log_dataset(run, test, "test")
        with _timed(run, "transform"):
            plan = stages.plan_transform(workspace, config.dtl, made.paths, config.seed)
            transformed = stages.transform(plan, config.dtl, run, since=since)
        run.text("dtl/summary.json", json.dumps(transformed.to_json(), indent=2, ensure_ascii=False) + "\n")
        with _timed(run, "train"):
            trained = _train(config, transformed.result, run, since)
        chosen = trained.best if config.inference.checkpoint == "best" else trained.last
        inference = config.inference
        if isinstance(config.training.gpu_devices, list) and trained.device == "cpu":
            # training has told that there is no GPU: once is enough
            inference = inference.model_copy(update={"model": InferenceModelSection(gpu_device="cpu")})
        special = config.training.special_classes
        if inference.threshold == "train":
            with _timed(run, "threshold"):
                threshold = evaluations.best_threshold(
                    workspace,
                    chosen,
                    made.paths[made.train],
                    inference,
                    config.evaluation.region,
                    background=special.background,
                    neutral=special.neutral,
                    reporter=run,
                    since=since,
                )
            run.message(f"the best threshold on the training images is {threshold:.3f}")
            run.metrics({"inference/threshold": threshold}, step=0)
            inference = inference.model_copy(update={"threshold": threshold})
        with _timed(run, "predict"):
            predicted = stages.predict(
                workspace, chosen, test, inference, probability_maps=True, reporter=run, since=since
            )
        _log_masks(run, predicted.result, predicted.classes)
        scored = Scored.of(test, predicted.result, predicted.classes, special.background, special.neutral)
        with _timed(run, "evaluate"):
            found = evaluations.score(workspace, scored, config.evaluation, run, since=since)
        log_report(run, config, context.overrides, found.parts, began=began, threshold=inference.threshold)
        return RunOutcome(run.run_id, run.url, found.metrics)


def run_training(config: TrainConfig, context: RunContext) -> RunOutcome:
    """One training on a project of the workspace, as an MLflow run."""
    workspace = Path(config.workspace).expanduser().absolute()
    with _tracked(config, context) as run:
        project = stages.project_path(workspace, config.project)
        _identify(run, config)
        with _timed(run, "train"):
            trained = _train(config, project, run, context.since(config))
        return RunOutcome(run.run_id, run.url, {"val/loss": trained.best_val_loss})


def run_prediction(config: PredictConfig, context: RunContext) -> RunOutcome:
    """Applies a network from the registry, a run or a folder to a data source's test set, as an MLflow run."""
    from segsweep.tracking import resolve_model

    workspace = Path(config.workspace).expanduser().absolute()
    since = context.since(config)
    with _tracked(config, context) as run:
        model = resolve_model(run.store, config.model.source)
        planned = stages.plan_data(config.data, run)
        _identify(run, config, planned)
        with _timed(run, "data"):
            made = stages.prepare(workspace, planned, run, since=since)
        project = made.paths[made.test or made.train]
        with _timed(run, "predict"):
            predicted = stages.predict(workspace, model, project, config.inference, reporter=run, since=since)
        _log_dataset(run, project, "test")
        run.metrics({"predict/images": predicted.images, "predict/left_out": len(predicted.skipped)}, step=0)
        _log_masks(run, predicted.result, predicted.classes)
        run.set_tag("segsweep.result", str(predicted.result))
        run.message(f"predict: {predicted.images} images in {predicted.result}")
        return RunOutcome(run.run_id, run.url, {})


def run_evaluation(config: EvaluateConfig, context: RunContext) -> RunOutcome:
    """Scores one project against another, as an MLflow run."""
    workspace = Path(config.workspace).expanduser().absolute()
    section, began = config.evaluation, time.monotonic()
    with _tracked(config, context) as run:
        scored = what_is_scored(config)
        _identify(run, config)
        with _timed(run, "evaluate"):
            found = evaluations.score(workspace, scored, section, run, since=context.since(config))
        log_report(run, config, context.overrides, found.parts, began=began)
        return RunOutcome(run.run_id, run.url, found.metrics)


def what_is_scored(config: EvaluateConfig) -> Scored:
    """The projects that `segsweep evaluate` is to compare, and their classes.

    Raises:
        SegsweepError: There is no such project, or its classes do not fit.
    """
    workspace, section = Path(config.workspace).expanduser().absolute(), config.evaluation
    truth = stages.project_path(workspace, section.project_gt)
    prediction = truth if section.project_pred is None else stages.project_path(workspace, section.project_pred)
    classes = section.classes_mapping or {}
    if section.class_suffix is not None:
        classes = evaluations.classes_by_suffix(truth, prediction, section.class_suffix)
    return Scored.of(truth, prediction, classes, section.background, section.neutral, section.tags_mapping)


_COMMANDS: dict[type, str] = {
    RunConfig: "run",
    TrainConfig: "train",
    PredictConfig: "predict",
    EvaluateConfig: "evaluate",
}


@contextmanager
def _tracked(config: Any, context: RunContext) -> Iterator[TrackedRun]:
    """A tracked run that has logged what it was asked to do; an interrupted run of the same request goes on."""
    from segsweep.tracking import interrupted_run, settle

    experiment = context.experiment or config.tracking.experiment
    tracking = config.tracking.model_copy(update={"experiment": experiment})
    store = open_store(config.workspace, tracking, context.reporter)
    if context.parent is None:  # a sweep does so once for all its jobs
        settle(store)
    plain, request = plain_settings(config), request_of(config)
    wanted = context.parent is not None or config.reuse
    resume = interrupted_run(store, request, parent=context.parent) if wanted else None
    if resume is not None:
        context.reporter.message(f"run {resume} did not finish; it goes on (reuse=false begins a new one)")
    shown = _watched(config, context.reporter)
    with store.start_run(
        context.name or config.name,
        kind="run",
        parent=context.parent,
        resume=resume,
        tags={"segsweep.request": request, "segsweep.command": _COMMANDS[type(config)], **context.tags},
        params={key: value for key, value in plain.items() if key not in _NO_PARAMS},
        system_metrics=config.tracking.system_metrics,
        progress_with=shown,
    ) as run:
        run.text("config/config.json", json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
        run.text("config/overrides.json", json.dumps(context.overrides, indent=2, ensure_ascii=False) + "\n")
        for name in ("config.yaml", "overrides.yaml"):  # as Hydra composed them, to be kept or run again
            if (context.scratch / ".hydra" / name).is_file():
                run.file(context.scratch / ".hydra" / name, "config")
        with _timed(run, "total"):
            yield run


def _watched(config: Any, reporter: Reporter) -> Reporter:
    """Who hears of the run's metrics: for a trial of a search, its study too, which may cut it short."""
    sampler = getattr(config, "sampler", None)
    if sampler is None or sampler.trial is None:
        return reporter
    from segsweep.sweeps.studies import STUDIES, Watch

    return Watch(reporter, sampler, Path(config.workspace).expanduser().absolute() / STUDIES)


_MASK_PIXELS = 2**25
_NO_PARAMS = ("launch", "fail_fast", "sampler")
"""How the jobs of a sweep are launched: kept with the configuration, and no setting of a run."""


def _identify(run: TrackedRun, config: Any, planned: PlannedData | None = None) -> None:
    """Records what the run works on; one that goes on must do so on what it began with."""
    inputs = inputs_of(config, run.store, None if planned is None else planned.fingerprints, run)
    found = {
        "segsweep.data_digest": digest_json(inputs) if planned is None else planned.digest,
        "segsweep.fingerprint": fingerprint_of(request_of(config), inputs),
    }
    before = run.tags() if run.resumed else {}
    for key, value in found.items():
        if before.get(key, value) != value:
            raise DataError(
                "the data changed since the run was interrupted, so it cannot go on; reuse=false begins a new one"
            )
        run.set_tag(key, value)


@contextmanager
def _timed(run: TrackedRun, stage: str) -> Iterator[None]:
    """Logs how long a stage took, in seconds."""
    start = time.perf_counter()
    yield
    run.metrics({f"time/{stage}": time.perf_counter() - start}, step=0)


def _train(config: RunConfig | TrainConfig, project: Path, run: TrackedRun, since: float | None) -> TrainingResult:
    """Trains, keeps the checkpoints, and registers the network: `last` under its name, `best` marked."""
    from segsweep.starting import starting_model
    from segsweep.tracking import register_model

    start = None if config.model.weights is None else starting_model(run.store, config.model.weights, run)
    trained = trainings.train(
        Path(config.workspace).expanduser().absolute(),
        project,
        config.model,
        config.training,
        config.augmentation,
        start_model=start,
        seed=config.seed,
        since=since,
        reporter=run,
    )
    for folder in (*sorted(trained.last.parent.glob("[0-9]*/")), trained.best, trained.last):
        run.file(folder, "checkpoints")
    run.metrics({"train/parameters": trained.parameters, "train/steps": trained.steps}, step=trained.steps)
    run.metrics({"time/train_whole": trained.seconds}, step=0)  # also where it was found, or done in several parts
    run.set_tag("segsweep.device", f"{trained.device} {trained.precision}")
    if config.tracking.register_model:
        name = config.model.registered_name
        if trained.best_step == trained.steps - 1:
            register_model(run.store, run, trained.last, name, aliases=("best", "last"))
        else:
            register_model(run.store, run, trained.best, name, aliases=("best",))
            register_model(run.store, run, trained.last, name, aliases=("last",))
    return trained


def _log_masks(run: TrackedRun, result: Path, classes: dict[str, str]) -> None:
    """Logs the predicted classes of each image as a mask picture in the classes' colours, and what the colours mean.

    `predictions/classes.json` maps each class, in the truth's words, to its colour.
    """
    project = Project.open(result)
    colours = {item.title: item.color for item in project.meta.classes}
    wanted = {named: colours[named] for named in classes.values() if named in colours}
    meaning = {title: colours[named] for title, named in classes.items() if named in colours}
    run.text("predictions/classes.json", json.dumps(meaning, indent=2, ensure_ascii=False) + "\n")
    for dataset in project.datasets:
        for item in dataset.items:
            picture = _coloured(item.annotation(project.meta), wanted)
            run.image(f"predictions/masks/{dataset.name}/{Path(item.name).stem}", picture)


def _coloured(annotation: Annotation, colours: Mapping[str, str]) -> NDArray[np.uint8]:
    """The objects of some classes in their colours (`#RRGGBB`), uint8 HxWx3.

    Of an image with more than `_MASK_PIXELS` every second, third … pixel is shown, so that it does not fill the memory.
    """
    width, height = annotation.width, annotation.height
    step = math.ceil(math.sqrt(width * height / _MASK_PIXELS))
    picture = np.zeros((-(-height // step), -(-width // step), 3), np.uint8)
    for labeled in annotation.objects:
        color = colours.get(labeled.class_title)
        drawn = None if color is None else geometry_mask(labeled.geometry, width, height)
        if drawn is not None and color is not None:
            top, left = -(-drawn.y // step), -(-drawn.x // step)
            mask = drawn.mask[top * step - drawn.y :: step, left * step - drawn.x :: step]
            picture[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = list(bytes.fromhex(color[1:]))
    return picture


def _log_dataset(run: TrackedRun, path: Path, context: Literal["training", "test"]) -> None:
    """Logs a project as MLflow's own data set, with its fingerprint as the digest."""
    project = Project.open(path)
    digest = stages.identity_of(path)
    run.dataset(project.name, digest, path, context, {"images": len(project.items)})
