"""The charts of a comparison, as plotly figures. A chart that would say nothing is None."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from plotly.colors import sample_colorscale  # type: ignore[import-untyped]
from plotly.graph_objects import Bar, Figure, Parcoords, Scatter  # type: ignore[import-untyped]
from plotly.subplots import make_subplots  # type: ignore[import-untyped]

from segsweep.comparison.compared import Compared
from segsweep.comparison.importance import Importance
from segsweep.comparison.leaderboard import SAME, WORSE, Place, duration, lower_is_better
from segsweep.comparison.reading import CURVES, MEMORY, Curve
from segsweep.comparison.settings import Setting, told

__all__ = [
    "MOST_CURVES",
    "colours",
    "cost_chart",
    "curves_chart",
    "forest_chart",
    "importance_chart",
    "parallel_chart",
    "settings_chart",
]

MOST_CURVES = 24
"""Runs whose curves are drawn, the best ones."""

_MOST_PANELS = 12
_MOST_AXES = 10
_PER_ROW = 3
_FEW = 8
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f4fc9", "#8c564b")
"""Told apart by colour-blind readers too (after Okabe and Ito, 2008), for up to eight runs."""
_ACCENT, _FAINT, _FRONT = "#0072b2", "#9aa5b1", "#d55e00"
_SCALE = "Viridis"


def colours(places: Sequence[Place]) -> dict[str, str]:
    """A colour for each run: of its own where there are few, by its rank where there are many."""
    runs = [place.run_id for place in places]
    if len(runs) <= _FEW:
        return dict(zip(runs, _PALETTE, strict=False))
    shares = np.linspace(0.95, 0.0, len(runs))
    return dict(zip(runs, sample_colorscale(_SCALE, list(shares)), strict=True))


def forest_chart(compared: Compared) -> Figure | None:
    """The scores of the best runs of the largest test with their intervals, the best on top."""
    places = compared.alike[:MOST_CURVES]
    if compared.score is None or len(places) < 2 or not any(place.interval for place in places):
        return None
    labels = compared.labels()
    names = [f"{place.rank} · {_short(labels[place.run_id], 46)}" for place in places]
    shades = {"best": _FRONT, SAME: _ACCENT, WORSE: _FAINT}
    figure = Figure(
        Scatter(
            x=[place.score for place in places],
            y=names,
            mode="markers",
            marker={"size": 10, "color": [shades.get(place.verdict, _ACCENT) for place in places]},
            error_x=_error_bars(places, width=5, thickness=1.4),
            hovertemplate="%{y}<br>%{x:.4f}<extra></extra>",
        )
    )
    best = places[0]
    figure.add_vline(x=best.score, line={"color": _FRONT, "width": 1, "dash": "dot"})
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title_text=compared.score)
    return _laid_out(figure, 90 + 27 * len(places))


def curves_chart(compared: Compared, curves: Mapping[str, Mapping[str, Curve]]) -> Figure | None:
    """Loss and Dice of training and validation over the steps, a line a run; the legend shows and hides a run."""
    keys = [key for key in CURVES if any(key in found for found in curves.values())]
    if not keys:
        return None
    rows = -(-len(keys) // 2)
    figure = make_subplots(rows, min(2, len(keys)), subplot_titles=keys, vertical_spacing=0.14, horizontal_spacing=0.08)
    labels = compared.labels()
    drawn = [place for place in compared.places if place.run_id in curves]
    colour = colours(drawn)
    listed: set[str] = set()
    for number, key in enumerate(keys):
        for place in reversed(drawn):  # the best on top
            curve = curves[place.run_id].get(key)
            if curve is None:
                continue
            figure.add_trace(
                Scatter(
                    x=curve.steps,
                    y=_smooth(curve.values) if key.startswith("train/") else curve.values,
                    name=labels[place.run_id],
                    legendgroup=place.run_id,
                    showlegend=place.run_id not in listed,
                    mode="lines+markers" if len(curve.steps) < 30 else "lines",
                    marker={"size": 4},
                    line={"color": colour[place.run_id], "width": 1.6},
                    hovertemplate="%{y:.4f} at step %{x}",
                ),
                row=number // 2 + 1,
                col=number % 2 + 1,
            )
            listed.add(place.run_id)
    figure.update_xaxes(matches="x")
    figure.update_xaxes(title_text="step", row=rows)
    return _laid_out(
        figure, 290 * rows + 60, hovermode="closest", legend={"title": "best first", "traceorder": "reversed"}
    )


def settings_chart(compared: Compared) -> Figure | None:
    """The score against each setting: a point a run, with the mean of each value of a category."""
    settings = [item for item in compared.settings[:_MOST_PANELS] if _varies(compared, item)]
    if compared.score is None or not settings:
        return None
    across = min(_PER_ROW, len(settings))
    rows = -(-len(settings) // across)
    figure = make_subplots(rows, across, shared_yaxes=True, vertical_spacing=min(0.18, 0.5 / rows))
    for number, setting in enumerate(settings):
        place = {"row": number // across + 1, "col": number % across + 1}
        for trace in _setting_traces(compared, setting):
            figure.add_trace(trace, **place)
        figure.update_xaxes(title_text=setting.name, type=_axis(setting), **_ticks(compared, setting), **place)
        if place["col"] == 1:
            figure.update_yaxes(title_text=compared.score, **place)
    return _laid_out(figure, 290 * rows + 40, showlegend=False)


def parallel_chart(compared: Compared) -> Figure | None:
    """Parallel coordinates: a line a run through its settings to its score."""
    settings = [item for item in compared.settings[:_MOST_AXES] if _varies(compared, item)]
    if compared.score is None or len(settings) < 2 or len(compared.alike) < 3:
        return None
    rows = compared.alike_rows
    scores = rows[compared.score].to_numpy(dtype=float)
    axes = [_parallel_axis(rows[item.key], item) for item in settings]
    figure = Figure(
        Parcoords(
            line={
                "color": scores,
                "colorscale": _SCALE,
                "reversescale": lower_is_better(compared.score),
                "showscale": True,
                "colorbar": {"title": {"text": compared.score}},
            },
            dimensions=[*axes, {"label": compared.score, "values": scores}],
            labelangle=-12 if len(axes) > 5 else 0,
        )
    )
    figure.update_layout(height=420, margin={"l": 90, "r": 60, "t": 70, "b": 40}, font={"size": 13})
    return figure


def importance_chart(found: Importance, settings: Sequence[Setting]) -> Figure:
    """The share of the score's variance that each setting explains, and what only combinations do."""
    names = {item.key: item.name for item in settings}
    shares = [(names[key], share) for key, share in found.shares.items()][:_MOST_PANELS]
    bars = [*reversed(shares)]
    labels, values = ["combinations", *(name for name, _ in bars)], [found.combined, *(share for _, share in bars)]
    figure = Figure(
        Bar(
            x=values,
            y=labels,
            orientation="h",
            marker={"color": [_FAINT, *[_ACCENT] * len(bars)]},
            text=[f"{value:.0%}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_xaxes(tickformat=".0%", range=[0, 1], title_text="share of the differences in score")
    figure.update_yaxes(automargin=True)
    return _laid_out(figure, 110 + 34 * len(values))


def cost_chart(compared: Compared, memory: Mapping[str, tuple[str, float]]) -> Figure | None:
    """The score against time, and against memory where it was measured, with the runs that nothing beats in both."""
    rows = compared.alike_rows
    minutes = dict(zip(rows["run_id"], rows["seconds"] / 60, strict=True))
    gigabytes = {run: megabytes / 1000 for run, (_, megabytes) in memory.items()}
    panels: list[tuple[str, Mapping[str, float]]] = [("minutes", minutes)]
    if len(gigabytes) > 1:
        on_gpu = all(key == MEMORY[0] for key, _ in memory.values())
        panels.append(("GB of the GPU's memory" if on_gpu else "GB of the machine's memory in use", gigabytes))
    if compared.score is None or len(compared.alike) < 2:
        return None
    figure = make_subplots(1, len(panels), shared_yaxes=True, horizontal_spacing=0.06)
    for column, (title, costs) in enumerate(panels, 1):
        for trace in _cost_traces(compared, costs, title):
            figure.add_trace(trace, row=1, col=column)
        known = [value for value in costs.values() if np.isfinite(value) and value > 0]
        wide = bool(known) and max(known) / min(known) > 9
        figure.update_xaxes(title_text=title, type="log" if wide else "linear", row=1, col=column)
        if not wide:
            figure.update_xaxes(rangemode="tozero", row=1, col=column)
    figure.update_yaxes(title_text=compared.score, row=1, col=1)
    return _laid_out(figure, 380, showlegend=False)


def front(points: Sequence[tuple[float, float]], *, lower: bool) -> list[int]:
    """Places of the points (cost, score) that no other point beats in both, cheapest first."""
    order = sorted(range(len(points)), key=lambda place: (points[place][0], points[place][1] * (1 if lower else -1)))
    found: list[int] = []
    for place in order:
        score = points[place][1]
        if not found or (score < points[found[-1]][1] if lower else score > points[found[-1]][1]):
            found.append(place)
    return found


def _cost_traces(compared: Compared, costs: Mapping[str, float], title: str) -> list[Any]:
    labels = compared.labels()
    known = [place for place in compared.alike if np.isfinite(costs.get(place.run_id, float("nan")))]
    points = [(costs[place.run_id], place.score) for place in known]
    best = front(points, lower=lower_is_better(str(compared.score)))
    texts = [f"{labels[place.run_id]}<br>{_price(costs[place.run_id], title)}" for place in known]
    steps = Scatter(
        x=[points[place][0] for place in best],
        y=[points[place][1] for place in best],
        mode="lines",
        line={"color": _FRONT, "width": 1.5, "shape": "hv", "dash": "dot"},
        hoverinfo="skip",
    )
    dots = Scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="markers",
        text=texts,
        marker={
            "size": 9,
            "color": [_FRONT if place in best else _ACCENT for place in range(len(points))],
            "line": {"width": 1, "color": "white"},
        },
        hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
    )
    return [steps, dots]


def _laid_out(figure: Figure, height: int, **layout: Any) -> Figure:
    figure.update_layout(height=height, margin={"l": 70, "r": 30, "t": 40, "b": 60}, **layout)
    return figure


def _price(cost: float, title: str) -> str:
    return duration(cost * 60) if title == "minutes" else f"{cost:.2f} GB"


def _varies(compared: Compared, setting: Setting) -> bool:
    return len({told(value) for value in compared.alike_rows[setting.key]}) > 1


def _axis(setting: Setting) -> str:
    return "log" if setting.log else "linear"


def _setting_traces(compared: Compared, setting: Setting) -> list[Any]:
    labels = compared.labels()
    values = compared.alike_rows[setting.key]
    positions = _positions(values, setting)
    shaken = positions if setting.kind == "number" else positions + _jitter(len(positions))
    marks = Scatter(
        x=shaken,
        y=[place.score for place in compared.alike],
        mode="markers",
        text=[labels[place.run_id] for place in compared.alike],
        error_y=_error_bars(compared.alike),
        marker={"size": 8, "color": _ACCENT, "opacity": 0.8, "line": {"width": 1, "color": "white"}},
        hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
    )
    means = [
        (
            position,
            float(
                np.mean([place.score for place, at in zip(compared.alike, positions, strict=True) if at == position])
            ),
        )
        for position in sorted(set(positions.tolist()))
    ]
    if len(means) > 12:  # values drawn at random: a line through them would only be noise
        return [marks]
    line = Scatter(
        x=[x for x, _ in means],
        y=[y for _, y in means],
        mode="lines+markers" if setting.kind == "number" else "markers",
        marker={"symbol": "line-ew-open", "size": 26, "color": _FRONT, "line": {"width": 2}},
        line={"color": _FRONT, "width": 1, "dash": "dot"},
        hovertemplate="mean %{y:.4f}<extra></extra>",
    )
    return [marks, line]


def _positions(values: Any, setting: Setting) -> Any:
    if setting.kind == "number":
        return values.to_numpy(dtype=float)
    names = [told(value) for value in values]
    order = {name: place for place, name in enumerate(sorted(set(names)))}
    return np.array([float(order[name]) for name in names])


def _jitter(count: int) -> Any:
    """Spreads points of one category a little, evenly and always alike."""
    return (np.arange(count) * 0.618034 % 1 - 0.5) * 0.36


def _ticks(compared: Compared, setting: Setting) -> dict[str, Any]:
    values = compared.alike_rows[setting.key]
    if setting.kind == "number":
        marks = sorted({float(value) for value in values})
        if len(marks) > 6:
            marks = _decades(marks[0], marks[-1]) if setting.log else []
        return {"tickmode": "array", "tickvals": marks, "ticktext": [told(mark) for mark in marks]} if marks else {}
    names = sorted({told(value) for value in values})
    span = [-0.6, len(names) - 0.4]
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [_short(n) for n in names],
        "range": span,
    }


def _decades(low: float, high: float) -> list[float]:
    """1 and 3 of each power of ten from `low` to `high`; the powers alone where these are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 3) if len(powers) < 5 else (1,)
    return [mark for power in powers for step in steps if low <= (mark := float(f"{step}e{power}")) <= high]


def _short(text: str, most: int = 18) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _smooth(values: Any) -> Any:
    """A running mean over 3 % of the points; fewer at the ends."""
    window = np.ones(max(1, round(len(values) * 0.03) | 1))
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _error_bars(places: Sequence[Place], width: int = 0, thickness: float = 0.8) -> dict[str, Any] | None:
    if not any(place.interval for place in places):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [place.interval.high - place.score if place.interval else 0.0 for place in places],
        "arrayminus": [place.score - place.interval.low if place.interval else 0.0 for place in places],
        "thickness": thickness,
        "width": width,
        "color": _FAINT,
    }


def _parallel_axis(values: Any, setting: Setting) -> dict[str, Any]:
    if setting.kind == "category":
        names = sorted({told(value) for value in values})
        return {
            "label": setting.name,
            "values": _positions(values, setting),
            "tickvals": list(range(len(names))),
            "ticktext": [_short(name) for name in names],
        }
    numbers = values.to_numpy(dtype=float)
    marks = sorted(set(numbers.tolist()))
    if len(marks) > 8:
        marks = _decades(marks[0], marks[-1]) if setting.log else np.linspace(marks[0], marks[-1], 6).tolist()
    place = np.log10 if setting.log else np.asarray
    return {
        "label": setting.name,
        "values": place(numbers),
        "tickvals": [float(place(mark)) for mark in marks],
        "ticktext": [f"{mark:.3g}" for mark in marks],
    }
