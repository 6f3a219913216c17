"""The picture of a graph as plain values: boxes of layers in rows, and named wires between them.

`render` makes SVG and PNG of it, so both show the same. Widths of texts are those of DejaVu Sans, the widest of the
fonts that a viewer may take, so that no text is wider than its box.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from segsweep.dtl.drawing.grid import IN_SPACING, Edge, Node
from segsweep.dtl.drawing.placing import Placement, Point, place
from segsweep.dtl.drawing.telling import telling_settings
from segsweep.dtl.graph import LayerSpec
from segsweep.dtl.layers import LAYERS
from segsweep.dtl.names import DISCARD, SAVES

__all__ = ["LOOKS", "Box", "Drawing", "Look", "Swatch", "Text", "Wire", "draw_graph", "text_width"]


@dataclass(frozen=True)
class Look:
    """How a kind of layer looks: lightly filled, so that dark text stands out also in print; lengths in pixels."""

    fill: str
    line: str
    ink: str
    radius: float
    stroke: float


LOOKS: Mapping[str, Look] = {
    "data": Look("#e1f0fa", "#0072b2", "#00507d", radius=18, stroke=1.4),
    "processing": Look("#fdf4e0", "#d98f00", "#7d5200", radius=6, stroke=1.4),
    "result": Look("#dcf3ea", "#009e73", "#00634a", radius=18, stroke=2.6),
}
"""Kind of layer -> its look. The lines are Okabe and Ito's colours, which colour-blind people tell apart; where the
graph begins and ends boxes are round, and the result has a thick line, so that kinds differ in grey too."""

INK, PALE, LABEL = "#1c1f24", "#4a5058", "#444b55"
NAME_SIZE, SMALL = 13.0, 11.0

_MARGIN, _PAD_X, _PAD_Y = 24.0, 16.0, 10.0
_WIDEST = 220.0
_NARROWEST = 84.0
_LEADING = {NAME_SIZE: 18.0, SMALL: 15.0}
_DETAILS = 2
_BESIDE = 6.0
_LEGEND = 40.0
_SWATCH = 18.0
DROP_RADIUS = 6.0


@dataclass(frozen=True)
class Text:
    """A line of text; its anchor (`start`, `middle` or `end`) lies at (x, y), on the base line."""

    x: float
    y: float
    text: str
    size: float = SMALL
    colour: str = PALE
    bold: bool = False
    anchor: str = "start"


@dataclass(frozen=True)
class Box:
    """A layer, or (kind `dropped`) the mark where an output ends that nobody reads.

    Attributes:
        layer: The layer's name; at a mark, of the layer whose output ends there.
        kind: `data`, `processing`, `result` or `dropped`.
        left: x of its left side.
        top: y of its upper side.
        width: Its width.
        height: Its height.
        texts: What is written in it, or beside the mark.
        about: All about it, in words.
    """

    layer: str
    kind: str
    left: float
    top: float
    width: float
    height: float
    texts: tuple[Text, ...]
    about: str


@dataclass(frozen=True)
class Wire:
    """One output of a layer, and the ways from it to all that read it.

    Attributes:
        connection: Its name.
        source: The layer that writes it.
        targets: The layers that read it; empty when it is dropped.
        routes: A way for each of them (see `placing.Placement.routes`); when it is dropped, the way to the mark.
        labels: Its name, and which of several outputs it is, as written beside its beginning.
    """

    connection: str
    source: str
    targets: tuple[str, ...]
    routes: tuple[tuple[Point, ...], ...]
    labels: tuple[Text, ...]


@dataclass(frozen=True)
class Swatch:
    """A kind of layer in the legend: a small box with its upper left corner at (left, top)."""

    kind: str
    left: float
    top: float
    text: Text


@dataclass(frozen=True)
class Drawing:
    """A whole picture of `width` x `height` pixels."""

    width: float
    height: float
    title: str
    description: str
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    legend: tuple[Swatch, ...]


def draw_graph(layers: Sequence[LayerSpec]) -> Drawing:
    """Draws a graph that was checked.

    Raises:
        graphlib.CycleError: The layers make a loop.
    """
    outputs = [_outputs(layer, layers) for layer in layers]
    contents = [_lines(layer) for layer in layers]
    entering = [sum(number in output.readers for some in outputs for output in some) for number in range(len(layers))]
    widths = [_width(*of_layer) for of_layer in zip(contents, outputs, entering, strict=True)]
    nodes = [_node(*of_layer) for of_layer in zip(contents, outputs, widths, strict=True)]
    edges: list[Edge] = []
    wired: list[tuple[int, int, list[int]]] = []  # layer, output, edges
    for number, some in enumerate(outputs):
        for out, output in enumerate(some):
            if not output.readers:
                nodes.append(Node(DROP_RADIUS, DROP_RADIUS + _BESIDE + text_width("dropped"), 2 * DROP_RADIUS))
            targets = output.readers or (len(nodes) - 1,)
            wired.append((number, out, list(range(len(edges), len(edges) + len(targets)))))
            edges += [Edge(number, out, target) for target in targets]

    placed = place(nodes, edges)
    legend = _legend({_kind(layer) for layer in layers})
    broad = max(swatch.text.x + text_width(swatch.text.text) for swatch in legend) if legend else 0.0
    width = max(placed.width, broad) + 2 * _MARGIN
    placed = _moved(placed, (width - placed.width) / 2, _MARGIN)
    foot = placed.height + _LEGEND
    boxes = [_box(layer, contents[number], widths[number], placed, number) for number, layer in enumerate(layers)]
    wires = []
    for number, out, ways in wired:
        output, routes = outputs[number][out], tuple(placed.routes[way] for way in ways)
        names = tuple(layers[reader].name for reader in output.readers)
        labels = _labels(output, routes[0][0], leftwards=out == 0 and len(outputs[number]) == 2)
        wires.append(Wire(output.connection, layers[number].name, names, routes, labels))
        if not output.readers:
            boxes.append(_mark(layers[number], output, routes[0][-1]))
    inputs = ", ".join(text for layer in layers if layer.action == "data" for text in layer.src)
    result = ", ".join(text for layer in layers if layer.action in SAVES for text in layer.dst)
    return Drawing(
        width,
        foot + _MARGIN,
        f"Segsweep graph: {inputs} → {result}",
        "\n".join(_about(layer) for layer in layers),
        tuple(boxes),
        tuple(wires),
        tuple(_swatch_moved(swatch, (width - broad) / 2, foot) for swatch in legend),
    )


# ---- texts


_WIDTHS: Mapping[str, float] = {
    letter: width
    for letters, width in {
        "'": 0.28,
        "ijlIJ": 0.3,
        " ,.·": 0.32,
        "/:;\\|f-": 0.36,
        "()[]t!": 0.41,
        'r"': 0.47,
        "*_`sz–": 0.53,
        "?cLFk": 0.59,
        "vxyTYaoe": 0.62,
        "PESbdghnpqu$0123456789{}": 0.64,
        "KAVBRXZC": 0.7,
        "UHNDG": 0.78,
        "&OQw#+<=>^~×→−": 0.84,
        "M%m": 0.98,
    }.items()
    for letter in letters
}
"""Advances of DejaVu Sans for a font of size 1, rounded up."""
_LONGEST = 400
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def text_width(text: str, size: float = SMALL, *, bold: bool = False) -> float:
    """How wide a line of text is at most, in pixels."""
    widths = (_WIDTHS.get(letter) or _unknown_width(letter) for letter in unicodedata.normalize("NFKD", text))
    return size * sum(1.1 * width + 0.045 if bold else width for width in widths)


def _unknown_width(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.18
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.4
    return 1.05 if letter.isascii() or unicodedata.category(letter) == "Ll" else 1.25


def _shown(text: str, size: float = SMALL, *, bold: bool = False) -> str:
    """The text in one line, without signs that cannot be seen or that turn the direction, and cut where too long."""
    line = " ".join(text[:_LONGEST].split())
    line = "".join("\ufffd" if unicodedata.category(sign) in _UNSEEN else sign for sign in line)
    if len(text) <= _LONGEST and text_width(line, size, bold=bold) <= _WIDEST:
        return line
    room, kept = _WIDEST - text_width("…", size, bold=bold), ""
    for sign in line:
        room -= text_width(sign, size, bold=bold)
        if room < 0:
            break
        kept += sign
    return kept.rstrip() + "…"


# ---- a layer


@dataclass(frozen=True)
class _Output:
    """An output of a layer: which of several it is (`true`), its connection, and the layers that read it."""

    kind: str
    connection: str
    readers: tuple[int, ...]

    @property
    def labels(self) -> list[Text]:
        kind = [Text(0, 0, _shown(self.kind, bold=True), colour=LABEL, bold=True)] if self.kind else []
        return [*kind, Text(0, 0, _shown(self.connection), colour=LABEL)]

    @property
    def width(self) -> float:
        return max(text_width(label.text, label.size, bold=label.bold) for label in self.labels)


def _outputs(layer: LayerSpec, layers: Sequence[LayerSpec]) -> list[_Output]:
    if layer.action in SAVES:
        return []
    kinds = LAYERS[layer.action].outputs(layer.settings) if layer.action in LAYERS else ("",)
    found = []
    for number, connection in enumerate(layer.dst):
        readers = tuple(
            index
            for index, other in enumerate(layers)
            if other.action != "data" and connection != DISCARD and connection in other.src
        )
        found.append(_Output(kinds[number] if number < len(kinds) else "", connection, readers))
    return found


def _kind(layer: LayerSpec) -> str:
    return "data" if layer.action == "data" else "result" if layer.action in SAVES else "processing"


def _lines(layer: LayerSpec) -> list[Text]:
    """What is written in a layer's box, not placed yet."""
    lines = [Text(0, 0, _shown(layer.name, NAME_SIZE, bold=True), NAME_SIZE, INK, bold=True)]
    if layer.action != layer.name:
        lines.append(Text(0, 0, _shown(layer.action), colour=LOOKS[_kind(layer)].ink))
    details = [phrase for phrase in telling_settings(layer) if phrase]
    if len(details) > _DETAILS:
        details[_DETAILS - 1 :] = [" · ".join(details[_DETAILS - 1 :])]
    return lines + [Text(0, 0, _shown(phrase)) for phrase in details]


