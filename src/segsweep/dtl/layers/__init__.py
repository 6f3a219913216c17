"""All layers there are, by action. A new layer is one declaration in one file of this folder, listed here."""

from segsweep.dtl.layer import Layer
from segsweep.dtl.layers import (
    classes,
    ends,
    flow,
    geometry,
)

_FAMILIES = (
    ends,
    flow,
    geometry,
    classes,
)

LAYERS: dict[str, Layer] = {layer.action: layer for family in _FAMILIES for layer in family.LAYERS}
"""Action -> its layer."""

ALIASES: dict[str, str] = {alias: layer.action for layer in LAYERS.values() for alias in layer.aliases}
"""Other name -> action."""

__all__ = ["ALIASES", "LAYERS"]
