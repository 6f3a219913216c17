from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from segsweep.tracking.environment import MAX_DIFF, code_state, describe, process_has_ended, process_mark


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *identity, "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "a.txt").write_text("one\n")
    git("add", "a.txt")
    git("commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    state = code_state(checkout)
    assert state is not None
    assert len(state.commit) == 40
    assert not state.dirty
    assert str(state) == state.commit[:12]


def test_changes_are_listed_and_kept(checkout: Path) -> None:
    (checkout / "a.txt").write_text("two\n")
    (checkout / "new ü.txt").write_text("three\n")
    state = code_state(checkout)
    assert state is not None
    assert state.changes == (" M a.txt", '?? "new ü.txt"')
    assert "-one\n+two\n" in state.diff
    assert str(state).endswith("+changes")


def test_a_huge_diff_is_cut(checkout: Path) -> None:
    (checkout / "a.txt").write_text("x" * 3 * MAX_DIFF)
    state = code_state(checkout)
    assert state is not None
    assert len(state.diff) < MAX_DIFF + 100
    assert state.diff.endswith(f"[cut after {MAX_DIFF} bytes]\n")


def test_before_the_first_commit_there_is_none(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    state = code_state(tmp_path)
    assert state is not None
    assert (state.commit, str(state)) == ("", "no commit")


def test_nothing_fails_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_state(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("git") is None
    assert code_state(tmp_path) is None


def test_the_environment_names_version_machine_and_packages(tmp_path: Path) -> None:
    found = describe(tmp_path)
    assert found.project is None
    assert found.host["host"] == socket.gethostname()
    assert found.host["cores"] >= 1
    assert "numpy" in found.packages
    assert found.as_json()["version"] == found.version


def test_a_process_is_known_by_more_than_its_number() -> None:
    mark = process_mark()
    assert not process_has_ended(mark)
    host, number, started = mark.rsplit("/", 2)
    assert process_has_ended(f"{host}/{number}/{float(started) - 100}")
    with subprocess.Popen(["true"]) as other:
        pass
    assert process_has_ended(f"{host}/{other.pid}/{started}")
    for unknown in (f"elsewhere/{os.getpid()}/1.0", "", "nonsense", f"{host}/x/1.0", f"{host}/{number}/soon"):
        assert not process_has_ended(unknown)
