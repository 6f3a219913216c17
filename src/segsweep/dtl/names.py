"""Names that the language itself gives."""

from __future__ import annotations

__all__ = ["DISCARD", "SAVES"]

SAVES = frozenset({"supervisely", "save", "save_masks"})
"""Actions that end a graph: their `dst` names the result."""

DISCARD = "null"
"""The destination of what is to be dropped."""
