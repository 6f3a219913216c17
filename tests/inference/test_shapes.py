from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segsweep.annotation import Annotation, Bitmap, ClassMeta, LabeledObject, ProjectMeta
from segsweep.annotation.geometry import normalise
from segsweep.annotation.parse import annotation_from_json, annotation_to_json
from segsweep.annotation.rasterize import object_mask
from segsweep.inference.shapes import polygons, shapes_of

META = ProjectMeta((ClassMeta("a", "polygon"),))
MASKS = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(np.bool_, shape))


def drawn(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask as polygons that were written to a file, read, cut to the image and drawn, one over the other."""
    height, width = mask.shape
    objects = tuple(LabeledObject("a", polygon) for polygon in polygons(mask))
    stored = annotation_to_json(Annotation(width, height, objects), META)
    read = annotation_from_json(stored, META, "here").objects
    again = np.zeros_like(mask)
    for item in read:
        for piece in normalise(item.geometry, width, height):
            again |= object_mask(LabeledObject("a", piece), width, height)
    return again


@given(MASKS)
def test_polygons_drawn_again_are_the_same_pixels(mask: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(drawn(mask), mask)


@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_polygons_of_blobs_with_holes_are_the_same_pixels(seed: int, size: int) -> None:
    import cv2

    noise = np.random.default_rng(seed).random((90, 70), np.float32)
    mask = np.asarray(cv2.blur(noise, (size, size))) > 0.5
    np.testing.assert_array_equal(drawn(mask), mask)


def test_there_is_a_polygon_for_each_connected_part() -> None:
    mask = np.zeros((9, 12), bool)
    mask[1:8, 1:8] = True
    mask[3:6, 3:6] = False  # a hole
    mask[4, 4] = True  # an island in it
    mask[0, 10] = mask[1, 11] = True  # connected by a corner
    found = polygons(mask, 100, 200)
    assert [len(polygon.interior) for polygon in found] == [0, 1, 0]
    assert [tuple(polygon.exterior.min(axis=0)) for polygon in found] == [(110, 200), (101, 201), (104, 204)]


def test_an_empty_mask_is_no_object() -> None:
    assert shapes_of(np.zeros((3, 4), bool), 0, 0, "polygon") == ()
    assert shapes_of(np.zeros((3, 4), bool), 0, 0, "bitmap") == ()


def test_a_bitmap_is_cut_to_what_is_there() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1:3, 2:5] = True
    assert shapes_of(mask, 10, 20, "bitmap") == (Bitmap(np.ones((2, 3), bool), 12, 21),)
