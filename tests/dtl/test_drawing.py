"""The picture of a graph: where boxes and wires lie, what SVG and PNG hold."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from segsweep.dtl import LayerSpec, read_layers
from segsweep.dtl.drawing import Box, Drawing, Text, draw_graph, text_width, to_png, to_svg
from segsweep.dtl.drawing.telling import telling_settings
from segsweep.dtl.names import DISCARD

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = json.loads((ROOT / "docs" / "tutorial" / "dtl.json").read_text())
CASES = sorted((ROOT.parent / "shared" / "golden" / "dtl" / "cases").glob("*/graph.json"))
SVG = "{http://www.w3.org/2000/svg}"
Area = tuple[float, float, float, float]


@st.composite
def graphs(draw: st.DrawFn) -> list[LayerSpec]:
    """Graphs without loops: several data layers, joined and shared connections, dropped outputs."""
    layers: list[LayerSpec] = []
    written: list[str] = []
    read: set[str] = set()

    def sources() -> tuple[str, ...]:
        chosen = draw(st.lists(st.sampled_from(written), min_size=1, max_size=4, unique=True))
        read.update(chosen)
        return tuple(chosen)

    def target() -> str:
        unread = sorted(set(written) - read)  # one that was read must not be written later: that could make a loop
        if unread and draw(st.booleans()) and draw(st.booleans()):
            return draw(st.sampled_from(unread))
        name = "$" + "c" * draw(st.integers(1, 30)) + str(len(written))
        written.append(name)
        return name

    for number in range(draw(st.integers(1, 3))):
        layers.append(LayerSpec(f"data_{number}", "data", (f"p{number}/*",), (target(),)))
    for number in range(draw(st.integers(0, 14))):
        if draw(st.integers(0, 3)):
            src, outputs = sources(), draw(st.sampled_from([1, 1, 1, 1, 3, 4]))
            dst = tuple(target() for _ in range(outputs))
            layers.append(LayerSpec("l" * draw(st.integers(1, 9)) + f"_{number}", "dummy", src, dst))
        else:
            src = sources()
            dst = target(), draw(st.sampled_from([DISCARD, target()]))
            layers.append(LayerSpec(f"if_{number}", "if", src, dst, {"condition": {"min_width": 5}}))
    layers.append(LayerSpec("save", "supervisely", sources(), ("result",)))
    return layers


def area_of(item: Box | Text) -> Area:
    if isinstance(item, Box):
        return item.left, item.top, item.left + item.width, item.top + item.height
    width = text_width(item.text, item.size, bold=item.bold)
    left = item.x - {"start": 0.0, "middle": width / 2, "end": width}[item.anchor]
    return left, item.y - 0.8 * item.size, left + width, item.y + 0.2 * item.size


def overlap(first: Area, second: Area) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def layer_boxes(drawing: Drawing) -> dict[str, Box]:
    return {box.layer: box for box in drawing.boxes if box.kind != "dropped"}


def along(route: Sequence[tuple[float, float]], steps: int = 24) -> list[tuple[float, float]]:
    """Points of a way as it is drawn: between two places a Bézier curve that leaves and arrives upright."""
    points = []
    for (x0, y0), (x1, y1) in pairwise(route):
        for step in range(steps + 1):
            t = step / steps
            across = 3 * t * t - 2 * t**3
            down = 1.5 * t * (1 - t) ** 2 + 1.5 * t * t * (1 - t) + t**3
            points.append((x0 + (x1 - x0) * across, y0 + (y1 - y0) * down))
    return points


@given(graphs())
def test_boxes_and_texts_do_not_overlap_and_lie_in_the_picture(layers: list[LayerSpec]) -> None:
    drawing = draw_graph(layers)
    labels = [text for wire in drawing.wires for text in wire.labels]
    beside = [text for box in drawing.boxes if box.kind == "dropped" for text in box.texts]
    areas = [area_of(item) for item in (*drawing.boxes, *labels, *beside)]
    for first, second in combinations(areas, 2):
        assert not overlap(first, second)
    for left, top, right, bottom in areas:
        assert left >= 0 and top >= 0 and right <= drawing.width and bottom <= drawing.height
    for box in layer_boxes(drawing).values():
        for text in box.texts:
            left, top, right, bottom = area_of(text)
            assert left > box.left and right < box.left + box.width
            assert top > box.top and bottom < box.top + box.height


@given(graphs())
def test_every_wire_goes_down_from_its_box_to_those_that_read_it(layers: list[LayerSpec]) -> None:
    drawing = draw_graph(layers)
    boxes = layer_boxes(drawing)
    expected = {
        (layer.name, text, tuple(other.name for other in layers if other.action != "data" and text in other.src))
        for layer in layers
        if layer.action != "supervisely"
        for text in layer.dst
    }
    assert {(wire.source, wire.connection, wire.targets) for wire in drawing.wires} == expected
    marks = [box for box in drawing.boxes if box.kind == "dropped"]
    assert len(marks) == sum(not wire.targets for wire in drawing.wires)
    for wire in drawing.wires:
        source = boxes[wire.source]
        ends = [boxes[name] for name in wire.targets] or [marks.pop(0)]
        assert len(wire.routes) == len(ends)
        for route, end in zip(wire.routes, ends, strict=True):
            (x0, y0), (x1, y1) = route[0], route[-1]
            assert source.left < x0 < source.left + source.width
            assert y0 == pytest.approx(source.top + source.height)
            assert end.left < x1 < end.left + end.width
            assert y1 == pytest.approx(end.top)
            assert all(above[1] < below[1] for above, below in pairwise(route))


@given(graphs())
def test_no_wire_runs_through_a_box_or_a_name(layers: list[LayerSpec]) -> None:
    drawing = draw_graph(layers)
    texts = [text for wire in drawing.wires for text in wire.labels]
    inner = [
        (left + 0.1, top + 0.1, right - 0.1, bottom - 0.1)
        for left, top, right, bottom in map(area_of, (*drawing.boxes, *texts))
    ]
    for wire in drawing.wires:
        for route in wire.routes:
            for x, y in along(route):
                assert not any(left < x < right and top < y < bottom for left, top, right, bottom in inner)


@given(graphs())
def test_the_same_graph_gives_the_same_picture(layers: list[LayerSpec]) -> None:
    assert to_svg(draw_graph(layers)) == to_svg(draw_graph([replace(layer) for layer in layers]))


def test_a_side_stream_begins_where_it_is_needed() -> None:
    chain = [LayerSpec(f"l{number}", "dummy", (f"${number}",), (f"${number + 1}",)) for number in range(5)]
    layers = [
        LayerSpec("main", "data", ("a/*",), ("$0",)),
        LayerSpec("side", "data", ("b/*",), ("$side",)),
        *chain,
        LayerSpec("tag", "tag", ("$side",), ("$tagged",), {"tag": "x", "action": "add"}),
        LayerSpec("save", "supervisely", ("$5", "$tagged"), ("r",)),
    ]
    boxes = layer_boxes(draw_graph(layers))
    assert boxes["tag"].top == boxes["l4"].top
    assert boxes["side"].top == boxes["l3"].top


def test_a_chain_is_straight() -> None:
    drawing = draw_graph(read_layers([TUTORIAL[0], {**TUTORIAL[-1], "src": ["$sample"]}]))
    [wire] = drawing.wires
    assert len({x for x, _ in wire.routes[0]}) == 1


def test_a_branch_is_named_by_its_condition() -> None:
    drawing = draw_graph(read_layers(TUTORIAL))
    named = {tuple(text.text for text in wire.labels) for wire in drawing.wires}
    assert {("true", "$totrain"), ("false", "$toval"), ("$data",)} <= named
    assert all(len(words) == 1 for words in named if words[-1] not in {"$totrain", "$toval"})


def texts_of(svg: str) -> set[str]:
    return {element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")}


def test_svg_holds_every_layer_and_connection_as_text() -> None:
    svg = to_svg(draw_graph(read_layers(TUTORIAL)))
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    names = {layer.name for layer in read_layers(TUTORIAL)}
    connections = {
        text for layer in TUTORIAL[:-1] for text in ([layer["dst"]], layer["dst"])[isinstance(layer["dst"], list)]
    }
    assert names | connections <= texts_of(svg)
    assert {
        "axis: vertical",
        "×10",
        "width, height: 70–90 %",
        "probability: 0.95",
        "+ train",
        "vessels_train",
    } <= texts_of(svg)
    assert root.findtext(f"{SVG}title") == "Segsweep graph: vessels/* → vessels_train"
    assert "flip_2 (flip): $fv, $sample → $fh" in (root.findtext(f"{SVG}desc") or "")
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


@given(st.text(min_size=1), st.text(min_size=1), st.text())
def test_hostile_names_stay_text(name: str, connection: str, tag: str) -> None:
    layers = [
        LayerSpec(name, "data", ("<script>alert(1)</script>/*",), ("$" + connection,)),
        LayerSpec("x" + name, "tag", ("$" + connection,), ("$]]>",), {"tag": tag, "action": "add"}),
        LayerSpec("save", "supervisely", ("$]]>",), ('"/><b onload="x"/>',)),
    ]
    svg = to_svg(draw_graph(layers))
    root = ElementTree.fromstring(svg.encode())
    known = {"svg", "title", "desc", "rect", "g", "path", "text", "circle"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= known
    assert not any(key.startswith("on") for element in root.iter() for key in element.attrib)


def test_signs_that_xml_forbids_or_that_deceive_are_replaced() -> None:
    layers = [
        LayerSpec("a\x00\x1b\u202e\ud800\ufffeb", "data", ("p/*",), ("$d\r\n e",)),
        LayerSpec("save", "supervisely", ("$d\r\n e",), ("r",)),
    ]
    svg = to_svg(draw_graph(layers))
    assert {"a" + "\ufffd" * 5 + "b", "$d e"} <= texts_of(svg.encode().decode())
    assert cv2.imdecode(np.frombuffer(to_png(draw_graph(layers)), np.uint8), cv2.IMREAD_COLOR) is not None


def test_long_names_are_cut_in_the_picture_and_whole_in_the_description() -> None:
    name = "many_words_" * 40
    drawing = draw_graph(
        [
            LayerSpec(name, "data", ("p/*",), ("$" + name,)),
            LayerSpec("save", "supervisely", ("$" + name,), ("r",)),
        ]
    )
    assert drawing.width < 700
    assert name in drawing.description
    assert any(text.startswith("many_words_") and text.endswith("…") for text in texts_of(to_svg(drawing)))


@pytest.mark.parametrize("bold", [False, True])
@given(text=st.text(st.characters(max_codepoint=0x4FF, categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_texts_are_not_wider_than_estimated(bold: bool, text: str) -> None:
    font = find_spec("matplotlib")
    assert font and font.origin
    file = Path(font.origin).with_name("mpl-data") / "fonts" / "ttf" / f"DejaVuSans{'-Bold' * bold}.ttf"
    width = ImageFont.truetype(str(file), 200, layout_engine=ImageFont.Layout.BASIC).getlength(text) / 200
    assert width <= text_width(text, 1.0, bold=bold) + 0.01


@pytest.mark.parametrize(
    ("action", "settings", "told"),
    [
        ("flip", {"axis": "vertical"}, ["axis: vertical"]),
        ("multiply", {"multiply": 10}, ["×10"]),
        ("tag", {"tag": {"name": "side", "value": "left"}, "action": "add"}, ["+ side: left"]),
        ("tag", {"tag": "x", "action": "delete"}, ["− x"]),
        ("dummy", {"anything": [1, 2]}, []),
        ("crop", {"sides": {"left": "10%", "right": "10%", "top": "5px"}}, ["left, right: 10%", "top: 5px"]),
        ("rotate", {"rotate_angles": {"min_degrees": -15, "max_degrees": 15}, "black_regions": {"mode": "keep"}},
         ["rotate_angles: −15 … 15°", "mode: keep"]),
        ("sliding_window", {"window": {"width": 48, "height": 40}, "min_overlap": {"x": 8, "y": 8}},
         ["window: 48×40", "min_overlap: 8×8"]),
        ("contrast_brightness",
         {"contrast": {"min": 0.8, "max": 1.2, "center_grey": True}, "brightness": {"min": 5, "max": 5}},
         ["contrast: 0.8–1.2", "center_grey", "brightness: 5"]),
        ("resize", {"width": 640, "height": -1, "aspect_ratio": {"keep": True}},
         ["width: 640", "height: −1", "aspect_ratio: keep"]),
        ("rename", {"classes_mapping": {"car": "vehicle", "__other__": "__ignore__"}},
         ["car → vehicle", "others → dropped"]),
        ("if", {"condition": {"include_classes": ["a", "b"]}}, ["include_classes: a, b"]),
    ],
)  # fmt: skip
def test_settings_are_told_in_few_words(action: str, settings: dict[str, Any], told: list[str]) -> None:
    assert telling_settings(LayerSpec("x", action, ("$a",), ("$b",), settings)) == told


def test_png_and_svg_have_one_size_and_the_png_shows_all_colours() -> None:
    drawing = draw_graph(read_layers(TUTORIAL))
    picture = cv2.imdecode(np.frombuffer(to_png(drawing, 1.0), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    root = ElementTree.fromstring(to_svg(drawing))
    assert (picture.shape[1], picture.shape[0]) == pytest.approx(
        (float(root.attrib["width"]), float(root.attrib["height"])), abs=1
    )
    boxes = layer_boxes(drawing)
    for name, fill in (("data", "#e1f0fa"), ("flip", "#fdf4e0"), ("supervisely", "#dcf3ea")):
        box = boxes[name]
        x, y = int(box.left + box.width / 2), int(box.top + 4)  # above the text
        assert bytes(picture[y, x, ::-1]) == bytes.fromhex(fill[1:])
        inside = picture[int(box.top) : int(box.top + box.height), int(box.left) : int(box.left + box.width)]
        assert (inside.max(axis=2) < 90).sum() > 30  # dark text


def test_a_very_large_graph_gives_a_png_of_bounded_size() -> None:
    layers = [LayerSpec("d", "data", ("p/*",), ("$0",))]
    layers += [LayerSpec(f"l{number}", "dummy", (f"${number}",), (f"${number + 1}",)) for number in range(400)]
    layers.append(LayerSpec("save", "supervisely", ("$400",), ("r",)))
    drawing = draw_graph(layers)
    assert drawing.height > 30_000
    picture = cv2.imdecode(np.frombuffer(to_png(drawing), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and max(picture.shape) <= 30_001


@pytest.mark.parametrize("path", CASES, ids=[path.parent.name for path in CASES])
def test_every_golden_graph_can_be_drawn(path: Path) -> None:
    layers = read_layers(json.loads(path.read_text()))
    shown = texts_of(to_svg(draw_graph(layers)))
    assert {layer.name for layer in layers} <= shown
    assert {text for layer in layers if layer.action != "data" for text in layer.src} <= shown


def test_drawing_the_tutorials_graph_takes_milliseconds_and_no_heavy_import() -> None:
    layers = read_layers(TUTORIAL)
    times = []
    for _ in range(5):
        start = time.process_time()
        to_svg(draw_graph(layers))
        times.append(time.process_time() - start)
    assert min(times) < 0.05
    code = "import sys, segsweep.dtl.drawing; print(*{'matplotlib', 'torch', 'mlflow', 'networkx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
