from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, Project, ProjectMeta, ProjectWriter, Tag
from segsweep.errors import DataError, InvalidRequestError
from segsweep.files import encode_image, write_bytes, write_json
from segsweep.inference import InferenceSettings, predict
from segsweep.inference.network import probabilities
from segsweep.models import build_model
from segsweep.models.folder import ModelConfig, read_config, save_model
from segsweep.models.preprocess import to_tensor
from segsweep.reporting import ListReporter

SETTINGS = InferenceSettings(resolution="native", device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = build_model("unet_v2", 3, 2)
    config = ModelConfig(
        settings={"input_size": {"width": 32, "height": 48}},
        out_classes=[
            {"title": "dog", "shape": "bitmap", "color": "#ff0000"},
            {"title": "cat", "shape": "bitmap", "color": "#00ff00"},
            {"title": "bg", "shape": "bitmap", "color": "#222222"},
        ],
        class_title_to_idx={"bg": 0, "cat": 1, "dog": 2},
        model={"name": "unet_v2", "width": 2},
    )
    folder = tmp_path_factory.mktemp("model") / "last"
    save_model(folder, config, network.state_dict())
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path / "project"
    own = LabeledObject("cat", Bitmap(np.ones((3, 4), bool), 2, 1), tags=(Tag("good"),))
    with ProjectWriter(path, ProjectMeta((ClassMeta("cat", "bitmap", "#0000ff"),))) as writer:
        for name, (height, width) in {"a.png": (37, 50), "b.png": (64, 33)}.items():
            image = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
            annotation = Annotation(width, height, (own,), (Tag("test"),), extra={"name": "kept"})
            writer.add("ds", name, annotation, image)
            writer.add_side("ds", "field_of_view", name, encode_image(np.full((height, width), 255, np.uint8)))
    return path


def test_the_result_keeps_everything_and_adds_the_predictions(model: Path, project: Path, tmp_path: Path) -> None:
    done = predict(model, project, tmp_path / "result", SETTINGS, provenance={"fingerprint": "f"})
    assert done.classes == {"bg": "bg_unet", "cat": "cat_unet", "dog": "dog_unet"}
    before, after = Project.open(project), Project.open(done.result)
    assert [item.title for item in after.meta.classes] == ["cat", "bg_unet", "cat_unet", "dog_unet"]
    assert [item.color for item in after.meta.classes] == ["#0000ff", "#222222", "#00ff00", "#ff0000"]
    for old, new in zip(before.items, after.items, strict=True):
        was, now = old.annotation(before.meta), new.annotation(after.meta)
        assert now.objects[0] == was.objects[0]
        assert (now.tags, now.extra) == (was.tags, was.extra)
        assert new.image_path.read_bytes() == old.image_path.read_bytes()
        assert new.side_path("field_of_view") is not None
        covered = np.zeros((now.height, now.width), int)
        for added in now.objects[1:]:
            bitmap = added.geometry
            assert isinstance(bitmap, Bitmap)
            covered[bitmap.y : bitmap.y + bitmap.mask.shape[0], bitmap.x : bitmap.x + bitmap.mask.shape[1]] += (
                bitmap.mask
            )
        assert (covered == 1).all(), "every pixel has exactly one predicted class"
        titles = [added.class_title for added in now.objects[1:]]
        assert titles == sorted(titles, key=list(done.classes.values()).index), "in the order of class indices"


def test_only_the_named_classes_are_saved(model: Path, project: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, save_classes=("dog", "cow"), add_suffix="!")
    reporter = ListReporter()
    done = predict(model, project, tmp_path / "result", settings, reporter=reporter)
    assert done.classes == {"dog": "dog!"}
    assert any("no class 'cow'" in text for _, text in reporter.messages)


def test_a_taken_name_is_refused_before_anything_is_written(model: Path, project: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="class 'cat' is in the project already; choose another suffix"):
        predict(model, project, tmp_path / "result", replace(SETTINGS, add_suffix=""))
    assert not (tmp_path / "result").exists()


def test_native_is_the_network_on_the_whole_image(model: Path) -> None:
    from segsweep.models.folder import load_model

    network, _ = load_model(model)
    image = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = torch.softmax(network(to_tensor(image)[None]), 1)[0].numpy()
    np.testing.assert_allclose(probabilities(network, image, None), expected, atol=1e-6)
    padded = probabilities(network, image[:37, :50], None)
    assert padded.shape == (3, 37, 50)
    np.testing.assert_allclose(padded.sum(0), 1, atol=1e-5)


def test_full_image_of_the_input_size_equals_native(model: Path) -> None:
    from segsweep.models.folder import load_model

    network, _ = load_model(model)
    image = np.random.default_rng(2).integers(0, 255, (48, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(probabilities(network, image, (32, 48)), probabilities(network, image, None), atol=1e-6)
    larger = np.random.default_rng(3).integers(0, 255, (90, 70, 3), dtype=np.uint8)
    squeezed = probabilities(network, larger, (32, 48))
    assert squeezed.shape == (3, 90, 70)
    assert squeezed.min() >= 0
    assert squeezed.max() <= 1


def test_the_flip_average_does_not_depend_on_flips_of_the_image(model: Path) -> None:
    from segsweep.models.folder import load_model

    network, _ = load_model(model)
    image = np.random.default_rng(4).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    found = probabilities(network, image, None, flip_average=True)
    turned = probabilities(network, np.ascontiguousarray(image[::-1, ::-1]), None, flip_average=True)
    np.testing.assert_allclose(found, turned[:, ::-1, ::-1], atol=1e-5)
    assert not np.allclose(found, probabilities(network, image, None), atol=1e-4)


def test_probabilities_lie_beside_the_images(model: Path, project: Path, tmp_path: Path) -> None:
    import cv2

    done = predict(model, project, tmp_path / "result", replace(SETTINGS, probability_maps=True))
    result = Project.open(done.result)
    titles = [item.title for item in result.meta.classes]
    for item in result.items:
        paths = [item.side_path(f"probability_{titles.index(name)}") for name in done.classes.values()]
        maps = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths])
        assert maps.dtype == np.uint16
        assert np.abs(maps.astype(int).sum(0) - 65535).max() <= 2


def test_an_unreadable_image_is_left_out_and_told(model: Path, project: Path, tmp_path: Path) -> None:
    path = project / "ds" / "img" / "a.png"
    write_bytes(path, path.read_bytes()[:200])
    reporter = ListReporter()
    done = predict(model, project, tmp_path / "result", SETTINGS, reporter=reporter)
    assert done.images == 1
    assert [name for name, _ in done.skipped] == ["ds/a.png"]
    assert any(level == "warning" and "ds/a.png is left out" in text for level, text in reporter.messages)


def test_an_equal_prediction_is_found_again(model: Path, project: Path, tmp_path: Path) -> None:
    first = predict(model, project, tmp_path / "result", SETTINGS, provenance={"fingerprint": "f"})
    again = predict(model, project, tmp_path / "result", SETTINGS, provenance={"fingerprint": "f"})
    assert not first.reused
    assert again.reused
    assert again.classes == first.classes
    with pytest.raises(FileExistsError):
        predict(model, project, tmp_path / "result", SETTINGS, provenance={"fingerprint": "other"})


def test_when_no_image_can_be_read_there_is_no_result(model: Path, project: Path, tmp_path: Path) -> None:
    for path in (project / "ds" / "img").iterdir():
        write_bytes(path, b"no image")
    with pytest.raises(DataError, match="no image can be predicted"):
        predict(model, project, tmp_path / "result", SETTINGS)
    assert not (tmp_path / "result").exists()


@pytest.mark.parametrize("size", [{"width": 33, "height": 48}, {"width": 0, "height": 16}, {"width": 16}, [16, 16]])
def test_an_impossible_input_size_is_told(model: Path, project: Path, tmp_path: Path, size: object) -> None:
    config = read_config(model)
    other = tmp_path / "model"
    write_json(other / "config.json", {"settings": {"input_size": size}, **_documented(config)})
    write_bytes(other / "model.pt", (model / "model.pt").read_bytes())
    with pytest.raises(DataError, match=r"settings\.input_size"):
        predict(other, project, tmp_path / "result", replace(SETTINGS, resolution="input_size"))


def test_a_colour_that_is_none_does_not_spoil_the_result(model: Path, project: Path, tmp_path: Path) -> None:
    documented = _documented(read_config(model))
    documented["out_classes"][0]["color"] = "red"
    other = tmp_path / "model"
    write_json(other / "config.json", {"settings": {}, **documented})
    write_bytes(other / "model.pt", (model / "model.pt").read_bytes())
    done = predict(other, project, tmp_path / "result", SETTINGS)
    assert len(Project.open(done.result).meta.classes) == 4


def _documented(config: ModelConfig) -> dict[str, Any]:
    return {"out_classes": config.out_classes, "class_title_to_idx": config.class_title_to_idx, "model": config.model}
