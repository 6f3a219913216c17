"""The version of what each stage computes; a result of another version is not used again.

A version goes up when a stage gives other results for the same input. It is a number and no digest of the source
files: a digest would throw away every result, and begin every interrupted training anew, for a changed comment, a
message, or a function that moved. So that nobody forgets, `tests/test_versions.py` does a small experiment and fails
when its numbers are no longer those that were recorded for these versions.
"""

from __future__ import annotations

__all__ = ["VERSIONS"]

VERSIONS = {
    "data": 1,  # of the way from a source's plan to a project; the sources have versions of their own
    "transform": 2,
    "train": 3,
    "predict": 3,
    "evaluate": 3,
}
