"""Measures of shapes against other libraries and against their definitions, taken literally."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.metrics import hausdorff_distance
from skimage.morphology import skeletonize
from torchmetrics.functional.segmentation import utils as torch_surfaces

from segsweep.errors import InvalidRequestError
from segsweep.evaluation.cases import Case, ShapeSettings, near
from segsweep.evaluation.decomposition import decompose
from segsweep.evaluation.measures import MEASURES, chosen_measures, count_shapes, score_names
from segsweep.evaluation.surfaces import Surfaces

SHAPE_MEASURES = tuple(name for name, measure in MEASURES.items() if measure.count is not None)
MASKS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(*[arrays(bool, shape, elements=st.sampled_from([False, False, True]))] * 3)
)
WIDE = ShapeSettings(boundary_width=0.2, error_width=0.2, surface_tolerance=1.5)


def scores_of(
    truth: np.ndarray, prediction: np.ndarray, valid: np.ndarray | None = None, settings: ShapeSettings = WIDE
) -> dict[str, float]:
    parts = count_shapes(Case.of(truth, prediction, valid, settings), SHAPE_MEASURES)
    return {
        score: float(function(np.array(parts[name])))
        for name in SHAPE_MEASURES
        for score, function in MEASURES[name].scores.items()
    }


@given(MASKS)
def test_outlines_agree_with_torchmetrics_and_their_distances_with_scipy(masks) -> None:
    truth, prediction, _ = masks
    assume(truth.any() and prediction.any())
    found = Surfaces.of(truth, prediction)
    tensors = torch.from_numpy(prediction), torch.from_numpy(truth)
    edges = torch_surfaces.mask_edges(*tensors, spacing=(1, 1))
    predicted, true, predicted_lengths, true_lengths = (tensor.numpy() for tensor in edges)
    assert np.allclose(found.truth_lengths, true_lengths[true])
    assert np.allclose(found.prediction_lengths, predicted_lengths[predicted])
    assert np.allclose(found.from_truth, ndimage.distance_transform_edt(~predicted)[true])
    assert np.allclose(found.from_prediction, ndimage.distance_transform_edt(~true)[predicted])


@given(MASKS)
def test_the_whole_hausdorff_distance_agrees_with_skimage(masks) -> None:
    truth, prediction, _ = masks
    assume(truth.any() and prediction.any())
    corners = [ndimage.correlate(np.pad(mask, 1).astype(int), np.ones((2, 2))) for mask in (truth, prediction)]
    borders = [(corner > 0) & (corner < 4) for corner in corners]
    assert Surfaces.of(truth, prediction).hausdorff(1.0) == pytest.approx(hausdorff_distance(*borders), abs=1e-5)


def test_the_95_percent_leave_out_a_spike() -> None:
    truth = np.zeros((60, 60), bool)
    truth[10:50, 10:50] = True
    prediction = truth.copy()
    prediction[30, 50:54] = True  # 8 of 168 pixels of outline, and 6 of them farther than 1
    surfaces = Surfaces.of(truth, prediction)
    assert surfaces.hausdorff(1.0) == 4
    assert surfaces.hausdorff(0.95) <= 1
    prediction[28:33, 50:54] = True
    assert Surfaces.of(truth, prediction).hausdorff(0.95) == 2


def test_a_square_that_is_shifted_by_two() -> None:
    truth, prediction = np.zeros((2, 40, 40), bool)
    truth[10:20, 10:20] = prediction[10:20, 12:22] = True
    scores = scores_of(truth, prediction, settings=ShapeSettings(surface_tolerance=1.0))
    assert scores["hd95"] == 2
    assert 0.4 < scores["surface_dice"] < 0.65  # the upper and lower sides, but for their ends
    tolerant = scores_of(truth, prediction, settings=ShapeSettings(surface_tolerance=2.0))
    assert tolerant["surface_dice"] == 1


@given(MASKS, st.integers(1, 4))
def test_near_is_the_rounded_euclidean_distance(masks, width: int) -> None:
    mask = masks[0]
    assume(mask.any())
    assert (near(mask, width) == (np.round(ndimage.distance_transform_edt(~mask)) <= width)).all()


@given(MASKS)
def test_boundary_iou_is_that_of_the_bands(masks) -> None:
    truth, prediction, _ = masks
    width = max(1, round(WIDE.boundary_width * math.hypot(*truth.shape)))

    def band(mask: np.ndarray) -> np.ndarray:
        """Pixels of the mask from which one that is not of it (or of the image) is at most `width` king's moves off."""
        padded = np.pad(mask, width)
        steps = range(2 * width + 1)
        windows = [padded[dy : dy + mask.shape[0], dx : dx + mask.shape[1]] for dy in steps for dx in steps]
        return mask & ~np.all(windows, axis=0)

    both, either = band(truth) & band(prediction), band(truth) | band(prediction)
    expected = both.sum() / either.sum() if either.any() else 1
    assert scores_of(truth, prediction)["boundary_iou"] == pytest.approx(expected)


