"""What the commands that are Hydra applications share: check the whole request first, then let Hydra run it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser  # Hydra has no public way to read its own command line
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from segsweep.config.compose import VERSION_BASE, Composition, compose, without_hydra
from segsweep.config.locations import shipped_conf
from segsweep.config.resolve import resolve
from segsweep.config.search_path import register
from segsweep.errors import Problems
from segsweep.typed import Strict

__all__ = ["Job", "Request", "checked", "hydra_main", "read_request", "run_hydra"]

Check = Callable[[Any, Problems], None]

_OWN_CONFIGS = "your own configs belong into ./conf and ./experiments, or into a folder named by --config-dir"
_REFUSED = {
    "config_path": _OWN_CONFIGS,
    "config_name": _OWN_CONFIGS,
    "experimental_rerun": "it would unpickle a file; run the recorded config instead",
}


@dataclass(frozen=True)
class Request:
    """A Hydra command line: `command`, the raw `arguments`, and what Hydra's parser made of them."""

    command: str
    arguments: list[str]
    options: Namespace

    @property
    def program(self) -> str:
        """The command as it is typed: `data_list` is `segsweep data list`."""
        return _program(self.command)

    @property
    def multirun(self) -> bool:
        """Whether several jobs are asked for."""
        return bool(self.options.multirun)

    @property
    def only_shows(self) -> bool:
        """Whether Hydra only prints something (`--cfg`, `--info`, `--help` …) and runs nothing."""
        options = self.options
        return bool(options.help or options.hydra_help or options.cfg or options.info or options.shell_completion)


@dataclass(frozen=True)
class Job:
    """One job as Hydra hands it over: its typed configuration and where and how it runs."""

    config: Any
    overrides: list[str]
    output_dir: str
    number: int | None


def read_request(command: str, arguments: Sequence[str]) -> Request:
    """Reads a command line as Hydra does; wrong options exit with status 2.

    Raises:
        InvalidRequestError: An option of Hydra that has no place here.
    """
    parser = get_args_parser()
    parser.prog = _program(command)
    options = parser.parse_intermixed_args(list(arguments))
    problems = Problems()
    for name, hint in _REFUSED.items():
        if getattr(options, name) is not None:
            problems.add(f"--{name.replace('_', '-')}", "is not supported", hint)
    shown = [f"--{name}" for name in ("cfg", "info") if getattr(options, name)]
    if options.multirun and shown:
        problems.add(f"-m {shown[0]}", "cannot be combined", f"for {shown[0]}, leave out -m and name single values")
    problems.raise_if_any(f"{_program(command)} cannot run")
    return Request(command, list(arguments), options)


def _program(command: str) -> str:
    return f"segsweep {command.replace('_', ' ')}"


def checked(request: Request, check: Check | None = None, *, jobs: bool = False) -> Composition:
    """Composes and checks everything that is asked for; with `jobs` every job of a sweep too.

    Raises:
        InvalidRequestError: With every problem at once; nothing has been written.
    """
    problems = Problems()
    composition = compose(
        request.command,
        request.options.overrides,
        problems,
        multirun=request.multirun,
        config_dir=request.options.config_dir,
        check=None if request.only_shows else check,
        jobs=jobs and not request.only_shows,
    )
    if request.only_shows:  # what must be given for a run need not be there to look at the rest
        problems.found[:] = [item for item in problems.found if item.what != "must be given"]
    problems.raise_if_any(f"{request.program} cannot run")
    return composition


def run_hydra(request: Request, work: Callable[[Job], None], program: str | None = None) -> None:
    """Lets Hydra run `work` for the job, or each job of a multirun.

    What `work` raises for a single job is raised here, not swallowed and printed by Hydra. `program` is what Hydra
    takes for the name of the program: the command, unless something else is said.
    """
    failures: list[Exception] = []

    def job(composed: DictConfig) -> None:
        runtime = HydraConfig.get()
        overrides = list(runtime.overrides.task)
        problems = Problems()
        config: Strict | None = resolve(request.command, without_hydra(composed), overrides, problems)
        problems.raise_if_any("the job's configuration is wrong")
        number = int(runtime.job.num) if request.multirun else None
        try:
            work(Job(config, overrides, str(runtime.runtime.output_dir), number))
        except Exception as error:
            failures.append(error)

    hydra_main(request, job, program)
    if failures:
        raise failures[0]


def hydra_main(request: Request, task: Callable[[DictConfig], Any], program: str | None = None) -> None:
    """Lets Hydra call `task` with the composed configuration of the job, or of each job of a multirun."""
    register()
    with _arguments([program or request.program, *request.arguments]):
        hydra.main(version_base=VERSION_BASE, config_path=str(shipped_conf()), config_name=request.command)(task)()


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    """Hydra reads `sys.argv`; it is put back afterwards."""
    before = sys.argv
    sys.argv = arguments
    try:
        yield
    finally:
        sys.argv = before
