"""The picture of a graph, as SVG and PNG: layers in rows, the named connections between them."""

from segsweep.dtl.drawing.picture import Box, Drawing, Text, Wire, draw_graph, text_width
from segsweep.dtl.drawing.render import MADE_BY, to_png, to_svg

__all__ = ["MADE_BY", "Box", "Drawing", "Text", "Wire", "draw_graph", "text_width", "to_png", "to_svg"]
