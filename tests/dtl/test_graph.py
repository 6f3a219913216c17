"""Reading graphs in both forms, and what a person is told about wrong ones."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsweep.annotation import ClassMeta, ProjectMeta, TagMeta
from segsweep.dtl import LayerSpec, check_graph, read_layers
from segsweep.dtl.layers import ALIASES, LAYERS
from segsweep.dtl.mapping import map_meta, merge_metas, resolve_mapping
from segsweep.dtl.names import SAVES
from segsweep.errors import InvalidRequestError, Problems

TUTORIAL = json.loads((Path(__file__).parent / "tutorial.json").read_text())
DATA = {"action": "data", "src": ["p/*"], "dst": "$d", "settings": {"classes_mapping": "default"}}
META = ProjectMeta((ClassMeta("vessel", "bitmap", "#FF0000"), ClassMeta("box", "rectangle", "#00FF00")))


def problems_of(graph: Any, meta: ProjectMeta | None = META) -> list[str]:
    problems = Problems()
    check_graph(read_layers(graph), None if meta is None else {"p": meta}, problems)
    return [str(problem) for problem in problems.found]


def middle(action: str, settings: Any, dst: Any = "$o") -> list[Any]:
    save_from = dst if isinstance(dst, str) else dst[0]
    return [
        DATA,
        {"action": action, "src": ["$d"], "dst": dst, "settings": settings},
        {"action": "supervisely", "src": [save_from], "dst": "r", "settings": {}},
    ]


def test_every_action_of_the_language_is_there_and_no_alias_hides_one() -> None:
    assert sum(not layer.ours for layer in LAYERS.values()) == 48
    assert not set(ALIASES) & set(LAYERS)
    assert len(ALIASES) == sum(len(layer.aliases) for layer in LAYERS.values())
    assert set(LAYERS) >= SAVES


def test_tutorial_is_right_with_and_without_its_project() -> None:
    problems = Problems()
    layers = read_layers(TUTORIAL)
    check_graph(layers, None, problems)
    check_graph(layers, {"vessels": ProjectMeta((ClassMeta("vessel", "bitmap"),))}, problems)
    assert not problems.found
    assert [layer.to_json() for layer in layers] == TUTORIAL


def test_list_layers_are_named_by_their_action() -> None:
    expected = [
        "data",
        "flip",
        "flip_2",
        "dummy",
        "multiply",
        "crop",
        "if",
        "tag",
        "tag_2",
        "background",
        "supervisely",
    ]
    assert [layer.name for layer in read_layers(TUTORIAL)] == expected


def test_mapping_fills_in_connections() -> None:
    layers = read_layers(
        {
            "sample": {"action": "data", "src": ["p"], "settings": {"classes_mapping": "default"}},
            "gone": None,
            "split": {"action": "if", "src": ["sample"], "settings": {"condition": {"probability": 0.5}}},
            "train": {"action": "tag", "src": ["$split_true"], "settings": {"tag": "train", "action": "add"}},
            "out": {"action": "supervisely", "src": ["train", "$split_false"], "dst": "r"},
        }
    )
    problems = Problems()
    check_graph(layers, {"p": META}, problems)
    assert not problems.found
    assert [(layer.src, layer.dst) for layer in layers] == [
        (("p",), ("$sample",)),
        (("$sample",), ("$split_true", "$split_false")),
        (("$split_true",), ("$train",)),
        (("$train", "$split_false"), ("r",)),
    ]


def test_a_layer_with_two_outputs_must_be_named_with_one_of_them() -> None:
    graph = {
        "d": {"action": "data", "src": ["p"], "settings": {"classes_mapping": "default"}},
        "split": {"action": "if", "src": ["d"], "settings": {"condition": {"probability": 0.5}}},
        "out": {"action": "supervisely", "src": ["split"], "dst": "r"},
    }
    assert any("layer 'split' has several outputs; name the one that is meant" in line for line in problems_of(graph))


@pytest.mark.parametrize("value", ["graph.json", 5, None])
def test_what_is_no_graph_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="should be a list of layers, or a mapping"):
        read_layers(value)


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        (
            middle("flip", {"axis": "diagonal"}),
            "settings.axis: 'diagonal' is not possible; must be 'vertical' or 'horizontal'",
        ),
        (middle("flop", {"axis": "vertical"}), "unknown action 'flop'; did you mean 'flip'"),
        (middle("zoom", {}), "unknown action 'zoom'; segsweep dtl --layers lists all"),
        (
            middle("crop", {"sides": {"left": "10"}}),
            "settings.sides.left: '10' is not possible; should be like '10px' or '12.5%'",
        ),
        (middle("crop", {"sides": {"left": "-10px"}}), "should be like '10px' or '12.5%'"),
        (middle("crop", {"sides": {"lefft": "1px"}}), "unknown key 'lefft'; did you mean 'left'?"),
        (middle("crop", {}), "needs exactly one of 'sides' and 'random_part'"),
        (middle("multiply", {"multiply": True}), "settings.multiply: True is not possible; must be a whole number"),
        (middle("background", {"class": "vessel"}), "class 'vessel' would be a rectangle but is a bitmap already"),
        (middle("background", {"clas": "bg"}), "unknown key 'clas'; did you mean 'class'?"),
        (middle("tag", {"tag": 3, "action": "add"}), "settings.tag: 3 is not possible; must be a mapping"),
        (middle("tag", {"tag": {"nam": "x"}, "action": "add"}), "unknown key 'nam'; did you mean 'name'?"),
        (middle("dataset", {"name": "../x"}), "settings.name: '../x' is not possible; must match"),
        (middle("if", {"condition": {"regex_names": ["("]}}, ["$o", "null"]), "'(' is no regular expression"),
        (middle("if", {"condition": {"sum_object_area": 3}}, ["$o", "null"]), "'sum_object_area' and 'classes' belong"),
        (middle("if", {"condition": {"probabilty": 1}}, ["$o", "null"]), "did you mean 'probability'?"),
        (middle("dummy", {}, "o"), "dst: 'o' is no connection; connections start with '$': '$o'"),
        (middle("dummy", {}, "null"), "src: 'null' is no connection"),
        ([DATA, {"action": "supervisely", "src": ["$d"], "dst": "a/b", "settings": {}}], "'a/b' cannot name a result"),
        ([{**DATA, "settings": {"classes_mapping": {"vesel": "v", "__other__": "__default__"}}}], "did you mean 'ves"),
        ([{**DATA, "src": ["p", "q/x"]}], "names several projects (p, q); use a data layer each"),
        ([{**DATA, "src": "p"}], "src: should be a list, not the text 'p'; write [p]"),
        ([5], "layer 1 (layer): a layer is an object with action, src, dst, settings, not 5"),
        ({"a b": DATA}, "'a b' cannot name a layer"),
    ],
)
def test_message(graph: Any, told: str) -> None:
    lines = problems_of(graph)
    assert any(told in line for line in lines), lines


def test_a_loop_is_shown() -> None:
    graph = [
        DATA,
        {"action": "dummy", "src": ["$d", "$b"], "dst": "$a", "settings": {}},
        {"action": "dummy", "src": ["$a"], "dst": "$b", "settings": {}},
        {"action": "supervisely", "src": ["$b"], "dst": "r", "settings": {}},
    ]
    assert any("feeds itself: dummy" in line for line in problems_of(graph))


def test_classes_are_followed_to_the_layer_that_cannot_take_them() -> None:
    graph = [
        DATA,
        {"action": "background", "src": ["$d"], "dst": "$b", "settings": {"class": "vessel"}},
        {"action": "tag", "src": ["$b"], "dst": "$t", "settings": {"tag": "x", "action": "add"}},
        {"action": "supervisely", "src": ["$t"], "dst": "r", "settings": {}},
    ]
    assert len(problems_of(graph)) == 1
    assert problems_of(graph, meta=None) == []


def test_classes_that_a_layer_acts_on_where_they_are_need_not_be_there_but_are_told() -> None:
    conditions: list[tuple[dict[str, Any], list[str]]] = [
        (
            {"include_classes": ["vesel", "box"]},
            ["include_classes: there is no class 'vesel' here; did you mean 'vessel'?"],
        ),
        ({"sum_object_area": 3, "classes": ["bx"]}, ["classes: there is no class 'bx' here; did you mean 'box'?"]),
        ({"tags": ["vesel"]}, []),
    ]
    for condition, told in conditions:
        problems = Problems()
        check_graph(read_layers(middle("if", {"condition": condition}, ["$o", "null"])), {"p": META}, problems)
        assert not problems.found
        assert [str(warning) for warning in problems.warnings] == [
            f"layer 2 (if).settings.condition.{text}" for text in told
        ]


def test_a_class_that_data_is_told_to_keep_need_not_be_there_but_is_told() -> None:
    mapping = {"vesel": "__default__", "__other__": "__ignore__"}  # so every vessel would be dropped
    data = {**DATA, "settings": {"classes_mapping": mapping}}
    problems = Problems()
    check_graph(read_layers([data, *middle("dummy", {})[1:]]), {"p": META}, problems)
    assert not problems.found
    told = "layer 1 (data).settings.classes_mapping.vesel: there is no class 'vesel' here; did you mean 'vessel'?"
    assert [str(warning) for warning in problems.warnings] == [told]


def test_checking_is_quick_and_imports_nothing_heavy() -> None:
    code = """
