"""What only the stages can judge of a configuration: sources, graphs, networks, augmentations, inference modes.

Cheap: nothing heavy is imported, nothing is written. Every function notes all problems it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from segsweep.annotation import Project
from segsweep.config.actions import (
    AddModelConfig,
    DescribeConfig,
    ExportConfig,
    ExportModelConfig,
    MakeConfig,
    ModelsConfig,
    ProjectsConfig,
)
from segsweep.config.schema import (
    CompareConfig,
    DtlConfig,
    DtlSection,
    EvaluateConfig,
    GraphConfig,
    ModelSection,
    PredictConfig,
    RerunConfig,
    RunConfig,
    StatusConfig,
    TrainConfig,
    TrainingSection,
)
from segsweep.errors import DataError, InvalidRequestError, Problems, nearest

__all__ = ["CHECKS"]


def _check_workspace(workspace: str, problems: Problems) -> None:
    path = Path(workspace).expanduser()
    if path.exists() and not path.is_dir():
        problems.add("workspace", f"{workspace} is no folder")


def _check_data(data: dict[str, Any], problems: Problems) -> set[str]:
    """Checks a source; returns the names of the projects that it makes."""
    from segsweep.datasets import check_source

    source = data.get("source")
    if not isinstance(source, str):
        problems.add("data.source", "must be given", "choose a source with data=…")
        return set()
    check_source(source, {key: value for key, value in data.items() if key != "source"}, problems, "data")
    made = {role: data.get(f"{role}project") for role in ("", "val_", "test_") if _is_made(data, role)}
    return {name for name in made.values() if isinstance(name, str)}


def _is_made(data: dict[str, Any], role: str) -> bool:
    """Whether a source's settings name a set: its pictures, their number, list or path; others always make it."""
    given = [data[key] for key in (f"{role}images", f"{role}path", f"{role}split") if key in data]
    return not given or any(given)


def _check_graph(section: DtlSection, made: set[str], workspace: Path, problems: Problems) -> None:
    from segsweep.dtl import check_graph, input_projects, read_layers

    if not section.layers:
        problems.add("dtl.layers", "there are no layers", "choose a graph with dtl=… or dtl.file=graph.json")
        return
    before = len(problems.found)
    try:
        layers = read_layers(section.layers)
    except InvalidRequestError as error:
        problems.extend(error.problems)
        return
    metas = {}
    for name in sorted(set(input_projects(layers)) - made):
        path = workspace / "projects" / name
        try:
            metas[name] = Project.open(path).meta
        except DataError as error:
            known = made | {
                entry.name for entry in (workspace / "projects").glob("*/") if not entry.name.startswith(".")
            }
            if path.exists():
                problems.add("dtl", str(error))
            else:
                problems.unknown(f"dtl: project {name!r} of the data layers", name, known, kind="project")
    complete = len(problems.found) == before and len(metas) == len(input_projects(layers))
    check_graph(layers, metas if complete else None, problems)


def _check_model(model: ModelSection, problems: Problems) -> None:
    from segsweep.models import MODELS
    from segsweep.models.pretrained import PRETRAINED, check_pretrained

    if model.name not in MODELS:
        problems.unknown("model.name", model.name, MODELS, kind="architecture")
    if model.weights in PRETRAINED:
        check_pretrained(model.weights, model.name, model.width, problems, "model.weights")
    elif model.weights is not None:
        _check_weights("model.weights", model.weights, problems)


def _check_weights(where: str, source: str, problems: Problems) -> None:
    """Notes a path that is not there; what the registry knows is not asked yet."""
    from segsweep.models.pretrained import PRETRAINED

    if not source.startswith(("models:", "run:", "runs:")) and not Path(source).expanduser().exists():
        problems.add(where, f"no such file or folder: {source}", f"published weights: {nearest(source, PRETRAINED)}")


