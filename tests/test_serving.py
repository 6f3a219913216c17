"""A registered network answers: in Python as an MLflow model, and over HTTP by MLflow's scoring server."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import requests
import uvicorn

from segsweep.annotation import Annotation, Project, ProjectMeta, ProjectWriter, annotation_from_json, meta_from_json
from segsweep.errors import DataError, InvalidRequestError
from segsweep.files import decode_image, encode_image
from segsweep.inference import InferenceSettings, predict, settings_from_mode
from segsweep.inference.network import probabilities
from segsweep.models.folder import ModelConfig, load_model, save_model
from segsweep.serving.pictures import decoded, pictures_in
from segsweep.serving.predictor import Predictor
from segsweep.tracking import Store, add_model, resolve_model
from segsweep.tracking.parameters import Loading
from segsweep.tracking.quiet import load_mlflow

from .conftest import ROOT
from .models.test_onnx import make_model

LOADED_WITH = {"device": "cpu", "precision": "fp32", "max_pixels": 100_000}


def photo(height: int = 45, width: int = 70, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def as_text(image: np.ndarray, extension: str = ".png") -> str:
    return base64.b64encode(encode_image(image, extension)).decode()


def of_text(text: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_UNCHANGED)


@dataclass(frozen=True)
class Registered:
    """A workspace with a registered network, `nät` for crops and `squeezed` for squeezed pictures."""

    workspace: Path
    folder: Path
    squeezed: Path

    def load(self, name: str = "nät", **changes: object) -> Any:
        place = resolve_model(self.workspace, f"models:/{name}@best").parents[1]
        return load_mlflow().pyfunc.load_model(str(place), model_config=LOADED_WITH | changes)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    base = tmp_path_factory.mktemp("serving")
    store = Store.open(base / "work space", experiment="models")
    found = Registered(
        base / "work space",
        make_model(base / "crops", sampling="crop"),
        make_model(base / "squeezed", sampling="resize", normalisation="image"),
    )
    add_model(store, found.folder, "nät", aliases=("best",))
    add_model(store, found.squeezed, "squeezed", aliases=("best",))
    return found


@pytest.fixture(scope="module")
def model(registered: Registered) -> Any:
    return registered.load()


def expected(folder: Path, image: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    network, config = load_model(folder)
    return probabilities(network, image, size, standardised=config.standardised, divisor=config.divisor)


def test_a_picture_may_come_in_every_form(registered: Registered, model: Any) -> None:
    image, other = photo(), photo(32, 48, seed=1)
    mask = model.predict(image)
    assert (mask.shape, mask.dtype) == ((45, 70), np.uint8)
    assert set(np.unique(mask)) == {0, 1, 2}, "the network must say something"
    assert np.array_equal(mask, expected(registered.folder, image).argmax(axis=0))

    png, text = encode_image(image), as_text(image)
    for one in [image.astype(np.int64), image.tolist(), png, {"image": image}, {"image": image.tolist()}]:
        assert np.array_equal(model.predict(one), mask)
    wrapped = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    for one in [text, wrapped, f"data:image/png;base64,{text}", {"image": text}, np.array(text)]:
        assert np.array_equal(of_text(model.predict(one)), mask)

    second = model.predict(other)
    for several in [[image, other], [png, other], ({"image": image}, {"image": other}), {"image": [image, other]}]:
        answers = model.predict(list(several) if isinstance(several, tuple) else several)
        assert [np.array_equal(*pair) for pair in zip(answers, [mask, second], strict=True)] == [True, True]
    for texts in [[text], pd.DataFrame({"image": [text]}), [{"image": text}], np.array([text])]:
        (answer,) = model.predict(texts)
        assert np.array_equal(of_text(answer), mask)
    assert np.array_equal(model.predict(np.stack([image, image]))[1], mask)
    assert model.predict([]) == []


def test_probabilities_come_on_request(registered: Registered, model: Any) -> None:
    image = photo()
    wanted = expected(registered.folder, image)
    both = model.predict(image, params={"probabilities": True})
    assert both["probabilities"].dtype == np.float32
    assert np.abs(both["probabilities"] - wanted).max() < 1e-5
    assert np.array_equal(both["mask"], wanted.argmax(axis=0))
    documented = model.predict(image, params={"mode": '{"name": "native", "save_probabilities": true}'})
    assert np.array_equal(documented["probabilities"], both["probabilities"])
    (told,) = model.predict([as_text(image)], params={"probabilities": True})
    layers = np.stack([of_text(layer) for layer in told["probabilities"]])
    assert layers.dtype == np.uint16
    assert np.abs(layers / 65535 - wanted).max() < 2e-5
    json.dumps(told)


def test_pictures_are_shown_as_the_network_was_trained_unless_told_otherwise(registered: Registered) -> None:
    image = photo()
    squeezed = registered.load("squeezed")
    for mode, wanted in [("auto", (64, 96)), ("full_image", (64, 96)), ("native", None)]:
        found = squeezed.predict(image, params={"mode": mode, "probabilities": True})["probabilities"]
        assert np.abs(found - expected(registered.squeezed, image, wanted)).max() < 1e-5
    found = registered.load().predict(image, params={"resolution": "input_size", "probabilities": True})
    assert np.abs(found["probabilities"] - expected(registered.folder, image, (64, 96))).max() < 1e-5


ROI = {"name": "roi", "bounds": {"left": "10px", "top": "20%", "right": "0px", "bottom": "5px"}}
WINDOWS = {"name": "sliding_window", "window": {"width": 32, "height": 48}, "min_overlap": {"x": 8, "y": 0}}


@pytest.mark.parametrize(
    ("mode", "params"),
    [
        ({"name": "native"}, {}),
        ({"name": "full_image", "model_classes": {"save_classes": ["sky", "röad"], "add_suffix": "_x"}}, {}),
        ({**ROI, "save": True}, {"min_component": 30}),
        ({**WINDOWS, "save": True}, {"blend": "gaussian", "shape": "polygon"}),
        (WINDOWS, {"threshold": 0.4, "flip_average": True, "resolution": "native"}),
    ],
    ids=lambda value: value.get("name") if "name" in value else "",
)
def test_objects_are_those_of_segsweep_predict(
    registered: Registered, model: Any, tmp_path: Path, mode: dict[str, Any], params: dict[str, Any]
) -> None:
    image = photo(96, 100, seed=5)
    with ProjectWriter(tmp_path / "project", ProjectMeta(), {}) as writer:
        (tmp_path / "a.png").write_bytes(encode_image(image))
        writer.add("ds", "a.png", Annotation(100, 96), tmp_path / "a.png")
    named = {"add_suffix": "", **mode.get("model_classes", {})}
    additions = {"resolution": "auto", **params, "device": "cpu", "precision": "fp32"}
    settings = settings_from_mode({**mode, "model_classes": named}, InferenceSettings(**additions))
    predict(registered.folder, tmp_path / "project", tmp_path / "result", settings)
    result = Project.open(tmp_path / "result")
    (item,) = result.items
    stored = item.annotation(result.meta)

    answer = model.predict(image, params={"output": "objects", "mode": json.dumps(mode), **params})
    meta = meta_from_json(answer["meta"], "answer")
    assert annotation_from_json(answer["annotation"], meta, "answer") == stored
    assert meta.classes == result.meta.classes
    assert len(stored.objects) >= 2
    json.dumps(answer)


def test_a_mask_has_no_class_outside_the_region_of_interest(registered: Registered, model: Any) -> None:
    image = photo()
    found = model.predict(image, params={"mode": json.dumps(ROI), "probabilities": True})
    inside = np.s_[9:40, 10:70]
    assert np.abs(found["probabilities"][:, *inside] - expected(registered.folder, image[inside])).max() < 1e-5
    outside = np.ones((45, 70), bool)
    outside[inside] = False
    assert not found["mask"][outside].any()
    assert not found["probabilities"][:, outside].any()


def test_the_classes_of_an_answer_have_the_colours_of_the_model(model: Any) -> None:
    answer = model.predict(photo(), params={"output": "objects", "probabilities": True})
    assert set(answer) == {"annotation", "meta", "probabilities"}
    told = [(entry["title"], entry["shape"], entry["color"]) for entry in answer["meta"]["classes"]]
    assert [title for title, _, _ in told] == ["bg", "röad", "sky"]
    assert told[:2] == [("bg", "bitmap", "#222222"), ("röad", "bitmap", "#ff0000")]
    assert answer["annotation"]["size"] == {"width": 70, "height": 45}


def bomb(width: int, height: int) -> bytes:
    """A PNG of some bytes that says it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 9999))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


