"""Declarations of layers are true and whole, and what is told of the layers follows from them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import BaseModel

from segsweep.annotation import Bitmap, ClassMeta, LabeledObject, ProjectMeta, Tag
from segsweep.dtl import check_graph, read_layers
from segsweep.dtl.describe import layers_markdown, layers_text, settings_of
from segsweep.dtl.element import Picture
from segsweep.dtl.layer import Call, Layer
from segsweep.dtl.layers import FAMILIES, LAYERS
from segsweep.errors import InvalidRequestError, Problems
from tests.dtl.declared import watched
from tests.dtl.one_layer import element

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / ".." / "shared" / "golden" / "dtl"
PAGE = ROOT / "docs" / "dtl_layers.md"
ACTIONS = sorted(LAYERS)


class NoSettings(BaseModel):
    """Nothing."""


def darken(one: Any) -> Any:
    one.annotation.objects[0].geometry.mask[:] = False
    return one


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: replace(one, picture=Picture(lambda: np.zeros((12, 20, 3), np.uint8))), "changes pixels"),
        (lambda one: replace(one, annotation=replace(one.annotation, width=19)), "changes the size"),
        (lambda one: replace(one, annotation=replace(one.annotation, tags=(Tag("t"),))), "changes tags of images"),
        (lambda one: replace(one, annotation=replace(one.annotation, objects=())), "changes objects"),
        (lambda one: replace(one, annotation=replace(one.annotation, description="x")), "changes annotations"),
        (darken, "changed what it was given"),
    ],
)
def test_a_layer_that_does_more_than_it_declares_is_found_out(change: Any, told: str) -> None:
    lying = watched(
        Layer("lying", NoSettings, "says it changes nothing", apply=lambda one, settings, call: [change(one)])
    )
    item = LabeledObject("cell", Bitmap(np.ones((2, 2), dtype=np.bool_), 3, 3))
    with pytest.raises(AssertionError, match=f"lying {told}"):
        list(lying.apply(element(item), NoSettings(), Call("one", 0, ProjectMeta())))


def test_a_layer_that_changes_classes_must_say_so() -> None:
    lying = watched(Layer("lying", NoSettings, "says it changes nothing", meta=lambda meta, settings: ProjectMeta()))
    with pytest.raises(AssertionError, match="lying changes classes"):
        lying.meta(ProjectMeta((ClassMeta("cell", "bitmap"),)), NoSettings())


@pytest.mark.parametrize("action", ACTIONS)
def test_every_setting_is_described(action: str) -> None:
    layer = LAYERS[action]
    assert [key for key, _, about in settings_of(layer.settings) if not about] == []
    assert layer.settings.__doc__, f"the settings of {action} need a docstring"


@pytest.mark.parametrize("action", ACTIONS)
def test_what_a_layer_does_is_said_in_one_short_line(action: str) -> None:
    about = LAYERS[action].about
    assert re.fullmatch(r"[a-z][^\n]{10,79}[^.\s]", about), about


def actions(value: Any) -> Iterator[str]:
    """All actions that are named anywhere in a graph."""
    if isinstance(value, dict):
        if isinstance(value.get("action"), str):
            yield value["action"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from actions(item)


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the golden vectors in shared/ beside the project")
@pytest.mark.parametrize("action", ACTIONS)
def test_every_layer_is_tested(action: str) -> None:
    recorded = {name for file in GOLDEN.glob("cases/*/graph.json") for name in actions(json.loads(file.read_text()))}
    own = "".join(file.read_text() for file in Path(__file__).parent.glob("test_layers_*.py"))
    assert action in recorded or f'"{action}"' in own


def test_the_list_of_layers_names_all_of_them_with_their_families() -> None:
    lines = layers_text().splitlines()
    for family, layers in FAMILIES.items():
        start = lines.index(family)
        assert [line.split()[0] for line in lines[start + 1 : start + 1 + len(layers)]] == [
            layer.action for layer in layers
        ]
    assert sum(len(layers) for layers in FAMILIES.values()) == len(LAYERS)


def test_all_is_told_of_a_layer_by_its_name_or_another_one() -> None:
    told = layers_text(["bitwise_masks", "image_tag"])
    assert re.search(r"^bitwise_masks: combines masks", told, re.MULTILINE)
    assert re.search(r'^ +type +"or" \| "and" \| "nor", required +how masks are combined', told, re.MULTILINE)
    assert re.search(r"^tag: adds a tag", told, re.MULTILINE)
    with pytest.raises(InvalidRequestError, match="unknown layer 'bitwise_mask'; did you mean 'bitwise_masks'"):
        layers_text(["bitwise_mask"])


class Inner(BaseModel):
    """Something inside."""

    low: int = 0


class Example(BaseModel):
    """Settings of all kinds."""

    items: list[Inner]
    either: int | float | str | None = None


def test_settings_are_listed_however_they_are_nested() -> None:
    assert [(key, kind) for key, kind, _ in settings_of(Example)] == [
        ("items", "list of object, required"),
        ("items[].low", "int = 0"),
        ("either", "number or text"),
    ]


def test_the_page_of_all_layers_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == layers_markdown(), (
        "make it again:  python -m segsweep.dtl.describe > docs/dtl_layers.md"
    )


def test_links_of_the_page_lead_to_its_headings() -> None:
    page = layers_markdown()
    assert sorted(re.findall(r"^\| \[(\w+)\]\(#\1\)", page, re.MULTILINE)) == ACTIONS
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == set(ACTIONS)


def test_both_forms_on_the_page_are_right_and_the_same_graph() -> None:
    page = layers_markdown()
    listed = read_layers(json.loads(page.split("```json\n")[1].split("```")[0]))
    named = read_layers(yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])["layers"])
    for layers in (listed, named):
        problems = Problems()
        check_graph(layers, {"vessels": ProjectMeta((ClassMeta("vessel", "bitmap"),))}, problems)
        assert not problems.found
    assert [layer.to_json() for layer in listed] == [layer.to_json() for layer in named]
