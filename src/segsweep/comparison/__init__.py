"""Runs compared: which settings won, by how much, and what their masks look like side by side.

`choose` finds runs, `runs_frame` makes a table of them, `compare` places them, `write_comparison` writes it all down.
"""

from segsweep.comparison.compared import Compared, compare
from segsweep.comparison.frame import runs, runs_frame
from segsweep.comparison.selection import LAST, Chosen, Selection, choose, latest
from segsweep.comparison.writing import FILES, log_to_sweep, summary, write_comparison

__all__ = [
    "FILES",
    "LAST",
    "Chosen",
    "Compared",
    "Selection",
    "choose",
    "compare",
    "latest",
    "log_to_sweep",
    "runs",
    "runs_frame",
    "summary",
    "write_comparison",
]
