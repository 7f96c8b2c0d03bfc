"""Who may import whom: the contracts in `.importlinter`, and what stays out of memory."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = {"torch", "torchvision", "timm", "lightning", "tensorflow", "keras", "tf2onnx"}
HEAVY = FRAMEWORKS | {"numpy", "pandas", "scipy", "skimage", "sklearn", "matplotlib", "onnxruntime", "zarr", "numba"}


LEAVES = {
    "organscope.parallel": 250,
    "organscope.task_result": 250,
    "organscope.pipeline.ledger": 250,
    "organscope.pipeline.progress": 250,
    "organscope.pipeline.status": 250,
    "organscope.system": 250,
    "organscope.server.settings": 250,
}
"""Modules that a worker process or a small command starts with, and the most modules that each may load."""

FACES = sorted(
    ".".join(path.parent.relative_to(ROOT / "src").parts) for path in (ROOT / "src").glob("organscope/**/__init__.pyi")
)


def modules_after(statement: str) -> list[str]:
    """Modules in memory after a statement in a fresh Python."""
    code = f"{statement}\nimport json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in memory after a statement in a fresh Python."""
    return {name.partition(".")[0] for name in modules_after(statement)}


def test_layers_and_independence_are_kept():
    lint = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", ["inference", "pipeline", "evaluation", "reporting.run_report"])
def test_use_side_loads_no_framework_and_no_plots(room):
    assert not loaded_by(f"from organscope.{room} import *") & (FRAMEWORKS | {"matplotlib"})


@pytest.mark.parametrize("module", ["organscope", "organscope.errors", "organscope.cli.main", *LEAVES])
def test_help_is_fast_because_nothing_heavy_is_imported(module):
    assert not loaded_by(f"import {module}") & HEAVY


@pytest.mark.parametrize(("leaf", "most"), LEAVES.items())
def test_importing_a_leaf_does_not_import_its_room(leaf, most):
    assert len(modules_after(f"import {leaf}")) <= most


def test_importing_all_faces_loads_none_of_their_rooms():
    assert not loaded_by("import " + ", ".join(FACES)) & HEAVY


@pytest.mark.parametrize("face", FACES)
def test_every_name_of_a_face_is_found_where_its_stub_says(face):
    names = importlib.import_module(face).__all__
    stub = ast.parse((ROOT / "src" / Path(*face.split("."), "__init__.pyi")).read_text(encoding="utf-8"))
    listed = next(ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign))
    assert sorted(listed) == sorted(names)
    names = [name for name in names if name != "errors"]
    modules_after(
        f"from {face} import {', '.join(names)}\nfrom inspect import ismodule\n"
        f"assert not any(map(ismodule, ({', '.join(names)},)))"
    )


@pytest.mark.parametrize("name", ["models.describe", "decision.decide"])
def test_a_function_named_as_its_module_stays_a_function(name):
    room, _, name = name.partition(".")
    modules_after(f"import organscope.{room}.{name}\nfrom organscope.{room} import {name}\nassert callable({name})")
