"""Self-contained HTML pages: one file that opens offline, in light and dark, on paper, and in MLflow's viewer.

A page asks the network for nothing, and its content security policy forbids that it could. It runs the scripts that
it was built with and no others: handlers in attributes and `javascript:` links do nothing. Every text that comes from
data is escaped where it enters a page.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]

__all__ = ["MAX_SIDE", "Section", "asset", "chart", "document", "picture", "table"]

MAX_SIDE = 1600
"""Pixels of the longer side of a picture; larger ones are scaled down."""

_MASK_COLOURS = 64
"""A picture of no more colours is a mask; others are photos."""
_QUALITY = 82
_CHART_HEIGHT = 420
_CHART, _WEBGL = '<div class="chart', '<div class="chart webgl"'
_DRAWN_BY_WEBGL = {"parcoords", "scattergl", "scatterpolargl", "splom"}
"""Traces whose drawing plotly compiles as it goes, by JavaScript's `Function`."""
_PICTURE = '<figure class="picture"'
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
    scripts = [asset("page.js")]
    if _CHART in body:
        from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

        scripts += [get_plotlyjs().replace("\r", ""), asset("charts.js")]
    if _PICTURE in body:
        scripts.append(asset("pictures.js"))
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
<style>{asset("page.css")}</style>
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
        digits: Decimals of numbers. Columns of very large or very small ones, and of round ones such as learning rates,
            get as many significant digits where decimals would not do.
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
    """A picture as HTML that holds it, scaled down to at most `MAX_SIDE` pixels; a click enlarges it.

    Enlarged, the arrow keys go to the pictures beside it. Within an element with `data-title`, which is told then, left
    and right stay within that element, and up and down lead to the picture of the same place in the next one.

    Args:
        image: uint8, HxWx3 RGB or HxW grey. One of few colours is kept exactly, others with little loss.
        caption: Plain text below it, also read to those who cannot see it.
        width: How wide it is shown at most, in CSS pixels; twice as many pixels are kept, for fine screens.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"a picture is uint8 HxW or HxWx3, not {image.dtype} {image.shape}")
    data = _encoded(image, MAX_SIDE if width is None else min(MAX_SIDE, 2 * width))
    text = escape(caption)
    style = "" if width is None else f' style="max-width:{width}px"'
    said = f"<figcaption>{text}</figcaption>" if caption else ""
    source = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    return f'{_PICTURE}{style}><img alt="{text}" tabindex="0" loading="lazy" src="{source}">{said}</figure>'


def _encoded(image: NDArray[np.uint8], side: int) -> bytes:
    """The picture as a WebP file: a mask without any loss, which takes a third of a PNG, a photo with little."""
    few = _has_few_colours(image)
    scale = side / max(image.shape[:2])
    if scale < 1:
        height, width = (max(1, round(length * scale)) for length in image.shape[:2])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    buffer = io.BytesIO()
    quality = {"lossless": True, "quality": 30} if few else {"quality": _QUALITY}
    Image.fromarray(image).save(buffer, "webp", method=1, **quality)
    return buffer.getvalue()


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
    whole = all(isinstance(value, int | np.integer) for value in known)
    show = _number_format([float(value) for value in known], digits, whole) if numeric else _text
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


def _number_format(values: Sequence[float], digits: int, whole: bool) -> Callable[[float], str]:
    """How all numbers of a column are shown, so that they can be compared at a glance; `whole` ones have no decimals.

    Nor have counts that became decimal numbers because some are missing.
    """
    finite = [abs(value) for value in values if math.isfinite(value)]
    counts = all(value == int(value) and value < 1e15 for value in finite)
    if counts and (whole or max(finite, default=2) > 1):
        return lambda value: f"{int(value):,}" if math.isfinite(value) else str(value)
    fine = 0.5 * 10**-digits
    short = all(value == float(f"{value:.{max(digits, 1)}g}") for value in finite)  # settings such as 0.00003
    if 0 < max(finite) < 10 * fine or max(finite) >= 1e7 or (short and min(filter(None, finite), default=1) < fine):
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


@functools.cache
def asset(name: str) -> str:
    """A style or script of the project's pages, by its file's name in `assets/`."""
    return (Path(__file__).parent / "assets" / name).read_text(encoding="utf-8")
