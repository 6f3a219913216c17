"""The house plan holds: which room may import which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "segsweep"
FOUNDATION = {
    "annotation",
    "augmentations",
    "download",
    "models",
    "reporting",
    "errors",
    "files",
    "page",
    "processes",
    "randomness",
    "typed",
}
STAGES = {"datasets", "dtl", "training", "inference", "evaluation"}
MAY_IMPORT = {
    "errors": set[str](),
    "reporting": set[str](),
    "page": set[str](),
    "processes": set[str](),
    "randomness": set[str](),
    "typed": {"errors"},
    "augmentations": {"errors"},
    "files": {"errors"},
    "download": {"errors", "files", "reporting"},
    "annotation": FOUNDATION - {"models"},
    "models": FOUNDATION,
    **dict.fromkeys(STAGES, FOUNDATION),
    "tracking": FOUNDATION - {"models"},
    "config": FOUNDATION - {"models"},
}
LIBRARIES = {"hydra": {"app", "config"}, "mlflow": {"tracking", "serving", "comparison", "sweeps"}}


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{item.name}" for item in node.names)}
    return found


FILES = sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_a_room_imports_only_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    rooms = {name.split(".")[1] for name in imports_of(path) if name.startswith("segsweep.")} - {room, "__version__"}
    if room in MAY_IMPORT:
        assert rooms <= MAY_IMPORT[room] | {room}
    elif room not in {"app", "cli"}:
        assert not rooms & {"app", "cli"}, "only the command line knows the command line"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_hydra_and_mlflow_stay_in_their_rooms(path: Path) -> None:
    imported = {name.split(".")[0] for name in imports_of(path)}
    for library, rooms in LIBRARIES.items():
        assert library not in imported or room_of(path) in rooms


def test_files_keep_one_subject() -> None:
    long = {
        str(path.relative_to(SOURCE)): count for path in FILES if (count := len(path.read_text().splitlines())) > 420
    }
    assert not long, "split them where it reads better"
