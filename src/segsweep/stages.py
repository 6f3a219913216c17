"""Each stage with its section of the configuration: settings in, a placed and fingerprinted result out.

A project made by a stage lies at `projects/<name>` of the workspace; when that name is taken by a project of another
fingerprint, at `projects/<name>-<first 8 of the fingerprint>`. So an equal stage is found again, and nothing that is
there is ever overwritten.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from segsweep.annotation import Project, project_digest
from segsweep.annotation.project import PROVENANCE, edited_since_made
from segsweep.config.schema import DtlSection, InferenceSection
from segsweep.errors import DataError, nearest
from segsweep.files import check_name, digest_files, digest_json, replace_directory
from segsweep.locks import held
from segsweep.reporting import Reporter
from segsweep.versions import VERSIONS

if TYPE_CHECKING:
    from segsweep.datasets import MadeProjects, PlannedData
    from segsweep.dtl import LayerSpec, TransformSummary
    from segsweep.inference import PredictionResult

__all__ = [
    "PlannedTransform",
    "fingerprint_of",
    "identity_of",
    "is_predicted",
    "made_since",
    "place",
    "plan_data",
    "plan_transform",
    "predict",
    "prediction_inputs",
    "prepare",
    "project_path",
    "transform",
]

M = TypeVar("M", bound="_Made")

_NOT_IN_PREDICTIONS = {"file", "result_project", "checkpoint", "model", "batch_size"}
"""Settings of an inference that say where, how fast and with which files, not what comes out."""


def fingerprint_of(path: Path) -> str | None:
    """The fingerprint that a made project carries; None where there is none."""
    try:
        value = Project.open(path).provenance.get("fingerprint")
    except DataError:
        return None
    return value if isinstance(value, str) else None


def identity_of(path: Path) -> str:
    """What tells a project from others: the fingerprint that it carries, else the digest of its files.

    Of a project that was edited after it was made, what is newer than its `segsweep.json` counts by its content too.
    """
    made = fingerprint_of(path)
    if made is None:
        return project_digest(path)
    edited = edited_since_made(path)
    return digest_json({"made": made, "edited": digest_files(path, edited)}) if edited else made


def place(workspace: Path, name: str, fingerprint: str) -> Path:
    """Where a project of this name and fingerprint lies, or is to be made."""
    plain = workspace / "projects" / check_name(name, "project name")
    if not plain.exists() or fingerprint_of(plain) == fingerprint:
        return plain
    return plain.with_name(f"{name}-{fingerprint[:8]}")


def made_since(path: Path, since: float) -> bool:
    """Whether the file at a path was written at or after a time (seconds since 1970)."""
    try:
        return path.stat().st_mtime >= since
    except FileNotFoundError:
        return False


class _Made(Protocol):
    """What a stage answers that makes a project: a dataclass that says where it lies."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def result(self) -> Path: ...


def _placed(
    workspace: Path,
    what: str,
    name: str,
    fingerprint: str,
    make: Callable[[Path], M],
    reporter: Reporter,
    since: float | None = None,
) -> M:
    """Makes a project at its place, or finds it there; two that want the same at once make it once.

    Args:
        workspace: The workspace's folder.
        what: The stage, for messages.
        name: The project's name.
        fingerprint: What determines its content.
        make: Makes the project at a path, or finds it there.
        reporter: Told when another process is waited for.
        since: A project that was made before this time is made anew, aside, and put in its place then.
    """
    with held(workspace, what, fingerprint, reporter):
        try:
            return _at_place(place(workspace, name, fingerprint), make, since)
        except FileExistsError:  # a project of another fingerprint took the place meanwhile
            return _at_place(place(workspace, name, fingerprint), make, since)


def _at_place(result: Path, make: Callable[[Path], M], since: float | None) -> M:
    if since is None or not result.exists() or made_since(result / PROVENANCE, since):
        return make(result)
    with tempfile.TemporaryDirectory(prefix=f".{result.name}.", dir=result.parent) as aside:
        made = make(Path(aside) / result.name)
        replace_directory(result, made.result)
    return replace(made, result=result)


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


def plan_data(data: dict[str, Any], reporter: Reporter) -> PlannedData:
    """The projects of a data source with their fingerprints, before they are made."""
    from segsweep.datasets import plan_projects

    return plan_projects(data["source"], {key: value for key, value in data.items() if key != "source"}, reporter)


def prepare(
    workspace: Path, data: dict[str, Any] | PlannedData, reporter: Reporter, *, since: float | None = None
) -> MadeProjects:
    """Makes, or finds, the projects of a data source.

    Args:
        workspace: The workspace's folder.
        data: The section of the configuration, or what it means.
        reporter: Hears of the progress.
        since: Projects that were made before this time are made anew.
    """
    planned = plan_data(data, reporter) if isinstance(data, dict) else data

    def there(name: str, fingerprint: str) -> Path:
        return place(workspace, name, fingerprint)

    if planned.in_place.keys() == planned.fingerprints.keys():  # nothing is made, so nobody is waited for
        return planned.make(there, reporter)
    with held(workspace, "data", planned.digest, reporter):
        if since is not None:
            _make_data_anew(planned, there, since, reporter)
        return planned.make(there, reporter)