@given(MASKS)
def test_cldice_is_the_share_of_skeletons_in_masks(masks) -> None:
    truth, prediction, _ = masks
    assume(truth.any() and prediction.any())
    true, predicted = skeletonize(truth), skeletonize(prediction)
    assert true.any() and predicted.any(), "nothing that is there vanishes"
    precision = truth[predicted].mean()
    sensitivity = prediction[true].mean()
    expected = 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0
    assert scores_of(truth, prediction)["cldice"] == pytest.approx(expected)


def test_cldice_sees_the_lost_branch_that_dice_hardly_sees() -> None:
    truth = np.zeros((60, 60), bool)
    truth[20:40] = True
    truth[:20, 30] = True  # a thin vessel beside a wide one
    prediction = truth.copy()
    prediction[:20] = False
    dice = 2 * (truth & prediction).sum() / (truth.sum() + prediction.sum())
    assert dice > 0.98
    assert scores_of(truth, prediction)["cldice"] < 0.9


def literal_decomposition(truth: np.ndarray, prediction: np.ndarray, valid: np.ndarray, width: int) -> np.ndarray:
    """0 right or outside, 1 boundary, 2 extent, 3 segment; by the words of the paper, pixel after pixel."""
    truth, prediction = truth & valid, prediction & valid
    hit, rest = truth & prediction, ~truth & ~prediction & valid
    points = list(itertools.product(*map(range, truth.shape)))

    def reaches(pixel: tuple[int, int], mask: np.ndarray, most: float) -> bool:
        return any(mask[other] and np.round(math.dist(pixel, other)) <= most for other in points)

    def touches(pixel: tuple[int, int], mask: np.ndarray) -> bool:
        y, x = pixel
        return bool(mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].any())

    kinds = np.zeros(truth.shape, int)
    for wrong, whole in ((prediction & ~truth, prediction), (truth & ~prediction, truth)):
        start = np.zeros_like(wrong)
        for pixel in points:
            start[pixel] = wrong[pixel] and reaches(pixel, hit, width) and reaches(pixel, rest, width)
        band = np.zeros_like(wrong)
        for pixel in points:
            band[pixel] = wrong[pixel] and reaches(pixel, start, width)
        segments, count = ndimage.label(band, np.ones((3, 3)))
        for number in range(1, count + 1):
            members = [tuple(pixel) for pixel in np.argwhere(segments == number)]
            if any(touches(pixel, hit) for pixel in members) and any(touches(pixel, rest) for pixel in members):
                kinds[segments == number] = 1
        segments, count = ndimage.label(whole, np.ones((3, 3)))
        for number in range(1, count + 1):
            left = (segments == number) & wrong & (kinds == 0)
            kinds[left] = 2 if (hit & (segments == number)).any() else 3
    return kinds


@given(MASKS, st.booleans())
def test_errors_are_sorted_as_the_paper_says(masks, everything: bool) -> None:
    truth, prediction, valid = masks
    counted = np.ones_like(valid) if everything else ~valid
    settings = ShapeSettings(error_width=0.15)
    case = Case.of(truth, prediction, None if everything else counted, settings)
    found = decompose(case) if case.truth.size else None
    width = max(1, round(0.15 * math.hypot(*truth.shape)))
    kinds = literal_decomposition(truth, prediction, counted, width)
    expected = [int((kinds == kind).sum()) for kind in (1, 2, 3)]
    assert expected == ([int(mask.sum()) for mask in found[1:]] if found else [0, 0, 0])