def _is_bare_file(weights: str | None) -> bool:
    path = Path(weights or "").expanduser()
    return path.is_file() and not (path.name == "model.pt" and (path.parent / "config.json").is_file())


def _check_training(
    training: TrainingSection, model: ModelSection, augmentation: dict[str, Any], problems: Problems
) -> None:
    from segsweep.models import MODELS
    from segsweep.models.pretrained import PRETRAINED
    from segsweep.training.augmentation import check_augmentation

    divisor = MODELS[model.name].divisor if model.name in MODELS else 1
    width, height = training.input_size.width, training.input_size.height or training.input_size.width
    if width % divisor or height % divisor:
        what = f"{width}x{height} will not do: {model.name} needs multiples of {divisor}"
        problems.add("training.input_size", what, f"use {width + -width % divisor}x{height + -height % divisor}")
    if training.loss_weights.bce + training.loss_weights.dice == 0:
        problems.add("training.loss_weights", "bce and dice are both 0", "at least one must be positive")
    if training.weights_init_type == "continue_training" and model.weights is None:
        problems.add("training.weights_init_type", "continue_training needs a starting model", "add model.weights=…")
    if training.weights_init_type == "continue_training" and model.weights in PRETRAINED:
        what = f"continue_training needs a whole model, and {model.weights} is an encoder"
        problems.add("training.weights_init_type", what, "use transfer_learning")
    if training.weights_init_type == "continue_training" and _is_bare_file(model.weights):
        what = f"continue_training needs a whole model, with its classes, and {model.weights} is a file of weights"
        problems.add("training.weights_init_type", what, "use transfer_learning, or name a model folder")
    if training.special_classes.background == training.special_classes.neutral:
        problems.add("training.special_classes", "background and neutral must differ")
    if training.steps is not None and training.minutes is not None:
        problems.add("training.minutes", "is given beside training.steps", "say in one way how long it takes")
    if training.foreground_share and training.sampling != "crop":
        problems.add("training.foreground_share", "is about crops", "add training.sampling=crop, or leave it at 0")
    if training.crops_per_image != 1 and training.sampling != "crop":
        problems.add("training.crops_per_image", "is about crops", "add training.sampling=crop, or leave it at 1")
    if training.lr_cycles != 1 and training.lr_schedule != "cosine":
        problems.add(
            "training.lr_cycles", "is about cosine cycles", "add training.lr_schedule=cosine, or leave it at 1"
        )
    if training.image_scale != 1 and training.sampling != "crop":
        problems.add("training.image_scale", "is about crops", "add training.sampling=crop, or leave it at 1")
    if training.processes > 1 and isinstance(training.gpu_devices, list):
        problems.add("training.processes", "is for the CPU, and gpu_devices names GPUs", "use one of them")
    if training.dataset_tags.train == training.dataset_tags.val:
        problems.add("training.dataset_tags", "train and val name the same tag: both sets would be equal")
    square = training.input_size.height in {None, training.input_size.width}
    check_augmentation(augmentation, problems, "augmentation", square=square)


def check_run(config: RunConfig, problems: Problems) -> None:
    """Checks `segsweep run`."""
    from segsweep.inference.modes import check_mode

    _check_workspace(config.workspace, problems)
    made = _check_data(config.data, problems)
    _check_graph(config.dtl, made, Path(config.workspace).expanduser(), problems)
    _check_model(config.model, problems)
    _check_training(config.training, config.model, config.augmentation, problems)
    check_mode(config.inference.mode, problems, "inference.mode", config.inference.resolution)
    _check_measures(config.evaluation.measures, problems)
    if not _is_made(config.data, "test_"):
        problems.add(
            "data", "has no test set", "give data.test_path, data.test_images or data.test_split, or use segsweep train"
        )


def check_dtl(config: DtlConfig, problems: Problems) -> None:
    """Checks `segsweep dtl`."""
    _check_workspace(config.workspace, problems)
    made = _check_data(config.data, problems) if config.data else set()
    _check_graph(config.dtl, made, Path(config.workspace).expanduser(), problems)


