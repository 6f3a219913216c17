"""All layers there are. A new layer is one declaration in one file of this folder; a new file is listed here."""

from segsweep.dtl.layer import Layer
from segsweep.dtl.layers import (
    augment,
    classes,
    conversion,
    copying,
    ends,
    filters,
    flow,
    geometry,
    image_filters,
    lines,
    masks,
    pixels,
    rotation,
    scaling,
    special,
    split,
    windows,
)

FAMILIES: dict[str, tuple[Layer, ...]] = {
    "data and results": ends.LAYERS,
    "flow": (*flow.LAYERS, *image_filters.LAYERS, *split.LAYERS),
    "pixels": pixels.LAYERS,
    "geometry": (*geometry.LAYERS, *rotation.LAYERS, *windows.LAYERS, *scaling.LAYERS),
    "augmentation": augment.LAYERS,
    "classes": (*classes.LAYERS, *copying.LAYERS),
    "filters": filters.LAYERS,
    "masks": masks.LAYERS,
    "shapes": conversion.LAYERS,
    "special purposes": (*lines.LAYERS, *special.LAYERS),
}
"""Layers that belong together, under the title that people see."""

LAYERS: dict[str, Layer] = {layer.action: layer for family in FAMILIES.values() for layer in family}
"""Action -> its layer."""

ALIASES: dict[str, str] = {alias: layer.action for layer in LAYERS.values() for alias in layer.aliases}
"""Other name -> action."""

__all__ = ["ALIASES", "FAMILIES", "LAYERS"]
