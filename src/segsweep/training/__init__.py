"""The training stage: a project in, model folders `best` and `last` out.

Importing it imports no torch; `train` does.
"""

from __future__ import annotations

from pathlib import Path

from segsweep.reporting import SILENT, Reporter
from segsweep.training.augmentation import check_augmentation
from segsweep.training.settings import TrainingResult, TrainingSettings

__all__ = ["TrainingResult", "TrainingSettings", "check_augmentation", "train"]


def train(project: Path, output: Path, settings: TrainingSettings, *, reporter: Reporter = SILENT) -> TrainingResult:
    """Trains a network on the tagged images of a project.

    A training that was interrupted goes on where `output` says it was, and ends with the same weights, to the bit on
    the same machine, as if it had never stopped (but for one that lasts `minutes`).

    Args:
        project: A project folder; its image tags `settings.train_tag` and `settings.val_tag` select the sets.
        output: Receives the model folders `best` and `last`, replaced atomically at every validation, `00000000` … as
            `settings.keep_every` says, and `state.pt`, where the training stands.
        settings: How to train.
        reporter: Gets `train/…` values at every step, `val/…` values and pictures `validation/…` at every validation.

    Raises:
        TrainingError: The project does not fit the settings, too many samples are unreadable, the starting weights do
            not fit, the loss stopped being a finite number, or `output` holds the state of another training.
        DataError: The project or the starting model cannot be read.
        KeyboardInterrupt: Is passed on; `output` holds the models of the last validation.
    """
    from segsweep.training.devices import training_devices

    devices = training_devices(settings.devices, settings.processes, reporter)
    if len(devices) > 1:
        from segsweep.training.distributed import run_distributed

        return run_distributed(project, output, settings, devices, reporter)
    from segsweep.training.loop import run_training

    return run_training(project, output, settings, devices[0], reporter)
