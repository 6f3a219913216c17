"""Plots in the unit square as SVG for a page: small, sharp on paper, in the page's light or dark colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["COLOURS", "STYLE", "Line", "unit_plot"]

COLOURS = 8
"""Lines of so many colours are told apart; they begin again after that."""

_SIDE, _LEFT, _TOP, _RIGHT, _BOTTOM = 300, 54, 8, 10, 40
_WIDTH, _HEIGHT = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#c98a00", "#3d9bd6", "#7f4fc9", "#8c564b")
_DARK = ("#56b4e9", "#f08a4b", "#2fc79a", "#e0a0c4", "#e6b03c", "#8fb6ff", "#b294f0", "#c9a08f")

STYLE = f"""
.plot{{--side:{_SIDE};{"".join(f"--c{n}:{colour};" for n, colour in enumerate(_LIGHT))}}}
@media (prefers-color-scheme:dark){{.plot{{{"".join(f"--c{n}:{colour};" for n, colour in enumerate(_DARK))}}}}}
@media print{{.plot{{{"".join(f"--c{n}:{colour};" for n, colour in enumerate(_LIGHT))}}}}}
.plot svg{{display:block;width:100%;height:auto;font-size:12px;overflow:visible}}
.plot text{{fill:var(--faint)}}
.plot .grid{{stroke:var(--line);fill:none}}
.plot .even{{stroke:var(--faint);stroke-dasharray:4 4;opacity:.6}}
.plot polyline{{fill:none;stroke-width:1.8;stroke-linejoin:round}}
{"".join(f".plot .s{n}{{stroke:var(--c{n})}}.plot .f{n}{{fill:var(--c{n})}}" for n in range(COLOURS))}
"""
"""For `.plot` elements, which hold plots."""


@dataclass(frozen=True)
class Line:
    """A line through points of the unit square; points that are no numbers interrupt nothing and are left out.

    Attributes:
        x: Of its points, 0..1.
        y: Of its points, 0..1.
        colour: A number; its colour is that modulo `COLOURS`.
        dots: Whether points are marked too.
    """

    x: Sequence[float]
    y: Sequence[float]
    colour: int
    dots: bool = False


def unit_plot(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    even: tuple[float, float, float, float] | None = None,
    rings: Iterable[tuple[float, float, int]] = (),
    moving: Sequence[int] = (),
) -> str:
    """A plot with both axes from 0 to 1.

    Args:
        lines: What it shows.
        title: Read to those who cannot see it.
        x_label: Of the x axis.
        y_label: Of the y axis.
        even: Ends (x, y, x, y) of a dashed line for comparison.
        rings: Points of their own: x, y, colour.
        moving: Colours of circles of class `at` that a script moves; they begin hidden.
    """
    parts = [f'<path class="grid" d="{_grid()}"/>', *_tick_labels()]
    parts.append(_text(_LEFT + _SIDE / 2, _HEIGHT - 4, x_label))
    middle = _TOP + _SIDE / 2
    parts.append(f'<g transform="translate(12 {middle:g}) rotate(-90)">{_text(0, 0, y_label)}</g>')
    if even is not None:
        x1, y1 = _place(even[0], even[1])
        x2, y2 = _place(even[2], even[3])
        parts.append(f'<line class="even" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')
    for line in lines:
        places = [_place(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        colour = line.colour % COLOURS
        parts.append(f'<polyline class="s{colour}" points="{points}"/>')
        if line.dots:
            parts += [f'<circle class="f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>' for x, y in places]
    for x, y, colour in rings:
        left, top = _place(x, y)
        parts.append(f'<circle class="f{colour % COLOURS}" cx="{left:.1f}" cy="{top:.1f}" r="4.5"/>')
    parts += [
        f'<circle class="at s{colour % COLOURS}" r="6.5" fill="none" stroke-width="2" visibility="hidden"/>'
        for colour in moving
    ]
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}"'
    return f'<svg {box} data-left="{_LEFT}" data-top="{_TOP}" data-side="{_SIDE}">{"".join(parts)}</svg>'


def _place(x: float, y: float) -> tuple[float, float]:
    return _LEFT + _SIDE * x, _TOP + _SIDE * (1 - y)


def _grid() -> str:
    across = (f"M{_LEFT} {_place(0, tick)[1]:g}h{_SIDE}" for tick in _TICKS)
    down = (f"M{_place(tick, 0)[0]:g} {_TOP}v{_SIDE}" for tick in _TICKS)
    return "".join([*across, *down])


def _tick_labels() -> list[str]:
    below = [_text(_place(tick, 0)[0], _TOP + _SIDE + 16, f"{tick:g}") for tick in _TICKS]
    beside = [_text(_LEFT - 6, _place(0, tick)[1] + 4, f"{tick:g}", "end") for tick in _TICKS]
    return [*below, *beside]


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
