"""Label images and their images."""

import numpy as np

from organscope.data.checks.finding import Severity
from organscope.data.checks.labels import duplicate_labels, empty_labels, fragments, missing_labels, size_mismatches
from tiny_set import TinySet, two_cells


def test_sound_labels_are_silent(tiny: TinySet):
    tiny.add("a", labels=two_cells())
    tiny.add("b", labels=two_cells().T)
    survey = tiny.survey()
    for check in (size_mismatches, missing_labels, empty_labels, duplicate_labels, fragments):
        assert list(check(survey)) == []


def test_labels_of_another_size(tiny: TinySet):
    tiny.add("a", labels=two_cells(40))
    (finding,) = size_mismatches(tiny.survey())
    assert finding.severity is Severity.ERROR
    assert finding.message == "Expected labels of 32 x 32 px like the image, found 40 x 40 px."


def test_missing_labels_are_noted_where_others_have_some(tiny: TinySet):
    tiny.add("a", labels=two_cells())
    tiny.add("b")
    assert [finding.sample for finding in missing_labels(tiny.survey())] == ["b"]


def test_a_set_without_labels_misses_none(tiny: TinySet):
    tiny.add("a")
    assert list(missing_labels(tiny.survey())) == []


def test_labels_without_a_cell(tiny: TinySet):
    tiny.add("a", labels=np.zeros((32, 32)))
    (finding,) = empty_labels(tiny.survey())
    assert finding.severity is Severity.WARNING


def test_one_label_image_at_two_images(tiny: TinySet):
    tiny.add("a", labels=two_cells())
    tiny.add("b", labels=two_cells())
    (finding,) = duplicate_labels(tiny.survey())
    assert finding.severity is Severity.ERROR
    assert (finding.sample, "those of b too" in finding.message) == ("a", True)


def test_equal_labels_of_equal_images_and_equal_empty_ones_are_no_mistake(tiny: TinySet):
    pixels = tiny.noise()
    tiny.add("a", pixels, labels=two_cells())
    tiny.add("copy of a", pixels, labels=two_cells())
    tiny.add("c", labels=np.zeros((32, 32)))
    tiny.add("d", labels=np.zeros((32, 32)))
    assert list(duplicate_labels(tiny.survey())) == []


def test_a_cell_in_two_large_pieces_is_a_warning(tiny: TinySet):
    labels = two_cells()
    labels[labels == 2] = 1
    tiny.add("a", labels=labels)
    (finding,) = fragments(tiny.survey())
    assert finding.severity is Severity.WARNING
    # 36 of 176 pixels.
    assert "a second large piece for 1 of 1 cells; the largest is 20% of cell 1" in finding.message


def test_a_stray_pixel_is_a_note(tiny: TinySet):
    labels = two_cells()
    labels[0, 0] = 2
    tiny.add("a", labels=labels)
    (finding,) = fragments(tiny.survey())
    assert finding.severity is Severity.NOTE
    assert "stray pixels apart from 1 of 2 cells, such as cell 2" in finding.message
