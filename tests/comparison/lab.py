"""Runs of a sweep as the pipeline records them, made of drawn masks instead of trained networks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, ProjectMeta, ProjectWriter
from segsweep.evaluation import evaluate
from segsweep.files import encode_image
from segsweep.randomness import generator
from segsweep.tracking import Store, TrackedRun

HEIGHT, WIDTH = 48, 64
COLOURS = ("#14B8A6", "#C81E64", "#2864C8")


def blobs(*address: str | int, classes: int = 1) -> np.ndarray:
    """Class indices HxW: 0 is the background, with an ellipse for each class."""
    draws = generator("blobs", *address)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    indices = np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    for index in range(1, classes + 1):
        y, x = draws.integers(10, HEIGHT - 10), draws.integers(10, WIDTH - 10)
        indices[((rows - y) / draws.integers(6, 11)) ** 2 + ((columns - x) / draws.integers(6, 14)) ** 2 < 1] = index
    return indices


def spoilt(indices: np.ndarray, error: float, *address: str | int) -> np.ndarray:
    """The mask with a share of its pixels replaced by what stands a few pixels beside them."""
    draws = generator("spoilt", *address)
    return np.where(draws.random(indices.shape) < error, np.roll(indices, (7, 9), (0, 1)), indices)


def write_project(path: Path, images: Mapping[str, np.ndarray], titles: Sequence[str], background: str = "bg") -> Path:
    classes = [ClassMeta(title, "bitmap", colour) for title, colour in zip(titles, COLOURS, strict=False)]
    meta = ProjectMeta((ClassMeta(background, "bitmap", "#943fda"), *classes))
    with ProjectWriter(path, meta) as writer:
        for name, indices in images.items():
            objects = [LabeledObject(background, Bitmap(indices == 0, 0, 0))]
            objects += [
                LabeledObject(title, Bitmap(indices == index, 0, 0))
                for index, title in enumerate(titles, 1)
                if (indices == index).any()
            ]
            picture = np.repeat((60 + 40 * indices)[..., None], 3, axis=2).astype(np.uint8)
            writer.add("ds0", name, Annotation(WIDTH, HEIGHT, tuple(objects)), encode_image(picture))
    return path


@dataclass
class Lab:
    """A workspace with a store, in which runs are tested on drawn images.

    Attributes:
        store: The store and its experiment.
        titles: The scored classes.
        images: How many test images there are.
    """

    store: Store
    titles: tuple[str, ...] = ("vessel",)
    images: int = 6
    test: str = "test"

    @property
    def truth(self) -> Path:
        path = self.store.workspace / "projects" / self.test
        if not path.exists():
            write_project(path, self._drawn(), self.titles)
        return path

    def _drawn(self) -> dict[str, np.ndarray]:
        return {f"im {n}.png": blobs(self.test, n, classes=len(self.titles)) for n in range(self.images)}

    def sweep(self, swept: Mapping[str, Sequence[Any]], name: str = "tried") -> Any:
        params = {key: ",".join(map(str, values)) for key, values in swept.items()}
        return self.store.start_run(name, kind="sweep", params=params, system_metrics=False)

    def run(
        self,
        name: str,
        error: float,
        settings: Mapping[str, Any],
        parent: str | None = None,
        *,
        average: str = "image",
        masks: bool = True,
        address: str | int = 0,
    ) -> str:
        """Records a run whose masks are wrong in about `error` of the pixels; returns its id."""
        params = {
            "name": "tried",
            "workspace": str(self.store.workspace),
            "evaluation": {"region": "whole_frame", "average": average},
            "training.special_classes.background": "bg",
            **settings,
        }
        with self.store.start_run(name, parent=parent, params=params, system_metrics=False) as run:
            self._curves(run, error)
            self._test(run, error, average, masks, address)
            run.metrics({"time/total": 60 + 600 * error}, step=0)
        return run.run_id

    def _curves(self, run: TrackedRun, error: float) -> None:
        for step in range(20):
            loss = error + math.exp(-step / 5)
            run.metrics({"train/loss": loss, "train/dice": 1 - loss / 2}, step, step / 10)
        run.metrics({"val/loss": error, "val/dice": 1 - error}, 19, 1.9)

    def _test(self, run: TrackedRun, error: float, average: str, masks: bool, address: str | int) -> None:
        run.dataset(self.test, "digest", self.truth, "test", {"images": self.images})
        folder = self.store.workspace / "predicted" / run.run_id
        predicted = {name: spoilt(mask, error, name, address) for name, mask in self._drawn().items()}
        write_project(folder / "result", predicted, self.titles)
        scores = evaluate(
            self.truth,
            folder / "result",
            {title: title for title in self.titles},
            background=("bg", "bg"),
            average=average,  # type: ignore[arg-type]
            output=folder / "evaluation",
        )
        run.file(folder / "evaluation")
        run.metrics({f"test/{key}": value for key, value in scores.metrics.items()}, step=0)
        if masks:
            colours = dict(zip(("bg", *self.titles), ("#943fda", *COLOURS), strict=False))
            palette = np.array([list(bytes.fromhex(colour[1:])) for colour in colours.values()], dtype=np.uint8)
            run.text("predictions/classes.json", json.dumps(colours))
            for name, mask in predicted.items():
                run.image(f"predictions/masks/ds0/{Path(name).stem}", palette[mask])
