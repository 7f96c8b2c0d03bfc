"""The tests mirror the package, and every room is described."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "organscope"
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())


@pytest.mark.parametrize("room", ROOMS)
def test_room_is_in_the_architecture_page(room):
    assert f"`{room}/`" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("room", ROOMS)
def test_room_says_what_it_is(room):
    assert (PACKAGE / room / "__init__.py").read_text(encoding="utf-8").startswith('"""')


def test_unit_tests_lie_in_the_rooms_they_test():
    unit = {path.name for path in (ROOT / "tests" / "unit").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert unit <= set(ROOMS)


VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}


def test_no_file_has_a_name_that_says_nothing():
    files = [path for folder in ("src", "tests", "bench") for path in (ROOT / folder).rglob("*.py")]
    assert not [path for path in files if path.stem in VAGUE_NAMES or path.parent.name in VAGUE_NAMES]
