"""Progress, failures and time left from a ledger."""

import os
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest

from organscope.cli._output import print_status
from organscope.errors import UsageError
from organscope.pipeline.ledger import Ledger, Region, ledger_path
from organscope.pipeline.status import require_idle, run_status


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """Four images: one done, one at work, one broken, one that waits."""
    ledger = Ledger(ledger_path(tmp_path))
    for place, stem in enumerate(("done", "present", "broken", "waiting")):
        ledger.expect(stem, place, f"{stem}.tif", "same", 8_000_000)
    ledger.begin_run()
    ledger.finish("done", "result")
    ledger.begin("present", 4)
    ledger.region_done("present", "windows", Region(0, 1, True, 1.0))
    ledger.quarantine("broken", "Expected an image, found none.", "")
    return ledger


def set_begun(tmp_path, seconds_ago: float) -> None:
    with sqlite3.connect(ledger_path(tmp_path)) as database:
        database.execute("UPDATE runs SET begun = ?", (time.time() - seconds_ago,))


def test_progress_and_time_left(tmp_path, ledger, monkeypatch):
    # This process may be younger than the run that it stands for.
    monkeypatch.setattr("organscope.pipeline.status.CLOCK_SLACK_S", 1000)
    set_begun(tmp_path, 100)
    status = run_status(tmp_path)
    assert (status.state, status.n_images, status.n_done, status.n_waiting) == ("running", 4, 1, 1)
    assert [(slide.source, slide.n_done, slide.n_regions) for slide in status.present] == [("present.tif", 1, 4)]
    assert [image.message for image in status.quarantined] == ["Expected an image, found none."]
    assert status.megapixels_left == pytest.approx(14)
    # 10 megapixels took 100 s.
    assert status.seconds_left == pytest.approx(140, rel=0.05)


def test_a_folder_that_another_process_writes_into_is_refused(tmp_path, ledger):
    require_idle(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with sqlite3.connect(ledger_path(tmp_path)) as database:
            database.execute("UPDATE runs SET begun = ?, process = ?", (time.time(), other.pid))
            database.commit()
        with pytest.raises(UsageError, match=f"process {other.pid} at work"):
            require_idle(tmp_path)
        other.communicate(b"\n")
    require_idle(tmp_path)


def test_states_of_a_run(tmp_path, ledger):
    with sqlite3.connect(ledger_path(tmp_path)) as database:
        database.execute("UPDATE runs SET process = 0x7ffffffe")
        database.commit()
        assert run_status(tmp_path).state == "interrupted"
        database.execute("UPDATE runs SET machine = 'another', process = ?", (os.getpid(),))
        database.commit()
    assert run_status(tmp_path).state == "elsewhere"
    ledger.end_run()
    assert run_status(tmp_path).state == "ended"


def test_another_process_of_the_same_number_is_not_the_run(tmp_path, ledger):
    set_begun(tmp_path, time.time() - psutil.Process().create_time() + 3600)
    assert run_status(tmp_path).state == "interrupted"


def test_status_is_said_in_words(tmp_path, ledger, capsys):
    print_status(run_status(tmp_path))
    printed = capsys.readouterr().out
    assert "1 done, 1 at work, 1 waiting, 1 quarantined" in printed
    assert "present.tif: 1 of 4 regions (25%)" in printed
    assert "Expected an image, found none." in printed
    assert "megapixels left" in printed
