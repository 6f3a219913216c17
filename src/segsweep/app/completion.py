"""Tab completion: Hydra's own, told which command stands on the line.

Hydra's shell scripts call `segsweep -sc query=bash` with the line typed so far in COMP_LINE.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from segsweep.app import data, models
from segsweep.app.hydra_app import read_request, run_hydra
from segsweep.cli import COMMANDS
from segsweep.config.schema import SCHEMAS

__all__ = ["main"]

_ACTIONS = {"data": data.ACTIONS, "models": models.ACTIONS}


def main(arguments: Sequence[str]) -> int:
    """Installs, uninstalls or answers a completion (`install=bash`, `query=bash` …)."""
    words = os.environ.get("COMP_LINE", "").split(" ")
    command = words[1] if len(words) > 1 else ""
    if any(item.startswith("query=") for item in arguments):
        if len(words) <= 2 or command not in COMMANDS:
            print(" ".join(name for name in COMMANDS if name.startswith(command)))  # noqa: T201
            return 0
        if command == "ui":
            return 0
        if command in _ACTIONS:
            actions, action = _ACTIONS[command], words[2]
            if len(words) == 3 or action not in actions:
                print(" ".join(name for name in actions if name.startswith(action)))  # noqa: T201
                return 0
            command, words = f"{command}_{action}", words[1:]
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
    known = command if command in SCHEMAS else "run"
    run_hydra(read_request(known, ["-sc", *arguments]), lambda job: None, program="segsweep")
    return 0
