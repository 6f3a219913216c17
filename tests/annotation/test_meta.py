"""Classes and tags in all generations of `meta.json`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsweep.annotation import ClassMeta, TagMeta, meta_from_json, meta_to_json
from segsweep.annotation.meta import SHAPES, generated_color
from segsweep.errors import DataError

texts = st.text(min_size=1, max_size=6)
extras = st.dictionaries(st.sampled_from(["id", "hotkey", "description"]), st.integers() | texts)
classes = st.builds(
    lambda title, shape, extra: {"title": title, "shape": shape, "color": "#12aBcD", **extra},
    texts,
    st.sampled_from(SHAPES),
    extras,
)
tags = texts | st.builds(lambda name, extra: {"name": name, "value_type": "any_string", **extra}, texts, extras)


@given(
    st.lists(classes, unique_by=lambda item: item["title"], max_size=4),
    st.lists(tags, unique_by=lambda item: item if isinstance(item, str) else item["name"], max_size=4),
    st.booleans(),
)
def test_meta_comes_back(classes: list[Any], tags: list[Any], modern: bool) -> None:
    data = {"classes": classes, "tags": tags, **({"projectType": "images"} if modern else {})}
    assert meta_to_json(meta_from_json(data, "meta.json")) == data


def test_the_oldest_form_is_a_bare_list_of_classes() -> None:
    meta = meta_from_json([{"title": "a", "shape": "bitmap", "color": "#000000"}], "classes.json")
    assert meta.classes == (ClassMeta("a", "bitmap", "#000000"),)


def test_older_split_tags_are_merged_once() -> None:
    meta = meta_from_json({"classes": [], "tags_images": ["a", "b"], "tags_objects": ["b"]}, "m")
    assert meta.tags == (TagMeta("a", plain=True), TagMeta("b", plain=True))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (5, "should hold an object"),
        ({"classes": [{"title": "a", "shape": "bitmpa"}]}, "did you mean 'bitmap'"),
        ({"classes": [{"title": "a", "shape": "bitmap", "color": "red"}]}, "should look like #FF8800"),
        ({"classes": [{"shape": "bitmap"}, 5]}, "classes[1] should be an object"),
        ({"classes": [{"title": "a", "shape": "point"}] * 2}, "class 'a' is there twice"),
        ({"tags": ["a", "a"]}, "tag 'a' is there twice"),
        ({"tags": [{"value_type": "none"}]}, "tags[0] should be a text"),
        ({"tags": ["a"], "tags_images": ["b"]}, "keep one form"),
    ],
)
def test_what_is_wrong_is_told(data: Any, told: str) -> None:
    with pytest.raises(DataError) as raised:
        meta_from_json(data, "meta.json")
    assert told in str(raised.value) and str(raised.value).startswith("meta.json: ")


def test_a_class_without_a_colour_gets_its_own() -> None:
    meta = meta_from_json({"classes": [{"title": "a", "shape": "bitmap"}]}, "m")
    assert meta.classes[0].color == generated_color("a") != generated_color("b")
