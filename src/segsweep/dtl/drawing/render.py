"""A drawing as SVG, written as text in milliseconds, and as PNG by matplotlib, which is imported only for that."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from segsweep.dtl.drawing.picture import LOOKS, Box, Drawing, Text, Wire
from segsweep.dtl.drawing.placing import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MADE_BY", "to_png", "to_svg"]

MADE_BY = "Segsweep graph"
"""Stands near the beginning of every picture, so that it can be told from others."""

_LINE = "#69717c"
_PAPER = "#ffffff"
_WIRE_WIDTH = 1.4
_ARROW_HALF, _ARROW_LONG = 3.6, 8.0
_SWATCH = (12.0, 10.0, 3.0)
_FONTS = "DejaVu Sans, Verdana, Segoe UI, Helvetica, Arial, sans-serif"
_MOST_PIXELS, _LONGEST_SIDE = 6e7, 30_000


def _pieces(wire: Wire) -> list[tuple[Point, Point]]:
    """Every piece of a wire once; at the ends of its ways room is left for the arrows."""
    pieces: dict[tuple[Point, Point], None] = {}
    for route in wire.routes:
        x, y = route[-1]
        for piece in pairwise([*route[:-1], (x, y - _ARROW_LONG + 1)]):
            pieces[piece] = None
    return list(pieces)


def _arrow(end: Point) -> tuple[Point, Point, Point]:
    x, y = end
    return (x, y), (x - _ARROW_HALF, y - _ARROW_LONG), (x + _ARROW_HALF, y - _ARROW_LONG)


def _ends(wire: Wire) -> list[Point]:
    return list(dict.fromkeys(route[-1] for route in wire.routes))


# ---- SVG


def to_svg(drawing: Drawing) -> str:
    """The drawing as an SVG document that needs nothing else; texts are texts, boxes and wires have tooltips."""
    width, height = math.ceil(drawing.width), math.ceil(drawing.height)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            f' role="img" font-family="{_FONTS}" font-size="11">',
            f"<!-- {MADE_BY} -->",
            f"<title>{_escaped(drawing.title)}</title>",
            f"<desc>{_escaped(drawing.description)}</desc>",
            f'<rect width="{width}" height="{height}" fill="{_PAPER}"/>',
            f'<g fill="none" stroke="{_LINE}" stroke-width="{_WIRE_WIDTH}">',
            *(_svg_wire(wire) for wire in drawing.wires),
            "</g>",
            *(_svg_box(box) for box in drawing.boxes),
            "<g>",
            *(_svg_swatch(swatch.kind, swatch.left, swatch.top, swatch.text) for swatch in drawing.legend),
            "</g>",
            "</svg>\n",
        ]
    )


def _escaped(text: str) -> str:
    """Text for an element; signs that XML does not allow at all become U+FFFD."""
    return escape("".join(sign if _is_allowed(ord(sign)) else "\ufffd" for sign in text))


def _is_allowed(code: int) -> bool:
    return code in (0x9, 0xA) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _svg_wire(wire: Wire) -> str:
    path, at = [], None
    for (x0, y0), (x1, y1) in _pieces(wire):
        if at != (x0, y0):
            path.append(f"M{_number(x0)} {_number(y0)}")
        middle = _number((y0 + y1) / 2)
        curve = f"C{_number(x0)} {middle} {_number(x1)} {middle} {_number(x1)} {_number(y1)}"
        path.append(f"V{_number(y1)}" if x0 == x1 else curve)
        at = (x1, y1)
    arrows = "".join("M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in _arrow(end)) + "Z" for end in _ends(wire))
    about = f"{wire.connection}: {wire.source} → {', '.join(wire.targets) or 'dropped'}"
    return (
        f'<g><title>{_escaped(about)}</title><path d="{"".join(path)}"/>'
        f'<path d="{arrows}" fill="{_LINE}" stroke="none"/>'
        f'<g stroke="none">{"".join(map(_svg_text, wire.labels))}</g></g>'
    )


def _svg_box(box: Box) -> str:
    texts = "".join(map(_svg_text, box.texts))
    if box.kind == "dropped":
        strokes = "".join(
            f"M{_number(x0)} {_number(y0)}L{_number(x1)} {_number(y1)}" for (x0, y0), (x1, y1) in _cross(box)
        )
        shape = (
            f'<circle cx="{_number(box.left + box.width / 2)}" cy="{_number(box.top + box.height / 2)}"'
            f' r="{_number(box.width / 2)}" fill="{_PAPER}" stroke="{_LINE}" stroke-width="{_WIRE_WIDTH}"/>'
            f'<path d="{strokes}" stroke="{_LINE}" stroke-width="{_WIRE_WIDTH}"/>'
        )
    else:
        look = LOOKS[box.kind]
        shape = (
            f'<rect x="{_number(box.left)}" y="{_number(box.top)}" width="{_number(box.width)}"'
            f' height="{_number(box.height)}" rx="{_number(look.radius)}" fill="{look.fill}" stroke="{look.line}"'
            f' stroke-width="{_number(look.stroke)}"/>'
        )
    return f"<g><title>{_escaped(box.about)}</title>{shape}{texts}</g>"


def _cross(box: Box) -> Iterator[tuple[Point, Point]]:
    """The two strokes of a mark where an output ends."""
    x, y, reach = box.left + box.width / 2, box.top + box.height / 2, box.width / 2 * 0.5
    yield (x - reach, y - reach), (x + reach, y + reach)
    yield (x - reach, y + reach), (x + reach, y - reach)


def _svg_swatch(kind: str, left: float, top: float, text: Text) -> str:
    width, height, radius = _SWATCH
    look = LOOKS[kind]
    return (
        f'<rect x="{_number(left)}" y="{_number(top)}" width="{_number(width)}" height="{_number(height)}"'
        f' rx="{_number(radius)}" fill="{look.fill}" stroke="{look.line}"/>{_svg_text(text)}'
    )


def _svg_text(text: Text) -> str:
    attributes = f'x="{_number(text.x)}" y="{_number(text.y)}" fill="{text.colour}"'
    if text.size != 11:
        attributes += f' font-size="{_number(text.size)}"'
    if text.bold:
        attributes += ' font-weight="bold"'
    if text.anchor != "start":
        attributes += f' text-anchor="{text.anchor}"'
    return f"<text {attributes}>{_escaped(text.text)}</text>"


# ---- PNG


def to_png(drawing: Drawing, scale: float = 2.0) -> bytes:
    """The drawing as PNG with `scale` pixels for each of its own; fewer where the picture would be too large."""
    from matplotlib.figure import Figure

    scale = min(
        scale,
        _LONGEST_SIDE / max(drawing.width, drawing.height),
        math.sqrt(_MOST_PIXELS / (drawing.width * drawing.height)),
    )
    figure = Figure(figsize=(drawing.width / 72, drawing.height / 72), dpi=72 * scale, facecolor=_PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    for wire in drawing.wires:
        _png_wire(axes, wire)
    for box in drawing.boxes:
        _png_box(axes, box)
    for swatch in drawing.legend:
        width, height, radius = _SWATCH
        _png_rectangle(axes, swatch.kind, swatch.left, swatch.top, width, height, radius, 1.0)
        _png_text(axes, swatch.text)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # scripts that the font lacks show as boxes
        figure.savefig(buffer, format="png", dpi=72 * scale, metadata={"Software": MADE_BY})
    return buffer.getvalue()


def _png_wire(axes: Axes, wire: Wire) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    points: list[Point] = []
    codes: list[np.uint8] = []
    for (x0, y0), (x1, y1) in _pieces(wire):
        middle = (y0 + y1) / 2
        points += [(x0, y0), (x0, middle), (x1, middle), (x1, y1)]
        codes += [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    axes.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=_LINE, linewidth=_WIRE_WIDTH))
    for end in _ends(wire):
        corners = [*_arrow(end), end]
        axes.add_patch(PathPatch(Path(corners, closed=True), facecolor=_LINE, linewidth=0))
    for label in wire.labels:
        _png_text(axes, label)


def _png_box(axes: Axes, box: Box) -> None:
    from matplotlib.patches import Circle

    if box.kind == "dropped":
        middle = (box.left + box.width / 2, box.top + box.height / 2)
        axes.add_patch(Circle(middle, box.width / 2, facecolor=_PAPER, edgecolor=_LINE, linewidth=_WIRE_WIDTH))
        for (x0, y0), (x1, y1) in _cross(box):
            axes.plot([x0, x1], [y0, y1], color=_LINE, linewidth=_WIRE_WIDTH)
    else:
        look = LOOKS[box.kind]
        _png_rectangle(axes, box.kind, box.left, box.top, box.width, box.height, look.radius, look.stroke)
    for text in box.texts:
        _png_text(axes, text)


def _png_rectangle(
    axes: Axes, kind: str, left: float, top: float, width: float, height: float, radius: float, stroke: float
) -> None:
    from matplotlib.patches import FancyBboxPatch

    look = LOOKS[kind]
    style = f"round,pad=0,rounding_size={radius}"
    axes.add_patch(
        FancyBboxPatch(
            (left, top), width, height, boxstyle=style, facecolor=look.fill, edgecolor=look.line, linewidth=stroke
        )
    )


def _png_text(axes: Axes, text: Text) -> None:
    axes.text(
        text.x,
        text.y,
        text.text,
        fontsize=text.size,
        color=text.colour,
        weight="bold" if text.bold else "normal",
        family="DejaVu Sans",
        ha={"start": "left", "middle": "center", "end": "right"}[text.anchor],
        va="baseline",
        parse_math=False,
    )
