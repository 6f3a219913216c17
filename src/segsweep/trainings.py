"""Trainings of a workspace: each has a folder of its own, by fingerprint, in which it goes on or is found again.

    trainings/<fingerprint>/best/ last/ 00000003/ …    model folders
                            state.pt                   where it stands, while it is not finished
                            history.jsonl              what it measured, a line a report
                            result.json                what came out, once it is finished

A fingerprint covers the settings that decide about the weights, the project, the starting weights and the version of
the code. So a training that was interrupted goes on when the same one is asked for again, by whatever command, and one
that is finished is not done twice; what it measured then is told again, so that every run has its curves.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segsweep.config.schema import ModelSection, TrainingSection
from segsweep.files import digest_files, digest_json, read_json, write_json
from segsweep.locks import held
from segsweep.reporting import SILENT, Advance, Level, Reporter
from segsweep.stages import identity_of, made_since
from segsweep.versions import VERSIONS

if TYPE_CHECKING:
    from segsweep.training import TrainingResult, TrainingSettings

__all__ = ["begun", "finished", "train", "training_fingerprint", "training_folder", "training_settings"]

_UNDECIDING = ("data_workers", "cache_gib", "keep_every", "state_minutes", "file", "gpu_devices", "processes")
"""Keys of `training` that do not change what a training is: it goes on, or is found, whatever they say. Of devices and
processes it counts how many share a batch, since `batch_size` is each one's."""


def train(
    workspace: Path,
    project: Path,
    model: ModelSection,
    training: TrainingSection,
    augmentation: dict[str, Any],
    *,
    start_model: Path | None,
    seed: int,
    since: float | None = None,
    reporter: Reporter,
) -> TrainingResult:
    """Trains the network that `model` names with the documented settings, goes on with it, or finds it.

    Args:
        workspace: The workspace's folder.
        project: The project to train on.
        model: The network.
        training: How, the documented keys and ours.
        augmentation: What is changed on the fly.
        start_model: A model folder or a file of weights to start from.
        seed: Seed of every random draw.
        since: An equal training that was finished before this time, or only begun, begins anew; None: it is used.
        reporter: Hears what is measured, also of the part that was done before.
    """
    from segsweep.training import train as run_training

    if training.momentum is not None:
        reporter.message("training.momentum is accepted and has no effect: the optimiser is Adam", "warning")
    settings = training_settings(model, training, augmentation, start_model, seed)
    fingerprint = training_fingerprint(identity_of(project), model, training, augmentation, start_model, seed)
    folder = training_folder(workspace, fingerprint)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(workspace, "train", fingerprint, reporter):
        if since is not None and not made_since(folder / _RESULT, since):
            shutil.rmtree(folder, ignore_errors=True)
        elif (folder / _RESULT).is_file():
            with _History(folder, reporter) as history:
                history.replay()
            reporter.message(f"train: {folder.name} is finished already and is used again")
            if training.keep_every and not any(folder.glob("[0-9]*/")):
                what = "training.keep_every: this training kept its best and its last network alone"
                reporter.message(f"{what}; reuse=false trains it anew", "warning")
            return _read_result(folder)
        elif not (folder / _STATE).is_file():
            shutil.rmtree(folder, ignore_errors=True)  # begun, but nothing to go on from
        folder.mkdir(exist_ok=True)
        with _History(folder, reporter) as history:
            history.replay()
            result = run_training(project, folder, settings, reporter=history)
        _write_result(folder, result)
        (folder / _STATE).unlink(missing_ok=True)
        return result


_STATE = "state.pt"
_RESULT = "result.json"
_HISTORY = "history.jsonl"


def training_settings(
    model: ModelSection, training: TrainingSection, augmentation: dict[str, Any], start_model: Path | None, seed: int
) -> TrainingSettings:
    """The sections of the configuration as the training stage takes them."""
    from segsweep.training import TrainingSettings

    height = training.input_size.height or training.input_size.width
    documented = training.model_dump(exclude={"file"}, exclude_none=True)
    documented["input_size"]["height"] = height
    devices = training.gpu_devices
    return TrainingSettings(
        train_tag=training.dataset_tags.train,
        val_tag=training.dataset_tags.val,
        batch_size_train=training.batch_size.train,
        batch_size_val=training.batch_size.val,
        workers_train=training.data_workers.train,
        workers_val=training.data_workers.val,
        allow_corrupted_train=training.allow_corrupted_samples.train,
        allow_corrupted_val=training.allow_corrupted_samples.val,
        background=training.special_classes.background,
        neutral=training.special_classes.neutral,
        width=training.input_size.width,
        height=height,
        epochs=training.epochs,
        steps=training.steps,
        minutes=training.minutes,
        val_every=training.val_every,
        lr=training.lr,
        lr_patience=training.lr_decreasing.patience,
        lr_divisor=training.lr_decreasing.lr_divisor,
        loss_bce=training.loss_weights.bce,
        loss_dice=training.loss_weights.dice,
        weights_init_type=training.weights_init_type,
        start_model=start_model,
        validate_with_model_eval=training.validate_with_model_eval,
        devices=tuple(devices) if isinstance(devices, list) else devices,
        processes=training.processes,
        precision=training.precision,
        compile=training.compile,
        model_name=model.name,
        model_width=model.width,
        sampling=training.sampling,
        crops_per_image=training.crops_per_image,
        image_scale=training.image_scale,
        foreground_share=training.foreground_share,
        normalisation=training.normalisation,
        augmentation=augmentation,
        lr_schedule=training.lr_schedule,
        lr_cycles=training.lr_cycles,
        weight_decay=training.weight_decay,
        ema_decay=training.ema_decay,
        deep_supervision=training.deep_supervision,
        seed=seed,
        cache_bytes=int(training.cache_gib * 2**30),
        keep_every=training.keep_every,
        state_minutes=training.state_minutes,
        documented=documented,
    )


