"""The stages of one run, in order, with MLflow remembering each of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segsweep import __version__, stages
from segsweep.annotation import Project, object_mask, project_digest
from segsweep.config.schema import EvaluateConfig, PredictConfig, RunConfig, TrackingSection, TrainConfig
from segsweep.dtl import read_layers
from segsweep.files import digest_json, write_json
from segsweep.reporting import Reporter

if TYPE_CHECKING:
    from segsweep.tracking import Store, TrackedRun
    from segsweep.training import TrainingResult

__all__ = ["RunOutcome", "open_store", "run_evaluation", "run_experiment", "run_prediction", "run_training"]


@dataclass(frozen=True)
class RunOutcome:
    """What a finished run leaves: its id in MLflow, a link to it, and its scores."""

    run_id: str
    url: str
    scores: dict[str, float]


def open_store(workspace: str, tracking: TrackingSection, reporter: Reporter) -> Store:
    """The MLflow store that the configuration names."""
    from segsweep.tracking import Store

    path = Path(workspace).expanduser().absolute()
    return Store.open(path, uri=tracking.uri, experiment=tracking.experiment, reporter=reporter)


def run_experiment(
    config: RunConfig,
    *,
    scratch: Path,
    overrides: list[str],
    reporter: Reporter,
    parent: str | None = None,
    name: str | None = None,
) -> RunOutcome:
    """The whole experiment as one MLflow run: data, DTL, training, prediction, scores.

    Args:
        config: The typed configuration.
        scratch: A folder of this run's own, for checkpoints and tables before they are uploaded.
        overrides: What the command line changed, to be logged.
        reporter: Who shows messages and progress.
        parent: The run id of the sweep's parent.
        name: The run's name; the configuration's by default.
    """
    workspace = Path(config.workspace).expanduser().absolute()
    with _tracked(config, scratch, overrides, reporter, parent, name) as run:
        layers = read_layers(config.dtl.layers)
        write_json(scratch / "graph.json", [layer.to_json() for layer in layers])
        run.file(scratch / "graph.json", "dtl")
        with _timed(run, "data"):
            made = stages.prepare(workspace, config.data, run)
        run.set_tag("segsweep.data_digest", made.digest)
        run.set_tag("segsweep.fingerprint", _fingerprint(config, made.digest))
        assert made.test is not None  # the request was checked
        test = made.paths[made.test]
        _log_dataset(run, made.paths[made.train], "training")
        _log_dataset(run, test, "test")
        with _timed(run, "transform"):
            plan = stages.plan_transform(workspace, config.dtl, made.paths, config.seed)
            training_set = stages.transform(plan, config.dtl, run)
        with _timed(run, "train"):
            trained = _train(config, training_set, scratch, run)
        chosen = trained.best if config.inference.checkpoint == "best" else trained.last
        with _timed(run, "predict"):
            predicted = stages.predict(workspace, chosen, test, config.inference, probability_maps=True, reporter=run)
        _log_masks(run, predicted.result, predicted.classes)
        background, neutral = (
            config.training.special_classes.background,
            config.training.special_classes.neutral,
        )
        with _timed(run, "evaluate"):
            scores = stages.score(
                test,
                predicted.result,
                {title: named for title, named in predicted.classes.items() if title != background},
                config.evaluation,
                background=(background, predicted.classes[background]) if background in predicted.classes else None,
                neutral=neutral,
                output=scratch / "evaluation",
                reporter=run,
            )
        run.file(scratch / "evaluation")
        run.table("evaluation/per_image", scores.per_image)
        flat = _test_metrics(scores)
        run.metrics(flat, step=0)  # one value at step 0 is a bar beside those of other runs in MLflow
        return RunOutcome(run.run_id, run.url, flat)


def run_training(
    config: TrainConfig,
    *,
    scratch: Path,
    overrides: list[str],
    reporter: Reporter,
    parent: str | None = None,
    name: str | None = None,
) -> RunOutcome:
    """One training on a project of the workspace, as an MLflow run."""
    workspace = Path(config.workspace).expanduser().absolute()
    with _tracked(config, scratch, overrides, reporter, parent, name) as run:
        project = stages.project_path(workspace, config.project)
        with _timed(run, "train"):
            trained = _train(config, project, scratch, run)
        return RunOutcome(run.run_id, run.url, {"val/loss": trained.best_val_loss})


def run_prediction(
    config: PredictConfig,
    *,
    scratch: Path,
    overrides: list[str],
    reporter: Reporter,
    parent: str | None = None,
    name: str | None = None,
) -> RunOutcome:
    """Applies a network from the registry, a run or a folder to a data source's test set, as an MLflow run."""
    from segsweep.tracking import resolve_model

    workspace = Path(config.workspace).expanduser().absolute()
    store = open_store(config.workspace, config.tracking, reporter)
    model = resolve_model(store, config.model.source)
    with _tracked(config, scratch, overrides, reporter, parent, name) as run:
        made = stages.prepare(workspace, config.data, run)
        project = made.paths[made.test or made.train]
        with _timed(run, "predict"):
            predicted = stages.predict(workspace, model, project, config.inference, reporter=run)
        _log_masks(run, predicted.result, predicted.classes)
        run.set_tag("segsweep.result", str(predicted.result))
        reporter.message(f"predict: {predicted.images} images in {predicted.result}")
        return RunOutcome(run.run_id, run.url, {})


