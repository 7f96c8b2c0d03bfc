"""Which unit is drawn for an interval."""

import numpy as np

from organscope.evaluation.statistics import choose_unit


def test_enough_groups_are_drawn_whole():
    unit = choose_unit(np.repeat([f"slide {k}" for k in range(10)], 3))
    assert unit.name == "group"
    assert unit.groups.tolist() == np.repeat(np.arange(10), 3).tolist()
    assert "10 groups of 30 images" in unit.note


def test_few_groups_leave_images_and_say_so():
    unit = choose_unit(np.repeat(["a", "b"], 20))
    assert unit.name == "picture"
    assert np.unique(unit.groups).size == 40
    assert "only 2 groups" in unit.note
    assert "variation between groups" in unit.note


def test_a_group_a_image_is_a_image():
    unit = choose_unit(np.arange(40).astype(str))
    assert (unit.name, unit.note) == ("picture", "Intervals: 95 % bootstrap over 40 images.")


def test_organs_of_a_single_slide_are_not_drawn_whole():
    organs = np.repeat([f"organ {k}" for k in range(12)], 5)
    unit = choose_unit(organs, organs)
    assert unit.name == "picture"
    assert "12 of 12 organs come from a single group" in unit.note
    two_slides = np.array([f"{organ} {number % 2}" for number, organ in enumerate(organs)])
    assert choose_unit(two_slides, organs).name == "group"
