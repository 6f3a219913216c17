"""Segsweep: a configuration-driven experiment manager for image segmentation.

`segsweep.runs(…)` is the table of tracked runs (`comparison.frame.runs`); it is imported when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segsweep.comparison.frame import runs

__all__ = ["__version__", "runs"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "runs":
        from segsweep.comparison.frame import runs

        return runs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
