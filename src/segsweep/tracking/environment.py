"""What a result was made with: code, packages, machine, process. Nothing here fails where git or a file is missing."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "CodeState",
    "Environment",
    "code_state",
    "describe",
    "process_has_ended",
    "process_mark",
    "version",
]

MAX_DIFF = 1024 * 1024
_GIT_SECONDS = 20
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class CodeState:
    """The state of a git checkout.

    Attributes:
        root: The checkout's top folder.
        commit: Its commit, 40 hexadecimal digits; empty before the first one.
        changes: Changed and untracked files as `git status --porcelain` lists them; empty when it is clean.
        diff: Changes of tracked files against the commit, at most 1 MiB.
    """

    root: Path
    commit: str
    changes: tuple[str, ...]
    diff: str

    @property
    def dirty(self) -> bool:
        """Whether the files differ from the commit."""
        return bool(self.changes)

    def __str__(self) -> str:
        return (self.commit[:12] or "no commit") + ("+changes" if self.dirty else "")


@dataclass(frozen=True)
class Environment:
    """Everything that is recorded once for a run.

    Attributes:
        version: Segsweep's version.
        code: Segsweep's own source, when it runs from a checkout.
        project: The checkout that the process stands in, when that is another one.
        command: The command line.
        host: Facts about machine and interpreter.
        packages: Installed packages and their versions.
    """

    version: str
    code: CodeState | None
    project: CodeState | None
    command: tuple[str, ...]
    host: dict[str, Any]
    packages: dict[str, str]

    @property
    def label(self) -> str:
        """Version and commit in one line, for a tag: `0.1.0 (463ab48c0ffe+changes)`."""
        return f"{self.version} ({self.code})" if self.code else self.version

    def as_json(self) -> dict[str, Any]:
        """All but the diffs and the packages, as JSON."""
        value = asdict(self)
        del value["packages"]
        for state in (value["code"], value["project"]):
            if state is not None:
                state["root"] = str(state["root"])
                del state["diff"]
        return value


def describe(folder: Path | None = None) -> Environment:
    """The environment of this process; `folder` is where it works (default: the current folder).

    Packages, machine and Segsweep's own code are looked at once in the life of a process: what runs is what was loaded.
    """
    code = _own_code()
    project = code_state(Path.cwd() if folder is None else folder)
    if project is not None and code is not None and project.root == code.root:
        project = None
    return Environment(version(), code, project, tuple(sys.argv), _host(), _packages())


@functools.cache
def version() -> str:
    """Segsweep's version."""
    import importlib.metadata

    try:
        return importlib.metadata.version("segsweep")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def code_state(folder: Path) -> CodeState | None:
    """The state of the git checkout that `folder` lies in; None when there is none, or no git."""
    root = _git(folder, "rev-parse", "--show-toplevel").strip()
    if not root:
        return None
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD").strip()
    changes = tuple(_git(folder, "status", "--porcelain", "--untracked-files=normal").splitlines())
    diff = _git(folder, "diff", "--no-ext-diff", "--no-textconv", "HEAD") if commit and changes else ""
    return CodeState(Path(root), commit, changes, diff)


@functools.cache
def _own_code() -> CodeState | None:
    """Segsweep's checkout; None when it is installed, also when it is installed below some other checkout."""
    if not _git(_PACKAGE, "ls-files", "--error-unmatch", "__init__.py"):
        return None
    return code_state(_PACKAGE)


def _git(folder: Path, *arguments: str) -> str:
    """What git writes, at most 1 MiB of it; empty when it fails, hangs, or is not there.

    It takes no lock, and starts no program that a checkout's own settings name.
    """
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotepath=false", "-C", str(folder), *arguments]
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        ) as process:
            return _bounded_output(process)
    except OSError:
        return ""


def _bounded_output(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    watchdog = threading.Timer(_GIT_SECONDS, process.kill)
    watchdog.start()
    try:
        data = process.stdout.read(MAX_DIFF + 1)
        if len(data) > MAX_DIFF:
            process.kill()
            return data[:MAX_DIFF].decode(errors="replace") + f"\n… [cut after {MAX_DIFF} bytes]\n"
        return data.decode(errors="replace") if process.wait() == 0 else ""
    finally:
        watchdog.cancel()


@functools.cache
def _packages() -> dict[str, str]:
    import importlib.metadata

    found = {dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions()}
    return dict(sorted((name, number) for name, number in found.items() if name))


@functools.cache
def _host() -> dict[str, Any]:
    import psutil

    return {
        "host": socket.gethostname(),
        "user": _user(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpu_names(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user id without a name
        return ""


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    """Names of NVIDIA cards, from the driver; no CUDA context is made for it."""
    found = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = path.read_text(errors="replace").splitlines()
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    if found or shutil.which("nvidia-smi") is None:
        return found
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=_GIT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed.stdout.split("\n")[:-1] if listed.returncode == 0 else []


def process_mark() -> str:
    """Names this process on this machine: host, number, and when it started, since numbers come again."""
    import psutil

    return f"{socket.gethostname()}/{os.getpid()}/{psutil.Process().create_time():.2f}"


def process_has_ended(mark: str) -> bool:
    """Whether the process of a mark is known to have ended; False for one on another machine, or an unreadable mark."""
    import psutil

    host, number, started_at = ["", "", *mark.rsplit("/", 2)][-3:]
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        process = psutil.Process(int(number))
        ended = process.status() == psutil.STATUS_ZOMBIE  # it waits for its parent to hear of its end
        return ended or abs(process.create_time() - float(started_at)) > 1.0
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, ValueError):
        return False
