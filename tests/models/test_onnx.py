"""An exported network gives in onnxruntime what it gives in torch, for pictures of any size, and says what it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segsweep import __version__
from segsweep.checks import CHECKS
from segsweep.config.actions import ExportModelConfig
from segsweep.errors import DataError, Problems
from segsweep.inference.network import probabilities
from segsweep.models import MODELS
from segsweep.models.export import TOLERANCE, Exported, export_onnx
from segsweep.models.folder import ModelConfig, load_model, save_model
from segsweep.models.preprocess import standardise, standardise_batch, to_tensor


def make_model(folder: Path, name: str = "unet_v2", **settings: object) -> Path:
    """A network of random weights that has seen pictures, and sees every class in some pixels."""
    torch.manual_seed(0)
    config = ModelConfig(
        settings={"input_size": {"width": 64, "height": 96}, **settings},
        out_classes=[{"title": "röad", "color": "#ff0000"}, {"title": "bg", "color": "#222222"}, {"title": "sky"}],
        class_title_to_idx={"röad": 1, "bg": 0, "sky": 2},
        model={"name": name, "width": 3},
    )
    network = config.build().train()
    noise = np.random.default_rng(9).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    images = torch.stack([to_tensor(cv2.GaussianBlur(image, (0, 0), 2) * 3) for image in noise])
    with torch.no_grad():
        network(images)
        logits = network.eval()(images)
        scale = 2 / logits.std(dim=(0, 2, 3))
        head = network.get_submodule("last_conv")
        head.weight.mul_(scale.view(-1, 1, 1, 1))
        head.bias.sub_(logits.mean(dim=(0, 2, 3))).mul_(scale)
    save_model(folder, config, network.state_dict())
    return folder


@pytest.fixture(scope="module", params=[*MODELS, "per image"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    """Every architecture, and a network for pictures that were made alike."""
    base = tmp_path_factory.mktemp("exported")
    more = {"normalisation": "image", "sampling": "crop", "image_scale": 0.5} if request.param == "per image" else {}
    name = request.param if request.param in MODELS else "unet_v2"
    folder = make_model(base / "model", name, **more)
    photo = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (75, 61, 3), dtype=np.uint8), (0, 0), 3)
    photo[:20] = 3  # a dark frame
    return folder, export_onnx(folder, base / "net.onnx", image=photo)


def run(path: Path, *images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"image": np.stack(images).transpose(0, 3, 1, 2)})
    return found


@pytest.mark.parametrize(("height", "width"), [(64, 96), (45, 70), (7, 131), (1, 1), (33, 2)])
def test_onnxruntime_gives_what_our_inference_gives(exported: tuple[Path, Exported], height: int, width: int) -> None:
    folder, done = exported
    network, config = load_model(folder)
    images = np.random.default_rng(height).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    images[2] = images[2] // 3 + 60
    found = run(done.path, *images)
    assert (found.shape, found.dtype) == ((3, 3, height, width), np.float32)
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-5
    for image, theirs in zip(images, found, strict=True):
        ours = probabilities(network, image, None, standardised=config.standardised, divisor=config.divisor)
        assert np.abs(theirs - ours).max() < TOLERANCE
    assert found.std() > 0.05, "it must say something"


def test_the_file_was_compared_at_several_sizes_and_says_what_it_is(exported: tuple[Path, Exported]) -> None:
    folder, done = exported
    _, config = load_model(folder)
    assert [comparison.what for comparison in done.comparisons] == ["random", "random", "real", "real"]
    assert len({(comparison.width, comparison.height) for comparison in done.comparisons}) == 4
    assert 0 <= done.difference < TOLERANCE
    assert done.size == done.path.stat().st_size
    assert [path.name for path in sorted(done.path.parent.iterdir())] == ["model", "net.onnx"]

    model = onnx.load_model(done.path)
    assert (model.producer_name, model.producer_version) == ("segsweep", __version__)
    told = {entry.key: entry.value for entry in model.metadata_props}
    classes = json.loads(told["classes"])
    assert [(entry["index"], entry["title"]) for entry in classes] == [(0, "bg"), (1, "röad"), (2, "sky")]
    assert [entry["color"] for entry in classes][:2] == ["#222222", "#ff0000"]
    assert told["divisor"] == str(config.divisor)
    assert (told["segsweep_version"], told["architecture"]) == (__version__, config.model["name"])
    assert told["mode"] == ("native" if config.standardised else "full_image")
    assert told["image_scale"] == ("0.5" if config.standardised else "1.0")
    assert json.loads(told["input_size"]) == {"width": 64, "height": 96}
    shape = [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", 3, "height", "width"]


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(tmp_path: Path) -> None:
    folder, output = make_model(tmp_path / "model"), tmp_path / "deep" / "net.onnx"
    export_onnx(folder, output)
    output.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"net\.onnx exists already"):
        export_onnx(folder, output)
    assert output.read_bytes() == b"mine"
    assert export_onnx(folder, output, overwrite=True).size == output.stat().st_size > 1000


def test_a_network_that_cannot_be_computed_is_not_written(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    network, config = load_model(folder)
    with torch.no_grad():
        network.get_parameter("last_conv.bias").fill_(torch.nan)
    save_model(folder, config, network.state_dict())
    with pytest.raises(DataError, match="differs from the original by nan on a random picture of 48x32"):
        export_onnx(folder, tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


batches = arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.just(3)))


@given(batches)
@example(np.zeros((2, 3, 3, 3), np.uint8))
@example(np.full((1, 4, 5, 3), 200, np.uint8))
@settings(max_examples=150)
def test_pictures_are_made_alike_in_torch_as_in_opencv(batch: np.ndarray) -> None:
    made = standardise_batch(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy()))
    assert made.dtype == torch.float32
    expected = np.stack([standardise(image) for image in batch]).transpose(0, 3, 1, 2)
    assert np.array_equal(made.numpy(), expected)


def test_what_is_not_installed_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    folder = make_model(tmp_path / "model")
    problems = Problems()
    request = {"model": {"source": str(folder)}, "output": str(tmp_path / "net.onnx")}
    CHECKS["models_export"](ExportModelConfig.model_validate(request), problems)
    assert [str(problem) for problem in problems.found] == [
        "onnxruntime must be installed; pip install 'segsweep[onnx]'"
    ]
