"""Sources of data: each turns its settings into projects in Supervisely's format."""

from segsweep.datasets.make import SOURCES, PlannedData, check_source, make_projects, plan_projects
from segsweep.datasets.source import MadeProjects, Source

__all__ = ["SOURCES", "MadeProjects", "PlannedData", "Source", "check_source", "make_projects", "plan_projects"]
