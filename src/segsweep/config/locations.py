"""Where configuration files lie: the user's folder first, then what ships with Segsweep."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shipped_conf", "shipped_experiments"]

_PACKAGE = Path(__file__).resolve().parents[1]
_REPOSITORY = _PACKAGE.parents[1]


def shipped_conf() -> Path:
    """The shipped `conf/`: inside an installed package, beside `src/` in a checkout (an absolute path)."""
    return _shipped("conf")


def shipped_experiments() -> Path:
    """The shipped `experiments/`, found as `shipped_conf`."""
    return _shipped("experiments")


def _shipped(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _REPOSITORY / name
