"""Style, format and types, as `make lint` checks them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "tests", "bench")


COMMANDS = [("ruff", "check", *FOLDERS), ("ruff", "format", "--check", *FOLDERS), ("mypy",)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_nothing_is_found(words):
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