def check_drawing(config: GraphConfig, problems: Problems) -> None:
    """Checks `segsweep graph`: the graph alone; its projects need not be there."""
    from segsweep.dtl import check_graph, read_layers

    if Path(config.output).name in {"", ".."} or "\0" in config.output:
        problems.add("output", f"{config.output!r} names no file", "such as graph or graph.svg")
    if not config.dtl.layers:
        problems.add("dtl.layers", "there are no layers", "choose a graph with dtl=… or dtl.file=graph.json")
        return
    try:
        check_graph(read_layers(config.dtl.layers), None, problems)
    except InvalidRequestError as error:
        problems.extend(error.problems)


def check_train(config: TrainConfig, problems: Problems) -> None:
    """Checks `segsweep train`."""
    _check_workspace(config.workspace, problems)
    _check_project("project", config.project, config.workspace, problems)
    _check_model(config.model, problems)
    _check_training(config.training, config.model, config.augmentation, problems)


def check_predict(config: PredictConfig, problems: Problems) -> None:
    """Checks `segsweep predict`."""
    from segsweep.inference.modes import check_mode

    _check_workspace(config.workspace, problems)
    _check_data(config.data, problems)
    check_mode(config.inference.mode, problems, "inference.mode", config.inference.resolution)
    if config.inference.threshold == "train":
        problems.add("inference.threshold", "'train' needs a training in the same run", "give a number")


def check_evaluate(config: EvaluateConfig, problems: Problems) -> None:
    """Checks `segsweep evaluate`."""
    _check_workspace(config.workspace, problems)
    evaluation = config.evaluation
    truth = _check_project("evaluation.project_gt", evaluation.project_gt, config.workspace, problems)
    prediction = truth
    if evaluation.project_pred is not None:
        prediction = _check_project("evaluation.project_pred", evaluation.project_pred, config.workspace, problems)
    _check_measures(evaluation.measures, problems)
    if not evaluation.classes_mapping and evaluation.class_suffix is None:
        hint = "add evaluation.classes_mapping={class: predicted class}, or evaluation.class_suffix=_unet"
        problems.add("evaluation.classes_mapping", "must be given", hint)
    if evaluation.classes_mapping and evaluation.class_suffix is not None:
        problems.add("evaluation.class_suffix", "is not for use together with evaluation.classes_mapping")
    elif evaluation.class_suffix is not None and truth is not None and prediction is not None:
        _check_suffix(truth, prediction, evaluation.class_suffix, problems)


def _check_suffix(truth: Path, prediction: Path, suffix: str, problems: Problems) -> None:
    from segsweep.evaluations import classes_by_suffix

    try:
        classes_by_suffix(truth, prediction, suffix)
    except InvalidRequestError as error:
        problems.extend(error.problems)
    except DataError as error:
        problems.add("evaluation.class_suffix", f"cannot be looked up: {error}")


def _check_measures(names: Iterable[str], problems: Problems) -> None:
    from segsweep.evaluation import check_measures

    check_measures(names, problems, "evaluation.measures")


def _check_project(where: str, name: str, workspace: str, problems: Problems) -> Path | None:
    """Where a project lies; None, with the problem noted, where there is none."""
    from segsweep.stages import project_path

    try:
        return project_path(Path(workspace).expanduser(), name)
    except DataError as error:
        problems.add(where, str(error))
        return None


def check_projects(config: ProjectsConfig, problems: Problems) -> None:
    """Checks `segsweep data list`."""
    _check_workspace(config.workspace, problems)


def check_describe(config: DescribeConfig, problems: Problems) -> None:
    """Checks `segsweep data describe`."""
    _check_workspace(config.workspace, problems)
    _check_project("project", config.project, config.workspace, problems)


