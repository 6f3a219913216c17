"""Commands whose first word says what to do: `segsweep data list`. Each action is a Hydra application, `data_list`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsweep.app.console import ConsoleReporter
from segsweep.app.hydra_app import Job, checked, read_request, run_hydra
from segsweep.checks import CHECKS
from segsweep.errors import InvalidRequestError, Problem, nearest

__all__ = ["Action", "run_action"]


@dataclass(frozen=True)
class Action:
    """An action.

    Attributes:
        work: Takes its typed configuration and who shows messages.
        about: One line about it.
        key: The key that a plain word after the action's name stands for; empty where there is none.
    """

    work: Callable[[Any, ConsoleReporter], None]
    about: str
    key: str = ""


def run_action(command: str, actions: Mapping[str, Action], arguments: Sequence[str]) -> int:
    """Runs the action that the first word names; returns the exit status."""
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(_help(command, actions))  # noqa: T201
        return 0
    name, *rest = arguments
    if name not in actions:
        hint = nearest(name, actions)
        raise InvalidRequestError([Problem("", f"unknown action {name!r}", hint)], f"segsweep {command} cannot run")
    action = actions[name]
    if action.key and rest and not rest[0].startswith("-") and "=" not in rest[0]:
        word = rest[0].replace("'", "\\'")
        rest[0] = f"{action.key}='{word}'"
    hydra_command = f"{command}_{name}"
    request = read_request(hydra_command, rest)
    checked(request, CHECKS[hydra_command])
    run_hydra(request, (lambda job: None) if request.only_shows else lambda job: _run(action, job))
    return 0


def _run(action: Action, job: Job) -> None:
    action.work(job.config, ConsoleReporter())


def _help(command: str, actions: Mapping[str, Action]) -> str:
    shown = {
        f"{name} {action.key.partition('.')[0].upper()}".rstrip(): action.about for name, action in actions.items()
    }
    width = max(map(len, shown))
    lines = [f"  {name:<{width}}  {about}" for name, about in shown.items()]
    return "\n".join([f"usage: segsweep {command} ACTION [key=value …] [--cfg job] [--help]", "", *lines])
