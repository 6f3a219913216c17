"""The masks of a comparison as a part of a page: test images in rows, runs in columns; sorted, enlarged by a click."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from html import escape

from segsweep import page
from segsweep.comparison.masks import Gallery, Panel, ShownImage
from segsweep.evaluation.pictures import FALSE_ALARM, HIT, MISS, RIGHT

__all__ = ["gallery_html"]

_ORDERS = {
    "spread": "where scores differ most",
    "disagreement": "where masks differ most",
    "hard": "hardest first",
    "easy": "easiest first",
    "name": "by name",
}


def gallery_html(gallery: Gallery, labels: Mapping[str, str]) -> str:
    """The masks as HTML with its own style and script.

    Args:
        gallery: What to show.
        labels: The runs' names by their ids.
    """
    ranks = {run: number for number, run in enumerate(gallery.runs, 1)}
    rows = "\n".join(_row(image, labels, ranks) for image in gallery.images)
    many = any(panel.prediction for image in gallery.images for panel in image.panels)
    options = "".join(f'<option value="{key}">{text}</option>' for key, text in _ORDERS.items())
    toggle = '<label><input type="checkbox">classes instead of errors</label>' if many else ""
    return f"""<style>{page.asset("masks.css")}</style>
<div class="masks">
<div class="bar"><label>sort <select>{options}</select></label>
<label>size <input type="range" min="120" max="640" value="190" aria-label="size of pictures"></label>{toggle}
<span>{_legend(gallery, many)}</span></div>
<div class="rows">{rows}</div>
</div>
<script>{page.asset("masks.js")}</script>"""


def _legend(gallery: Gallery, many: bool) -> str:
    errors = [("right", RIGHT), ("wrong", FALSE_ALARM)] if many else _BINARY
    keys = [(text, "#" + bytes(colour).hex()) for text, colour in errors]
    keys += list(gallery.classes.items()) if many else []
    keys += [("runs disagree", "#ffb020")] if len(gallery.runs) > 1 else []
    return "".join(f'<span class="key"><i style="background:{escape(c)}"></i>{escape(text)}</span>' for text, c in keys)


_BINARY = [("hit", HIT), ("missed", MISS), ("false alarm", FALSE_ALARM)]


def _row(image: ShownImage, labels: Mapping[str, str], ranks: Mapping[str, int]) -> str:
    scores = [panel.dice for panel in image.panels]
    spread = max(scores) - min(scores) if scores else 0.0
    told = [f"mean Dice {image.dice:.3f}"] if scores else ["no run has a mask of it"]
    if len(scores) > 1:
        told = [
            *told,
            f"from {min(scores):.3f} to {max(scores):.3f}",
            f"disagreement {image.disagreement:.0%}",
        ]
    if math.isfinite(image.majority):
        told.append(f"majority vote {image.majority:.3f}")
    tiles = [
        _tile("input", "", image.input),
        _tile("truth", "", image.truth),
        *(_run_tile(panel, labels, ranks, max(scores)) for panel in image.panels),
        _tile("disagreement", "", image.disagreement_map),
    ]
    name = escape(image.name, quote=True)
    facts = "".join(f"<span>{text}</span>" for text in told)
    return (
        f'<article data-title="{name}" data-spread="{spread:.6f}" data-disagreement="{image.disagreement:.6f}" '
        f'data-dice="{image.dice if scores else 0:.6f}"><h4>{name}{facts}</h4>'
        f'<div class="tiles">{"".join(tiles)}</div></article>'
    )


def _run_tile(panel: Panel, labels: Mapping[str, str], ranks: Mapping[str, int], best: float) -> str:
    name = f"{ranks[panel.run_id]} · {labels[panel.run_id]}"
    return _tile(name, f"{panel.dice:.3f}", panel.difference, panel.prediction, best=panel.dice == best)


def _tile(name: str, score: str, picture: bytes | None, other: bytes | None = None, *, best: bool = False) -> str:
    if picture is None:
        return ""
    text = escape(name, quote=True)
    about = escape(f"{name} · Dice {score}" if score else name, quote=True)
    shown = [("difference" if other else "", picture), *([("prediction", other)] if other else [])]
    images = "".join(
        f'<img class="{kind}" tabindex="0" loading="lazy" decoding="async" alt="{about}" src="{_uri(data)}">'
        for kind, data in shown
    )
    mark = f"<em{' class=best' if best else ''}>{score}</em>"
    return f'<figure class="picture"><figcaption title="{text}"><b>{text}</b>{mark}</figcaption>{images}</figure>'


def _uri(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
