from __future__ import annotations

import numpy as np
import pytest

from segsweep.evaluation.panels import certainty, draw, probability_colours
from segsweep.evaluation.pictures import FALSE_ALARM, HIT, MISS, RIGHT, ClassStyle, comparison_picture

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


def test_probabilities_are_a_fifth_panel_in_even_colours() -> None:
    image = np.zeros((WIDTH, WIDTH, 3), np.uint8)
    levels = np.full((WIDTH, WIDTH), 65535, np.uint16)
    levels[:, :60] = 0
    picture = comparison_picture(image, *four_cases(), [VESSEL], probability=levels, width=WIDTH)
    assert picture.shape[1] == 5 * (WIDTH + GAP) + GAP
    panel = picture[34 : 34 + WIDTH, 4 * (WIDTH + GAP) + GAP :]
    assert tuple(panel[50, 30]) == tuple(probability_colours()[0])
    assert tuple(panel[50, 90]) == tuple(probability_colours()[255])
    lightness = probability_colours().astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness[::5]) > 0).all(), "also in print without colours"


def test_certainty_is_the_probability_of_what_was_predicted() -> None:
    one, two = (np.array([[30000, 20000, 65535]], np.uint16), np.array([[20000, 40000, 65535]], np.uint16))
    prediction = np.array([[1, 2, 0]])
    assert certainty({1: one}, prediction, 1) is one
    found = certainty({1: one, 2: two}, prediction, 2)
    assert found is not None
    assert found.tolist() == [[30000, 40000, 0]]
    background = certainty({1: one, 2: two}, np.zeros((1, 3), int), 2)
    assert background is not None
    assert background.tolist() == [[15535, 5535, 0]]
    assert certainty({1: one}, prediction, 2) is None


def test_colours_of_differences_are_told_apart_without_red_and_green() -> None:
    """Blue and lightness are what is left to readers who confuse red and green."""

    def seen(colour: tuple[int, int, int]) -> np.ndarray:
        red, green, blue = colour
        return np.array([0.6 * red + 0.4 * green, blue])

    for one, other in [(HIT, MISS), (HIT, FALSE_ALARM), (MISS, FALSE_ALARM), (RIGHT, FALSE_ALARM)]:
        assert np.abs(seen(one) - seen(other)).max() > 60


def test_large_images_are_shrunk_before_they_are_drawn_but_scored_whole() -> None:
    truth = np.zeros((2, 9000), np.uint8)
    truth[0, ::2] = 1
    prediction = truth.copy()
    prediction[:, 4500:] = 0
    drawn = draw(np.zeros((2, 9000, 3), np.uint8), truth, prediction, [VESSEL])
    assert {panel.picture.shape[:2] for panel in drawn.panels} == {(1, 3072)}
    assert drawn.panels[2].note == "Dice 0.667"


def test_what_was_not_scored_is_in_the_legend() -> None:
    image, truth = np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10), int)
    valid = np.ones((10, 10), bool)
    assert "not scored" not in dict(draw(image, truth, truth, [VESSEL], valid=valid).legend)
    valid[0] = False
    assert "not scored" in dict(draw(image, truth, truth, [VESSEL], valid=valid).legend)
