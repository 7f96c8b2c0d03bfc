"""A survey of an index: parallel, resumed, and with unreadable files as facts."""

from dataclasses import fields

import numpy as np
import pytest

from organscope.data import survey as survey_facts
from organscope.data import survey as survey_module
from organscope.data.survey import facts_from_text, facts_to_text, survey_index
from organscope.errors import OutputError
from tiny_set import TinySet, two_cells


def assert_equal(one, other) -> None:
    for field in fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if hasattr(left, "__dataclass_fields__"):
            assert_equal(left, right)
        else:
            np.testing.assert_array_equal(left, right, err_msg=field.name)


def test_facts_survive_as_text(tiny: TinySet):
    tiny.add("a", labels=two_cells(), um_per_px=0.25)
    tiny.add("gone").unlink()
    for facts in tiny.survey().facts.values():
        assert_equal(facts, facts_from_text(facts_to_text(facts)))


def test_several_processes_find_the_same(tiny: TinySet, monkeypatch):
    for number in range(4):
        tiny.add(f"a{number}", labels=two_cells())
    index = tiny.index()
    alone = survey_index(index, tiny.folder / "one.jsonl")
    monkeypatch.setattr(survey_module, "_IMAGES_PER_WORKER", 1)
    seen = []
    both = survey_index(index, tiny.folder / "two.jsonl", workers=2, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [sample.id for sample, _ in both] == ["a0", "a1", "a2", "a3"]
    for name, facts in alone.facts.items():
        assert_equal(facts, both.facts[name])


def test_interrupted_survey_goes_on(tiny: TinySet, monkeypatch):
    for number in range(3):
        tiny.add(f"a{number}")
    index, journal = tiny.index(), tiny.folder / "journal.jsonl"

    def stop_at_two(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey_index(index, journal, progress=stop_at_two)
    with journal.open("a") as stream:
        stream.write("half a line")
    read = []
    real = survey_module.survey_sample
    monkeypatch.setattr(survey_module, "survey_sample", lambda sample: read.append(sample.id) or real(sample))
    assert len(survey_index(index, journal).facts) == 3
    assert read == ["a2"]


def test_changed_and_unreadable_files_are_read_again(tiny: TinySet, monkeypatch):
    tiny.add("kept")
    changed, broken = tiny.add("changed"), tiny.add("broken")
    broken.write_text("no image")
    index, journal = tiny.index(), tiny.folder / "journal.jsonl"
    survey_index(index, journal)
    changed.write_bytes(changed.read_bytes() + b"0")
    read = []
    real = survey_module.survey_sample
    monkeypatch.setattr(survey_module, "survey_sample", lambda sample: read.append(sample.id) or real(sample))
    survey_index(index, journal)
    assert sorted(read) == ["broken", "changed"]


def test_journal_of_another_version_is_not_used(tiny: TinySet, monkeypatch):
    tiny.add("a")
    index, journal = tiny.index(), tiny.folder / "journal.jsonl"
    survey_index(index, journal)
    journal.write_text(journal.read_text().replace('"n_nan"', '"n_nans"'))
    assert survey_index(index, journal).facts["a"].pixels.n_nan == 0


def test_place_that_cannot_be_written_is_said_at_once(tiny: TinySet, monkeypatch):
    tiny.add("a")
    index = tiny.index()
    (tiny.folder / "file").touch()
    monkeypatch.setattr(survey_module, "survey_sample", lambda sample: pytest.fail("nothing may be read"))
    with pytest.raises(OutputError, match="file"):
        survey_index(index, tiny.folder / "file" / "journal.jsonl")


def test_arrays_are_small(tiny: TinySet):
    tiny.add("a", tiny.noise((300, 300, 3)), labels=two_cells())
    # What memory grows by with each image.
    assert len(survey_facts.facts_to_text(tiny.survey().facts["a"])) < 20_000
