"""Where a study is kept."""

import importlib.util

import pytest

from organscope.errors import MissingExtraError, UsageError
from organscope.sweep.study import opened_storage


def test_a_file_is_made(tmp_path):
    with opened_storage(f"sqlite:///{tmp_path / 'study.db'}") as storage:
        assert storage.get_all_studies() == []
    assert (tmp_path / "study.db").exists()


@pytest.mark.parametrize("url", ["study.db", "sqlite:////nowhere/study.db", "oracle9://x"])
def test_what_is_no_storage_is_a_sentence(url):
    with pytest.raises(UsageError), opened_storage(url):
        pass


def test_a_missing_driver_is_a_sentence_about_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "psycopg" else find(name))
    expected = pytest.raises(MissingExtraError, match=r"pip install '\.\[postgresql\]'")
    with expected, opened_storage("postgresql://user@host/database"):
        pass
