"""A set to put together."""

from pathlib import Path

import pytest

from tiny_set import TinySet


@pytest.fixture
def tiny(tmp_path: Path) -> TinySet:
    return TinySet(tmp_path / "tiny")