def run_evaluation(
    config: EvaluateConfig,
    *,
    scratch: Path,
    overrides: list[str],
    reporter: Reporter,
    parent: str | None = None,
    name: str | None = None,
) -> RunOutcome:
    """Scores one project against another, as an MLflow run."""
    workspace = Path(config.workspace).expanduser().absolute()
    section = config.evaluation
    with _tracked(config, scratch, overrides, reporter, parent, name) as run:
        truth = stages.project_path(workspace, section.project_gt)
        prediction = truth if section.project_pred is None else stages.project_path(workspace, section.project_pred)
        mapping = section.classes_mapping
        with _timed(run, "evaluate"):
            scores = stages.score(
                truth,
                prediction,
                {title: named for title, named in mapping.items() if title != section.background},
                section,
                background=(section.background, mapping.get(section.background, section.background))
                if section.background
                else None,
                neutral="neutral",
                output=scratch / "evaluation",
                reporter=run,
            )
        run.file(scratch / "evaluation")
        run.table("evaluation/per_image", scores.per_image)
        flat = _test_metrics(scores)
        run.metrics(flat, step=0)
        return RunOutcome(run.run_id, run.url, flat)


@contextmanager
def _tracked(
    config: Any,
    scratch: Path,
    overrides: list[str],
    reporter: Reporter,
    parent: str | None = None,
    name: str | None = None,
) -> Iterator[TrackedRun]:
    """A tracked run that has logged what it was asked to do and with which code."""
    store = open_store(config.workspace, config.tracking, reporter)
    plain = config.model_dump()
    if "dtl" in plain:  # by name, whatever form the graph was given in, so that runs can be compared
        plain["dtl"]["layers"] = {layer.name: layer.to_json() for layer in read_layers(plain["dtl"]["layers"])}
    with store.start_run(
        name or config.name,
        kind="run",
        parent=parent,
        params=plain,
        system_metrics=config.tracking.system_metrics,
        progress_with=reporter,
    ) as run:
        scratch.mkdir(parents=True, exist_ok=True)
        write_json(scratch / "config" / "config.json", plain)
        write_json(scratch / "config" / "overrides.json", overrides)
        run.file(scratch / "config")
        with _timed(run, "total"):
            yield run


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


def _train(config: RunConfig | TrainConfig, project: Path, scratch: Path, run: TrackedRun) -> TrainingResult:
    """Trains, keeps the checkpoints, and registers the network: `last` under its name, `best` marked."""
    from segsweep.tracking import register_model, resolve_model

    store = open_store(config.workspace, config.tracking, run)
    start = None if config.model.weights is None else resolve_model(store, config.model.weights)
    trained = stages.train(
        project,
        scratch / "checkpoints",
        config.model,
        config.training,
        config.augmentation,
        start_model=start,
        seed=config.seed,
        reporter=run,
    )
    run.file(scratch / "checkpoints")
    run.metrics({"train/parameters": trained.parameters, "train/steps": trained.steps}, step=trained.steps)
    run.set_tag("segsweep.device", f"{trained.device} {trained.precision}")
    if config.tracking.register_model:
        name = config.model.registered_name
        if trained.best_step == trained.steps - 1:
            register_model(store, run, trained.last, name, aliases=("best", "last"))
        else:
            register_model(store, run, trained.best, name, aliases=("best",))
            register_model(store, run, trained.last, name, aliases=("last",))
    return trained


def _log_masks(run: TrackedRun, result: Path, classes: dict[str, str]) -> None:
    """Logs the predicted classes of each image as a mask picture in the classes' colours."""
    project = Project.open(result)
    colours = {item.title: item.color for item in project.meta.classes}
    wanted = set(classes.values())
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
