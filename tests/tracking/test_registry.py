from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from segsweep.errors import TrackingError
from segsweep.models.folder import ModelConfig, load_model, save_model
from segsweep.tracking import Store, add_model, list_models, list_versions, register_model, resolve_model, run_of
from segsweep.tracking.parameters import Parameters
from segsweep.tracking.quiet import load_mlflow


def make_model(folder: Path, *, sampling: str = "crop", seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = ModelConfig(
        settings={"input_size": {"width": 32, "height": 48}, "sampling": sampling},
        out_classes=[{"title": title, "shape": "bitmap", "color": "#ff0000"} for title in ("bg", "vessel")],
        class_title_to_idx={"bg": 0, "vessel": 1},
        model={"name": "unet_v2", "width": 2},
    )
    save_model(folder, config, config.build().state_dict())
    return folder


@dataclass(frozen=True)
class Registered:
    """A store in which one run has registered two networks, and the folders that they came from."""

    store: Store
    run_id: str
    models: Path


@pytest.fixture(scope="module")
def registered(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Registered:
    models, workspace = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("workspace")
    shutil.copy(migrated, workspace / "mlflow.db")
    store = Store.open(workspace, experiment="retina")
    with store.start_run("train", params={"lr": 0.1}) as run:
        assert register_model(store, run, make_model(models / "best", seed=1), "UNet Trained", ("best",)) == "1"
        assert register_model(store, run, make_model(models / "last", seed=2), "UNet Trained", ("last",)) == "2"
    return Registered(store, run.run_id, models)


def test_a_registered_network_is_found_by_every_name(registered: Registered) -> None:
    store, run_id = registered.store, registered.run_id
    best, last = ((registered.models / name / "model.pt").read_bytes() for name in ("best", "last"))
    for source, weights in {
        "models:/UNet Trained@best": best,
        "models:/UNet Trained@last": last,
        "models:/UNet Trained/1": best,
        "models:/UNet Trained": last,
        f"run:{run_id}": last,
        f"run:{run_id}@best": best,
        f"runs:/{run_id}": last,
        f"runs:/{run_id}@best": best,
        f"runs:/{run_id}/checkpoints/best": best,
        str(registered.models / "best"): best,
    }.items():
        folder = resolve_model(store, source)
        assert (folder / "model.pt").read_bytes() == weights, source
        load_model(folder)
    assert resolve_model(store.uri, "models:/UNet Trained@best") == resolve_model(store, "models:/UNet Trained/1")
    assert resolve_model(store.workspace, "models:/UNet Trained@best").is_relative_to(store.workspace / "mlartifacts")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("models:/UNet Traind@best", "no registered model 'UNet Traind'; did you mean 'UNet Trained'?"),
        ("models:/UNet Trained@bst", "has no alias 'bst'; did you mean 'best'?"),
        ("models:/UNet Trained/7", "has no version 7; known: 1, 2"),
        ("models:UNet", "must be models:/<name>@<alias>"),
        ("run:0123456789abcdef0123456789abcdef", "cannot be found"),
        ("runs:/0123456789abcdef0123456789abcdef/model", "must be runs:/<run id> or runs:/<run id>@<checkpoint>"),
        ("missing/folder", "no such folder"),
    ],
)
def test_a_model_that_is_not_there_is_told_with_the_nearest(registered: Registered, source: str, message: str) -> None:
    with pytest.raises(TrackingError) as caught:
        resolve_model(registered.store, source)
    assert message in str(caught.value)
    assert str(caught.value).startswith(source)


def test_a_run_that_registered_nothing_has_its_checkpoints(store: Store, tmp_path: Path) -> None:
    with store.start_run("train") as run:
        for number, name in enumerate(("best", "last", "00000003")):
            run.file(make_model(tmp_path / name, seed=number), "checkpoints")
    for name in ("best", "last", "00000003"):
        weights = (resolve_model(store, f"runs:/{run.run_id}@{name}") / "model.pt").read_bytes()
        assert weights == (tmp_path / name / "model.pt").read_bytes()
    assert resolve_model(store, f"runs:/{run.run_id}").name == "last"
    with pytest.raises(TrackingError, match=r"no model as 'bst'; did you mean 'best'"):
        resolve_model(store, f"runs:/{run.run_id}@bst")
    with store.start_run("predict") as other:
        pass
    with pytest.raises(TrackingError, match="the run has kept no model"):
        resolve_model(store, f"runs:/{other.run_id}")


def test_the_same_network_is_registered_once(store: Store, tmp_path: Path) -> None:
    """As when a training is used again: the run has the model among its outputs, the version gets the aliases."""
    folder, other = make_model(tmp_path / "net"), make_model(tmp_path / "other", seed=1)
    client = store.client
    with store.start_run("trained") as first:
        assert register_model(store, first, folder, "once", ("best",)) == "1"
        assert register_model(store, first, other, "once", ("last",)) == "2"
    with store.start_run("used again") as second:
        assert register_model(store, second, folder, "once", ("best", "last")) == "1"
        assert register_model(store, second, folder, "another name") == "1"
    outputs = [
        {model.model_id for model in client.get_run(run.run_id).outputs.model_outputs} for run in (first, second)
    ]
    model = client.get_model_version("once", "1").tags["segsweep.model_id"]
    assert model in outputs[0] & outputs[1]
    assert client.get_logged_model(model).source_run_id == first.run_id
    assert {alias: str(number) for alias, number in client.get_registered_model("once").aliases.items()} == {
        "best": "1",
        "last": "1",
    }
    assert resolve_model(store, "models:/once@last") == resolve_model(store, f"runs:/{first.run_id}@best")
    shutil.rmtree(resolve_model(store, "models:/once@last").parents[1])
    with store.start_run("its files are gone") as third:
        assert register_model(store, third, folder, "once") == "3"


