"""`segsweep models ACTION`: the registered networks of a workspace."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from segsweep.app.actions import Action, run_action
from segsweep.app.console import ConsoleReporter
from segsweep.app.tables import show_table, show_tables
from segsweep.config.actions import AddModelConfig, ExportModelConfig, ModelsConfig, ShowModelConfig

if TYPE_CHECKING:
    from segsweep.tracking import ListedModel, ListedVersion

__all__ = ["ACTIONS", "main", "short_model"]


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    return run_action("models", ACTIONS, [short_model(item) for item in arguments])


def short_model(argument: str) -> str:
    """`model=…` is short for `model.source=…` where a network is named; to Hydra it is the config group `model`."""
    return argument.replace("model=", "model.source=", 1) if argument.startswith("model=") else argument


def _list(config: ModelsConfig, reporter: ConsoleReporter) -> None:
    from segsweep.tracking import list_models

    store = _store(config)
    models = list_models(store)
    if not models:
        reporter.message(f"no network is registered in {store}; train one, or segsweep models add NAME weights=…")
        return
    columns = ["model", "versions", "aliases", "architecture", "classes", "input", "created", "run", "best score"]
    show_table(columns, map(_row, models), numbers=["versions"])


def _row(model: ListedModel) -> list[str]:
    """A model as its newest version is, with the best score of all."""
    aliases = {alias: item.number for item in model.versions for alias in item.aliases}
    named = ", ".join(f"{alias} {number}" for alias, number in sorted(aliases.items()))
    if not model.versions:
        return [model.name, "0", named, *[""] * 6]
    newest, best = model.versions[0], model.best
    score = f"{_score(best)} ({best.number})" if best else ""
    facts = [_architecture(newest), ", ".join(newest.classes), newest.input_size, _time(newest.created)]
    return [model.name, str(len(model.versions)), named, *facts, newest.run_name, score]


def _show(config: ShowModelConfig, reporter: ConsoleReporter) -> None:
    from segsweep.models.folder import read_config
    from segsweep.tracking import flatten, list_versions, resolve_model

    store = _store(config)
    version, model = list_versions(store, f"models:/{config.name.removeprefix('models:/')}")
    folder = resolve_model(store, f"models:/{model.name}/{version.number}")
    found = read_config(folder)
    colours = {item["title"]: str(item.get("color", "")) for item in found.out_classes}
    facts = {
        "model": model.name,
        "version": version.number,
        "aliases": ", ".join(version.aliases),
        "created": _time(version.created),
        "description": version.description,
        "architecture": f"{found.model['name']}, width {found.model['width']}",
        "weights": f"{_parameters(folder):,}",
        "run": f"{version.run_name} {version.run_id}".strip(),
        "score": _score(version),
        "started from": version.start,
        "credit": _credit(version),
        "folder": str(folder),
    }
    show_tables(
        (["", ""], [[key, value] for key, value in facts.items() if value], []),
        (
            ["output", "class", "colour"],
            [
                [str(index), title, colours.get(title, "")]
                for title, index in sorted(found.class_title_to_idx.items(), key=lambda pair: pair[1])
            ],
            ["output"],
        ),
        (["training", ""], [[key, str(value)] for key, value in flatten(found.settings).items()], []),
        (
            ["version", "aliases", "created", "run", "score"],
            [
                [item.number, ", ".join(item.aliases), _time(item.created), item.run_name, _score(item)]
                for item in model.versions
            ],
            ["version"],
        ),
    )


def _parameters(folder: Path) -> int:
    from segsweep.models.folder import load_model

    return sum(value.numel() for value in load_model(folder)[0].parameters())


def _credit(version: ListedVersion) -> str:
    """What is told of the version itself, or of the published weights that its training started from."""
    from segsweep.models.pretrained import PRETRAINED

    if version.credit or version.start not in PRETRAINED:
        return version.credit
    start = PRETRAINED[version.start]
    return f"{start.about}: {start.credit}"


def _add(config: AddModelConfig, reporter: ConsoleReporter) -> None:
    from segsweep.models.adopt import adopt
    from segsweep.models.folder import save_model
    from segsweep.starting import starting_model
    from segsweep.tracking import Store, add_model, run_of

    source = starting_model(_store(config), config.weights, reporter)
    size = config.input_size
    given = None if size.width is None else (size.width, size.height or size.width)
    model, weights = adopt(source, config.classes, given)
    workspace = Path(config.workspace).expanduser().absolute()
    store = Store.open(workspace, uri=config.tracking.uri, experiment=config.tracking.experiment, reporter=reporter)
    with tempfile.TemporaryDirectory(prefix="segsweep-model-") as scratch:
        folder = Path(scratch) / "model"
        save_model(folder, model, weights)
        number = add_model(
            store,
            folder,
            config.name,
            run_id=run_of(store, config.weights),
            aliases=config.aliases,
            description=config.description,
            credit=config.credit,
        )
    what = f"{model.model['name']} of width {model.model['width']}"
    reporter.message(f"{config.name} version {number}: {what} for the classes {', '.join(model.class_title_to_idx)}")
    reporter.message(f"use it: model.weights='models:/{config.name}/{number}'")


def _export(config: ExportModelConfig, reporter: ConsoleReporter) -> None:
    from segsweep.files import read_image
    from segsweep.models.export import export_onnx
    from segsweep.tracking import resolve_model

    folder = resolve_model(_store(config), config.model.source)
    image = None if config.image is None else read_image(Path(config.image).expanduser())
    done = export_onnx(folder, Path(config.output).expanduser(), image=image, overwrite=config.overwrite)
    for seen in done.comparisons:
        told = f"{seen.what} pictures of {seen.width}x{seen.height}"
        reporter.message(f"onnxruntime and torch differ by at most {seen.difference:.1e} on {told}")
    reporter.message(f"{done.path}: {done.size:,} bytes, opset {done.opset}; image in, probabilities out")


def _store(config: ModelsConfig) -> Path | str:
    """The store to read: a workspace's own, which need not be there, or the one that is named."""
    return config.tracking.uri or Path(config.workspace).expanduser().absolute()


def _architecture(version: ListedVersion) -> str:
    return f"{version.architecture} {version.width}".strip()


def _score(version: ListedVersion) -> str:
    return f"{version.score[1]:.4f} {version.score[0]}" if version.score else ""


def _time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


ACTIONS = {
    "list": Action(_list, "the registered networks"),
    "show": Action(_show, "one of them: what it is, its classes, how it was trained, its versions", key="name"),
    "add": Action(_add, "register a model folder, a run's checkpoint or a file: models add NAME weights=…", key="name"),
    "export": Action(
        _export, "write one as an ONNX file, compared with torch: models export MODEL output=…", key="model.source"
    ),
}
