from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segsweep.inference.placement import Box
from segsweep.inference.side_files import GreyPng, ProbabilityFiles, to_levels


@pytest.mark.parametrize("heights", [[7], [1, 3, 2], [1], [300, 1]])
@pytest.mark.parametrize("width", [1, 5, 40000])
def test_rows_written_in_bands_are_read_by_others(tmp_path: Path, heights: list[int], width: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (sum(heights), width), dtype=np.uint16)
    path = tmp_path / "deep" / "map.png"
    with GreyPng(path, width, sum(heights)) as file:
        for band in np.split(values, np.cumsum(heights)[:-1]):
            file.write(band)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), values)
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.array(image), values)


def test_probabilities_become_levels() -> None:
    assert to_levels(np.array([0, 0.5, 1, 1 / 65535], np.float32)).tolist() == [0, 32768, 65535, 1]


@pytest.mark.parametrize("in_order", [True, False])
def test_parts_lie_where_they_belong_and_the_rest_is_empty(tmp_path: Path, in_order: bool) -> None:
    random = np.random.default_rng(1)
    width, height, box = 30, 3000, Box(4, 1100, 21, 2500)
    levels = random.integers(0, 65536, (2, box.height, box.width), dtype=np.uint16)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    with ProbabilityFiles(paths, width, height, in_order=in_order) as files:
        for top in range(0, box.height, 600):
            part = levels[:, top : top + 600]
            files.add(Box(box.left, box.top + top, box.right, box.top + top + part.shape[1]), part)
    for path, one in zip(paths, levels, strict=True):
        expected = np.zeros((height, width), np.uint16)
        expected[box.top : box.bottom, box.left : box.right] = one
        np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), expected)


def test_of_overlapping_parts_the_later_one_counts(tmp_path: Path) -> None:
    with ProbabilityFiles([tmp_path / "a.png"], 6, 5, in_order=False) as files:
        files.add(Box(2, 2, 6, 5), np.full((1, 3, 4), 7, np.uint16))
        files.add(Box(0, 0, 4, 3), np.full((1, 3, 4), 9, np.uint16))
    expected = np.zeros((5, 6), np.uint16)
    expected[2:, 2:] = 7
    expected[:3, :4] = 9
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED), expected)
