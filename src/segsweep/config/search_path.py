"""Hydra's search path: `./conf`, `./experiments`, then the shipped folders.

`experiments/` is a config group that lies beside `conf/`, not inside it; `ExperimentsSource` shows Hydra one folder as
the group `experiments`, and nothing else of the folder that holds it.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from segsweep.config.locations import shipped_conf, shipped_experiments

__all__ = ["GROUP", "ExperimentsSource", "SegsweepSearchPath", "register"]

GROUP = "experiments"


class ExperimentsSource(ConfigSource):
    """A folder of YAML files as the config group `experiments`."""

    @staticmethod
    def scheme() -> str:
        """The prefix of this source's paths."""
        return "segsweep-experiments"

    def _file(self, config_path: str) -> Path | None:
        group, _, name = self._normalize_file_name(config_path).partition("/")
        return Path(self.path) / name if group == GROUP and name else None

    def load_config(self, config_path: str) -> ConfigResult:
        """Loads one experiment."""
        file = self._file(config_path)
        if file is None or not file.is_file():
            raise ConfigLoadError(f"no such experiment: {file}")
        text = file.read_text(encoding="utf-8")
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://{self.path}",
            config=OmegaConf.create(text) if text.strip() else OmegaConf.create(),
            header=ConfigSource._get_header_dict(text[:512]),
        )

    def available(self) -> bool:
        """Whether the folder is there."""
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        """Only the root and `experiments` itself are groups."""
        return config_path in {"", GROUP}

    def is_config(self, config_path: str) -> bool:
        """Whether an experiment of this name is there."""
        file = self._file(config_path)
        return file is not None and file.is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Names under a path, as Hydra's completion and `--info` want them."""
        if config_path == "":
            return [GROUP] if results_filter in {None, ObjectType.GROUP} else []
        if config_path != GROUP or results_filter == ObjectType.GROUP:
            return []
        return sorted(file.stem for file in Path(self.path).glob("*.yaml"))


class SegsweepSearchPath(SearchPathPlugin):
    """Puts the user's own `conf/` and `experiments/` before the shipped ones."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra when it sets up; the shipped `conf/` is the main entry already."""
        here, scheme = Path.cwd(), ExperimentsSource.scheme()
        if (own := here / "experiments").is_dir() and own.resolve() != shipped_experiments().resolve():
            search_path.prepend("segsweep-own", f"{scheme}://{own}")
        if (own := here / "conf").is_dir() and own.resolve() != shipped_conf().resolve():
            search_path.prepend("segsweep-own", f"file://{own}")
        search_path.append("segsweep", f"{scheme}://{shipped_experiments()}")


def register() -> None:
    """Makes both known to Hydra; may be called repeatedly, and in every process that composes."""
    Plugins.instance().register(ExperimentsSource)
    Plugins.instance().register(SegsweepSearchPath)
