"""The Data Transformation Language: a graph of layers that turns annotated projects into another one."""

from segsweep.dtl.check import check_graph, input_projects
from segsweep.dtl.execute import transform
from segsweep.dtl.graph import LayerSpec, read_layers
from segsweep.dtl.layers import LAYERS
from segsweep.dtl.summary import LayerCount, TransformSummary, summary_table

__all__ = [
    "LAYERS",
    "LayerCount",
    "LayerSpec",
    "TransformSummary",
    "check_graph",
    "input_projects",
    "read_layers",
    "summary_table",
    "transform",
]
