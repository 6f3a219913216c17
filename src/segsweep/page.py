"""Self-contained HTML pages: one file that opens offline, in light and dark, on paper, and in MLflow's viewer.

A page asks the network for nothing, and its content security policy forbids that it could. It runs the scripts that
it was built with and no others: handlers in attributes and `javascript:` links do nothing. Every text that comes from
data is escaped where it enters a page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]

__all__ = ["MAX_SIDE", "Section", "chart", "document", "picture", "table"]

MAX_SIDE = 1600
"""Pixels of the longer side of a picture; larger ones are scaled down."""

_MASK_COLOURS = 64
"""A picture of no more colours is a mask, which PNG keeps exactly and small; others are photos."""
_WEBP_QUALITY = 82
_CHART_HEIGHT = 420
_CHART, _WEBGL = '<div class="chart', '<div class="chart webgl"'
_DRAWN_BY_WEBGL = {"parcoords", "scattergl", "scatterpolargl", "splom"}
"""Traces whose drawing plotly compiles as it goes, by JavaScript's `Function`."""
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_LINK = re.compile(r"(?:https?://|#|(?![\w.+-]*:)[^\s\x00-\x1f/\\])[^\s\x00-\x1f\\]*", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """A part of a page: its title (plain text) and its content (HTML, already escaped)."""

    title: str
    html: str


def document(title: str, sections: Sequence[Section], *, note: str = "") -> str:
    """A whole HTML document.

    Args:
        title: Of the page, plain text.
        sections: Its parts in order; the navigation lists them. Styles and scripts in their HTML stand in plain
            `<style>` and `<script>` elements; a script runs where it stands, before the parts that follow it are there.
        note: What it says below the title, plain text.
    """
    names = _anchors([section.title for section in sections])
    links = "".join(
        f'<a href="#{name}">{escape(section.title)}</a>' for name, section in zip(names, sections, strict=True)
    )
    body = "\n".join(
        f'<section id="{name}"><h2>{escape(section.title)}</h2>\n{section.html}\n</section>'
        for name, section in zip(names, sections, strict=True)
    )
    scripts = [_TABLES]
    if _CHART in body:
        from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

        scripts += [get_plotlyjs().replace("\r", ""), _CHARTS]
    own = "\n".join(f"<script>{script}</script>" for script in scripts)
    hashes = [_hash(script) for script in [*_SCRIPT.findall(body), *scripts]]
    if _WEBGL in body:
        hashes.append("'unsafe-eval'")
    policy = (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
        f"script-src {' '.join(dict.fromkeys(hashes))}; base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{escape(title)}</h1>{f'<p class="note">{escape(note)}</p>' if note else ""}</header>
<nav aria-label="Sections">{links}</nav>
<main>
{body}
</main>
{own}
</body>
</html>
"""


def table(frame: pd.DataFrame, *, digits: int = 4, links: Mapping[str, str] | None = None) -> str:
    """A table as HTML; a click on a column's name, or Enter, sorts by it, what is missing always last.

    Args:
        frame: Its columns are shown with their names, its index is not.
        digits: Decimals of numbers; columns with very small or large numbers get as many significant digits.
        links: By the text of a cell, where it leads to: `https://…`, a relative address or `#…` in the same page.
            Any other kind of address is not made a link.
    """
    columns = [_column(list(frame.iloc[:, place]), digits, links or {}) for place in range(frame.shape[1])]
    heads = "".join(
        f'<th scope="col"{_NUMBER if numeric else ""} aria-sort="none"><button type="button">{escape(str(name))}'
        "</button></th>"
        for name, (numeric, _) in zip(frame.columns, columns, strict=True)
    )
    rows = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*(cells for _, cells in columns), strict=True))
    return f'<div class="table"><table><thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def chart(figure: Figure) -> str:
    """A chart as HTML with its data; the page draws it in its own colours, those that the figure does not set.

    Args:
        figure: Of plotly. Its template is left out; its height is kept (420 pixels if it has none), its width is the
            page's.
    """
    plain = json.loads(figure.to_json())
    layout = plain["layout"]
    layout.pop("template", None)
    layout.pop("width", None)
    height = float(layout.setdefault("height", _CHART_HEIGHT))
    data = json.dumps({"data": plain["data"], "layout": layout}, separators=(",", ":"), allow_nan=False)
    for character in "<>&":  # nothing in it can end the element
        data = data.replace(character, f"\\u{ord(character):04x}")
    kind = _WEBGL if any(trace.get("type") in _DRAWN_BY_WEBGL for trace in plain["data"]) else f'{_CHART}"'
    return f'{kind} style="height:{height:.0f}px"><script type="application/json">{data}</script></div>'


def picture(image: NDArray[np.uint8], caption: str = "", *, width: int | None = None) -> str:
    """A picture as HTML that holds it, scaled down to at most `MAX_SIDE` pixels.

    Args:
        image: uint8, HxWx3 RGB or HxW grey. One of few colours is kept exactly (PNG), others as WebP.
        caption: Plain text below it, also read to those who cannot see it.
        width: How wide it is shown at most, in CSS pixels; twice as many pixels are kept, for fine screens.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"a picture is uint8 HxW or HxWx3, not {image.dtype} {image.shape}")
    data, kind = _encoded(image, MAX_SIDE if width is None else min(MAX_SIDE, 2 * width))
    text = escape(caption)
    style = "" if width is None else f' style="max-width:{width}px"'
    said = f"<figcaption>{text}</figcaption>" if caption else ""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<figure class="picture"{style}><img alt="{text}" loading="lazy" src="{source}">{said}</figure>'


def _encoded(image: NDArray[np.uint8], side: int) -> tuple[bytes, str]:
    """The picture as a file, and its kind."""
    few = _has_few_colours(image)
    scale = side / max(image.shape[:2])
    if scale < 1:
        height, width = (max(1, round(length * scale)) for length in image.shape[:2])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    kind, settings = ("png", []) if few else ("webp", [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])
    done, data = cv2.imencode(f".{kind}", pixels, settings)
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be encoded")
    return data.tobytes(), kind


def _has_few_colours(image: NDArray[np.uint8]) -> bool:
    """Whether every 16th row and column of a large picture, all of a small one, has few colours."""
    step = max(1, round(math.sqrt(image.shape[0] * image.shape[1]) / 256))
    sample = image[::step, ::step].astype(np.uint32)
    packed = sample if sample.ndim == 2 else sample[..., 0] << 16 | sample[..., 1] << 8 | sample[..., 2]
    return len(np.unique(packed)) <= _MASK_COLOURS


_NUMBER = ' class="number"'
_MISSING = "–"


def _column(values: Sequence[Any], digits: int, links: Mapping[str, str]) -> tuple[bool, list[str]]:
    """Whether a column is one of numbers, and its cells."""
    known = [value for value in values if not _is_missing(value)]
    numeric = bool(known) and all(_is_number(value) for value in known)
    show = _number_format([float(value) for value in known], digits) if numeric else _text
    cells = []
    for value in values:
        if _is_missing(value):
            cells.append(f"<td{_NUMBER if numeric else ''} data-none>{_MISSING}</td>")
            continue
        text = show(value)
        address = links.get(text)
        shown = escape(text) if address is None else _link(text, address)
        key = f' data-value="{float(value)!r}"' if numeric else ""
        cells.append(f"<td{_NUMBER if numeric else ''}{key}>{shown}</td>")
    return numeric, cells


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_missing(value: Any) -> bool:
    """None, NaN, and pandas' own signs for nothing, which alone are not equal to themselves."""
    if value is None:
        return True
    unequal = value != value
    return unequal is not False and (not isinstance(unequal, bool | np.bool_) or bool(unequal))


def _number_format(values: Sequence[float], digits: int) -> Any:
    finite = [abs(value) for value in values if math.isfinite(value)]
    if all(value == int(value) and value < 1e15 for value in finite):
        return lambda value: f"{int(value):,}" if math.isfinite(value) else str(value)
    if max(finite) >= 1e7 or min(value for value in finite if value > 0) < 0.5 * 10**-digits:
        return lambda value: f"{value:.{digits}g}"
    return lambda value: f"{value:,.{digits}f}"


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return str(value)


def _link(text: str, address: str) -> str:
    if not _LINK.fullmatch(address):
        return escape(text)
    outside = ' target="_blank" rel="noopener noreferrer"' if address[:4].lower() == "http" else ""
    return f'<a href="{escape(address)}"{outside}>{escape(text)}</a>'


def _anchors(titles: Sequence[str]) -> list[str]:
    """A name for each title that can stand in a link, none twice."""
    names: list[str] = []
    for title in titles:
        plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        name, count = plain, 1
        while name in names:
            count += 1
            name = f"{plain}-{count}"
        names.append(name)
    return names


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


_STYLE = """
:root{--page:#fbfbfa;--panel:#ffffff;--ink:#1d2127;--faint:#69707a;--line:#e3e5e8;--accent:#0b63b0;--hover:#f1f4f7;
--mark:#e8f1fb}
@media (prefers-color-scheme:dark){:root{--page:#14161a;--panel:#1b1e23;--ink:#e6e8eb;--faint:#9aa1ab;--line:#2d3239;
--accent:#6cb2f2;--hover:#22262c;--mark:#1d2f42}}
@media print{:root{--page:#fff;--panel:#fff;--ink:#000;--faint:#555;--line:#ccc;--accent:#000;--hover:#fff;
--mark:#fff}}
*{box-sizing:border-box}
html{scroll-padding-top:3.6rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",
sans-serif}
header,main{max-width:1320px;margin:0 auto;padding:0 1.5rem}
header{padding-top:1.9rem}
h1{font-size:1.6rem;font-weight:650;line-height:1.25;margin:0;overflow-wrap:anywhere}
.note{color:var(--faint);margin:.35rem 0 0;max-width:75rem;overflow-wrap:anywhere}
nav{position:sticky;top:0;z-index:5;display:flex;gap:.2rem 1.4rem;overflow-x:auto;white-space:nowrap;margin:1.1rem 0 0;
padding:.65rem max(1.5rem,calc((100vw - 1320px)/2 + 1.5rem));background:var(--page);border-bottom:1px solid var(--line);
font-size:.9rem}
nav a{color:var(--faint);text-decoration:none}
nav a:hover,nav a:focus-visible{color:var(--accent)}
section{padding:1.7rem 0 .4rem}
h2{font-size:1.15rem;font-weight:650;margin:0 0 .8rem}
h3{font-size:1rem;font-weight:600;margin:1.4rem 0 .5rem}
p,ul{max-width:75rem}
a{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:2px}
.table{overflow:auto;max-height:80vh;border:1px solid var(--line);border-radius:8px;background:var(--panel);
width:fit-content;max-width:100%}
table{border-collapse:separate;border-spacing:0;font-size:.87rem;font-variant-numeric:tabular-nums}
th,td{padding:.36rem .8rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
tbody tr:last-child td{border-bottom:0}
th{position:sticky;top:0;z-index:1;background:var(--panel);font-weight:600;padding:0}
th button{all:unset;box-sizing:border-box;display:block;width:100%;padding:.45rem .8rem;cursor:pointer;
color:var(--faint)}
th button:hover,th:not([aria-sort=none]) button{color:var(--ink)}
th button:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
th button::after{content:"\\2195";opacity:0;margin-left:.3em;font-size:.8em}
th.number button::after{content:none}
th.number button::before{content:"\\2195";opacity:0;margin-right:.3em;font-size:.8em}
th button:hover::after,th button:hover::before{opacity:.5}
th[aria-sort=ascending]:not(.number) button::after,th[aria-sort=ascending].number button::before{content:"\\2191";
opacity:1}
th[aria-sort=descending]:not(.number) button::after,th[aria-sort=descending].number button::before{content:"\\2193";
opacity:1}
.number{text-align:right}
tbody tr:hover td{background:var(--hover)}
figure.picture{margin:0 0 1rem}
figure.picture img{display:block;max-width:100%;height:auto;border-radius:6px}
figcaption{color:var(--faint);font-size:.85rem;margin-top:.35rem;overflow-wrap:anywhere}
.chart{width:100%;margin:.2rem 0 1rem}
@media print{nav{display:none}body{font-size:11px}.table{max-height:none;overflow:visible;border:0}
section{break-inside:auto}figure,.chart,tr{break-inside:avoid}h2,h3{break-after:avoid}}
"""

_TABLES = """
(() => {
  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    if (cell.hasAttribute("data-none")) return null;
    return numeric ? Number(cell.dataset.value) : cell.textContent;
  };
  const sort = head => {
    const numeric = head.classList.contains("number"), body = head.closest("table").tBodies[0];
    const before = head.getAttribute("aria-sort");
    const up = before === "none" ? !numeric : before === "descending";
    const column = head.cellIndex, sign = up ? 1 : -1;
    const compare = numeric ? (a, b) => a - b : new Intl.Collator(undefined, {numeric: true}).compare;
    const keyed = [...body.rows].map(row => [value(row, column, numeric), row]);
    keyed.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b));
    body.append(...keyed.map(([, row]) => row));
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  };
  document.addEventListener("click", event => {
    const button = event.target.closest("th button");
    if (button) sort(button.parentNode);
  });
})();
"""

_CHARTS = """
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const template = isDark => {
    const [ink, line, panel] = isDark ? ["#e6e8eb", "#2d3239", "#1b1e23"] : ["#1d2127", "#e3e5e8", "#ffffff"];
    const axis = {gridcolor: line, linecolor: line, zerolinecolor: line, zerolinewidth: 1, automargin: true};
    return {layout: {
      font: {family: "system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif", size: 13, color: ink},
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
      margin: {l: 60, r: 24, t: 40, b: 50}, title: {font: {size: 15}, x: 0, xref: "paper"},
      colorway: isDark ? ["#56b4e9", "#f08a4b", "#2fc79a", "#e0a0c4", "#e6b03c", "#8fb6ff", "#b294f0", "#c9a08f"]
                       : ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#c98a00", "#3d9bd6", "#7f4fc9", "#8c564b"],
      hoverlabel: {bgcolor: panel, bordercolor: line, font: {color: ink}, align: "left"},
      modebar: {bgcolor: "rgba(0,0,0,0)", color: isDark ? "#68707b" : "#a4abb3", activecolor: ink},
      legend: {bgcolor: "rgba(0,0,0,0)"}
    }};
  };
  const config = {responsive: true, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false};
  const draw = isDark => {
    for (const place of document.querySelectorAll(".chart")) {
      place.figure ??= JSON.parse(place.querySelector("script").textContent);
      const {data, layout} = place.figure;
      Plotly.react(place, data, {...layout, autosize: true, template: template(isDark)}, config);
    }
  };
  draw(dark.matches);
  dark.addEventListener("change", () => draw(dark.matches));
  addEventListener("beforeprint", () => draw(false));
  addEventListener("afterprint", () => draw(dark.matches));
})();
"""