import json, sys, time
from segsweep.dtl import check_graph, read_layers
from segsweep.errors import Problems
start = time.perf_counter()
check_graph(read_layers(json.load(open(sys.argv[1]))), None, Problems())
print(time.perf_counter() - start, sorted({"torch", "mlflow", "shapely", "pandas", "networkx"} & set(sys.modules)))
"""
    file = str(Path(__file__).parent / "tutorial.json")
    run = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    seconds, modules = run.stdout.split(maxsplit=1)
    assert float(seconds) < 0.2
    assert modules.strip() == "[]"


def test_a_graph_of_a_thousand_layers_is_checked_quickly() -> None:
    chain = [
        {"action": "dummy", "src": [f"${i}" if i else "$d"], "dst": f"${i + 1}", "settings": {}} for i in range(1000)
    ]
    graph = [DATA, *chain, {"action": "supervisely", "src": ["$1000"], "dst": "r", "settings": {}}]
    start = time.perf_counter()
    assert problems_of(graph) == []
    assert time.perf_counter() - start < 2


titles = st.sampled_from(["a", "b", "c", "d"])
metas = st.dictionaries(titles, st.sampled_from(["bitmap", "polygon"]), min_size=1).map(
    lambda shapes: ProjectMeta(tuple(ClassMeta(title, shape) for title, shape in shapes.items()), (TagMeta("t"),))
)


@given(metas)
def test_default_mapping_keeps_everything(meta: ProjectMeta) -> None:
    assert map_meta(meta, resolve_mapping("default", meta.titles)) == meta
    assert map_meta(meta, resolve_mapping({"__other__": "__default__"}, meta.titles)) == meta
    assert map_meta(meta, resolve_mapping({"__other__": "__ignore__"}, meta.titles)).titles == ()
    assert merge_metas([meta, meta]) == meta


@given(metas)
def test_renaming_there_and_back_keeps_the_set_of_classes(meta: ProjectMeta) -> None:
    there = map_meta(meta, resolve_mapping({title: f"{title}x" for title in meta.titles}, meta.titles))
    back = map_meta(there, resolve_mapping({title: title[:-1] for title in there.titles}, there.titles))
    assert back == meta


def test_classes_may_change_places() -> None:
    meta = ProjectMeta((ClassMeta("a", "bitmap", "#111111"), ClassMeta("b", "bitmap", "#222222")))
    swapped = map_meta(meta, resolve_mapping({"a": "b", "b": "a"}, meta.titles))
    assert [(item.title, item.color) for item in swapped.classes] == [("b", "#111111"), ("a", "#222222")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
layer_objects = st.fixed_dictionaries(
    {},
    optional={"action": st.sampled_from(sorted(LAYERS)) | json_values, "src": json_values, "dst": json_values}
    | {"settings": json_values},
)


@given(
    st.lists(layer_objects | json_values, max_size=4) | st.dictionaries(st.text(max_size=5), layer_objects, max_size=4)
)
def test_any_json_is_answered_with_problems_and_never_a_crash(graph: Any) -> None:
    layers = read_layers(graph)
    assert all(isinstance(layer, LayerSpec) for layer in layers)
    problems = Problems()
    check_graph(layers, {"p": META}, problems)
    assert problems.found  # four random layers are never a whole graph