WRONG_PARAMS = [
    ({"mode": "nativ"}, "params.mode.name: unknown mode 'nativ'; did you mean 'native'"),
    ({"mode": '{"name": "roi", "bound": {}}'}, "params.mode.bound: unknown key 'bound'; did you mean 'bounds'"),
    ({"mode": "{roi}"}, "params.mode: is no JSON"),
    ({"mode": "objects"}, "params.mode: bboxes looks at the objects that a picture has already"),
    ({"mode": '{"name": "native", "model_classes": {"save_classes": ["skyy"]}}'}, "unknown class 'skyy'; did you mean"),
    ({"mode": "native", "resolution": "input_size"}, "resolution: input_size contradicts mode native"),
    ({"output": "masks"}, "params.output: 'masks' is not possible; must be 'mask' or 'objects'"),
    ({"threshold": 2}, "params.threshold: 2.0 is not possible; must be at most 1"),
    ({"min_component": -1, "shape": "line"}, "2 problems"),
]
WRONG_INPUTS = [
    (np.zeros((4, 4), np.uint8), "picture 1 of 4: must be HxWx3 RGB, not of shape 4"),
    (np.zeros((4, 4, 4), np.uint8), "the picture: must be HxWx3 RGB, not of shape 4x4x4"),
    (np.zeros((0, 4, 3), np.uint8), "not of shape 0x4x3"),
    ([photo(), np.zeros((4, 4, 3))], "picture 2 of 2: must hold whole numbers from 0 to 255 (uint8), not float64"),
    (np.full((4, 4, 3), 256), "whole numbers from 0 to 255"),
    ([[[1, 2, 3], [1, 2]]], "its rows are not of one length"),
    ("not base64!", "the picture: is no base64"),
    (base64.b64encode(b"no picture").decode(), "the picture: the file: is no image that can be read"),
    (encode_image(photo())[:-20], "the picture: the file: is damaged"),
    (bomb(60_000, 60_000), "60000x60000 pixels are more than the 100000 that are allowed"),
    (np.zeros((1000, 1000, 3), np.uint8), "1000x1000 pixels are more than the 100000 that are allowed"),
    ("A" * 4_000_000, "its 4000000 characters are more than the"),
    (pd.DataFrame({"picture": [1]}), "there is no column or key 'image'; there is picture"),
    ([{"imag": "x"}], "no column or key 'image'; there is imag"),
    ([7], "picture 1 of 1: must be an array, or a PNG or JPEG file in base64, not int"),
    (7, "the input is no picture, no list of pictures and no table of them, but int"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), WRONG_INPUTS, ids=[message[:40] for _, message in WRONG_INPUTS])
