from __future__ import annotations

import numpy as np
import pytest

from segsweep.evaluation.pictures import FALSE_ALARM, HIT, MISS, ClassStyle, comparison_picture

WIDTH = 120
GAP = 12
VESSEL = ClassStyle("vessel", (255, 0, 0))


def difference_panel(picture: np.ndarray) -> np.ndarray:
    """The right quarter, without headings and legend."""
    left = 3 * (WIDTH + GAP) + GAP
    top = 34
    return picture[top : top + WIDTH, left : left + WIDTH]


def four_cases() -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction whose quarters are: nothing, a false alarm, a miss, a hit."""
    truth, prediction = np.zeros((WIDTH, WIDTH), int), np.zeros((WIDTH, WIDTH), int)
    truth[WIDTH // 2 :] = 1
    prediction[:, WIDTH // 2 :] = 1
    return truth, prediction


def test_hits_misses_and_false_alarms_have_their_colours() -> None:
    image = np.zeros((WIDTH, WIDTH, 3), np.uint8)
    picture = comparison_picture(image, *four_cases(), [VESSEL], width=WIDTH)
    panel = difference_panel(picture)
    assert picture.shape[1] == 4 * (WIDTH + GAP) + GAP
    assert tuple(panel[30, 90]) == FALSE_ALARM
    assert tuple(panel[90, 30]) == MISS
    assert tuple(panel[90, 90]) == HIT


def test_pixels_that_were_not_scored_are_dim() -> None:
    image = np.zeros((WIDTH, WIDTH, 3), np.uint8)
    valid = np.zeros((WIDTH, WIDTH), bool)
    valid[:, :60] = True
    panel = difference_panel(comparison_picture(image, *four_cases(), [VESSEL], valid=valid, width=WIDTH))
    assert tuple(panel[90, 30]) == MISS
    assert panel[90, 90].max() < 130


def test_neutral_pixels_are_neither_right_nor_wrong_among_several_classes() -> None:
    image = np.full((WIDTH, WIDTH, 3), 200, np.uint8)
    truth, prediction = four_cases()
    truth[90:] = 3  # no class of the two
    classes = [VESSEL, ClassStyle("disc", (0, 255, 0))]
    panel = difference_panel(comparison_picture(image, truth, prediction, classes, width=WIDTH)).astype(int)
    assert panel[30, 90, 0] - panel[30, 90, 2] > 100, "wrong is red"
    assert panel[80, 90, 1] > panel[80, 90, 0], "right is green"
    assert np.ptp(panel[110, 30]) < 10, "neutral is grey"


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (400, 7), (960, 999)])
def test_every_size_is_drawn_in_the_width_that_is_asked(shape: tuple[int, int]) -> None:
    truth = np.zeros(shape, int)
    picture = comparison_picture(np.zeros((*shape, 3), np.uint8), truth, truth, [VESSEL], width=60)
    assert picture.shape[1] == 4 * (60 + GAP) + GAP
    assert picture.dtype == np.uint8


def test_many_long_titles_wrap_into_more_lines() -> None:
    truth = np.zeros((20, 20), int)
    image = np.zeros((20, 20, 3), np.uint8)
    few = comparison_picture(image, truth, truth, [VESSEL], width=100, title="t" * 500)
    classes = [ClassStyle(f"{'растение ' * 8}{number}", (9 * number, 50, 90)) for number in range(20)]
    many = comparison_picture(image, truth, truth, classes, width=100, title="t" * 500)
    assert many.shape[1] == few.shape[1]
    assert many.shape[0] > few.shape[0] + 100
