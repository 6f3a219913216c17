"""The evaluation stage: two projects in, scores, tables and pictures out.

Importing it imports no pandas and no matplotlib; `evaluate` and `write_scores` do.
"""

from segsweep.evaluation.evaluate import Average, Region, Scores, evaluate
from segsweep.evaluation.report import write_scores

__all__ = ["Average", "Region", "Scores", "evaluate", "write_scores"]