def _height(lines: Sequence[Text]) -> float:
    return sum(_LEADING[line.size] for line in lines)


def _width(lines: Sequence[Text], outputs: Sequence[_Output], entering: int) -> float:
    """A box is wide enough for its text and for all that comes and goes."""
    text = max(text_width(line.text, line.size, bold=line.bold) for line in lines)
    outs = _outs(outputs)
    leaving = outs[-1] - outs[0] + 2 * _PAD_X if outs else 0.0
    return max(text + 2 * _PAD_X, _NARROWEST, (entering - 1) * IN_SPACING + 2 * _PAD_X, leaving)


def _outs(outputs: Sequence[_Output]) -> tuple[float, ...]:
    """Where outputs leave, from the middle: two with their names outside, more of them with room for each."""
    if len(outputs) == 2:
        return (-IN_SPACING, IN_SPACING)
    step = max((output.width for output in outputs), default=0.0) + 2 * _BESIDE
    return tuple((number - (len(outputs) - 1) / 2) * step for number in range(len(outputs)))


def _node(lines: Sequence[Text], outputs: Sequence[_Output], width: float) -> Node:
    outs = _outs(outputs)
    left = right = width / 2
    if outs:
        right = max(right, outs[-1] + _BESIDE + outputs[-1].width)
        left = max(left, -outs[0] + _BESIDE + outputs[0].width) if len(outs) == 2 else left
    foot = max((6.0 + _LEADING[SMALL] * len(output.labels) for output in outputs), default=0.0)
    return Node(left, right, 2 * _PAD_Y + _height(lines), foot, outs)


