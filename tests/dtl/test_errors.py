"""What a person reads about a wrong graph: every message names the layer, the key and the fix.

`config_errors.txt` holds all that is told of every recorded wrong graph, word by word. To look at changes:
  python -m tests.dtl.test_errors > tests/dtl/config_errors.txt && git diff tests/dtl/config_errors.txt
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from segsweep.annotation import Project
from segsweep.dtl import check_graph, read_layers
from segsweep.errors import Problem, Problems
from segsweep.files import read_json

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "dtl"
TABLE = Path(__file__).with_name("config_errors.txt")

pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="needs the golden vectors in shared/ beside the project")


def _cases() -> Iterator[str]:
    """Graphs that are wrong by themselves, whatever the images."""
    for file in sorted(GOLDEN.glob("errors/*/case.json")):
        case = read_json(file)
        if case["stage"] == "config" and not case.get("optional"):
            yield file.parent.name


CASES = list(_cases())


def told(name: str) -> list[Problem]:
    folder = GOLDEN / "errors" / name
    inputs = {
        source: Project.open(GOLDEN / "projects" / source).meta for source in read_json(folder / "case.json")["inputs"]
    }
    problems = Problems()
    check_graph(read_layers(read_json(folder / "graph.json")), inputs, problems)
    return problems.found


def in_words(name: str) -> str:
    return "\n".join([name, *(f"  {problem}" for problem in told(name))])


def expected() -> dict[str, str]:
    return {part.split("\n")[0]: part for part in TABLE.read_text(encoding="utf-8").rstrip().split("\n\n")}


@pytest.mark.parametrize("name", CASES)
def test_what_is_told_of_a_wrong_graph(name: str) -> None:
    assert in_words(name) == expected().get(name)


@pytest.mark.parametrize("name", CASES)
def test_messages_name_the_layer_and_the_key(name: str) -> None:
    about_all = {"empty_graph", "no_data_layer", "no_save_layer"}
    about_a_layer = {"two_save_layers"}
    for problem in told(name):
        if name in about_all and problem.where == "dtl.layers":
            continue
        place = re.fullmatch(r"layer \d+ \(\w+\)((\.[^ ]+)?)", problem.where)
        assert place and (place[1] or name in about_a_layer), problem.where


@pytest.mark.parametrize("name", CASES)
def test_messages_say_what_is_allowed_or_what_to_do(name: str) -> None:
    for problem in told(name):
        assert problem.hint or re.search(r"; |\b(should|must) be\b|\bneeds\b", problem.what), str(problem)


if __name__ == "__main__":
    sys.stdout.write("\n\n".join(map(in_words, CASES)) + "\n")
