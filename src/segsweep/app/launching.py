"""Hydra's launchers, for jobs that we list ourselves: a sweep that goes on runs only what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks  # what Hydra's own multirun hands to its launchers
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from segsweep.app.hydra_app import Request
from segsweep.config.compose import VERSION_BASE, search_path_override
from segsweep.config.locations import shipped_conf
from segsweep.config.search_path import register

__all__ = ["Launching", "claim_folder", "launching"]

_STARTS_ALL = {"submitit_local"}
"""Launchers that start every job that they are given at once."""


@dataclass
class Launching:
    """Launches jobs of one multirun.

    Attributes:
        folder: The multirun's own folder, with a folder for each job.
    """

    folder: Path
    _launcher: Launcher
    _at_once: int | None
    _started: int = 0

    def __call__(self, jobs: Sequence[Sequence[str]]) -> None:
        """Runs jobs, given by their overrides; returns when all have ended.

        Raises:
            Exception: What a launcher raises that cannot go on, such as one of whose workers was killed.
        """
        step = self._at_once or len(jobs)
        for start in range(0, len(jobs), step):
            batch = [list(overrides) for overrides in jobs[start : start + step]]
            first, self._started = self._started, self._started + len(batch)
            results: Sequence[JobReturn] = self._launcher.launch(batch, initial_job_idx=first)
            for result in results:
                _ = result.return_value  # raises what the job raised, which catches all that its work may raise


@contextmanager
def launching(request: Request, task: Callable[[Path], Callable[[DictConfig], Any]]) -> Iterator[Launching]:
    """Sets a multirun up as Hydra does, with its launcher but without its sweeper.

    Args:
        request: The command line.
        task: What the jobs do, made when the multirun's folder is known; it must be something that can be pickled.
    """
    register()
    overrides = [*search_path_override(request.options.config_dir), *request.options.overrides]
    with initialize_config_dir(config_dir=str(shipped_conf()), job_name=request.command, version_base=VERSION_BASE):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        config = hydra.compose_config(request.command, overrides, RunMode.MULTIRUN, with_log_configuration=True)
        folder = claim_folder(config)
        callbacks = Callbacks(config)
        callbacks.on_multirun_start(config=config, config_name=request.command)
        OmegaConf.save(config, folder / "multirun.yaml")
        launcher = Plugins.instance().instantiate_launcher(
            HydraContext(config_loader=hydra.config_loader, callbacks=callbacks), task(folder), config
        )
        name = config.hydra.runtime.choices["hydra/launcher"]
        at_once = config.hydra.sweeper.get("max_batch_size")
        if at_once is None and name in _STARTS_ALL:
            at_once = int(config.launch.jobs)
        yield Launching(folder, launcher, at_once)
        callbacks.on_multirun_end(config=config, config_name=request.command)


def claim_folder(config: DictConfig) -> Path:
    """Makes the folder of a multirun and writes it into its composed configuration; it is nobody else's.

    Hydra names it by the time. Where it is there already, a number is added.
    """
    wanted = Path(str(config.hydra.sweep.dir)).expanduser().absolute()
    wanted.parent.mkdir(parents=True, exist_ok=True)
    folder, number = wanted, 1
    while True:
        try:
            folder.mkdir()
            break
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
    with open_dict(config):
        config.hydra.sweep.dir = str(folder)
        quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")  # each job composes its own
    return folder
