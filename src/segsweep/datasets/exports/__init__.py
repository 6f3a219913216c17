"""Exporters: a project of ours in the form that another tool reads."""

from segsweep.datasets.exports.export import EXPORTS, export_project
from segsweep.datasets.exports.exporter import Exporter, ExportSettings

__all__ = ["EXPORTS", "ExportSettings", "Exporter", "export_project"]
