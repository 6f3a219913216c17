"""Every command that the README shows does what it says: each is run, made small."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from .conftest import SMALL, SMALL_DATA, Command

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+?)(?:\s+#.*)?$", README, re.MULTILINE)
SHELL = [line for line in COMMANDS if line.startswith("segsweep")]
MAKE = [line for line in COMMANDS if line.startswith("make")]
ONLY_SYNTHETIC = {item.split("=")[0] for item in SMALL_DATA}


def smaller(words: list[str]) -> list[str]:
    """A README command with overrides that make it a matter of seconds; what it sweeps over stays."""
    command, given = words[0], {word.split("=")[0] for word in words}
    if command == "run" and "--cfg" not in words:
        wanted = [*SMALL]
        if "data=chase_db1" in words or "data=mine" in words:
            wanted = [item for item in SMALL if item.split("=")[0] not in ONLY_SYNTHETIC]
        if "experiments=vessels_sweep" in words:
            wanted = [item for item in wanted if not item.startswith("training.input_size")]
        return [*words, *(item for item in wanted if item.split("=")[0] not in given)]
    if command == "dtl" and "--layers" not in words:
        return [*words, *SMALL_DATA]
    if command == "train":
        return [*words, "training.epochs=1", "training.input_size.width=32", "training.input_size.height=32"]
    return words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder laid out as a checkout is, as far as the README's commands see it."""
    base = tmp_path_factory.mktemp("readme")
    (base / "checkout").mkdir()
    (base / "checkout" / "docs").symlink_to(ROOT / "docs")
    _make_own_images(base / "checkout")
    if (ROOT.parent / "shared").is_dir():
        (base / "shared").symlink_to(ROOT.parent / "shared")
    return base / "checkout"


def _make_own_images(folder: Path) -> None:
    """The folders of pictures and masks, and the config file about them, that the README tells of."""
    import numpy as np

    from segsweep.files import write_image

    random = np.random.default_rng(0)
    for part in ("", "val/", "test/"):
        for name in ("a", "b"):
            mask = np.zeros((160, 192), np.uint8)
            mask[40:90, 30:120] = 255
            photo = (mask[..., None] // 2 + random.integers(0, 99, (160, 192, 3))).astype(np.uint8)
            write_image(folder / f"{part}photos" / f"{name}.png", photo)
            write_image(folder / f"{part}masks" / f"{name}.png", np.repeat(mask[..., None], 3, axis=2))
    [config] = re.findall(r"```yaml\n# conf/data/mine.yaml.*?\n(.*?)```", README, re.DOTALL)
    (folder / "conf" / "data").mkdir(parents=True)
    (folder / "conf" / "data" / "mine.yaml").write_text(config)


def test_the_readme_shows_commands() -> None:
    assert len(SHELL) >= 10
    assert {"make demo", "make test"} <= set(MAKE)


@pytest.mark.parametrize("line", [line for line in SHELL if line != "segsweep ui"])
def test_a_command_of_the_readme(line: str, folder: Path, segsweep: Command) -> None:
    words = shlex.split(line)[1:]
    if "../shared" in line and not (folder.parent / "shared").exists():
        pytest.skip("needs the folder shared/ beside the project (real data), which is not here")
    expected = 2 if "training.lrr=1" in words else 0
    done = segsweep(*(words if expected else smaller(words)), cwd=folder)
    assert done.returncode == expected, done.stderr
    if expected:
        shown = README[README.index(line) :].split("```")[0].splitlines()[1:]
        assert done.stderr.splitlines()[: len(shown)] == shown


@pytest.mark.parametrize("line", MAKE)
def test_make_knows_the_readmes_targets(line: str) -> None:
    done = subprocess.run([*line.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_experiment_is_named_and_says_its_command() -> None:
    for path in sorted((ROOT / "experiments").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        assert f"experiments={path.stem}" in README
        assert re.search(rf"^# Command: +segsweep run (-m )?experiments={path.stem}\b", text, re.MULTILINE), path


def test_the_readme_and_the_experiment_promise_the_same_scores() -> None:
    header = (ROOT / "experiments" / "vessels_quick.yaml").read_text(encoding="utf-8")
    expected = dict(
        zip(["vessels_synthetic", "chase_db1"], re.findall(r"0\.\d+", header.split("Expected:")[1])[:2], strict=True)
    )
    for data, score in expected.items():
        assert re.search(rf"^\| `{data}` \|.*\| {score} \|", README, re.MULTILINE), (data, score)


def test_the_ui_answers_on_loopback(folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """`segsweep ui`, on a port of the test's own."""
    import socket

    from segsweep.tracking import Store

    Store.open(tmp_path, experiment="looked at")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = shutil.which("segsweep", path=environment["PATH"])
    assert script is not None
    process = subprocess.Popen(
        [script, "ui", f"port={port}"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        body = ""
        for _ in range(120):
            try:
                address = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=looked%20at"
                with urllib.request.urlopen(address, timeout=5) as answer:
                    body = answer.read().decode()
                break
            except OSError:
                time.sleep(0.5)
        assert '"looked at"' in body
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)