@given(MASKS)
def test_iou_and_the_three_errors_add_up_to_one(masks) -> None:
    truth, prediction, valid = masks
    scores = scores_of(truth, prediction, valid)
    union = ((truth | prediction) & valid).sum()
    iou = (truth & prediction & valid).sum() / union if union else 1
    errors = scores["error_boundary"] + scores["error_extent"] + scores["error_segment"]
    assert iou + errors == pytest.approx(1)


@given(MASKS)
def test_renormalised_errors_leave_out_the_coarser_kinds(masks) -> None:
    truth, prediction, valid = masks
    settings = ShapeSettings(error_width=0.15)
    case = Case.of(truth, prediction, valid, settings)
    scores = scores_of(truth, prediction, valid, settings)
    right, boundary, extent, segment = (
        [int(mask.sum()) for mask in decompose(case)] if case.truth.size else (0, 0, 0, 0)
    )
    for score, part, whole in (
        ("boundary", boundary, right + boundary),
        ("extent", extent, right + boundary + extent),
    ):
        told = scores[f"error_{score}_renormalised"]
        if whole:
            assert told == pytest.approx(part / whole)
        elif segment:
            assert math.isnan(told)
        else:
            assert told == 0


def test_kinds_of_errors_in_a_drawing() -> None:
    truth, prediction = np.zeros((2, 100, 100), bool)
    truth[20:40, 20:40] = True
    prediction[20:40, 21:41] = True  # shifted by one: boundary
    prediction[25:30, 41:70] = True  # a long arm: extent, but for what is near
    prediction[80:90, 80:90] = True  # an invention
    truth[80:90, 10:20] = True  # a miss
    found = decompose(Case.of(truth, prediction, None, ShapeSettings()))
    assert found.segment.sum() == 200
    assert found.boundary.sum() >= 2 * 20
    assert found.extent.sum() > 5 * 20
    assert found.right.sum() == (truth & prediction).sum()


@given(MASKS, st.integers(0, 7), st.integers(0, 7))
def test_pixels_that_do_not_count_do_not_matter(masks, dy: int, dx: int) -> None:
    truth, prediction, valid = masks
    before = scores_of(truth, prediction, valid)
    changed = truth.copy()
    changed[min(dy, truth.shape[0] - 1), min(dx, truth.shape[1] - 1)] ^= True
    assert scores_of(np.where(valid, truth, changed), prediction, valid) == pytest.approx(before, nan_ok=True)


def test_empty_masks_follow_one_rule() -> None:
    nothing, something = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    something[5:9, 5:9] = True
    right = scores_of(nothing, nothing)
    assert right == {
        "boundary_iou": 1, "cldice": 1, "hd95": 0, "surface_dice": 1,
        "error_boundary": 0, "error_extent": 0, "error_segment": 0,
        "error_boundary_renormalised": 0, "error_extent_renormalised": 0,
    }  # fmt: skip
    for masks in ((nothing, something), (something, nothing)):
        expected = {
            "boundary_iou": 0, "cldice": 0, "hd95": 50, "surface_dice": 0,
            "error_boundary": 0, "error_extent": 0, "error_segment": 1,
            "error_boundary_renormalised": math.nan, "error_extent_renormalised": math.nan,
        }  # fmt: skip
        assert scores_of(*masks) == pytest.approx(expected, nan_ok=True)
    for name, measure in MEASURES.items():
        for score, function in measure.scores.items():
            assert np.isnan(function(np.zeros(1 + measure.parts))), f"{name}: {score} of an image that does not count"


def test_full_masks_are_right() -> None:
    everything = np.ones((12, 15), bool)
    scores = scores_of(everything, everything)
    assert (scores["boundary_iou"], scores["cldice"], scores["surface_dice"], scores["hd95"]) == (1, 1, 1, 0)


def test_measures_are_chosen_by_name_in_their_own_order() -> None:
    assert chosen_measures(["cldice", "boundary_iou", "cldice"]) == ("boundary_iou", "cldice")
    assert chosen_measures(["all"]) == tuple(MEASURES)
    assert score_names(["surface_dice", "cldice"]) == ["surface_dice", "cldice"]
    with pytest.raises(InvalidRequestError, match=r"unknown measure .cl_dice.; did you mean .cldice."):
        chosen_measures(["cl_dice"])
