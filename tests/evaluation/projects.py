"""Small projects on disk from arrays of class indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, ProjectMeta, ProjectWriter
from segsweep.files import encode_image

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
