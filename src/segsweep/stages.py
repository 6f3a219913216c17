"""Each stage with its section of the configuration: settings in, a placed and fingerprinted result out.

A project made by a stage lies at `projects/<name>` of the workspace; when that name is taken by a project of another
fingerprint, at `projects/<name>-<first 8 of the fingerprint>`. So an equal stage is found again, and nothing that is
there is ever overwritten.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from segsweep.annotation import Project, project_digest
from segsweep.config.schema import (
    DtlSection,
    EvaluationSection,
    InferenceSection,
)
from segsweep.errors import DataError, InvalidRequestError, Problem, nearest
from segsweep.files import check_name, digest_files, digest_json, replace_directory
from segsweep.reporting import Reporter

if TYPE_CHECKING:
    from segsweep.datasets import MadeProjects
    from segsweep.dtl import LayerSpec, TransformSummary
    from segsweep.evaluation import Scores
    from segsweep.inference import PredictionResult

__all__ = [
    "PlannedTransform",
    "best_threshold",
    "fingerprint_of",
    "place",
    "plan_transform",
    "predict",
    "prepare",
    "project_path",
    "score",
    "transform",
]

T = TypeVar("T")

_TRANSFORM_VERSION = 2
_PREDICT_VERSION = 2
_NOT_IN_PREDICTIONS = {"file", "result_project", "checkpoint", "model", "batch_size"}
"""Settings of an inference that say where, how fast and with which files, not what comes out."""


def fingerprint_of(path: Path) -> str | None:
    """The fingerprint that a made project carries; None where there is none."""
    try:
        value = Project.open(path).provenance.get("fingerprint")
    except DataError:
        return None
    return value if isinstance(value, str) else None


def place(workspace: Path, name: str, fingerprint: str) -> Path:
    """Where a project of this name and fingerprint lies, or is to be made."""
    plain = workspace / "projects" / check_name(name, "project name")
    if not plain.exists() or fingerprint_of(plain) == fingerprint:
        return plain
    return plain.with_name(f"{name}-{fingerprint[:8]}")


def _placed(workspace: Path, name: str, fingerprint: str, make: Callable[[Path], T]) -> T:
    """Makes a project at its place; when another process took that meanwhile, at the place that it has then."""
    try:
        return make(place(workspace, name, fingerprint))
    except FileExistsError:
        return make(place(workspace, name, fingerprint))


def project_path(workspace: Path, name: str) -> Path:
    """The project that a user names: a name under `projects/` of the workspace, or a path.

    Raises:
        DataError: There is none; the nearest names are told.
    """
    folder = workspace / "projects"
    for candidate in (folder / name, Path(name).expanduser()):
        if (candidate / "meta.json").is_file():
            return candidate
    known = [entry.parent.name for entry in folder.glob("[!.]*/meta.json")]
    raise DataError(f"no project {name!r} under {folder}, nor a project folder of that path; {nearest(name, known)}")


def prepare(workspace: Path, data: dict[str, Any], reporter: Reporter) -> MadeProjects:
    """Makes, or finds, the projects of a data source."""
    from segsweep.datasets import make_projects

    settings = {key: value for key, value in data.items() if key != "source"}
    return make_projects(data["source"], settings, lambda name, digest: place(workspace, name, digest), reporter)


@dataclass(frozen=True)
class PlannedTransform:
    """A transformation that can be run or found.

    Attributes:
        layers: The graph.
        inputs: Folders of the projects that it reads, by name.
        name: The name of the project that it writes.
        workspace: The workspace's folder.
        provenance: What determines the result, with its fingerprint.
    """

    layers: list[LayerSpec]
    inputs: dict[str, Path]
    name: str
    workspace: Path
    provenance: dict[str, Any]

    @property
    def result(self) -> Path:
        """Where that project lies, or is to be made."""
        return place(self.workspace, self.name, self.provenance["fingerprint"])


def plan_transform(workspace: Path, section: DtlSection, projects: Mapping[str, Path], seed: int) -> PlannedTransform:
    """Finds what a (checked) graph reads and where its result belongs.

    Args:
        workspace: The workspace's folder.
        section: The graph and how it is run.
        projects: Made projects by name; others are taken from the workspace.
        seed: Seed of every random draw.
    """
    from segsweep.dtl import input_projects, read_layers
    from segsweep.dtl.names import SAVES

    layers = read_layers(section.layers)
    name = next(layer.dst[0] for layer in layers if layer.action in SAVES)
    inputs = {source: projects.get(source) or project_path(workspace, source) for source in input_projects(layers)}
    digests = {source: fingerprint_of(path) or project_digest(path) for source, path in inputs.items()}
    graph = {layer.name: layer.to_json() for layer in layers}  # draws and names depend on the layers' names too
    fingerprint = digest_json({"v": _TRANSFORM_VERSION, "graph": graph, "seed": seed, "inputs": digests})
    provenance = {"fingerprint": fingerprint, "graph": graph, "seed": seed, "inputs": digests}
    return PlannedTransform(layers, inputs, name, workspace, provenance)


def transform(plan: PlannedTransform, section: DtlSection, reporter: Reporter) -> TransformSummary:
    """Runs a planned DTL graph, or finds its result; tells what every layer did, in either case.

    Raises:
        DataError: Every image was left out.
    """
    from segsweep.dtl import TransformSummary, summary_table
    from segsweep.dtl import transform as run_graph

    def make(result: Path) -> TransformSummary:
        if not result.exists():
            return compute(result)
        if section.reuse:
            summary = TransformSummary.from_json(result, Project.open(result).provenance["summary"])
            reporter.message(f"transform: {result.name} is there already and is used again")
            for source, reason in summary.skipped:
                reporter.message(f"{source} was left out: {reason}", "warning")
            return summary
        with tempfile.TemporaryDirectory(prefix=f".{result.name}.", dir=result.parent) as aside:
            summary = compute(Path(aside) / result.name)
            replace_directory(result, summary.result)
        return replace(summary, result=result)

    def compute(result: Path) -> TransformSummary:
        summary = run_graph(
            plan.layers,
            plan.inputs,
            result,
            seed=plan.provenance["seed"],
            workers=_workers(section, plan.inputs),
            on_error=section.on_error,
            reporter=reporter,
            provenance=plan.provenance,
        )
        if summary.outputs == 0:
            shutil.rmtree(result)
            raise DataError(f"the graph gave no image\n{summary_table(summary)}")
        return summary

    summary = _placed(plan.workspace, plan.name, plan.provenance["fingerprint"], make)
    left_out = f", {len(summary.skipped)} source images left out" if summary.skipped else ""
    reporter.message(f"transform: {summary.outputs} images in {summary.result.name}{left_out}")
    return summary


_IMAGES_A_PROCESS = 4
"""Fewer source images than this do not pay for starting a process."""


def _workers(section: DtlSection, inputs: Mapping[str, Path]) -> int:
    """The number of processes that was asked for, or one for each core as far as there is work for it."""
    if section.workers is not None:
        return section.workers
    images = sum(len(Project.open(path).items) for path in inputs.values())
    return max(1, min(os.cpu_count() or 1, images // _IMAGES_A_PROCESS))


def predict(
    workspace: Path,
    model: Path,
    project: Path,
    section: InferenceSection,
    *,
    probability_maps: bool = False,
    reporter: Reporter,
) -> PredictionResult:
    """Applies a model folder to a project, or finds the result; it is a project placed in the workspace."""
    from segsweep.inference import InferenceSettings, settings_from_mode
    from segsweep.inference import predict as run_inference

    existing = section.existing_objects
    additions = InferenceSettings(
        resolution=section.resolution,
        keep_classes=None if existing.save_classes == "__all__" else tuple(existing.save_classes),
        keep_suffix=existing.add_suffix,
        probability_maps=probability_maps,
        blend=section.blend,
        flip_average=section.flip_average,
        threshold=section.threshold,
        min_component=section.min_component,
        shape=section.shape,
        batch_size=section.batch_size,
        device=section.model.gpu_device,
        precision=section.precision,
    )
    settings = settings_from_mode(section.mode, additions)
    inputs = {
        "v": _PREDICT_VERSION,
        "model": digest_files(model, [model / "config.json", model / "model.pt"]),
        "project": fingerprint_of(project) or project_digest(project),
        "inference": section.model_dump(exclude=_NOT_IN_PREDICTIONS),
        "probability_maps": probability_maps,
    }
    fingerprint = digest_json(inputs)
    provenance = {"fingerprint": fingerprint, "inputs": inputs}

    def make(result: Path) -> PredictionResult:
        return run_inference(model, project, result, settings, reporter=reporter, provenance=provenance)

    return _placed(workspace, section.result_project, fingerprint, make)


def best_threshold(
    workspace: Path,
    model: Path,
    project: Path,
    section: InferenceSection,
    region: Literal["whole_frame", "field_of_view"],
    *,
    background: str,
    neutral: str,
    reporter: Reporter,
) -> float:
    """The probability from which on pixels are called positive to get the highest pooled Dice on a project.

    Raises:
        InvalidRequestError: The network has other than two classes.
    """
    from segsweep.evaluation import evaluate

    plain = section.model_copy(update={"threshold": None, "result_project": f"{section.result_project}_train"})
    predicted = predict(workspace, model, project, plain, probability_maps=True, reporter=reporter)
    classes = {title: named for title, named in predicted.classes.items() if title != background}
    if len(classes) != 1:
        problem = Problem("inference.threshold", f"is for two classes, and the network has {len(predicted.classes)}")
        raise InvalidRequestError([problem], "no threshold can be chosen")
    scores = evaluate(
        project,
        predicted.result,
        classes,
        background=(background, predicted.classes[background]) if background in predicted.classes else None,
        neutral=neutral,
        region=region,
    )
    return scores.roc[next(iter(classes))].best_threshold


def score(
    truth: Path,
    prediction: Path,
    classes_mapping: dict[str, str],
    section: EvaluationSection,
    *,
    background: tuple[str, str] | None,
    neutral: str,
    output: Path,
    reporter: Reporter,
) -> Scores:
    """Scores a prediction project against an annotated one; writes tables and pictures to `output`."""
    from segsweep.evaluation import evaluate

    return evaluate(
        truth,
        prediction,
        classes_mapping,
        background=background,
        neutral=neutral,
        region=section.region,
        average=section.average,
        pictures=section.pictures,
        output=output,
        reporter=reporter,
    )
