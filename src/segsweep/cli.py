"""The console script `segsweep`: finds the command, runs it, and turns errors into messages and exit statuses.

Exit status: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from segsweep import __version__

__all__ = ["COMMANDS", "main"]


@dataclass(frozen=True)
class Command:
    """A command: the module whose `main(arguments) -> exit status` runs it, and one line about it."""

    module: str
    about: str


COMMANDS = {
    "run": Command("segsweep.app.run", "the whole experiment: data → DTL → train → predict → evaluate; -m sweeps"),
    "dtl": Command("segsweep.app.dtl", "only the data transformation: input projects → result project"),
    "graph": Command("segsweep.app.graph", "draw a data transformation graph (SVG, PNG)"),
    "train": Command("segsweep.app.train", "one training on a project of the workspace"),
    "predict": Command("segsweep.app.predict", "apply a trained network to a project"),
    "evaluate": Command("segsweep.app.evaluate", "score predictions against annotations"),
    "status": Command("segsweep.app.status", "what a sweep has done, a row a job; also while it runs"),
    "compare": Command("segsweep.app.compare", "which runs of a sweep or an experiment won, and by how much"),
    "rerun": Command("segsweep.app.rerun", "do again what a tracked run recorded, and compare"),
    "data": Command("segsweep.app.data", "list, describe, make, import and export projects"),
    "models": Command("segsweep.app.models", "list, show, add and export registered networks"),
    "validate": Command("segsweep.app.validate", "check a configuration without running it"),
    "ui": Command("segsweep.app.ui", "the MLflow UI on the workspace's store, on loopback"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in {"-h", "--help", "help"}:
        print(_help())  # noqa: T201
        return 0
    if given[0] == "--version":
        print(f"segsweep {__version__}")  # noqa: T201
        return 0
    if given[0] in {"-sc", "--shell-completion"}:
        module, rest = "segsweep.app.completion", given[1:]
    elif given[0] in COMMANDS:
        module, rest = COMMANDS[given[0]].module, given[1:]
    else:
        from segsweep.errors import nearest

        _say(f"segsweep: unknown command {given[0]!r}; {nearest(given[0], COMMANDS)}")
        return 2
    return _guarded(module, rest)


def _guarded(module: str, arguments: list[str]) -> int:
    """Runs a command's module; an error made for people is told without its traceback."""
    import logging

    from segsweep.errors import SegsweepError

    logging.raiseExceptions = False  # a log whose reader went away is no reason for pages of tracebacks
    try:
        return int(importlib.import_module(module).main(arguments))
    except SegsweepError as error:
        if os.environ.get("SEGSWEEP_DEBUG"):
            raise
        _say(f"segsweep: {error}")
        return error.exit_status
    except KeyboardInterrupt:
        _say("segsweep: interrupted")
        return 130
    except BrokenPipeError:  # the reader of our output went away (`segsweep … | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.about}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "segsweep: a configuration-driven experiment manager for image segmentation",
            "",
            "usage: segsweep COMMAND [key=value …] [-m] [--cfg job] [--help]",
            "",
            *lines,
            "",
            "Every command but ui is a Hydra application: key=value overrides its configuration, -m sweeps over",
            "several values (training.lr=0.01,0.003), --cfg job shows what would run, and",
            '  eval "$(segsweep -sc install=bash)"   completes keys and values with Tab.',
            "",
            "segsweep run experiments=vessels_quick   a first experiment, in minutes on a CPU",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
