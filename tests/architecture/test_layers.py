"""Who may import whom: the contracts in `.importlinter`, and what stays out of memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = {"torch", "torchvision", "timm", "lightning", "tensorflow", "keras", "tf2onnx"}
HEAVY = FRAMEWORKS | {"numpy", "pandas", "scipy", "skimage", "sklearn", "matplotlib", "onnxruntime", "zarr", "numba"}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in memory after a statement in a fresh Python."""
    code = f"{statement}; import json, sys; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_layers_and_independence_are_kept():
    lint = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", ["predict", "jobs", "evaluate", "report.page"])
def test_use_side_loads_no_framework_and_no_plots(room):
    assert not loaded_by(f"import organscope.{room}") & (FRAMEWORKS | {"matplotlib"})


@pytest.mark.parametrize("module", ["organscope", "organscope.errors", "organscope.cli.main"])
def test_help_is_fast_because_nothing_heavy_is_imported(module):
    assert not loaded_by(f"import {module}") & HEAVY
