"""The sweeper that searches with Optuna, where Hydra looks for plugins; `segsweep.sweeps.studies` does the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

__all__ = ["OptunaSweeper"]


class OptunaSweeper(Sweeper):  # type: ignore[misc]  # Hydra's plugins have no types
    """Runs the trials of a study; the section `sampler` of the configuration says how.

    A job tells what became of it by what its task returns: its value, `pruned` or `failed`.

    Args:
        params: Swept keys that the configuration declares itself, as of Hydra's own sweeper.
    """

    def __init__(self, params: Any = None) -> None:
        self.params = dict(params or {})
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Called by Hydra with the command line's overrides."""
        from segsweep.app.console import ConsoleReporter
        from segsweep.config.schema import SamplerSection
        from segsweep.sweeps.studies import STUDIES, Told, run_study

        assert self.config is not None and self.launcher is not None
        launcher = self.launcher
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        given = {text.partition("=")[0] for text in arguments}
        declared = [f"{key}={value}" for key, value in self.params.items() if key not in given]
        started = 0

        def launch(jobs: list[list[str]]) -> Sequence[Told]:
            nonlocal started
            self.validate_batch_is_legal(jobs)
            results = launcher.launch(jobs, initial_job_idx=started)
            started += len(jobs)
            return [result.return_value for result in results]

        section: Any = OmegaConf.to_container(self.config.sampler, resolve=True)
        studies = Path(self.config.workspace).expanduser().absolute() / STUDIES
        jobs = int(OmegaConf.select(self.config, "launch.jobs") or 1)
        search = SamplerSection.model_validate(section)
        run_study(search, studies, [*declared, *arguments], jobs, launch, ConsoleReporter())
