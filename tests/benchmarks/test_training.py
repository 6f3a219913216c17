"""What the training loop costs beside the network: reading, cropping, augmentation, measuring, MLflow.

Beside it, in the same run and in turns, the same network on one batch that lies in memory as tensors: forward, loss,
backward, optimiser. CPU, 256x256, batch 8, base width 8, real retinas. Run with: make bench
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, ProjectMeta, ProjectWriter, Tag, TagMeta
from segsweep.files import read_mask
from segsweep.models import build_model
from segsweep.models.devices import choose_precision
from segsweep.models.preprocess import normalise
from segsweep.reporting import SilentReporter
from segsweep.tracking import Store, TrackedRun
from segsweep.training import TrainingSettings, train
from segsweep.training.losses import binary_loss

STEPS = 25
SETTINGS = TrainingSettings(
    width=256,
    height=256,
    model_width=8,
    batch_size_train=8,
    batch_size_val=1,
    steps=STEPS,
    val_every=1e6,
    lr=0.01,
    lr_schedule="one_cycle",
    sampling="crop",
    crops_per_image=20,
    normalisation="image",
    augmentation={
        "flip": {"transform": "HorizontalFlip", "p": 0.5},
        "turn": {"transform": "RandomRotate90", "p": 1.0},
        "brightness": {"transform": "RandomBrightnessContrast", "p": 0.5},
    },
    devices="cpu",
)


def retinas(data: Path, path: Path) -> Path:
    meta = ProjectMeta((ClassMeta("vessel", "bitmap"),), (TagMeta("train", plain=True), TagMeta("val", plain=True)))
    with ProjectWriter(path, meta) as writer:
        for name in ("01L", "01R", "02L", "02R", "03L", "03R", "04L"):
            mask = read_mask(next((data / "first_observer").glob(f"Image_{name}*"))) > 0
            tags = (Tag("val" if name == "04L" else "train", plain=True),)
            annotation = Annotation(*mask.shape[::-1], (LabeledObject("vessel", Bitmap(mask, 0, 0)),), tags)
            writer.add("ds", f"{name}.jpg", annotation, data / "images" / f"Image_{name}.jpg")
    return path


class Timed(SilentReporter):
    """Notes when steps ended, and how long another reporter took to listen."""

    def __init__(self, other: TrackedRun) -> None:
        self.other = other
        self.ends: list[float] = []
        self.listening = 0.0

    def metrics(self, values: Mapping[str, float], step: int, epoch: float | None = None) -> None:
        start = time.perf_counter()
        if "train/loss" in values:
            self.ends.append(start)
        self.other.metrics(values, step, epoch)
        self.listening += time.perf_counter() - start


def bare(steps: int) -> list[float]:
    """Seconds of every step of the bare network."""
    torch.manual_seed(0)
    model = build_model("unet_v2", 2, 8).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    images = normalise(torch.randint(0, 256, (8, 256, 256, 3), dtype=torch.uint8))
    targets = torch.randint(0, 2, (8, 256, 256))
    dtype = choose_precision("auto", torch.device("cpu"))
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            logits = model(images)
        loss = binary_loss(logits.float(), targets, 2, 1.0, 1.0)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        times.append(time.perf_counter() - start)
    return times


@pytest.mark.slow
def test_a_training_step(shared: Path, tmp_path: Path) -> None:
    project = retinas(shared / "data" / "chase_db1", tmp_path / "project")
    store = Store.open(tmp_path, experiment="benchmark")
    real: dict[int, list[float]] = {0: [], 2: []}
    plain: list[float] = []
    shares, sent = [], 0.0
    for number, workers in enumerate((0, 2, 0, 2, 0, 2)):
        plain += bare(STEPS)[3:]
        with store.start_run(f"run {number}") as run:
            send = run._writer._send

            def timed(samples, send=send):  # type: ignore[no-untyped-def]
                nonlocal sent
                start = time.thread_time()
                send(samples)
                sent += time.thread_time() - start

            run._writer._send = timed
            sent, reporter = 0.0, Timed(run)
            settings = SETTINGS if not workers else TrainingSettings(**{**vars(SETTINGS), "workers_train": workers})
            train(project, tmp_path / str(number), settings, reporter=reporter)
        steps = [after - before for before, after in zip(reporter.ends, reporter.ends[1:], strict=False)]
        real[workers] += steps[3:]
        shares.append((reporter.listening + sent) / sum(steps))
    base = statistics.median(plain)
    print("\n| a step at 256x256, batch 8, width 8 | ms | × bare |\n|---|---|---|")
    print(f"| bare network, tensors in memory | {1000 * base:.0f} | 1 |")
    for workers, times in real.items():
        value = statistics.median(times)
        print(f"| the loop, data_workers {workers} | {1000 * value:.0f} | {value / base:.3f} |")
    print(f"| share of the time in tracking | {100 * statistics.median(shares):.2f} % | |")
