"""`segsweep models`: networks of runs, folders and files are registered, listed, shown, exported, and trained on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from segsweep.files import write_image
from segsweep.models import build_model
from segsweep.tracking import list_models

from .conftest import SEGSWEEP, Command, Finished


@pytest.fixture(scope="module")
def workspace(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registry after one experiment, and its data; what is added here is seen nowhere else."""
    folder = tmp_path_factory.mktemp("models") / "my nätworks"
    folder.mkdir()
    shutil.copy(finished.workspace / "mlflow.db", folder)
    shutil.copytree(finished.workspace / "projects", folder / "projects")
    return folder


def cells(line: str) -> list[str]:
    return line.split("\t")


@pytest.fixture(scope="module")
def added(segsweep: Command, workspace: Path) -> Path:
    """The same with two more networks: a run's checkpoint under another name, and a file as the original wrote it."""
    listed = segsweep("models", "list", cwd=workspace)
    assert listed.returncode == 0, listed.stderr
    head, row = map(cells, listed.stdout.splitlines())
    assert head == ["model", "versions", "aliases", "architecture", "classes", "input", "created", "run", "best score"]
    assert row[0] == "UNet Trained"
    assert row[3:6] == ["unet_v2 2", "bg, vessel", "64x64"]
    assert row[7] == "vessels_quick"
    assert " test/dice (" in row[8]

    [model] = list_models(workspace)
    run_id = model.versions[0].run_id
    done = segsweep("models", "add", "chösen one", f"weights=runs:/{run_id}@best", "aliases=[start]", cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert "chösen one version 1: unet_v2 of width 2 for the classes bg, vessel" in done.stderr

    dead = {f"blocks.0.seq{i}.seq.0.weight": torch.rand(8, 8, 3, 3) for i in (1, 2, 3)}
    state = build_model("unet_v2", 3, 2).state_dict() | dead
    torch.save({f"module.{name}": value for name, value in state.items()}, workspace / "theirs.pt")
    done = segsweep(
        "models", "add", "theirs", "weights=theirs.pt", "classes=[bg, road, roof]", "input_size.width=64",
        "credit='somebody, CC BY 4.0'", cwd=workspace,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return workspace


def test_added_networks_are_listed_with_the_run_that_trained_them(segsweep: Command, added: Path) -> None:
    done = segsweep("models", "list", cwd=added)
    rows = {cells(line)[0]: cells(line)[1:] for line in done.stdout.splitlines()[1:]}
    assert set(rows) == {"UNet Trained", "chösen one", "theirs"}
    assert rows["chösen one"][:5] == ["1", "start 1", "unet_v2 2", "bg, vessel", "64x64"]
    assert rows["chösen one"][6] == "vessels_quick"
    assert rows["theirs"][:5] == ["1", "last 1", "unet_v2 2", "bg, road, roof", "64x64"]
    assert rows["theirs"][6:] == ["", ""]


def test_a_network_is_shown_with_classes_settings_and_credit(segsweep: Command, added: Path) -> None:
    done = segsweep("models", "show", "theirs", cwd=added)
    assert done.returncode == 0, done.stderr
    lines = [cells(line) for line in done.stdout.splitlines()]
    count = sum(value.numel() for value in build_model("unet_v2", 3, 2).parameters())
    for line in [
        ["architecture", "unet_v2, width 2"],
        ["weights", f"{count:,}"],
        ["credit", "somebody, CC BY 4.0"],
        ["output", "class", "colour"],
        ["0", "bg", "#222222"],
        ["input_size.width", "64"],
    ]:
        assert line in lines
    folder = Path(dict(line for line in lines if len(line) == 2)["folder"])
    assert folder.is_relative_to(added / "mlartifacts")
    kept = torch.load(folder / "model.pt", weights_only=True)
    assert set(kept) == set(build_model("unet_v2", 3, 2).state_dict()), "no module., nothing dead"

    lines = [cells(line) for line in segsweep("models", "show", "UNet Trained@best", cwd=added).stdout.splitlines()]
    assert ["training", ""] in lines
    assert ["epochs", "1"] in lines
    assert ["version", "aliases", "created", "run", "score"] in lines


def test_a_training_starts_from_an_added_network(segsweep: Command, added: Path) -> None:
    done = segsweep(
        "train", "project=vessels_train", "training=quick", "model=unet_v2_small", "model.width=2",
        "model.weights='models:/chösen one@start'", "training.epochs=1", "training.input_size.width=64",
        "training.weights_init_type=continue_training", "tracking.system_metrics=false",
        cwd=added,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "(continue_training): 199 weights copied" in done.stderr
    assert "are not in the file" not in done.stderr


def test_a_network_is_exported_and_compared(segsweep: Command, added: Path) -> None:
    write_image(added / "photo.png", np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8))
    command = ["models", "export", "model='models:/UNet Trained@best'", "output=out/net.onnx"]
    done = segsweep(*command, "image=photo.png", cwd=added)
    assert done.returncode == 0, done.stderr
    assert "onnxruntime and torch differ by at most" in done.stderr
    assert "on real pictures of 60x50" in done.stderr
    session = onnxruntime.InferenceSession(added / "out" / "net.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": np.zeros((2, 3, 50, 60), np.uint8)})
    assert found.shape == (2, 2, 50, 60)
    done = segsweep(*command, cwd=added)
    assert done.returncode == 2
    assert "output: out/net.onnx is there already; name another file, or add overwrite=true" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["lst"], 2, ["segsweep models cannot run", "unknown action 'lst'; did you mean 'list'?"]),
        (["show"], 2, ["segsweep models show cannot run", "name: must be given"]),
        (["show", "thiers"], 2, ["models:/thiers: no registered model 'thiers'; did you mean 'theirs'?"]),
        (["add", "x"], 2, ["weights: must be given"]),
        (["add", "x/y", "weights=y", "clases=[a]"], 2, ["clases: unknown key", "name: 'x/y' is not possible"]),
        (["add", "x", "weights=y"], 2, ["weights: no such file or folder: y; published weights: known: efficient"]),
        (["add", "x", "weights=theirs.pt"], 2, ["weights: is a file, which tells neither its classes nor its input"]),
        (["add", "x", "weights=vgg16_bn"], 2, ["weights: vgg16_bn is an encoder and no whole network"]),
        (
            ["add", "x", "weights=theirs.pt", "classes=[bg, road]", "input_size.width=64"],
            1,
            ["theirs.pt: the network has 3 outputs, the background's included, and classes are bg, road"],
        ),
        (["export", "models:/theirs"], 2, ["output: must be given"]),
        (
            ["export", "nowhere", "output=net.pt", "image=no.png"],
            2,
            [
                "model: no such model folder: nowhere",
                "output: 'net.pt' is no name of an ONNX file",
                "no such file: no.png",
            ],
        ),
        (["export", "models:/thiers", "output=net.onnx"], 2, ["no registered model 'thiers'; did you mean 'theirs'?"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_wrong_requests_are_told(
    segsweep: Command, added: Path, arguments: list[str], status: int, told: list[str]
) -> None:
    done = segsweep("models", *arguments, cwd=added)
    assert done.returncode == status
    for text in told:
        assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_looking_makes_nothing(segsweep: Command, tmp_path: Path) -> None:
    done = segsweep("models", "list", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "segsweep models add NAME weights=" in done.stderr
    assert segsweep("models", "show", "net", cwd=tmp_path).returncode == 1
    assert segsweep("models", cwd=tmp_path).stdout.startswith("usage: segsweep models ACTION")
    assert "aliases:\n- last" in segsweep("models", "add", "net", "--cfg", "job", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("segsweep models ", "list show add export"),
        ("segsweep models a", "add"),
        ("segsweep models add we", "weights="),
    ],
)
def test_completion_knows_the_actions(environment: dict[str, str], tmp_path: Path, line: str, expected: str) -> None:
    command = [str(SEGSWEEP), "-sc", "query=bash"]
    done = subprocess.run(command, cwd=tmp_path, env={**environment, "COMP_LINE": line}, capture_output=True, text=True)
    assert done.stdout.strip() == expected
