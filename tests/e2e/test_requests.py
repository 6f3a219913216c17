"""A wrong request is one readable message with exit status 2, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Command


def test_everything_that_is_wrong_is_told_in_one_go(segsweep: Command, tmp_path: Path) -> None:
    done = segsweep(
        "run",
        "experiments=vessels_quick",
        "training.lrr=1",
        "training.epochs=0",
        "data=chase_db1",
        "data.root=nowhere",
        "dtl.layers.crop.action=cropp",
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == "segsweep: segsweep run cannot run: 4 problems"
    for told in (
        "training.lrr: unknown key 'lrr'; did you mean 'lr'?",
        "training.epochs: 0 is not possible; must be at least 1",
        "no such folder: nowhere",
        "dtl.layers.crop.action: unknown action 'cropp'; did you mean 'crop'",
    ):
        assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["runn"], "unknown command 'runn'; did you mean 'run'"),
        (["dtl", "dtl.file=graph.json"], "graph.json: cannot be read: No such file or directory"),
        (["dtl"], "unknown project 'vessels'"),
        (["train", "project=nothing"], "no project 'nothing'"),
        (["train"], "project: must be given; add project=…"),
        (["predict", "data=vessels_synthetic"], "model.source: must be given"),
        (["evaluate", "evaluation.project_gt=x"], "evaluation.classes_mapping: must be given"),
        (["ui", "prot=1"], "unknown argument 'prot'; did you mean 'port'?"),
        (["validate", "model.name=unet_v3"], "model.name: unknown architecture 'unet_v3'; did you mean 'unet_v2'?"),
        (["validate", "inference.mode.name=sliding_window_det"], "is for networks that detect rectangles"),
        (["validate", "inference=sliding_window", "inference.mode.min_overlap.x=256"], "leaves no step between"),
        (["validate", "inference=roi", "inference.mode.bounds.left=-5%"], "inference.mode.bounds.left: '-5%' is not"),
        (["validate", "inference=native", "inference.resolution=input_size"], "contradicts mode native"),
        (["validate", "augmentation=retina", "augmentation.flip.transform=HorizontalFlop"], "HorizontalFlip"),
        (["run", "-m", "workspace=a,b"], "workspace: cannot be swept: the jobs of a sweep share one store"),
        (["run", "-m", "seed=1,2", "--cfg", "job"], "-m --cfg: cannot be combined; for --cfg, leave out -m"),
        (["run", "-m", "training.lr=interval(0.1,0.2)"], "has no list of values; add sampler=optuna, or name"),
        (["run", "--help", "training.lrr=1"], "training.lrr: unknown key 'lrr'; did you mean 'lr'?"),
        (["run", "--experimental-rerun", "x.pickle"], "--experimental-rerun: is not supported"),
        (["run", "-cn", "other"], "--config-name: is not supported; your own configs belong into ./conf"),
        (["run", "--cfg", "job", "training.lrr=1"], "training.lrr: unknown key 'lrr'; did you mean 'lr'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_requests(segsweep: Command, tmp_path: Path, arguments: list[str], told: str) -> None:
    done = segsweep(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_validate_says_that_all_is_well(segsweep: Command, tmp_path: Path) -> None:
    done = segsweep("validate", "-m", "experiments=vessels_sweep", "training.lr=0.1,0.2,0.3", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "segsweep run: no problems (12 jobs)\n")
    assert list(tmp_path.iterdir()) == []


def test_the_composed_config_is_shown_and_nothing_is_run(segsweep: Command, tmp_path: Path) -> None:
    done = segsweep("run", "experiments=vessels_quick", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0
    assert "one_cycle" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_help_tells_groups_and_keys(segsweep: Command, tmp_path: Path) -> None:
    done = segsweep("train", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("segsweep train: one training on a project of the workspace")
    assert "training: documented, quick, vessels" in done.stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("segsweep tr", "train"),
        ("segsweep run training.lr_d", "training.lr_decreasing."),
        ("segsweep run experiments=vessels_q", "experiments=vessels_quick"),
        ("segsweep train model=", "model=unet_efficientnet_lite0 model=unet_v2 model=unet_v2_small model=unet_v2_vgg"),
    ],
)
def test_completion_knows_commands_keys_and_options(
    environment: dict[str, str], tmp_path: Path, line: str, expected: str
) -> None:
    import subprocess

    from .conftest import SEGSWEEP

    done = subprocess.run(
        [str(SEGSWEEP), "-sc", "query=bash"],
        cwd=tmp_path,
        env={**environment, "COMP_LINE": line},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == expected
