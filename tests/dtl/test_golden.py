"""Recorded behaviour of the language, case by case (shared/golden/dtl)."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsweep.annotation import (
    Annotation,
    Bitmap,
    Graph,
    LabeledObject,
    Line,
    Point,
    Polygon,
    Project,
    Rectangle,
    meta_from_json,
    meta_to_json,
    object_mask,
)
from segsweep.annotation.geometry import bounds
from segsweep.annotation.parse import tag_to_json
from segsweep.dtl import LAYERS, TransformSummary, check_graph, read_layers, transform
from segsweep.errors import InvalidRequestError, Problems
from segsweep.files import read_image, read_json

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "dtl"
CASES = sorted(path.parent.name for path in GOLDEN.glob("cases/*/case.json"))
ERRORS = sorted(path.parent.name for path in GOLDEN.glob("errors/*/case.json"))

OURS = {"rotate__30_crop": "ours is the largest inner rectangle, tested in test_layers_turning.py"}
"""Recorded heuristics that are deliberately not followed; the README calls them optional."""

pytestmark = pytest.mark.skipif(not CASES, reason="needs the golden vectors in shared/ beside the project")


def load(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Path]]:
    case, graph = read_json(folder / "case.json"), read_json(folder / "graph.json")
    missing = sorted({item.get("action", "") for item in graph} - set(LAYERS) - {"", "nope"})
    if missing:
        pytest.skip(f"needs layers that are not there yet: {', '.join(missing)}")
    return case, graph, {name: GOLDEN / "projects" / name for name in case["inputs"]}


def run(graph: Any, projects: dict[str, Path], result: Path, **options: Any) -> TransformSummary:
    return transform(read_layers(graph), projects, result, **options)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, tmp_path: Path) -> None:
    if name in OURS:
        pytest.skip(OURS[name])
    case, graph, projects = load(GOLDEN / "cases" / name)
    expected = GOLDEN / "cases" / name / "expected"
    for seed in range(1 if case["deterministic"] else 3):
        result = tmp_path / f"result{seed}"
        summary = run(graph, projects, result, seed=seed)
        same_meta(result, expected)
        if case["deterministic"]:
            if case.get("expected_is") == "reference":
                pytest.skip("what is recorded here is the original's mistake")
            assert {source.rsplit(".", 1)[0] for source, _ in summary.skipped} == set(case.get("skipped", []))
            same_items(result, expected, case["compare"])
        else:
            assert not summary.skipped
            satisfies(result, summary, case["checks"])


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str, tmp_path: Path) -> None:
    case, graph, projects = load(GOLDEN / "errors" / name)
    if case.get("optional"):
        pytest.skip("an implementation may support it, and this one does")
    metas = {project: Project.open(path).meta for project, path in projects.items()}
    problems = Problems()
    check_graph(read_layers(graph), metas, problems)
    early = "may refuse at start" in case["what"] and problems.found
    if case["stage"] == "config" or early:
        assert problems.found
        assert all(problem.where and problem.what for problem in problems.found)
        with pytest.raises(InvalidRequestError):
            run(graph, projects, tmp_path / "result")
        assert not list(tmp_path.iterdir())
    else:
        assert not problems.found
        summary = run(graph, projects, tmp_path / "result")
        assert [source.rsplit(".", 1)[0] for source, _ in summary.skipped] == case["skipped"]


def same_meta(result: Path, expected: Path) -> None:
    ours, theirs = (meta_from_json(read_json(path / "meta.json"), "meta") for path in (result, expected))
    colors = {item["title"]: item["color"] for item in read_json(expected / "meta.json")["classes"]}
    left, right = meta_to_json(ours), meta_to_json(theirs)
    for item in (*left["classes"], *right["classes"]):
        assert re.fullmatch(r"#[0-9a-fA-F]{6}", item["color"])
        if colors.get(item["title"]) is None:
            item["color"] = "any"
        item["color"] = item["color"].lower()
    assert left == right


def items(path: Path) -> dict[tuple[str, str], list[tuple[Annotation, Path]]]:
    """Items of a project by dataset and base name; the recorded `~k` and our own suffixes belong to the base."""
    groups: dict[tuple[str, str], list[tuple[Annotation, Path]]] = defaultdict(list)
    if any(path.glob("*/img/*")):
        project = Project.open(path)
        for item in project.items:
            base = re.split(r"[~]", item.image_path.stem)[0]
            groups[item.dataset, base].append((item.annotation(project.meta), item.image_path))
    return groups


def same_items(result: Path, expected: Path, compare: dict[str, str]) -> None:
    theirs, ours = items(expected), items(result)
    if compare["names"] == "multiset":
        ours = regrouped(ours, [base for _, base in theirs])
    assert {key: len(group) for key, group in ours.items()} == {key: len(group) for key, group in theirs.items()}
    for key, group in theirs.items():
        left = list(ours[key])
        for annotation, image in group:
            errors = []
            for candidate in left:
                try:
                    same_item(candidate, (annotation, image), compare)
                except AssertionError as error:
                    errors.append(str(error))
                else:
                    left.remove(candidate)
                    break
            else:
                pytest.fail(f"{key}: nothing equals {image.name}: {errors[:2]}")


def regrouped(groups: dict[Any, list[Any]], bases: Iterable[str]) -> dict[Any, list[Any]]:
    """Our names continue the base with an underscore."""
    merged: dict[Any, list[Any]] = defaultdict(list)
    for (dataset, name), group in groups.items():
        base = max((b for b in bases if name == b or name.startswith(f"{b}_")), key=len)
        merged[dataset, base] += group
    return merged


def same_item(ours: tuple[Annotation, Path], theirs: tuple[Annotation, Path], compare: dict[str, str]) -> None:
    (left, left_image), (right, right_image) = ours, theirs
    assert (left.width, left.height) == (right.width, right.height)
    assert [tag_to_json(tag) for tag in left.tags] == [tag_to_json(tag) for tag in right.tags]
    assert left.description == right.description and left.extra == right.extra
    first, second = read_image(left_image).astype(int), read_image(right_image).astype(int)
    tolerance = 0 if compare["images"] == "exact" else int(compare["images"].split(":")[1])
    assert first.shape == second.shape and np.abs(first - second).max() <= tolerance
    assert Counter(item.class_title for item in left.objects) == Counter(item.class_title for item in right.objects)
    if "extra_images" in compare:
        same_extra_images(left_image, right_image)
    rest, expected = list(left.objects), list(right.objects)
    if compare["points"].startswith("polyline-set"):
        same_lines(rest, expected, float(compare["points"].split()[-1].removesuffix("px")))
        rest, expected = ([item for item in part if not isinstance(item.geometry, Line)] for part in (rest, expected))
    for item in expected:
        candidates = rest[:1] if compare["objects"] == "ordered" else rest
        match = next((other for other in candidates if same_object(other, item, left, compare)), None)
        assert match is not None, f"object {item.class_title} {item.geometry} is not among {candidates}"
        rest = [other for other in rest if other is not match]
    assert not rest


def same_extra_images(ours: Path, theirs: Path) -> None:
    """Pictures that lie beside the image and the annotation."""
    folders = {path.name for path in theirs.parents[1].iterdir()} - {"img", "ann"}
    assert folders == {path.name for path in ours.parents[1].iterdir()} - {"img", "ann"}
    for folder in folders:
        left, right = (image.parents[1] / folder / f"{image.stem}.png" for image in (ours, theirs))
        assert np.array_equal(read_image(left), read_image(right)), f"{folder} of {theirs.stem}"


def same_lines(ours: Iterable[LabeledObject], theirs: Iterable[LabeledObject], tolerance: float) -> None:
    """All lines of a class, with the same tags, together, however they are cut."""
    import shapely

    sets: list[dict[Any, list[Any]]] = [defaultdict(list), defaultdict(list)]
    for part, objects in zip(sets, (ours, theirs), strict=True):
        for item in objects:
            if isinstance(item.geometry, Line):
                part[item.class_title, str(item.tags)].append(item.geometry.points)
    assert sets[0].keys() == sets[1].keys()
    for key in sets[0]:
        left, right = (shapely.MultiLineString(part[key]) for part in sets)
        assert shapely.hausdorff_distance(left, right, densify=0.01) <= tolerance


def same_object(ours: LabeledObject, theirs: LabeledObject, image: Annotation, compare: dict[str, str]) -> bool:
    return (
        ours.class_title == theirs.class_title
        and [tag_to_json(tag) for tag in ours.tags] == [tag_to_json(tag) for tag in theirs.tags]
        and {**ours.extra} == {**theirs.extra}
        and type(ours.geometry) is type(theirs.geometry)
        and same_geometry(ours, theirs, image, compare)
    )


def same_geometry(ours: LabeledObject, theirs: LabeledObject, image: Annotation, compare: dict[str, str]) -> bool:
    match ours.geometry, theirs.geometry:
        case Bitmap(), Bitmap():
            left, right = (object_mask(item, image.width, image.height) for item in (ours, theirs))
            if compare["masks"] == "exact":
                return bool((left == right).all())
            return (left & right).sum() >= float(compare["masks"].split(">=")[1]) * (left | right).sum()
        case Polygon() as left, Polygon() as right:
            if compare["points"].startswith("ring-equivalent"):
                return equal_rings(left, right, float(compare["points"].split()[-1]))
            if compare["points"].startswith("area-iou"):
                return overlap(left, right) >= float(compare["points"].split(">=")[1])
            return len(left.interior) == len(right.interior) and all(
                a.shape == b.shape and np.allclose(a, b, rtol=0, atol=reach(compare))
                for a, b in zip((left.exterior, *left.interior), (right.exterior, *right.interior), strict=True)
            )
        case Line(left), Line(right):
            return left.shape == right.shape and any(
                np.allclose(points, right, rtol=0, atol=max(1e-4, reach(compare))) for points in (left, left[::-1])
            )
        case (Rectangle(), Rectangle()) | (Point(), Point()):
            return np.allclose(bounds(ours.geometry), bounds(theirs.geometry), rtol=0, atol=reach(compare))
        case Graph(left), Graph(right):
            return left == right
        case _:
            return False


def reach(compare: dict[str, str]) -> float:
    """How far coordinates may differ."""
    return float(compare["points"].split("<=")[1]) if compare["points"].startswith("abs<=") else 1e-6


def overlap(left: Polygon, right: Polygon) -> float:
    """Intersection over union."""
    import shapely

    first, second = (shapely.Polygon(item.exterior, item.interior).buffer(0) for item in (left, right))
    return float(first.intersection(second).area / first.union(second).area)


def equal_rings(left: Polygon, right: Polygon, tolerance: float) -> bool:
    import shapely

    first, second = (shapely.Polygon(item.exterior, item.interior).buffer(0) for item in (left, right))
    return first.symmetric_difference(second).area <= tolerance * max(first.length, 1)


def satisfies(result: Path, summary: TransformSummary, checks: dict[str, Any]) -> None:
    low, high = checks["outputs"]
    assert low <= summary.outputs <= high
    annotations = {key: annotation for key, group in items(result).items() for annotation, _ in group}
    for annotation in annotations.values():
        if "first_class" in checks:
            assert annotation.objects[0].class_title == checks["first_class"]
        if "one_tag_of" in checks:
            assert len({tag.name for tag in annotation.tags} & set(checks["one_tag_of"])) == 1
    for side in ("width", "height"):
        for base, (low, high) in checks.get(side, {}).items():
            found = [getattr(a, side) for (_, name), a in annotations.items() if base == "*" or belongs(name, base)]
            assert found and all(low <= value <= high for value in found)
    for base, (width, height) in checks.get("aspect", {}).items():
        for (_, name), annotation in annotations.items():
            if belongs(name, base):
                assert abs(annotation.width / width - annotation.height / height) < 1 / min(width, height)
    for tag, (low, high) in checks.get("tag_count", {}).items():
        assert low <= sum(any(own.name == tag for own in a.tags) for a in annotations.values()) <= high
    for title, (low, high) in checks.get("class_count", {}).items():
        for annotation in annotations.values():
            assert low <= sum(item.class_title == title for item in annotation.objects) <= high


def belongs(name: str, base: str) -> bool:
    return name == base or name.startswith(f"{base}_")


def test_everything_wrong_is_told_at_once() -> None:
    graph = json.loads(
        """[{"action": "data", "src": ["shapes/*"], "dst": "$d", "settings": {"classes_mapping": "default"}},
            {"action": "flip", "src": ["$d"], "dst": "$f", "settings": {"axes": "vertical"}},
            {"action": "cropp", "src": ["$f"], "dst": "$c", "settings": {}},
            {"action": "multiply", "src": ["$ff"], "dst": "$m", "settings": {"multiply": 0}},
            {"action": "blur", "src": ["$m"], "dst": "$b", "settings": {}},
            {"action": "supervisely", "src": ["$b"], "dst": "", "settings": {}}]"""
    )
    problems = Problems()
    check_graph(read_layers(graph), None, problems)
    text = "\n".join(map(str, problems.found))
    assert "layer 2 (flip).settings.axes: unknown key 'axes'; did you mean 'axis'?" in text
    assert "layer 2 (flip).settings.axis: must be given" in text
    assert "layer 3 (cropp).action: unknown action 'cropp'; did you mean 'crop'" in text
    assert "layer 4 (multiply).src: unknown connection '$ff'; did you mean '$f'" in text
    assert "layer 4 (multiply).settings.multiply: 0 is not possible; must be at least 1" in text
    assert "layer 6 (supervisely).dst: '' cannot name a result" in text
