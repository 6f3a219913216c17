"""The official SDK, in an environment and a process of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-sdk"


@dataclass(frozen=True)
class Sdk:
    """A conversation with `sdk_side.py`, which starts once because its imports take seconds."""

    process: subprocess.Popen[str]
    log: IO[str]

    def ask(self, what: str, path: Path = Path()) -> Any:
        assert self.process.stdin and self.process.stdout
        print(json.dumps({"do": what, "path": str(path)}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"the SDK's process ended:\n{self.log.read()[-4000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"the SDK cannot {what} {path}:\n{answer['error']}")
        return answer["answer"]


@pytest.fixture(scope="session")
def sdk() -> Iterator[Sdk]:
    if not (ENVIRONMENT / ".installed").is_file():  # the mark that make sets at the end
        pytest.skip("needs the official SDK in .venv-sdk, which make test-sdk installs")
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [str(ENVIRONMENT / "bin" / "python"), "-s", str(Path(__file__).with_name("sdk_side.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
        ) as process,
    ):
        yield Sdk(process, log)
        assert process.stdin
        process.stdin.close()
