"""The evaluation stage: two projects in, scores, tables and pictures out.

Importing it imports no pandas and no matplotlib; `evaluate` and `write_scores` do.
"""

from segsweep.evaluation.cases import ShapeSettings
from segsweep.evaluation.evaluate import Average, Region, Scores, evaluate
from segsweep.evaluation.measures import MEASURES, check_measures
from segsweep.evaluation.objects import ObjectSettings
from segsweep.evaluation.report import write_scores
from segsweep.evaluation.tags import TagSettings
from segsweep.evaluation.tally import Plan

__all__ = [
    "MEASURES",
    "Average",
    "ObjectSettings",
    "Plan",
    "Region",
    "Scores",
    "ShapeSettings",
    "TagSettings",
    "check_measures",
    "evaluate",
    "write_scores",
]