def _about(layer: LayerSpec) -> str:
    """A layer in words."""
    ways = f"{', '.join(layer.src)} → {', '.join(layer.dst)}"
    told = "; ".join(telling_settings(layer))[:1000] if _kind(layer) == "processing" else ""
    return f"{layer.name} ({layer.action}): {ways}" + (f"; {told}" if told else "")


# ---- placed


def _moved(placed: Placement, right: float, down: float) -> Placement:
    return Placement(
        tuple(x + right for x in placed.middles),
        tuple(y + down for y in placed.tops),
        placed.heights,
        tuple(tuple((x + right, y + down) for x, y in route) for route in placed.routes),
        placed.width + right,
        placed.height + down,
    )


def _box(layer: LayerSpec, lines: Sequence[Text], width: float, placed: Placement, number: int) -> Box:
    """All boxes of a row are of one height; the text stands in the middle."""
    middle, top, height = placed.middles[number], placed.tops[number], placed.heights[number]
    y, texts = top + (height - _height(lines)) / 2, []
    for line in lines:
        texts.append(replace(line, x=middle, y=y + 0.74 * _LEADING[line.size], anchor="middle"))
        y += _LEADING[line.size]
    return Box(layer.name, _kind(layer), middle - width / 2, top, width, height, tuple(texts), _about(layer))


def _mark(layer: LayerSpec, output: _Output, end: Point) -> Box:
    x, y = end
    text = Text(x + DROP_RADIUS + _BESIDE, y + DROP_RADIUS + 4, "dropped")
    side = 2 * DROP_RADIUS
    return Box(layer.name, "dropped", x - DROP_RADIUS, y, side, side, (text,), f"{output.connection} is dropped")


def _labels(output: _Output, start: Point, *, leftwards: bool) -> tuple[Text, ...]:
    x, y = start[0] + (-_BESIDE if leftwards else _BESIDE), start[1] + _LEADING[SMALL]
    anchor = "end" if leftwards else "start"
    return tuple(
        replace(label, x=x, y=y + number * _LEADING[SMALL], anchor=anchor) for number, label in enumerate(output.labels)
    )


def _legend(present: set[str]) -> list[Swatch]:
    """The kinds of a graph in a row that begins at (0, 0)."""
    swatches, x = [], 0.0
    for kind in LOOKS:
        if kind in present:
            swatches.append(Swatch(kind, x, 0.0, Text(x + _SWATCH, 9.0, kind)))
            x += _SWATCH + text_width(kind) + 18.0
    return swatches


def _swatch_moved(swatch: Swatch, right: float, down: float) -> Swatch:
    text = replace(swatch.text, x=swatch.text.x + right, y=swatch.text.y + down)
    return Swatch(swatch.kind, swatch.left + right, swatch.top + down, text)
