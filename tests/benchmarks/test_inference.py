"""What prediction costs beside the network: its time, and its memory for a very large image.

Beside the stage, in the same run and in turns, the same network on the same windows that lie in memory as tensors, in
the same batches. CPU, base width 8, real retinas of 999x960 pixels. Run with: make bench
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segsweep.annotation import Annotation, ClassMeta, ProjectMeta, ProjectWriter
from segsweep.files import read_image
from segsweep.inference import InferenceSettings, predict
from segsweep.inference.parts import windows_of
from segsweep.inference.placement import Windows
from segsweep.models import build_model
from segsweep.models.devices import choose_precision
from segsweep.models.folder import ModelConfig, load_model, save_model
from segsweep.models.preprocess import normalise

IMAGES = 12
WINDOWS = Windows(256, 256, 32, 32)
BATCH = 8
ROUNDS = 5
SETTINGS = InferenceSettings(place=WINDOWS, resolution="native", device="cpu", batch_size=BATCH)
SIDE = 20_000


def model_folder(path: Path, width: int) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(
        settings={"sampling": "crop", "normalisation": "image", "input_size": {"width": 256, "height": 256}},
        out_classes=[{"title": title, "shape": "bitmap", "color": "#222222"} for title in ("bg", "vessel")],
        class_title_to_idx={"bg": 0, "vessel": 1},
        model={"name": "unet_v2", "width": width},
    )
    save_model(path, config, build_model("unet_v2", 2, width).state_dict())
    return path


def retinas(data: Path, path: Path) -> Path:
    with ProjectWriter(path, ProjectMeta((ClassMeta("vessel", "bitmap"),))) as writer:
        for image in sorted((data / "images").glob("*.jpg"))[:IMAGES]:
            height, width = read_image(image).shape[:2]
            writer.add("ds", image.name, Annotation(width, height), image)
    return path


def bare(network: torch.nn.Module, batches: list[torch.Tensor]) -> float:
    """Seconds of the forward passes."""
    dtype = choose_precision("auto", torch.device("cpu"))
    start = time.perf_counter()
    with torch.inference_mode(), torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        for batch in batches:
            network(batch)
    return time.perf_counter() - start


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_windows_over_twelve_images(shared: Path, tmp_path: Path) -> None:
    project = retinas(shared / "data" / "chase_db1", tmp_path / "project")
    model = model_folder(tmp_path / "model", 8)
    network = load_model(model)[0].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = read_image(next((project / "ds" / "img").iterdir()))
    tiles = [image[box.top : box.bottom, box.left : box.right] for box in windows_of(WINDOWS, 999, 960)]
    batches = [torch.from_numpy(np.stack(tiles[at : at + BATCH])) for at in range(0, len(tiles), BATCH)]
    shown = [normalise(batch) for batch in batches] * IMAGES
    bare(network, shown[:4])
    plain: list[float] = []
    whole: list[float] = []
    with_maps: list[float] = []
    for number in range(ROUNDS):
        plain.append(bare(network, shown))
        whole.append(predict(model, project, tmp_path / f"plain {number}", SETTINGS).seconds)
        maps = InferenceSettings(**{**vars(SETTINGS), "probability_maps": True})
        with_maps.append(predict(model, project, tmp_path / f"maps {number}", maps).seconds)
    # the fastest of each: what else the machine does can only add
    base = min(plain)
    print(f"\n| {IMAGES} images of 999x960, {len(tiles)} windows of 256x256 each, batches of {BATCH} | s | × bare |")
    print("|---|---|---|")
    print(f"| forward passes, tensors in memory | {base:.1f} | 1 |")
    for title, times in (("from project to project", whole), ("with probability maps", with_maps)):
        print(f"| {title} | {min(times):.1f} | {min(times) / base:.3f} |")
    assert min(whole) <= 1.15 * base


LARGE = """
import json, resource, sys, threading, time
from pathlib import Path
import psutil
from segsweep.inference import InferenceSettings, predict
from segsweep.inference.placement import Windows
place, maps = Path(sys.argv[1]), sys.argv[2] == "maps"
settings = InferenceSettings(
    place=Windows(1024, 1024, 64, 64), resolution="native", device="cpu", probability_maps=maps, min_component=10
)
peak, ended, process = [0], threading.Event(), psutil.Process()
def watch():
    while not ended.wait(0.005):
        peak[0] = max(peak[0], process.memory_info().rss)
threading.Thread(target=watch, daemon=True).start()
done = predict(place / "model", place / "project", place / f"result {sys.argv[3]}", settings)
ended.set()
print(json.dumps({
    "seconds": done.seconds, "peak": max(peak[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_of_a_very_large_image(tmp_path: Path) -> None:
    decoded = SIDE * SIDE * 3
    model_folder(tmp_path / "model", 2)
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (SIDE // 40, SIDE // 40, 3), dtype=np.uint8)
    image = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    print(f"\n| {SIDE}x{SIDE} RGB, decoded {decoded / 2**20:.0f} MiB | s | peak MiB | × decoded |")
    print("|---|---|---|---|")
    for number, (extension, maps) in enumerate([(".jpg", ""), (".png", "maps"), (".tif", "")]):
        folder = tmp_path / "project"
        with ProjectWriter(folder, ProjectMeta((ClassMeta("own", "bitmap"),))) as writer:
            done, data = cv2.imencode(extension, image)
            assert done
            writer.add("ds", f"large{extension}", Annotation(SIDE, SIDE), bytes(data))
            del data
        command = [sys.executable, "-c", LARGE, str(tmp_path), maps or "plain", str(number)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(answer.stdout)
        peak = found["peak"]
        title = f"{extension[1:].upper()}{', with probability maps' if maps else ''}"
        print(f"| {title} | {found['seconds']:.0f} | {peak / 2**20:.0f} | {peak / decoded:.2f} |", flush=True)
        assert peak <= 3 * decoded
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()
