"""A network whose answers can be computed by hand: a pixel's class is its colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, Project, ProjectMeta, ProjectWriter
from segsweep.annotation.rasterize import object_mask
from segsweep.models import MODELS, Architecture
from segsweep.models.folder import ModelConfig, save_model
from segsweep.models.preprocess import IMAGENET_MEAN, IMAGENET_STD

RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)
CERTAIN = 1 / (1 + np.exp(-10) + np.exp(-20))
"""The probability of a pixel's own class, when it is red or green; that of black pixels is 1 / (1 + 2 e^-10)."""


class Colours(nn.Module):
    """Logits 0 for the background, 20 (channel - 1/2) for `red` and `green`."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.last_conv = nn.Conv2d(3, classes, kernel_size=1)
        nn.init.zeros_(self.last_conv.weight)
        nn.init.zeros_(self.last_conv.bias)
        with torch.no_grad():
            for index in range(1, classes):
                self.last_conv.weight[index, index - 1] = 20 * IMAGENET_STD[index - 1]
                self.last_conv.bias[index] = 20 * IMAGENET_MEAN[index - 1] - 10

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[2] % 4 == 0
        assert images.shape[3] % 4 == 0
        logits: torch.Tensor = self.last_conv(images)
        return logits


def colours_model(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Path:
    """A model folder of that network; its sides must be multiples of 4."""
    monkeypatch.setitem(MODELS, "colours", Architecture(Colours, divisor=4))
    titles = {"bg": "#222222", "red": "#ff0000", "green": "#00ff00"}
    config = ModelConfig(
        settings={"input_size": {"width": 32, "height": 32}, **settings},
        out_classes=[{"title": title, "shape": "bitmap", "color": color} for title, color in titles.items()],
        class_title_to_idx={title: index for index, title in enumerate(titles)},
        model={"name": "colours", "width": 1},
    )
    save_model(folder, config, Colours(3, 1).state_dict())
    return folder


def black(height: int, width: int) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


def one_image(path: Path, image: NDArray[np.uint8], objects: Sequence[LabeledObject] = (), **classes: str) -> Path:
    """A project of one image; `classes` are titles and shapes."""
    meta = ProjectMeta(tuple(ClassMeta(title, shape) for title, shape in classes.items()))
    with ProjectWriter(path, meta) as writer:
        writer.add("ds", "a.png", Annotation(image.shape[1], image.shape[0], tuple(objects)), image)
    return path


def annotation_of(result: Path) -> Annotation:
    project = Project.open(result)
    [item] = project.items
    return item.annotation(project.meta)


def listed(annotation: Annotation) -> list[tuple[str, tuple[int, int, int, int], int]]:
    """Class, bounds (half-open) and number of pixels of each object."""
    found = []
    for item in annotation.objects:
        mask = object_mask(item, annotation.width, annotation.height)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        found.append((item.class_title, box, int(mask.sum())))
    return found


def bitmap(title: str, left: int, top: int, right: int, bottom: int) -> LabeledObject:
    return LabeledObject(title, Bitmap(np.ones((bottom - top, right - left), bool), left, top))
