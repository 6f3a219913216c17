"""All layers there are, by action. A new layer is one declaration in one file of this folder, listed here."""

from segsweep.dtl.layer import Layer
from segsweep.dtl.layers import classes, ends, flow, geometry

LAYERS: dict[str, Layer] = {
    layer.action: layer for layer in (*ends.LAYERS, *flow.LAYERS, *geometry.LAYERS, *classes.LAYERS)
}

__all__ = ["LAYERS"]
