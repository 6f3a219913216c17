"""The stages of one run, in order, with MLflow remembering each of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segsweep import __version__, stages, trainings
from segsweep.annotation import Project, object_mask, project_digest
from segsweep.config.schema import (
    EvaluateConfig,
    EvaluationSection,
    InferenceModelSection,
    PredictConfig,
    RunConfig,
    TrackingSection,
    TrainConfig,
)
from segsweep.dtl import read_layers
from segsweep.dtl.drawing import draw_graph, to_svg
from segsweep.errors import DataError
from segsweep.files import digest_json
from segsweep.reporting import Reporter

if TYPE_CHECKING:
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
    """

    scratch: Path
    overrides: list[str]
    reporter: Reporter
    parent: str | None = None
    name: str | None = None
    experiment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def open_store(workspace: str, tracking: TrackingSection, reporter: Reporter) -> Store:
    """The MLflow store that the configuration names."""
    from segsweep.tracking import Store

    path = Path(workspace).expanduser().absolute()
    return Store.open(path, uri=tracking.uri, experiment=tracking.experiment, reporter=reporter)


def run_experiment(config: RunConfig, context: RunContext) -> RunOutcome:
    """The whole experiment as one MLflow run: data, DTL, training, prediction, scores."""
    workspace = Path(config.workspace).expanduser().absolute()
    with _tracked(config, context) as run:
        layers = read_layers(config.dtl.layers)
        run.text("dtl/graph.json", json.dumps([layer.to_json() for layer in layers], indent=2) + "\n")
        run.text("dtl/graph.svg", to_svg(draw_graph(layers)))
        with _timed(run, "data"):
            made = stages.prepare(workspace, config.data, run)
        _check_same_data(run, made.digest)
        run.set_tag("segsweep.data_digest", made.digest)
        run.set_tag("segsweep.fingerprint", _fingerprint(config, made.digest))
        assert made.test is not None  # the request was checked
        test = made.paths[made.test]
        _log_dataset(run, made.paths[made.train], "training")
        _log_dataset(run, test, "test")
        with _timed(run, "transform"):
            plan = stages.plan_transform(workspace, config.dtl, made.paths, config.seed)
            transformed = stages.transform(plan, config.dtl, run)
        run.text("dtl/summary.json", json.dumps(transformed.to_json(), indent=2, ensure_ascii=False) + "\n")
        with _timed(run, "train"):
            trained = _train(config, transformed.result, run)
        chosen = trained.best if config.inference.checkpoint == "best" else trained.last
        inference = config.inference
        if isinstance(config.training.gpu_devices, list) and trained.device == "cpu":
            # training has told that there is no GPU: once is enough
            inference = inference.model_copy(update={"model": InferenceModelSection(gpu_device="cpu")})
        special = config.training.special_classes
        if inference.threshold == "train":
            with _timed(run, "threshold"):
                threshold = stages.best_threshold(
                    workspace,
                    chosen,
                    made.paths[made.train],
                    inference,
                    config.evaluation.region,
                    background=special.background,
                    neutral=special.neutral,
                    reporter=run,
                )
            run.message(f"the best threshold on the training images is {threshold:.3f}")
            run.metrics({"inference/threshold": threshold}, step=0)
            inference = inference.model_copy(update={"threshold": threshold})
        with _timed(run, "predict"):
            predicted = stages.predict(workspace, chosen, test, inference, probability_maps=True, reporter=run)
        _log_masks(run, predicted.result, predicted.classes)
        flat = _evaluate(
            run,
            test,
            predicted.result,
            predicted.classes,
            special.background,
            special.neutral,
            config.evaluation,
            context,
        )
        return RunOutcome(run.run_id, run.url, flat)


def run_training(config: TrainConfig, context: RunContext) -> RunOutcome:
    """One training on a project of the workspace, as an MLflow run."""
    workspace = Path(config.workspace).expanduser().absolute()
    with _tracked(config, context) as run:
        project = stages.project_path(workspace, config.project)
        with _timed(run, "train"):
            trained = _train(config, project, run)
        return RunOutcome(run.run_id, run.url, {"val/loss": trained.best_val_loss})


