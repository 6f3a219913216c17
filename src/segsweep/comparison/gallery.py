"""The masks of a comparison as a part of a page: test images in rows, runs in columns; sorted, enlarged by a click."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from html import escape

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

_STYLE = """
.masks{--tile:190px}
.masks .bar{display:flex;flex-wrap:wrap;gap:.5rem 1.4rem;align-items:center;margin:.4rem 0 1rem}
.masks .bar label{display:flex;gap:.5rem;align-items:center}
.masks .key{display:inline-flex;align-items:center;gap:.35rem;margin-right:.9rem}
.masks .key i{width:.85rem;height:.85rem;border-radius:3px;border:1px solid #8888}
.masks article{background:#1a1d22;color:#e8eaed;border-radius:10px;padding:.7rem .8rem .8rem;margin:0 0 1rem}
.masks h4{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;align-items:baseline;margin:0 0 .55rem;font-size:1rem}
.masks h4 span{font-weight:400;font-size:.85rem;color:#9aa0a8}
.masks .tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,var(--tile)),1fr));gap:.6rem}
.masks figure{margin:0;min-width:0}
.masks figcaption{display:flex;justify-content:space-between;gap:.6rem;margin:0;padding:.1rem .1rem .25rem}
.masks figcaption{font-size:.8rem;color:#c9ced6}
.masks figcaption b{font-weight:500;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.masks figcaption em{flex:none;font-style:normal;color:#9aa0a8;font-variant-numeric:tabular-nums}
.masks figcaption em.best{color:#7fe0a8}
.masks figure img{display:block;width:100%;border-radius:5px;cursor:zoom-in;background:#06070a}
.masks figure img:focus-visible{outline:2px solid #4096ff}
.masks.classes .tiles .difference,.masks:not(.classes) .tiles .prediction{display:none}
.masks dialog{border:0;padding:0;margin:auto;background:#0b0d10;color:#e8eaed;border-radius:10px}
.masks dialog{max-width:96vw;max-height:96vh}
.masks dialog::backdrop{background:#000c}
.masks dialog img{display:block;width:min(94vw,calc(88vh*var(--ratio,1)));height:auto}
.masks dialog p{margin:0;padding:.5rem .9rem;display:flex;justify-content:space-between;gap:2rem;font-size:.9rem}
.masks dialog p span{color:#9aa0a8}
"""

_SCRIPT = """
(() => {
  const root = document.querySelector(".masks"), dialog = root.querySelector("dialog");
  const large = dialog.querySelector("img"), caption = dialog.querySelector("b");
  const rows = () => [...root.querySelectorAll("article")];
  const tiles = row => [...row.querySelectorAll("figure")];
  let at = [0, 0];
  const picture = figure => [...figure.querySelectorAll("img")].find(img => img.offsetParent);
  const show = (row, column) => {
    const all = rows();
    row = (row + all.length) % all.length;
    const figures = tiles(all[row]);
    column = (column + figures.length) % figures.length;
    at = [row, column];
    const img = picture(figures[column]);
    dialog.style.setProperty("--ratio", img.naturalWidth / img.naturalHeight);
    large.src = img.src;
    large.alt = caption.textContent = img.alt;
    if (!dialog.open) dialog.showModal();
  };
  root.addEventListener("click", event => {
    const figure = event.target.closest(".tiles figure");
    if (!figure) { if (dialog.open) dialog.close(); return; }
    const row = figure.closest("article");
    show(rows().indexOf(row), tiles(row).indexOf(figure));
  });
  root.addEventListener("keydown", event => {
    if (event.key === "Enter" && event.target.closest(".tiles figure")) event.target.click();
    const moves = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    if (!dialog.open || !moves) return;
    event.preventDefault();
    show(at[0] + moves[0], at[1] + moves[1]);
  });
  const signs = {spread: -1, disagreement: -1, hard: 1, easy: -1};
  const sort = how => {
    const key = how === "easy" ? "hard" : how;
    const value = row => row.dataset[key];
    const less = how === "name" ? (a, b) => value(a).localeCompare(value(b), undefined, {numeric: true})
                                : (a, b) => signs[how] * (value(a) - value(b));
    root.querySelector(".rows").append(...rows().sort(less));
  };
  root.querySelector("select").addEventListener("change", event => sort(event.target.value));
  root.querySelector("[type=range]").addEventListener("input",
    event => root.style.setProperty("--tile", event.target.value + "px"));
  root.querySelector("[type=checkbox]")?.addEventListener("change",
    event => root.classList.toggle("classes", event.target.checked));
})();
"""


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
    return f"""<style>{_STYLE}</style>
<div class="masks">
<div class="bar"><label>sort <select>{options}</select></label>
<label>size <input type="range" min="120" max="640" value="190" aria-label="size of pictures"></label>{toggle}
<span>{_legend(gallery, many)}</span></div>
<div class="rows">{rows}</div>
<dialog><img alt=""><p><b></b><span>← → other runs, ↑ ↓ other images, Esc closes</span></p></dialog>
</div>
<script>{_SCRIPT}</script>"""


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
        _tile("input", "", image.input, image.name),
        _tile("truth", "", image.truth, image.name),
        *(_run_tile(panel, labels, ranks, max(scores), image.name) for panel in image.panels),
        _tile("disagreement", "", image.disagreement_map, image.name),
    ]
    name = escape(image.name, quote=True)
    facts = "".join(f"<span>{text}</span>" for text in told)
    return (
        f'<article data-name="{name}" data-spread="{spread:.6f}" data-disagreement="{image.disagreement:.6f}" '
        f'data-hard="{image.dice if scores else 0:.6f}"><h4>{name}{facts}</h4>'
        f'<div class="tiles">{"".join(tiles)}</div></article>'
    )


def _run_tile(panel: Panel, labels: Mapping[str, str], ranks: Mapping[str, int], best: float, image: str) -> str:
    name = f"{ranks[panel.run_id]} · {labels[panel.run_id]}"
    return _tile(name, f"{panel.dice:.3f}", panel.difference, image, panel.prediction, best=panel.dice == best)


def _tile(
    name: str, score: str, picture: bytes | None, image: str, other: bytes | None = None, *, best: bool = False
) -> str:
    if picture is None:
        return ""
    text = escape(name, quote=True)
    about = escape(f"{image}: {name}{' · Dice ' + score if score else ''}", quote=True)
    shown = [("difference" if other else "", picture), *([("prediction", other)] if other else [])]
    images = "".join(
        f'<img class="{kind}" tabindex="0" loading="lazy" decoding="async" alt="{about}" src="{_uri(data)}">'
        for kind, data in shown
    )
    mark = f"<em{' class=best' if best else ''}>{score}</em>"
    return f'<figure><figcaption title="{text}"><b>{text}</b>{mark}</figcaption>{images}</figure>'


def _uri(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