def _make_data_anew(planned: PlannedData, there: Callable[[str, str], Path], since: float, reporter: Reporter) -> None:
    """Replaces those projects that were made before a time."""
    places = {name: there(name, digest) for name, digest in planned.fingerprints.items()}
    old = {
        name: path
        for name, path in places.items()
        if name not in planned.in_place and path.exists() and not made_since(path / PROVENANCE, since)
    }
    if old:
        folder = next(iter(old.values())).parent
        with tempfile.TemporaryDirectory(prefix=".data.", dir=folder) as aside:
            made = planned.make(lambda name, _: Path(aside) / name, reporter)
            for name, path in old.items():
                replace_directory(path, made.paths[name])


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


def plan_transform(
    workspace: Path,
    section: DtlSection,
    projects: Mapping[str, Path],
    seed: int,
    fingerprints: Mapping[str, str] | None = None,
) -> PlannedTransform:
    """Finds what a (checked) graph reads and where its result belongs.

    Args:
        workspace: The workspace's folder.
        section: The graph and how it is run.
        projects: Made projects by name; others are taken from the workspace.
        seed: Seed of every random draw.
        fingerprints: Of projects that need not be made yet, by name.
    """
    from segsweep.dtl import input_projects, read_layers
    from segsweep.dtl.names import SAVES

    layers = read_layers(section.layers)
    name = next(layer.dst[0] for layer in layers if layer.action in SAVES)
    inputs = {source: projects.get(source) or project_path(workspace, source) for source in input_projects(layers)}
    known = fingerprints or {}
    digests = {source: known.get(source) or identity_of(path) for source, path in inputs.items()}
    graph = {layer.name: layer.to_json() for layer in layers}  # draws and names depend on the layers' names too
    fingerprint = digest_json({"v": VERSIONS["transform"], "graph": graph, "seed": seed, "inputs": digests})
    provenance = {"fingerprint": fingerprint, "graph": graph, "seed": seed, "inputs": digests}
    return PlannedTransform(layers, inputs, name, workspace, provenance)


def transform(
    plan: PlannedTransform, section: DtlSection, reporter: Reporter, *, since: float | None = None
) -> TransformSummary:
    """Runs a planned DTL graph, or finds its result; tells what every layer did, in either case.

    Args:
        plan: The graph and where its result belongs.
        section: How it is run.
        reporter: Hears of the progress.
        since: A result that was made before this time is made anew, as any is with `dtl.reuse=false`.

    Raises:
        DataError: Every image was left out.
    """
    from segsweep.dtl import TransformSummary, summary_table
    from segsweep.dtl import transform as run_graph

    def make(result: Path) -> TransformSummary:
        if not result.exists():
            return compute(result)
        summary = TransformSummary.from_json(result, Project.open(result).provenance["summary"])
        reporter.message(f"transform: {result.name} is there already and is used again")
        for source, reason in summary.skipped:
            reporter.message(f"{source} was left out: {reason}", "warning")
        return summary

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
        left_out = f", {len(summary.skipped)} source images left out" if summary.skipped else ""
        reporter.message(f"transform: {summary.outputs} images in {result.name}{left_out}")
        return summary

    wanted = since if section.reuse else max(since or 0.0, time.time())
    fingerprint = plan.provenance["fingerprint"]
    return _placed(plan.workspace, "transform", plan.name, fingerprint, make, reporter, wanted)


_IMAGES_A_PROCESS = 4
"""Fewer source images than this do not pay for starting a process."""


def _workers(section: DtlSection, inputs: Mapping[str, Path]) -> int:
    """The number of processes that was asked for, or one for each core as far as there is work for it."""
    if section.workers is not None:
        return section.workers
    images = sum(len(Project.open(path).items) for path in inputs.values())
    return max(1, min(os.cpu_count() or 1, images // _IMAGES_A_PROCESS))


def prediction_inputs(model: Path, project: str, section: InferenceSection, probability_maps: bool) -> dict[str, Any]:
    """What determines a prediction; its digest is the prediction's fingerprint.

    Args:
        model: The model folder.
        project: What tells the project from others (`identity_of`).
        section: How the model is applied.
        probability_maps: Whether the probabilities are kept.
    """
    return {
        "v": VERSIONS["predict"],
        "model": digest_files(model, [model / "config.json", model / "model.pt"]),
        "project": project,
        "inference": section.model_dump(exclude=_NOT_IN_PREDICTIONS),
        "probability_maps": probability_maps,
    }


def is_predicted(
    workspace: Path, model: Path, project: str, section: InferenceSection, *, probability_maps: bool
) -> bool:
    """Whether `predict` would find its result there; the project is told by `identity_of`."""
    fingerprint = digest_json(prediction_inputs(model, project, section, probability_maps))
    return fingerprint_of(place(workspace, section.result_project, fingerprint)) == fingerprint


def predict(
    workspace: Path,
    model: Path,
    project: Path,
    section: InferenceSection,
    *,
    probability_maps: bool = False,
    reporter: Reporter,
    since: float | None = None,
) -> PredictionResult:
    """Applies a model folder to a project, or finds the result; it is a project placed in the workspace.

    Args:
        workspace: The workspace's folder.
        model: The model folder.
        project: The project.
        section: How it is applied.
        probability_maps: Whether the probabilities are kept beside the masks.
        reporter: Hears of the progress.
        since: A result that was made before this time is made anew.
    """
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
    inputs = prediction_inputs(model, identity_of(project), section, probability_maps)
    fingerprint = digest_json(inputs)
    provenance = {"fingerprint": fingerprint, "inputs": inputs}

    def make(result: Path) -> PredictionResult:
        return run_inference(model, project, result, settings, reporter=reporter, provenance=provenance)

    return _placed(workspace, "predict", section.result_project, fingerprint, make, reporter, since)