def run_prediction(config: PredictConfig, context: RunContext) -> RunOutcome:
    """Applies a network from the registry, a run or a folder to a data source's test set, as an MLflow run."""
    from segsweep.tracking import resolve_model

    workspace = Path(config.workspace).expanduser().absolute()
    store = open_store(config.workspace, config.tracking, context.reporter)
    model = resolve_model(store, config.model.source)
    with _tracked(config, context) as run:
        made = stages.prepare(workspace, config.data, run)
        project = made.paths[made.test or made.train]
        with _timed(run, "predict"):
            predicted = stages.predict(workspace, model, project, config.inference, reporter=run)
        _log_masks(run, predicted.result, predicted.classes)
        run.set_tag("segsweep.result", str(predicted.result))
        run.message(f"predict: {predicted.images} images in {predicted.result}")
        return RunOutcome(run.run_id, run.url, {})


def run_evaluation(config: EvaluateConfig, context: RunContext) -> RunOutcome:
    """Scores one project against another, as an MLflow run."""
    workspace = Path(config.workspace).expanduser().absolute()
    section = config.evaluation
    with _tracked(config, context) as run:
        truth = stages.project_path(workspace, section.project_gt)
        prediction = truth if section.project_pred is None else stages.project_path(workspace, section.project_pred)
        flat = _evaluate(
            run, truth, prediction, section.classes_mapping, section.background, section.neutral, section, context
        )
        return RunOutcome(run.run_id, run.url, flat)


_COMMANDS: dict[type, str] = {
    RunConfig: "run",
    TrainConfig: "train",
    PredictConfig: "predict",
    EvaluateConfig: "evaluate",
}


@contextmanager
def _tracked(config: Any, context: RunContext) -> Iterator[TrackedRun]:
    """A tracked run that has logged what it was asked to do; an interrupted run of the same request goes on."""
    from segsweep.tracking import interrupted_run

    experiment = context.experiment or config.tracking.experiment
    tracking = config.tracking.model_copy(update={"experiment": experiment})
    store = open_store(config.workspace, tracking, context.reporter)
    plain = config.model_dump()
    if "dtl" in plain:  # by name, whatever form the graph was given in, so that runs can be compared
        plain["dtl"]["layers"] = {layer.name: layer.to_json() for layer in read_layers(plain["dtl"]["layers"])}
    request = digest_json({key: value for key, value in plain.items() if key not in {"workspace", "tracking", "reuse"}})
    resume = interrupted_run(store, request) if context.parent is None and plain.get("reuse") else None
    if resume is not None:
        context.reporter.message(f"run {resume} was interrupted; it goes on (reuse=false begins a new one)")
    with store.start_run(
        context.name or config.name,
        kind="run",
        parent=context.parent,
        resume=resume,
        tags={"segsweep.request": request, "segsweep.command": _COMMANDS[type(config)], **context.tags},
        params=plain,
        system_metrics=config.tracking.system_metrics,
        progress_with=context.reporter,
    ) as run:
        run.text("config/config.json", json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
        run.text("config/overrides.json", json.dumps(context.overrides, indent=2, ensure_ascii=False) + "\n")
        for name in ("config.yaml", "overrides.yaml"):  # as Hydra composed them, to be kept or run again
            if (context.scratch / ".hydra" / name).is_file():
                run.file(context.scratch / ".hydra" / name, "config")
        with _timed(run, "total"):
            yield run


def _check_same_data(run: TrackedRun, digest: str) -> None:
    """A run that goes on must do so on the data that it began with."""
    before = run.tag("segsweep.data_digest") if run.resumed else None
    if before not in {None, digest}:
        raise DataError(
            "the data changed since the run was interrupted, so it cannot go on; reuse=false begins a new one"
        )


@contextmanager
def _timed(run: TrackedRun, stage: str) -> Iterator[None]:
    """Logs how long a stage took, in seconds."""
    start = time.perf_counter()
    yield
    run.metrics({f"time/{stage}": time.perf_counter() - start}, step=0)


def _fingerprint(config: RunConfig, data_digest: str) -> str:
    """Equal for runs that must give equal results: the settings that matter, the data, the version of the code."""
    settings = config.model_dump(exclude={"workspace", "tracking", "name"})
    return digest_json({"version": __version__, "settings": settings, "data": data_digest})


def _train(config: RunConfig | TrainConfig, project: Path, run: TrackedRun) -> TrainingResult:
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
        reuse=config.reuse,
        reporter=run,
    )
    for folder in (*sorted(trained.last.parent.glob("[0-9]*/")), trained.best, trained.last):
        run.file(folder, "checkpoints")
    run.metrics({"train/parameters": trained.parameters, "train/steps": trained.steps}, step=trained.steps)
    run.set_tag("segsweep.device", f"{trained.device} {trained.precision}")
    if config.tracking.register_model:
        name = config.model.registered_name
        if trained.best_step == trained.steps - 1:
            register_model(run.store, run, trained.last, name, aliases=("best", "last"))
        else:
            register_model(run.store, run, trained.best, name, aliases=("best",))
            register_model(run.store, run, trained.last, name, aliases=("last",))
    return trained


