"""What the tutorial's graph costs: 6 retinas of 999x960 become 264 images with masks.

Beside it, in the same run, a bare loop that decodes each source once and encodes the very same images and masks: what
any engine would have to do at least. CPU time, because machines are shared; the throughput of two processes is wall
time, with its start and without. Run with: make bench
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, Project, ProjectMeta, ProjectWriter
from segsweep.annotation.bitmap_codec import decode_bitmap, encode_bitmap
from segsweep.dtl import read_layers, transform
from segsweep.files import encode_image, read_image, read_mask
from segsweep.reporting import SilentReporter

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "dtl.json"
NAMES = ("01L", "01R", "02L", "02R", "03L", "03R")


def retinas(data: Path, path: Path, suffix: str, times: int = 1) -> Path:
    with ProjectWriter(path, ProjectMeta((ClassMeta("vessel", "bitmap"),))) as writer:
        for copy in range(times):
            for name in NAMES:
                mask = read_mask(next((data / "first_observer").glob(f"Image_{name}*"))) > 0
                annotation = Annotation(*mask.shape[::-1], (LabeledObject("vessel", Bitmap(mask, 0, 0)),))
                image = data / "images" / f"Image_{name}.jpg"
                pixels = image if suffix == ".jpg" else read_image(image)
                writer.add("ds", f"Image_{name}_{copy}{suffix}", annotation, pixels)
    return path


def graph(**settings: int) -> list[dict[str, object]]:
    layers: list[dict[str, object]] = json.loads(TUTORIAL.read_text())
    for layer in layers:
        if layer["action"] == "data":
            layer["src"] = ["p/*"]
        if layer["action"] == "multiply":
            layer["settings"] = {"multiply": settings.get("multiply", 10)}
    return layers


def cpu(work: object, repeats: int = 3) -> float:
    times = []
    for number in range(repeats):
        start = time.process_time()
        work(number)  # type: ignore[operator]
        times.append(time.process_time() - start)
    return sorted(times)[repeats // 2]


def bare_loop(sources: Project, results: Project) -> float:
    """CPU seconds to decode each source and its mask once, and to encode and write every image and mask of a result."""
    outputs = [
        (
            read_image(item.image_path),
            [own.geometry.mask for own in annotation.objects if isinstance(own.geometry, Bitmap)],
            item.image_path.suffix,
        )
        for item in results.items
        for annotation in [item.annotation(results.meta)]
    ]
    folder = results.path.with_name("bare")
    folder.mkdir(exist_ok=True)

    def work(number: int) -> None:
        for item in sources.items:
            read_image(item.image_path)
            for own in json.loads(item.annotation_path.read_text())["objects"]:
                decode_bitmap(own["bitmap"]["data"], 1 << 24)
        for index, (image, masks, suffix) in enumerate(outputs):
            (folder / f"{index}{suffix}").write_bytes(encode_image(image, suffix))
            (folder / f"{index}.json").write_text(json.dumps([encode_bitmap(mask) for mask in masks]))

    return cpu(work)


@pytest.mark.slow
def test_tutorial_graph(shared: Path, tmp_path: Path) -> None:
    cv2.setNumThreads(1)
    print("\n| 264 results from 6 sources | CPU ms a result | × bare loop |\n|---|---|---|")
    for suffix in (".jpg", ".png"):
        project = retinas(shared / "data" / "chase_db1", tmp_path / suffix, suffix)
        layers = read_layers(graph())
        seconds = cpu(lambda n, g=layers, p=project, s=suffix: transform(g, {"p": p}, tmp_path / f"r{s}{n}"))
        bare = bare_loop(Project.open(project), Project.open(tmp_path / f"r{suffix}0"))
        print(f"| {suffix} | {1000 * seconds / 264:.1f} | {seconds / bare:.2f} |")


class Starts(SilentReporter):
    """Notes when the first image is done, after which all workers are at work."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def progress(self, title: str, total: int | None, unit: str = "it"):  # type: ignore[no-untyped-def]
        from contextlib import nullcontext

        return nullcontext(lambda count: self.times.append(time.perf_counter()))


@pytest.mark.slow
def test_two_workers(shared: Path, tmp_path: Path) -> None:
    project = retinas(shared / "data" / "chase_db1", tmp_path / "p", ".jpg", times=10)
    layers = read_layers(graph())
    whole: dict[int, float] = {}
    steady: dict[int, float] = {}
    for workers in (1, 2, 1, 2):
        reporter, start = Starts(), time.perf_counter()
        result = tmp_path / f"{workers}-{start}"
        transform(layers, {"p": project}, result, workers=workers, reporter=reporter)
        whole[workers] = min(whole.get(workers, 1e9), time.perf_counter() - start)
        steady[workers] = min(steady.get(workers, 1e9), reporter.times[-1] - reporter.times[workers - 1])
    count = len(Project.open(result).items)
    print(f"\n| {count} results from 60 sources | 1 process | 2 processes | × |\n|---|---|---|---|")
    for name, times in (("images/s, the start of processes included", whole), ("images/s, steady", steady)):
        rates = {workers: count / seconds for workers, seconds in times.items()}
        print(f"| {name} | {rates[1]:.0f} | {rates[2]:.0f} | {rates[2] / rates[1]:.2f} |")


PEAK = """
import sys
from pathlib import Path
from tests.benchmarks.test_dtl import graph
from segsweep.dtl import read_layers, transform
summary = transform(read_layers(graph(multiply=int(sys.argv[3]))), {"p": Path(sys.argv[1])}, Path(sys.argv[2]))
status = Path("/proc/self/status").read_text()
print(summary.outputs, next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_memory(shared: Path, tmp_path: Path) -> None:
    print("\n| sources | results | peak MiB |\n|---|---|---|")
    for times, multiply in ((1, 11), (10, 11), (1, 124)):
        project = retinas(shared / "data" / "chase_db1", tmp_path / f"p{times}-{multiply}", ".jpg", times)
        command = [sys.executable, "-c", PEAK, str(project), str(tmp_path / f"r{times}-{multiply}"), str(multiply)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
        outputs, peak = map(int, done.stdout.split())
        print(f"| {6 * times} | {outputs} | {peak / 1024:.1f} |")
