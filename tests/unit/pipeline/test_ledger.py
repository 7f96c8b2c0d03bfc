"""What a run remembers, and what it forgets."""

import sqlite3

import pytest

from organscope.errors import OutputError, UsageError
from organscope.pipeline.ledger import Ledger, Region, identity_of, ledger_path, read_ledger


def test_regions_are_there_after_a_restart(tmp_path):
    path = ledger_path(tmp_path)
    ledger = Ledger(path)
    assert not ledger.expect("a", 0, "a.tif", "same", 100)
    ledger.begin("a", 4)
    ledger.region_done("a", "windows", Region(2, 7, True, 1.5))
    ledger.close()
    ledger = Ledger(path)
    assert ledger.expect("a", 0, "a.tif", "same", 100)
    assert ledger.regions("a", "windows") == {2: Region(2, 7, True, 1.5)}
    assert ledger.regions("a", "seams") == {}


def test_another_identity_forgets_everything(tmp_path):
    ledger = Ledger(ledger_path(tmp_path))
    ledger.expect("a", 0, "a.tif", "before", 100)
    ledger.region_done("a", "windows", Region(2, 7, True, 1.5))
    ledger.finish("a", "result")
    assert ledger.result("a") == "result"
    assert not ledger.expect("a", 0, "a.tif", "after", 100)
    assert ledger.result("a") == ""
    assert ledger.regions("a", "windows") == {}


def test_quarantined_image_is_tried_again_and_others_stay_done(tmp_path):
    ledger = Ledger(None)
    for stem in ("bad", "good", "other"):
        ledger.expect(stem, 0, stem, "same", 1)
    ledger.quarantine("bad", "broken", "")
    ledger.finish("good", "result")
    ledger.forget_all_but({"bad", "good"})
    assert ledger.expect("bad", 0, "bad", "same", 1)
    assert ledger.expect("good", 1, "good", "same", 1)
    assert (ledger.result("bad"), ledger.result("good"), ledger.result("other")) == ("", "result", "")


def test_identity_changes_with_the_file_and_the_facts(tmp_path):
    source = tmp_path / "a.tif"
    missing = identity_of(source, {"tile": 1})
    source.write_bytes(b"a")
    found = identity_of(source, {"tile": 1})
    source.write_bytes(b"ab")
    assert len({missing, found, identity_of(source, {"tile": 1}), identity_of(source, {"tile": 2})}) == 4


def test_ledger_of_another_format_is_begun_anew(tmp_path):
    path = ledger_path(tmp_path)
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    assert not Ledger(path).expect("a", 0, "a.tif", "same", 100)


def test_folder_in_the_way_is_an_output_error(tmp_path):
    ledger_path(tmp_path).mkdir(parents=True)
    with pytest.raises(OutputError, match="ledger"):
        Ledger(ledger_path(tmp_path))


def test_folder_without_a_run_has_no_ledger(tmp_path):
    with pytest.raises(UsageError, match="no ledger"), read_ledger(tmp_path):
        pass