def _evaluate(
    run: TrackedRun,
    truth: Path,
    prediction: Path,
    classes: dict[str, str],
    background: str | None,
    neutral: str,
    section: EvaluationSection,
    context: RunContext,
) -> dict[str, float]:
    """Scores a prediction, and logs tables, plots, pictures and metrics; returns the metrics.

    `classes` maps true classes to predicted ones; the background, if it is among them, is left out of the scores.
    """
    output = context.scratch / "evaluation"
    with _timed(run, "evaluate"):
        scores = stages.score(
            truth,
            prediction,
            {title: named for title, named in classes.items() if title != background},
            section,
            background=(background, classes[background]) if background in classes else None,
            neutral=neutral,
            output=output,
            reporter=run,
        )
    run.file(output)
    run.table("evaluation/per_image", scores.per_image)
    metrics = _test_metrics(scores)
    run.metrics(metrics, step=0)  # one value at step 0 is a bar beside those of other runs in MLflow
    return metrics


def _log_masks(run: TrackedRun, result: Path, classes: dict[str, str]) -> None:
    """Logs the predicted classes of each image as a mask picture in the classes' colours, and what the colours mean.

    `predictions/classes.json` maps each class, in the truth's words, to its colour.
    """
    project = Project.open(result)
    colours = {item.title: item.color for item in project.meta.classes}
    wanted = set(classes.values())
    meaning = {title: colours[named] for title, named in classes.items() if named in colours}
    run.text("predictions/classes.json", json.dumps(meaning, indent=2, ensure_ascii=False) + "\n")
    for dataset in project.datasets:
        for item in dataset.items:
            annotation = item.annotation(project.meta)
            picture = np.zeros((annotation.height, annotation.width, 3), np.uint8)
            for labeled in annotation.objects:
                if labeled.class_title in wanted:
                    mask = object_mask(labeled, annotation.width, annotation.height)
                    picture[mask] = list(bytes.fromhex(colours[labeled.class_title].lstrip("#")))
            run.image(f"predictions/masks/{dataset.name}/{Path(item.name).stem}", picture)


def _log_dataset(run: TrackedRun, path: Path, context: Literal["training", "test"]) -> None:
    """Logs a project as MLflow's own data set, with its fingerprint as the digest."""
    project = Project.open(path)
    digest = stages.fingerprint_of(path) or project_digest(path)
    run.dataset(project.name, digest, path, context, {"images": len(project.items)})


def _test_metrics(scores: Any) -> dict[str, float]:
    """Scores as MLflow metrics: `test/…` for the chosen region, `test_<region>/…` for the other one."""
    flat = {f"test/{key}": value for key, value in scores.metrics.items()}
    for region, metrics in scores.other.items():
        flat.update({f"test_{region}/{key}": value for key, value in metrics.items()})
    return flat
