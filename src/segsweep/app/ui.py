"""`segsweep ui [workspace=.] [port=5000]`: the MLflow UI on the workspace's store, on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from segsweep.errors import Problems
from segsweep.tracking import default_uri

__all__ = ["main"]

_HELP = """segsweep ui [workspace=.] [port=5000]

Shows the MLflow UI of the workspace's store at http://127.0.0.1:<port>, until Ctrl-C."""


def main(arguments: Sequence[str]) -> int:
    """Runs the UI; returns the exit status."""
    if any(item in {"-h", "--help"} for item in arguments):
        print(_HELP)  # noqa: T201
        return 0
    workspace, port = _read(arguments)
    address = f"http://127.0.0.1:{port}"
    print(f"MLflow is at {address}/#/experiments?workflowType=machine_learning (Ctrl-C ends it)", file=sys.stderr)  # noqa: T201
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", default_uri(workspace)]
    command += ["--artifacts-destination", str(workspace / "mlartifacts"), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    return subprocess.run(command, cwd=workspace, env=environment, check=False).returncode


def _read(arguments: Sequence[str]) -> tuple[Path, int]:
    problems = Problems()
    values = {"workspace": ".", "port": "5000"}
    for item in arguments:
        key, sign, value = item.partition("=")
        if not sign or key not in values:
            problems.unknown(item, key, values, kind="argument")
        else:
            values[key] = value
    if not values["port"].isdecimal() or not 1 <= int(values["port"]) <= 65535:
        problems.add("port", f"{values['port']!r} is no port", "must be 1 to 65535")
    workspace = Path(values["workspace"]).expanduser().absolute()
    if not (workspace / "mlflow.db").is_file():
        problems.add("workspace", f"there is no mlflow.db in {workspace}", "name the folder that runs were made in")
    problems.raise_if_any("segsweep ui cannot start")
    return workspace, int(values["port"])
