"""The error messages are an interface: a table of bad requests and the exact lines that a person sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsweep.config.compose import compose, swept_values
from segsweep.config.locations import shipped_conf
from segsweep.config.schema import RunConfig, TrainingSection
from segsweep.errors import Problems


def problems_of(command: str, *overrides: str, multirun: bool = False) -> list[str]:
    problems = Problems()
    compose(command, overrides, problems, multirun=multirun)
    return [str(item) for item in problems.found]


def composed(command: str, *overrides: str) -> RunConfig:
    problems = Problems()
    config = compose(command, overrides, problems).config
    assert not problems.found, problems.found
    assert isinstance(config, RunConfig)
    return config


BAD = [
    (["training.lrr=1"], "training.lrr: unknown key 'lrr'; did you mean 'lr'?"),
    (["trainng.lr=1"], "trainng: unknown key 'trainng'; did you mean 'training' or 'tracking'?"),
    (["training.lr=abc"], "training.lr: 'abc' is not possible; must be a number"),
    (["training.lr=-1"], "training.lr: -1 is not possible; must be greater than 0"),
    (["training.lr=.inf"], "training.lr: '.inf' is not possible; must be a number"),
    (["training.lr=inf"], "training.lr: inf is not possible; must be a finite number"),
    (["training.epochs=1.5"], "training.epochs: 1.5 is not possible; must be a whole number"),
    (["training.epochs=true"], "training.epochs: True is not possible; must be a whole number"),
    (["training.epochs=0"], "training.epochs: 0 is not possible; must be at least 1"),
    (["training.input_size.width=100"], "training.input_size.width: 100 is not possible; must be a multiple of 16"),
    (
        ["training.weights_init_type=scratch"],
        "training.weights_init_type: 'scratch' is not possible; must be 'transfer_learning' or 'continue_training'",
    ),
    (
        ["training.gpu_devices=[-1]"],
        "training.gpu_devices: [-1] is not possible; must be 'auto', 'cpu' or a list of device numbers such as [0]",
    ),
    (["+training.nesterov=1"], "training.nesterov: unknown key 'nesterov'; known: "),
    (["+training.lrr=1"], "training.lrr: unknown key 'lrr'; did you mean 'lr'?"),
    (["model=unet"], "model: unknown option 'unet'; did you mean 'unet_v2'?"),
    (["experiments=vessel_quick"], "experiments: unknown option 'vessel_quick'; did you mean 'vessels_quick'"),
    (["data=chase_db1"], "data.root: must be given; add data.root=…"),
    (["training.lr=0.1,0.2"], "training.lr: several values (0.1,0.2); add -m to sweep over them"),
    (["training.file=nowhere.json"], "training.file: nowhere.json: cannot be read: No such file or directory"),
    (["a b"], "a b: cannot be read as key=value"),
    (["inference.result_project=a/b"], "inference.result_project: 'a/b' is not possible; must be a plain name"),
    (["training=null"], "training: unknown option 'null'; known: documented, quick, vessels"),
    (["name=''"], "name: '' is not possible; must not be empty"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD, ids=[" ".join(item[0]) for item in BAD])
def test_a_bad_request_is_told_with_the_fix(overrides: list[str], message: str) -> None:
    told = problems_of("run", *overrides)
    assert [line for line in told if line.startswith(message)], told


def test_all_problems_are_told_at_once() -> None:
    told = problems_of("run", "training.lrr=1", "training.epochs=0", "model=unet", "seed=x", "+foo=1")
    assert [line.split(":")[0] for line in told] == ["model", "training.lrr", "seed", "training.epochs", "foo"]


def test_every_value_of_a_sweep_is_checked() -> None:
    told = problems_of("run", "training.lr=0.1,-1,abc", "training.epochs=1,0", multirun=True)
    assert told == [
        "training.lr: -1 is not possible; must be greater than 0",
        "training.lr: 'abc' is not possible; must be a number",
        "training.epochs: 0 is not possible; must be at least 1",
    ]


def test_a_sweep_over_a_group_is_checked_option_by_option() -> None:
    assert problems_of("run", "dtl=vessels,vessel", multirun=True)[0].startswith("dtl: unknown option 'vessel'")
    assert problems_of("run", "dtl=vessels,vessels_split", multirun=True) == []


def test_sweeps_declared_by_an_experiment_are_found_and_can_be_overridden() -> None:
    problems = Problems()
    swept = compose("run", ["experiments=vessels_sweep", "training.lr=0.5,0.25"], problems, multirun=True).swept
    assert not problems.found
    assert swept["training.lr"] == ["0.5", "0.25"]
    assert swept["training.input_size.width"] == ["256", "192"]


@pytest.mark.parametrize("name", ["vessels_quick", "vessels_tutorial", "vessels_sweep"])
def test_every_experiment_composes(name: str) -> None:
    assert composed("run", f"experiments={name}").name == name


def test_the_height_follows_the_width_until_it_is_given() -> None:
    assert composed("run", "training.input_size.width=192").training.input_size.height == 192
    assert composed("run", "training.input_size.height=128").training.input_size.width == 256


def test_the_documented_base_equals_the_schema() -> None:
    """`conf/training/documented.yaml` lists every key, so that Hydra accepts it and completion shows it."""
    listed = composed("run", "training=documented").training
    assert listed == TrainingSection(input_size=listed.input_size)
    assert listed.model_fields_set == set(TrainingSection.model_fields)


def test_a_pasted_training_json_is_the_section_and_the_command_line_beats_it(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps({"lr": 0.5, "epochs": 7, "input_size": {"width": 64}}))
    config = composed("run", f"training.file='{tmp_path}/train.json'", "training.lr=0.25", "training.batch_size.val=3")
    assert (config.training.lr, config.training.epochs) == (0.25, 7)
    assert config.training.batch_size.val == 3
    assert config.training.batch_size.train == 1, "keys that the JSON lacks take the documented default"
    assert config.training.input_size.height is None


def test_a_wrong_pasted_json_is_told_by_key(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps({"lrr": 0.5, "batch_size": {"trian": 2}}))
    assert problems_of("run", f"training.file='{tmp_path}/train.json'") == [
        "training.batch_size.trian: unknown key 'trian'; did you mean 'train'?",
        "training.lrr: unknown key 'lrr'; did you mean 'lr'?",
    ]


def test_layers_cannot_be_changed_beside_a_pasted_graph(tmp_path: Path) -> None:
    (tmp_path / "graph.json").write_text("[]")
    told = problems_of("run", f"dtl.file='{tmp_path}/graph.json'", "dtl.layers.crop.action=flip")
    assert told == [
        "dtl.layers.crop.action: cannot be combined with dtl.file; "
        "name the layers in a config file under conf/dtl to change or sweep them"
    ]


def test_the_users_own_folders_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "training").mkdir(parents=True)
    (tmp_path / "conf" / "training" / "mine.yaml").write_text("defaults: [quick]\nepochs: 3\n")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "own.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /training: mine\nname: own\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "chase_db1.yaml").write_text("source: not mine\n")
    monkeypatch.chdir(tmp_path)
    config = composed("run", "experiments=own")
    assert (config.name, config.training.epochs) == ("own", 3)
    assert composed("run", "data=chase_db1", "data.root=x").data["source"] == "chase_db1", "data/ is no config folder"


def test_one_jobs_values_of_the_swept_keys() -> None:
    job = ["training.lr=0.01", "model=unet_v2", "name='a b'"]
    assert swept_values(job, ["model", "name"]) == {"model": "unet_v2", "name": "a b"}


@settings(max_examples=10, deadline=None)
@given(lr=st.floats(min_value=1e-9, max_value=10, allow_subnormal=False), epochs=st.integers(1, 10**6))
def test_numbers_survive_composition(lr: float, epochs: int) -> None:
    training = composed("run", f"training.lr={lr!r}", f"training.epochs={epochs}").training
    assert (training.lr, training.epochs) == (lr, epochs)


CONFIGS = [path for path in sorted(shipped_conf().rglob("*.yaml")) if "hydra" not in path.parts]


@pytest.mark.parametrize("path", CONFIGS, ids=[str(path.relative_to(shipped_conf())) for path in CONFIGS])
def test_every_config_file_opens_with_what_it_is_and_an_override_to_try(path: Path) -> None:
    opening = path.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    comments = [line for line in opening if line.startswith("# ") and "@package" not in line]
    assert comments
    assert any("Try:" in line for line in comments), path
