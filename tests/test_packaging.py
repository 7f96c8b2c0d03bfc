"""What packages the program: the same dependencies everywhere, and commands that it understands."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from organscope import __version__
from organscope.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"openslide-bin": "openslide"}
"""Of packages that are called otherwise on conda-forge."""


def test_the_conda_recipe_has_the_dependencies_of_the_package():
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    run = recipe.split("  run:\n")[1].split("\n\n")[0]
    stated = {re.match(r"\s*- ([\w.-]+)", line)[1].removesuffix("-base") for line in run.splitlines()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.match(r"[\w.-]+", text)[0] for text in project["dependencies"]}
    assert stated - {"python"} == {CONDA_NAMES.get(name, name) for name in needed}
    assert f'version: "{__version__}"' in recipe
    assert f"python {project['requires-python']}" in recipe


def test_the_container_starts_a_command_that_exists():
    lines = (ROOT / "Containerfile").read_text().splitlines()
    entry, words = (json.loads(next(line for line in lines if line.startswith(key))[len(key) :]) for key in KEYS)
    assert entry == ["organscope"]
    told = CliRunner().invoke(app, [words[0], "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert told.exit_code == 0
    assert [word for word in words[1:] if word.startswith("--") and word not in told.output] == []
    assert "USER organscope" in lines[: lines.index('ENTRYPOINT ["organscope"]')]


KEYS = ("ENTRYPOINT ", "CMD ")


@pytest.mark.parametrize("name", ["qupath/organscope.groovy", "fiji/organscope.ijm"])
def test_scripts_use_options_that_exist(name):
    script = (ROOT / "packaging" / name).read_text()
    command = next(word for word in ("analyze", "segment") if re.search(rf"""['"]{word}['"]""", script))
    told = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    used = set(re.findall(r"""['"](--?[a-z-]+)['"]""", script))
    assert "--um-per-px" in used
    assert [option for option in used if option not in told.output] == []
