"""Small projects on disk from arrays of class indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, ProjectMeta, ProjectWriter
from segsweep.files import encode_image, read_mask

Images = Mapping[str, np.ndarray]


def write_project(
    path: Path,
    titles: Sequence[str],
    images: Images,
    *,
    fields: Images | None = None,
    probabilities: Mapping[str, Images] | None = None,
) -> Path:
    """Writes a project whose index n >= 0 is a bitmap object of `titles[n]`; -1 is covered by no object.

    Names of images are `<dataset>/<file>`; `probabilities` maps a side folder to uint16 maps by image.
    """
    meta = ProjectMeta(tuple(ClassMeta(title, "bitmap") for title in titles))
    with ProjectWriter(path, meta) as writer:
        for name, indices in images.items():
            dataset, file = name.split("/")
            objects = tuple(
                LabeledObject(title, Bitmap(indices == index, 0, 0))
                for index, title in enumerate(titles)
                if (indices == index).any()
            )
            height, width = indices.shape
            picture = np.full((height, width, 3), 90, dtype=np.uint8)
            writer.add(dataset, file, Annotation(width, height, objects), picture)
            if fields is not None and name in fields:
                writer.add_side(dataset, "field_of_view", file, encode_image(fields[name].astype(np.uint8) * 255))
            for folder, maps in (probabilities or {}).items():
                if name in maps:
                    writer.add_side(dataset, folder, file, encode_image(maps[name]))
    return path


def write_observer(chase: Path, observer: str, suffix: str, title: str, path: Path) -> Path:
    """Writes the masks of an observer of CHASE_DB1, with fields of view, and the masks blurred as probabilities."""
    meta = ProjectMeta((ClassMeta(title, "bitmap", "#14B8A6"),))
    with ProjectWriter(path, meta) as writer:
        for image in sorted((chase / "images").iterdir()):
            mask = read_mask(chase / observer / f"{image.stem}_{suffix}.png") > 127
            height, width = mask.shape
            writer.add("ds0", image.name, Annotation(width, height, (LabeledObject(title, Bitmap(mask, 0, 0)),)), image)
            field = np.array(Image.open(chase / "field_of_view" / f"{image.stem}.gif").convert("L"))
            writer.add_side("ds0", "field_of_view", image.name, encode_image(field))
            blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3)
            writer.add_side("ds0", "probability_0", image.name, encode_image((blurred * 65535).astype(np.uint16)))
    return path
