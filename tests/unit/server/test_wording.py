"""Sentences name fields of the page, not options of a command line."""

import pytest

from organscope.io.selection import Choice, Selection, selection_notes
from organscope.server.wording import for_page


@pytest.mark.parametrize(
    "taken",
    [
        Selection(n_series=3, series=1), Selection(n_pages=4, page=0), Selection(n_z=5, z=2), Selection(n_z=5, z=None),
        Selection(n_t=2, t=0),
    ],
)  # fmt: skip
def test_notes_of_a_stack_name_no_option(taken):
    (note,) = selection_notes(Choice(), taken)
    assert "--" in note
    assert "--" not in for_page(note)


def test_a_refusal_names_no_option():
    said = "Convert it to a tiled TIFF, or allow more where a command has --max-megapixels."
    assert for_page(said) == "Convert it to a tiled TIFF."
    assert for_page("Choose one with --channel, by number or name.").startswith("Choose one with “Channel”")


def test_other_sentences_stay():
    assert for_page("Out of focus - blurred.") == "Out of focus - blurred."