def check_make(config: MakeConfig, problems: Problems) -> None:
    """Checks `segsweep data make` and `segsweep data import`."""
    _check_workspace(config.workspace, problems)
    _check_data(config.data, problems)


def check_export(config: ExportConfig, problems: Problems) -> None:
    """Checks `segsweep data export`."""
    from segsweep.datasets.exports import EXPORTS

    check_describe(config, problems)
    if config.format not in EXPORTS:
        problems.unknown("format", config.format, EXPORTS, kind="format")
    output = Path(config.output).expanduser()
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        problems.add("output", f"{output} is there already", "name a folder that is not")
    if config.background == config.neutral:
        problems.add("background", "is the same class as neutral", "name two classes")


def check_status(config: StatusConfig, problems: Problems) -> None:
    """Checks `segsweep status`; what the store knows is asked later."""
    _check_workspace(config.workspace, problems)


def check_models(config: ModelsConfig, problems: Problems) -> None:
    """Checks `segsweep models list` and `segsweep models show`."""
    _check_workspace(config.workspace, problems)


def check_rerun(config: RerunConfig, problems: Problems) -> None:
    """Checks `segsweep rerun`; what the run recorded is checked when it is known."""
    _check_workspace(config.workspace, problems)


def check_compare(config: CompareConfig, problems: Problems) -> None:
    """Checks `segsweep compare`; what the store knows is asked later."""
    _check_workspace(config.workspace, problems)
    if config.output is not None and Path(config.output).expanduser().is_file():
        problems.add("output", f"{config.output} is a file", "name a folder")


def check_add_model(config: AddModelConfig, problems: Problems) -> None:
    """Checks `segsweep models add`."""
    from segsweep.models.folder import model_path
    from segsweep.models.pretrained import PRETRAINED

    check_models(config, problems)
    if config.weights in PRETRAINED:
        what = f"{config.weights} is an encoder and no whole network"
        problems.add("weights", what, f"a training may start from it: model.weights={config.weights}")
    else:
        _check_weights("weights", config.weights, problems)
    if model_path(Path(config.weights).expanduser()).is_file() and (
        config.classes is None or config.input_size.width is None
    ):
        what = "is a file, which tells neither its classes nor its input size"
        problems.add("weights", what, "add classes=[bg,…] input_size.width=… or name the model folder that it is in")


def check_export_model(config: ExportModelConfig, problems: Problems) -> None:
    """Checks `segsweep models export`."""
    check_models(config, problems)
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        problems.add("", f"{' and '.join(missing)} must be installed", "pip install 'segsweep[onnx]'")
    source = config.model.source
    if not source.startswith(("models:", "run:", "runs:")) and not Path(source).expanduser().is_dir():
        what = f"no such model folder: {source}"
        problems.add("model", what, "write models:/<name>@<alias>, runs:/<id> or a model folder's path")
    output = Path(config.output).expanduser()
    if output.suffix != ".onnx":
        problems.add("output", f"{config.output!r} is no name of an ONNX file", "such as net.onnx")
    elif output.is_dir():
        problems.add("output", f"{config.output} is a folder", "name a file in it")
    elif output.exists() and not config.overwrite:
        problems.add("output", f"{config.output} is there already", "name another file, or add overwrite=true")
    if config.image is not None and not Path(config.image).expanduser().is_file():
        problems.add("image", f"no such file: {config.image}")


CHECKS: dict[str, Callable[[Any, Problems], None]] = {
    "run": check_run,
    "dtl": check_dtl,
    "graph": check_drawing,
    "train": check_train,
    "predict": check_predict,
    "evaluate": check_evaluate,
    "rerun": check_rerun,
    "compare": check_compare,
    "status": check_status,
    "data_list": check_projects,
    "data_describe": check_describe,
    "data_make": check_make,
    "data_import": check_make,
    "data_export": check_export,
    "models_list": check_models,
    "models_show": check_models,
    "models_add": check_add_model,
    "models_export": check_export_model,
}