def test_a_wrong_picture_is_told(model: Any, given: object, message: str) -> None:
    with pytest.raises(load_mlflow().MlflowException) as caught:
        model.predict(given)
    assert message in str(caught.value)
    assert (caught.value.error_code, caught.value.get_http_status_code()) == ("INVALID_PARAMETER_VALUE", 400)


@pytest.mark.parametrize(("params", "message"), WRONG_PARAMS, ids=[message[:40] for _, message in WRONG_PARAMS])
def test_wrong_parameters_are_told(model: Any, params: dict[str, object], message: str) -> None:
    with pytest.raises(load_mlflow().MlflowException) as caught:
        model.predict(photo(), params=params)
    assert message in str(caught.value)
    assert caught.value.get_http_status_code() == 400


def test_unknown_parameters_are_told_where_mlflow_passes_them_on(model: Any) -> None:
    with pytest.raises(load_mlflow().MlflowException, match="unknown key 'outptu'; did you mean 'output'"):
        model.unwrap_python_model().predict(None, photo(), {"outptu": "mask"})


@contextlib.contextmanager
def answering(address: str) -> Iterator[str]:
    """Waits until a server is there."""
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{address}/ping", timeout=5).ok:
                break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield f"{address}/invocations"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def server(model: Any) -> Iterator[str]:
    """MLflow's own scoring server, in a thread of the test."""
    from mlflow.pyfunc.scoring_server import init

    before = dict(os.environ)
    port = free_port()
    running = uvicorn.Server(uvicorn.Config(init(model), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        with answering(f"http://127.0.0.1:{port}") as address:
            yield address
    finally:
        running.should_exit = True
        thread.join(30)
        for name in set(os.environ) - set(before):
            del os.environ[name]


def ask(address: str, **body: object) -> Any:
    answer = requests.post(address, json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_the_server_takes_pictures_in_every_form_of_mlflow(server: str, model: Any) -> None:
    image = photo()
    mask, text, jpeg = model.predict(image), as_text(image), as_text(image, ".jpg")
    other = model.predict(decode_image(base64.b64decode(jpeg), "jpeg"))
    for body in [
        {"inputs": [text, jpeg]},
        {"instances": [text, jpeg]},
        {"inputs": {"image": [text, jpeg]}},
        {"instances": [{"image": text}, {"image": jpeg}]},
        {"inputs": [{"image": text}, {"image": jpeg}]},
        {"dataframe_records": [{"image": text}, {"image": jpeg}]},
        {"dataframe_split": {"columns": ["image"], "data": [[text], [jpeg]]}},
    ]:
        first, second = ask(server, **body)
        assert np.array_equal(of_text(first), mask)
        assert np.array_equal(of_text(second), other)
    assert np.array_equal(of_text(ask(server, inputs=text)), mask)
    small = photo(16, 20)
    for body in [{"inputs": small.tolist()}, {"inputs": {"image": small.tolist()}}]:
        assert np.array_equal(ask(server, **body), model.predict(small))
    for body in [{"instances": [small.tolist()]}, {"dataframe_records": [{"image": small.tolist()}]}]:
        assert np.array_equal(ask(server, **body)[0], model.predict(small))
    csv = requests.post(server, data=f"image\n{text}\n", headers={"Content-Type": "text/csv"}, timeout=60).json()
    assert np.array_equal(of_text(csv["predictions"][0]), mask)


def test_the_server_gives_objects_and_probabilities(server: str, model: Any) -> None:
    image = photo()
    params = {"output": "objects", "probabilities": True, "mode": json.dumps(ROI), "threshold": 1}
    (told,) = ask(server, dataframe_records=[{"image": as_text(image)}], params=params)
    same = model.predict([as_text(image)], params=params)
    assert [told] == same
    meta = meta_from_json(told["meta"], "answer")
    annotation = annotation_from_json(told["annotation"], meta, "answer")
    assert (annotation.width, annotation.height) == (70, 45)
    assert [of_text(layer).shape for layer in told["probabilities"]] == [(45, 70)] * 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": ["Q" * 9000]}, "picture 1 of 1: the file: is no image that can be read"),
        ({"dataframe_records": [{"picture": "x"}]}, "there is no column or key 'image'; there is picture"),
        ({"inputs": ["x"], "params": {"mode": "nativ"}}, None),
        ({"inputs": [[[[1, 2]]]]}, "picture 1 of 1: must be HxWx3 RGB, not of shape 1x1x2"),
        ({"inputs": [base64.b64encode(bomb(9999, 9999)).decode()]}, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_server_refuses_with_status_400_and_the_reason_alone(server: str, body: object, message: str) -> None:
    answer = requests.post(server, json=body, timeout=60)
    told = answer.json()
    assert (answer.status_code, told["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert message is None or told["message"] == message
    assert len(answer.text) < 1000
    assert "Traceback" not in answer.text


def test_requests_at_once_get_the_answers_of_requests_one_by_one(server: str, model: Any) -> None:
    images = [photo(40 + number, 50, seed=number) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda image: ask(server, inputs=[as_text(image)]), images))
    for image, (answer,) in zip(images, answers, strict=True):
        assert np.array_equal(of_text(answer), model.predict(image))


BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```", (ROOT / "docs/serving.md").read_text("utf-8"), re.M | re.S)


@pytest.mark.slow
def test_everything_on_the_page_about_serving_works(registered: Registered) -> None:
    """Its commands and programs, one after the other, with a real `mlflow models serve` at a port of the test's own."""
    port = free_port()
    place = registered.workspace
    store = Store.open(place, experiment="models")
    add_model(store, registered.folder, "vessels", aliases=("best",))
    image = photo()
    (place / "photo.png").write_bytes(encode_image(image))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_PYFUNC_INFERENCE_CONFIG": json.dumps(LOADED_WITH),
    }
    told: list[str] = []
    with contextlib.ExitStack() as stack:
        for kind, text in BLOCKS:
            lines = [line.removeprefix("$ ") for line in text.splitlines()] if kind == "console" else [text]
            for line in (line.replace("5001", str(port)) for line in lines):
                command = ["bash", "-c", line] if kind == "console" else [sys.executable, "-c", line]
                if line.startswith("mlflow models serve"):
                    stack.enter_context(in_the_background(command, place, environment))
                    address = stack.enter_context(answering(f"http://127.0.0.1:{port}"))
                    continue
                done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=200)
                assert done.returncode == 0, done.stderr
                told.append(done.stdout)
        assert len(told) == 10, "three programs, and every command but the server"
        mask = registered.load().predict(image)
        assert np.array_equal(cv2.imread(str(place / "mask.png"), cv2.IMREAD_UNCHANGED), mask)
        objects = next(json.loads(text)["predictions"][0] for text in told if text.startswith('{"predictions"'))
        params = {"output": "objects", "mode": "sliding_window", "threshold": 0.4}
        assert objects == registered.load().predict(image, params=params)
        assert "sky [" in told[0]
        assert told[-1] == "['bg', 'röad', 'sky'] native\n"
        wrong = requests.post(address, json={"inputs": [as_text(photo(400, 400))]}, timeout=60)
        assert wrong.status_code == 400
        assert "400x400 pixels are more than the 100000 that are allowed" in wrong.json()["message"]


@contextlib.contextmanager
def in_the_background(command: list[str], place: Path, environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_a_wrong_configuration_is_told_when_the_model_is_loaded(registered: Registered) -> None:
    with pytest.raises(InvalidRequestError, match=r"model_config\.max_pixels: 'many' is not possible; must be a whole"):
        registered.load(max_pixels="many")


def test_more_probabilities_than_memory_is_meant_for_are_refused(tmp_path: Path) -> None:
    titles = [f"class {number}" for number in range(12)]
    indices = {title: number for number, title in enumerate(titles)}
    config = ModelConfig(
        {"sampling": "crop"}, [{"title": title} for title in titles], indices, {"name": "unet_v2", "width": 1}
    )
    save_model(tmp_path / "model", config, config.build().state_dict())
    predictor = Predictor(tmp_path / "model", Loading(device="cpu", max_pixels=1000))
    assert predictor(photo(30, 30), {}).shape == (30, 30)
    assert predictor(photo(20, 20), {"probabilities": True})["probabilities"].shape == (12, 20, 20)
    with pytest.raises(DataError, match="12 classes at 30x30 pixels are more than the 8000 numbers"):
        predictor(photo(30, 30), {"probabilities": True})


def test_a_batch_is_decoded_one_by_one() -> None:
    found, single = pictures_in({"image": [photo(), as_text(photo())]})
    assert not single
    assert [type(item) for item in found] == [np.ndarray, str]
    assert np.array_equal(decoded(found[1], 45 * 70), photo())
