"""Objects against the definitions of the original's plugins, taken literally."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from segsweep.annotation import Annotation, Bitmap, LabeledObject, Line, Polygon, Rectangle, Tag
from segsweep.evaluation.objects import (
    ObjectSettings,
    Piece,
    annotated_pieces,
    connected_pieces,
    count_objects,
    interpolated_precision,
    match,
    union_parts,
)

SIZE = 24
CLASSES = 3


@st.composite
def boxes(draw: st.DrawFn) -> list[Piece]:
    """Up to six rectangles of two classes, which may overlap."""
    found = []
    for _ in range(draw(st.integers(0, 6))):
        x, y = draw(st.integers(0, SIZE - 8)), draw(st.integers(0, SIZE - 8))
        width, height = draw(st.sampled_from([4, 6, 8])), draw(st.sampled_from([4, 6, 8]))
        confidence = draw(st.sampled_from([None, 0.1, 0.5, 0.5, 0.9]))
        found.append(Piece(draw(st.integers(1, 2)), Bitmap(np.ones((height, width), bool), x, y), confidence))
    return found


def whole(piece: Piece) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    left, top, right, bottom = piece.box
    mask[top:bottom, left:right] = piece.bitmap.mask
    return mask


def iou(first: Piece, second: Piece) -> float:
    masks = whole(first), whole(second)
    return float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def literal_match(truth: list[Piece], prediction: list[Piece], least: float) -> list[tuple[int, int]]:
    """All pairs, the highest IoU taken again and again until none is left."""
    scores = np.array([[iou(t, p) for p in prediction] for t in truth]).reshape(len(truth), len(prediction))
    pairs = []
    while scores.size and scores.max() >= least:
        true, predicted = (int(place) for place in np.unravel_index(scores.argmax(), scores.shape))
        pairs.append((true, predicted))
        scores[true, :] = scores[:, predicted] = -1
    return pairs


@given(boxes(), boxes(), st.sampled_from([0.1, 0.5, 1.0]))
def test_pairs_are_formed_greedily_by_descending_iou(truth, prediction, least: float) -> None:
    assert match(truth, prediction, least) == literal_match(truth, prediction, least)


@given(boxes(), boxes())
def test_the_confusion_matrix_counts_every_object_once(truth, prediction) -> None:
    counts = count_objects(truth, prediction, CLASSES, ObjectSettings(iou=0.3))
    expected = np.zeros((CLASSES, CLASSES), int)
    pairs = literal_match(truth, prediction, 0.3)
    for true, predicted in pairs:
        expected[truth[true].index, prediction[predicted].index] += 1
    for index in (1, 2):
        expected[index, 0] = sum(p.index == index for p in truth) - expected[index].sum()
        expected[0, index] = sum(p.index == index for p in prediction) - expected[1:, index].sum()
    assert (counts.confusion == expected).all()


@given(boxes(), boxes())
def test_precision_and_recall_count_within_a_class(truth, prediction) -> None:
    counts = count_objects(truth, prediction, CLASSES, ObjectSettings(iou=0.3))
    for index in (1, 2):
        ours, theirs = ([piece for piece in pieces if piece.index == index] for pieces in (truth, prediction))
        assert counts.parts[index].tolist() == [len(literal_match(ours, theirs, 0.3)), len(theirs), len(ours)]


@given(boxes(), boxes(), st.sampled_from([0.0, 0.5]))
def test_detections_of_a_wrong_class_are_filed_under_the_true_one(truth, prediction, threshold: float) -> None:
    counts = count_objects(truth, prediction, CLASSES, ObjectSettings(iou=0.3, confidence_threshold=threshold))
    taken = [piece for piece in prediction if piece.confidence is not None and piece.confidence >= threshold]
    partners = {predicted: truth[true].index for true, predicted in literal_match(truth, taken, 0.3)}
    expected = [
        (partners.get(n, piece.index), partners.get(n) == piece.index, piece.confidence)
        for n, piece in enumerate(taken)
    ]
    found = counts.detections
    assert list(zip(found.index.tolist(), found.right.tolist(), found.confidence.tolist(), strict=True)) == expected
    assert found.unrated == sum(piece.confidence is None for piece in prediction)


def test_average_precision_of_the_sdks_own_example() -> None:
    """Eleven detections, two of them right, of three objects."""
    confidence = np.array([0.75, 0.7, 0.65, 0.6, 0.55, 0.45, 0.35, 0.25, 0.15, 0.1])
    right = np.isin(confidence, [0.7, 0.1])
    order = np.random.default_rng(0).permutation(len(right))
    expected = (4 * 1 / 2 + 3 * 2 / 10 + 4 * 0) / 11
    assert interpolated_precision(right[order], confidence[order], 3) == pytest.approx(expected)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.4, 0.9])), max_size=12), st.integers(0, 4))
def test_average_precision_by_its_words(detections, missed: int) -> None:
    ranked = sorted(detections, key=lambda item: -item[1])
    true = sum(right for right, _ in detections) + missed
    points = [
        (sum(right for right, _ in ranked[:place]) / max(true, 1), sum(right for right, _ in ranked[:place]) / place)
        for place in range(1, len(ranked) + 1)
    ]
    best = [max((p for r, p in points if r >= least), default=0) for least in np.linspace(0, 1, 11)]
    right, confidence = (np.array([item[part] for item in detections]) for part in (0, 1))
    found = interpolated_precision(right.astype(bool), confidence, true)
    assert found == pytest.approx(1 if not true and not detections else np.mean(best))


def test_objects_are_pixels_and_vanish_with_them() -> None:
    annotation = Annotation(
        10,
        10,
        (
            LabeledObject("cat", Rectangle(1, 1, 3, 4)),
            LabeledObject("cat", Rectangle(20, 20, 30, 30)),  # outside
            LabeledObject("mouse", Rectangle(0, 0, 9, 9)),  # of no class that is compared
            LabeledObject("dog", Polygon(np.array([[5.0, 5], [9, 5], [9, 9]])), (Tag("confidence", 0.25),)),
            LabeledObject("dog", Line(np.array([[0.0, 0], [0, 9]])), (Tag("confidence", "sure"),)),
        ),
    )
    valid = np.ones((10, 10), bool)
    pieces = annotated_pieces(annotation, ("bg", "cat", "dog"), valid, "confidence")
    assert [(piece.index, piece.confidence) for piece in pieces] == [(1, None), (2, 0.25), (2, None)]
    assert whole_area(pieces[0]) == 3 * 4
    valid[:, 0] = False  # the line
    valid[2] = False
    pieces = annotated_pieces(annotation, ("bg", "cat", "dog"), valid)
    assert [piece.index for piece in pieces] == [1, 2]
    assert whole_area(pieces[0]) == 3 * 3


def whole_area(piece: Piece) -> int:
    return int(piece.bitmap.mask.sum())


@given(st.integers(0, 500), st.booleans())
def test_components_are_those_of_scipy(seed: int, some: bool) -> None:
    random = np.random.default_rng(seed)
    indices = random.choice(CLASSES, (12, 15), p=[0.6, 0.2, 0.2]).astype(np.uint8)
    valid = random.random((12, 15)) < 0.8 if some else None
    probability = random.integers(0, 65536, (12, 15)).astype(np.uint16)
    pieces = connected_pieces(indices, CLASSES, valid, {1: probability})
    expected: Counter[tuple[int, int, float | None]] = Counter()
    for index in (1, 2):
        mask = (indices == index) & (True if valid is None else valid)
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        for label in range(1, count + 1):
            sure = round(float(probability[labels == label].mean() / 65535), 9) if index == 1 else None
            expected[index, int((labels == label).sum()), sure] += 1
    found = [(p.index, whole_area(p), None if p.confidence is None else round(p.confidence, 9)) for p in pieces]
    assert Counter(found) == expected


@given(boxes(), boxes())
def test_unions_do_not_hide_each_other(truth, prediction) -> None:
    for index in (1, 2):
        masks = [
            np.any([whole(piece) for piece in pieces if piece.index == index] or [np.zeros((SIZE, SIZE))], axis=0)
            for pieces in (truth, prediction)
        ]
        expected = (int((masks[0] & masks[1]).sum()), int((masks[0] | masks[1]).sum()))
        assert union_parts(truth, prediction, index, (SIZE, SIZE)) == expected


def test_objects_of_other_places_are_never_compared_pixel_by_pixel() -> None:
    """Thousands of objects far apart are matched at once."""
    cell = np.ones((2, 2), bool)
    pieces = [Piece(1, Bitmap(cell, 3 * column, 3 * row), 0.5) for row in range(60) for column in range(60)]
    assert match(pieces, pieces, 0.5) == [(place, place) for place in range(3600)]