def test_the_list_tells_what_models_are_without_fetching_them(registered: Registered) -> None:
    store, run_id = registered.store, registered.run_id
    shutil.move(store.workspace / "mlartifacts", store.workspace / "away")
    try:
        [model] = [item for item in list_models(store) if item.name == "UNet Trained"]
    finally:
        shutil.move(store.workspace / "away", store.workspace / "mlartifacts")
    last, best = model.versions
    assert [(item.number, item.aliases) for item in (last, best)] == [("2", ("last",)), ("1", ("best",))]
    assert (best.architecture, best.width, best.classes) == ("unet_v2", "2", ("bg", "vessel"))
    assert (best.input_size, best.run_id, best.run_name) == ("32x48", run_id, "train")
    assert (best.score, best.start, best.credit) == (None, "", "")
    assert model.best is None
    assert list_versions(store.workspace, "models:/UNet Trained@best") == (best, model)


def test_scores_are_those_of_the_runs_and_only_equal_ones_are_compared(store: Store, tmp_path: Path) -> None:
    for number, scores in enumerate([{"val/dice": 0.9}, {"test/dice": 0.5, "val/dice": 0.99}, {"test/dice": 0.7}, {}]):
        with store.start_run(f"job {number}", params={"model": {"weights": "efficientnet_lite0"}}) as run:
            run.metrics(scores, step=0)
            register_model(store, run, make_model(tmp_path / str(number), seed=number), "net")
    [model] = list_models(store)
    assert [item.score for item in model.versions] == [
        None,
        ("test/dice", 0.7),
        ("test/dice", 0.5),
        ("val/dice", 0.9),
    ]
    assert model.best is not None and model.best.number == "3"
    assert model.best.start == "efficientnet_lite0"
    assert list_models(tmp_path / "elsewhere") == []
    with pytest.raises(TrackingError, match=r"no registered model 'nett'; did you mean 'net'\?"):
        list_versions(store, "models:/nett")


def test_a_model_can_be_added_without_a_run_and_with_the_run_that_trained_it(store: Store, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    number = add_model(store, folder, "theirs", aliases=("start",), description="from a friend", credit="CC0")
    listed, _ = list_versions(store, f"models:/theirs/{number}")
    assert (listed.aliases, listed.description, listed.credit) == (("start",), "from a friend", "CC0")
    assert (listed.run_id, listed.run_name, listed.score) == ("", "", None)
    assert (resolve_model(store, "models:/theirs@start") / "model.pt").read_bytes() == (
        folder / "model.pt"
    ).read_bytes()
    with store.start_run("train") as run:
        register_model(store, run, folder, "ours")
    assert run_of(store, "models:/ours@last") == run_of(store, f"runs:/{run.run_id}@best") == run.run_id
    assert run_of(store, "models:/theirs") is None
    assert run_of(store, str(folder)) is None
    add_model(store, folder, "theirs", run_id=run.run_id)
    assert list_versions(store, "models:/theirs/2")[0].run_name == "train"


def test_only_a_model_folder_can_be_registered_or_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    with pytest.raises(TrackingError, match=r"half: is no model folder, it has no model\.pt"):
        resolve_model(store, str(tmp_path / "half"))
    with store.start_run("train") as run, pytest.raises(TrackingError, match="is no model folder"):
        register_model(store, run, tmp_path / "half", "UNet Trained")
    assert store.client.search_registered_models() == []


def test_looking_for_a_model_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="no MLflow store"):
        resolve_model(tmp_path, "models:/UNet Trained@best")
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_files_are_gone_is_told(registered: Registered) -> None:
    there, elsewhere = (registered.store.workspace / name for name in ("mlartifacts", "elsewhere"))
    there.rename(elsewhere)
    try:
        with pytest.raises(TrackingError, match="was the workspace moved or cleaned"):
            resolve_model(registered.store, "models:/UNet Trained@best")
    finally:
        elsewhere.rename(there)


def test_the_run_shows_its_models_with_signature_and_pinned_requirements(registered: Registered) -> None:
    store, run_id = registered.store, registered.run_id
    run = store.client.get_run(run_id)
    version = store.client.get_model_version_by_alias("UNet Trained", "best")
    assert version.run_id == run_id
    models = [store.client.get_logged_model(output.model_id) for output in run.outputs.model_outputs]
    assert [str(model.status) for model in models] == ["READY", "READY"]
    assert {json.loads(model.tags["mlflow.modelVersions"])[0]["version"] for model in models} == {1, 2}
    place = resolve_model(store, "models:/UNet Trained@best").parents[1]
    assert f"torch=={torch.__version__}".split("+")[0] in (place / "requirements.txt").read_text()
    kept = load_mlflow().models.Model.load(str(place))
    assert {spec.name for spec in kept.get_params_schema().params} == set(Parameters.model_fields)
    assert kept.metadata["segsweep.classes"] == '["bg", "vessel"]'
    assert list(kept.load_input_example(str(place)).columns) == ["image"]
    assert (place / "entry.py").is_file(), "the code is kept, and nothing is pickled"
    assert not list(place.rglob("*.pkl"))
    assert load_mlflow().active_run() is None
