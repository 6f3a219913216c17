"""`split_data`: exact sizes, no source in two parts, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsweep.annotation import Annotation, Project, ProjectMeta, ProjectWriter, Tag, TagMeta
from segsweep.dtl import LAYERS, TransformSummary, read_layers, transform
from segsweep.dtl.element import Source
from segsweep.errors import InvalidRequestError
from tests.dtl.one_layer import apply, call_of, element, problems_of, route

META = ProjectMeta((), (TagMeta("train"), TagMeta("val"), TagMeta("odd")))
PERCENT = {"parts": {"train": 80, "val": 20}}


def sources(count: int) -> list[Source]:
    return [Source("p", f"d{number % 2}", f"{number:04}.png") for number in range(count)]


def shared_out(settings: dict[str, Any], count: int, seed: int = 0) -> list[int | None]:
    """The part of every source, or None for what is in no part."""
    typed, call = call_of("split_data", settings, meta=META, seed=seed, sources=sources(count))
    layer, parts = LAYERS["split_data"], []
    assert layer.route is not None
    for source in sources(count):
        passed = list(layer.apply(element(source=source), typed, call))
        parts.append(layer.route(passed[0], typed, call) if passed else None)
    return parts


def sizes(settings: dict[str, Any], count: int) -> list[int]:
    found = Counter(shared_out(settings, count))
    return [found[part] for part in range(len(settings["parts"]))]


@given(st.lists(st.integers(0, 100), min_size=2, max_size=6).filter(any), st.integers(0, 60), st.integers(0, 5))
def test_parts_by_percent_have_the_sizes_asked_for(weights: list[int], count: int, seed: int) -> None:
    shares = [100 * weight / sum(weights) for weight in weights]
    settings = {"parts": {f"p{number}": share for number, share in enumerate(shares)}}
    parts = Counter(shared_out(settings, count, seed))
    assert parts.total() == count and None not in parts
    wanted = sum(share > 0 for share in shares)
    for part, share in enumerate(shares):
        assert parts[part] == 0 if share == 0 else parts[part] >= (count >= wanted)
        assert abs(parts[part] - count * share / 100) < max(1, wanted)


@pytest.mark.parametrize(
    ("parts", "count", "expected"),
    [
        ({"train": 80, "val": 20}, 10, [8, 2]),
        ({"train": 70, "val": 20, "test": 10}, 10, [7, 2, 1]),
        ({"train": 95, "val": 5}, 6, [5, 1]),  # 5.7 and 0.3, but no part that is wanted is empty
        ({"train": 95, "val": 5}, 1, [1, 0]),
        ({"a": 33.3333333, "b": 33.3333333, "c": 33.3333334}, 100, [33, 33, 34]),
        ({"a": 50, "b": 50}, 5, [3, 2]),
        ({"a": 100, "b": 0}, 5, [5, 0]),
        ({"a": 29, "b": 71}, 100, [29, 71]),
        ({"train": 80, "val": "rest"}, 10, [8, 2]),
        ({"train": "rest", "val": 12.5, "test": 12.5}, 8, [6, 1, 1]),
        ({"train": 100, "val": "rest"}, 10, [10, 0]),
        ({"a": 33.3333333, "b": 33.3333333, "c": 33.3333333, "d": "rest"}, 100, [34, 33, 33, 0]),
    ],
)
def test_sizes_are_rounded_by_the_largest_remainder(parts: dict[str, float], count: int, expected: list[int]) -> None:
    assert sizes({"parts": parts}, count) == expected


@pytest.mark.parametrize(
    ("parts", "count", "expected"),
    [
        ({"train": "rest", "val": 2, "test": 1}, 10, [7, 2, 1]),
        ({"train": 3, "val": 2}, 10, [3, 2]),  # five are in no part, and are dropped
        ({"train": "rest", "val": 4}, 4, [0, 4]),
    ],
)
def test_parts_by_count(parts: dict[str, Any], count: int, expected: list[int]) -> None:
    assert sizes({"by": "count", "parts": parts}, count) == expected


def test_more_than_there_are_cannot_be_asked_for() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        shared_out({"by": "count", "parts": {"train": "rest", "val": 5}}, 4)
    assert (
        "dtl.layers.one.settings.parts: 5 source images are asked for, but 4 can reach the layer; ask for fewer"
        in str(raised.value)
    )


def test_shares_follow_the_seed_and_not_the_order_of_names() -> None:
    first = shared_out(PERCENT, 40, seed=1)
    assert first == shared_out(PERCENT, 40, seed=1)
    others = [shared_out(PERCENT, 40, seed=seed) for seed in range(2, 6)]
    assert all(other != first for other in others)
    assert first != sorted(first, key=str)


def test_every_image_may_be_drawn_by_itself() -> None:
    settings = {**PERCENT, "unit": "image"}
    parts = Counter(shared_out(settings, 2000))
    assert abs(parts[0] - 1600) < 5 * np.sqrt(2000 * 0.8 * 0.2)
    assert parts.total() == 2000 and parts[1] == 2000 - parts[0]
    assert set(shared_out({"parts": {"a": 0, "b": 100, "c": 0}, "unit": "image"}, 200)) == {1}
    assert shared_out(settings, 200) != shared_out(settings, 200, seed=1)


@pytest.mark.parametrize(
    ("tags", "expected"), [(["val"], 1), (["odd", "val", "train"], 0), (["odd"], 2), ([], 2), (["rest"], 2)]
)
def test_parts_by_tag(tags: list[str], expected: int) -> None:
    settings = {"by": "tag", "parts": {"a": "train", "b": "val", "c": "rest"}}
    assert route("split_data", settings, element(tags=[Tag(name) for name in tags]), meta=META) == expected


def test_an_image_whose_tags_lead_nowhere_is_dropped() -> None:
    settings = {"by": "tag", "parts": {"a": "train", "b": "val"}}
    assert apply("split_data", settings, element(tags=[Tag("odd")]), meta=META) == []
    assert len(apply("split_data", settings, element(tags=[Tag("val")]), meta=META)) == 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"parts": {"a": 100}}, "there must be at least two parts"),
        ({"parts": {}}, "there must be at least two parts"),
        (
            {"parts": {"a": 80, "b": 10}},
            "the parts should be 100 per cent together, not 90; one of them may be 'rest'",
        ),
        ({"parts": {"a": 80, "b": 30, "c": "rest"}}, "the parts should be 100 per cent together, not 110"),
        ({"parts": {"a": 80, "b": "rest", "c": "rest"}}, "only one part can be the 'rest'"),
        ({"parts": {"a": 110, "b": -10}}, "part 'b' should be a per cent from 0 to 100 or 'rest', not -10"),
        ({"parts": {"a": 80, "b": "most"}}, "part 'b' should be a per cent from 0 to 100 or 'rest', not 'most'"),
        ({"parts": {"a b": 80, "b": 20}}, "'a b' cannot name a part; use letters, digits, '_' and '-'"),
        ({"by": "count", "parts": {"a": 1.5, "b": 1}}, "part 'a' should be a number of source images or 'rest', not 1"),
        ({"by": "count", "parts": {"a": "rest", "b": "rest"}}, "only one part can be the 'rest'"),
        ({"by": "count", "parts": {"a": 1, "b": 1}, "unit": "image"}, "unit 'image' is for parts by percent, not by c"),
        (
            {"by": "tag", "parts": {"a": "train", "b": 3}},
            "part 'b' should be the name of an image tag or 'rest', not 3",
        ),
        ({"by": "tag", "parts": {"a": "train", "b": "train"}}, "tag 'train' leads to several parts"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], problem: str) -> None:
    told = problems_of("split_data", settings, META, dst=["$a", "$b"])
    place = "layer 2 (split_data).settings"
    starts = f"{place}: {problem}", f"{place}.parts: {settings['parts']!r} is not possible; {problem}"
    assert any(text.startswith(starts) for text in told)


@pytest.mark.parametrize("parts", [None, 3, "train", ["a", "b"], {"a": True, "b": 1}, {"a": float("nan"), "b": 1}])
def test_malformed_parts_are_told_where_they_stand(parts: Any) -> None:
    told = problems_of("split_data", {"parts": parts}, META, dst=["$a", "$b"])
    assert told and all(text.startswith("layer 2 (split_data).settings.parts") for text in told)


def test_a_missing_tag_is_told() -> None:
    settings = {"by": "tag", "parts": {"a": "trian", "b": "rest"}}
    assert problems_of("split_data", settings, META, dst=["$a", "$b"]) == [
        "layer 2 (split_data).settings.parts.a: there is no tag 'trian' here; did you mean 'train'?"
    ]


def project(path: Path, names: list[str]) -> Path:
    with ProjectWriter(path, ProjectMeta()) as writer:
        for name in names:
            dataset, file = name.split("/")
            writer.add(dataset, file, Annotation(8, 6), np.zeros((6, 8, 3), dtype=np.uint8))
    return path


def run(projects: dict[str, Path], result: Path, **options: Any) -> TransformSummary:
    """Two projects, augmented first and then shared out; the parts are told apart by their tags."""
    layers: dict[str, Any] = {
        name: {"action": "data", "src": [name], "settings": {"classes_mapping": "default"}} for name in projects
    }
    layers["copies"] = {"action": "multiply", "src": list(projects), "settings": {"multiply": 3}}
    layers["part"] = {"action": "split_data", "src": ["copies"], "settings": {"parts": {"train": 60, "val": 40}}}
    for name in ("train", "val"):
        settings = {"tag": name, "action": "add"}
        layers[f"tag_{name}"] = {"action": "tag", "src": [f"$part_{name}"], "settings": settings}
    layers["out"] = {"action": "supervisely", "src": ["tag_train", "tag_val"], "dst": "r"}
    return transform(read_layers(layers), projects, result, **options)


def parts_of(result: Path) -> dict[str, set[str]]:
    """Source -> the tags of all that was made of it."""
    found: dict[str, set[str]] = {}
    project = Project.open(result)
    for item in project.items:
        (tag,) = item.annotation(project.meta).tags
        found.setdefault(f"{item.dataset}/{item.name[:2]}", set()).add(tag.name)
    return found


def test_no_source_is_in_two_parts_whatever_the_workers(tmp_path: Path) -> None:
    names = [f"{dataset}/{number:02}.png" for dataset in ("d", "e") for number in range(5)]
    projects = {name: project(tmp_path / name, names) for name in ("p", "q")}
    results = []
    for name, options in {"one": {"workers": 1}, "two": {"workers": 2}, "other": {"seed": 9}}.items():
        assert run(projects, tmp_path / name, **options).outputs == 60
        results.append(parts_of(tmp_path / name))
    for parts in results:
        assert len(parts) == 20 and all(len(tags) == 1 for tags in parts.values())
        assert Counter(tag for tags in parts.values() for tag in tags) == {"train": 12, "val": 8}
    assert results[0] == results[1] != results[2]