def training_folder(workspace: Path, fingerprint: str) -> Path:
    """Where a training lies, or is to be made."""
    return workspace / "trainings" / fingerprint[:16]


def training_fingerprint(
    project: str,
    model: ModelSection,
    training: TrainingSection,
    augmentation: dict[str, Any],
    start_model: Path | None,
    seed: int,
) -> str:
    """The fingerprint of a training on a project that is told by `stages.identity_of`."""
    start = None
    if start_model is not None:
        files = [start_model] if start_model.is_file() else [start_model / name for name in ("config.json", "model.pt")]
        start = digest_files(files[0].parent, files)
    inputs = {
        "v": VERSIONS["train"],
        "project": project,
        "model": model.model_dump(include={"name", "width"}),
        "training": training.model_dump(exclude=set(_UNDECIDING)),
        "sharing": _sharing(training),
        "augmentation": augmentation,
        "start": start,
        "seed": seed,
    }
    return digest_json(inputs)


def _sharing(training: TrainingSection) -> int:
    """How many devices or processes share a batch on this machine."""
    named = training.gpu_devices
    if not isinstance(named, list) or len(named) < 2:
        return training.processes
    from segsweep.training.devices import training_devices

    return len(training_devices(tuple(named), 1, SILENT)) * training.processes


def finished(folder: Path) -> TrainingResult | None:
    """What came out of the training in a folder; None where it is not finished."""
    return _read_result(folder) if (folder / _RESULT).is_file() else None


def begun(folder: Path) -> int | None:
    """The step up to which the training in a folder was recorded, if there is a state that it goes on from."""
    if not (folder / _STATE).is_file() or not (folder / _HISTORY).is_file():
        return None
    lines = (folder / _HISTORY).read_text(encoding="utf-8").splitlines()
    steps = [json.loads(line)["step"] for line in lines[-2:] if line.endswith("}")]
    return max(steps, default=None)


def _write_result(folder: Path, result: TrainingResult) -> None:
    plain = asdict(result)
    write_json(folder / _RESULT, plain | {"best": result.best.name, "last": result.last.name})


def _read_result(folder: Path) -> TrainingResult:
    from segsweep.training import TrainingResult

    plain = read_json(folder / _RESULT)
    result = TrainingResult(**{item.name: plain[item.name] for item in fields(TrainingResult)})
    return replace(result, best=folder / plain["best"], last=folder / plain["last"])


class _History(AbstractContextManager["_History"]):
    """A reporter that passes on what it hears, and writes down what is measured.

    A training that goes on does again what came after its last save; what was told then is not told twice.
    """

    def __init__(self, folder: Path, reporter: Reporter) -> None:
        self._path = folder / _HISTORY
        self._reporter = reporter
        self._told: dict[str, int] = {}
        self._file: IO[str] | None = None

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def replay(self) -> None:
        """Tells what was measured before."""
        if not self._path.is_file():
            return
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("}\n")]
        for line in whole:
            entry = json.loads(line)
            self._tell(entry["values"], entry["step"], entry["epoch"])
        if whole != lines:  # a kill in the middle of a line
            self._path.write_text("".join(whole), encoding="utf-8")

    def _tell(self, values: Mapping[str, float], step: int, epoch: float | None) -> bool:
        if all(self._told.get(key, -1) >= step for key in values):
            return False
        self._told.update(dict.fromkeys(values, step))
        self._reporter.metrics(values, step, epoch)
        return True

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        """Passes on and writes down what is new."""
        if self._tell(values, step, epoch):
            if self._file is None:
                self._file = self._path.open("a", buffering=1, encoding="utf-8")
            self._file.write(json.dumps({"step": step, "epoch": epoch, "values": dict(values)}) + "\n")

    def image(self, name: str, image: NDArray[np.uint8], step: int | None = None) -> None:
        """Passes on."""
        self._reporter.image(name, image, step)

    def file(self, path: Path, folder: str = "") -> None:
        """Passes on."""
        self._reporter.file(path, folder)

    def message(self, text: str, level: Level = "info") -> None:
        """Passes on."""
        self._reporter.message(text, level)

    def progress(self, title: str, total: int | None, unit: str = "it") -> AbstractContextManager[Advance]:
        """Passes on."""
        return self._reporter.progress(title, total, unit)
