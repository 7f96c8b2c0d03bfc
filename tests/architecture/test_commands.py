"""Every command is documented, every documented command exists, and every --help runs and has an example."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from organscope.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = ("", "bash", "console", "sh", "shell")


def commands(group, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    """Every command below a group, by the words that call it."""
    found = {}
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found.update(commands(command, (*path, name)) if inner else {(*path, name): command})
    return found


COMMANDS = commands(typer.main.get_command(app))


def documented_calls() -> list[tuple[str, list[str]]]:
    """Every `organscope ...` line in a code block, as the document's name and its words."""
    calls = []
    for document in DOCUMENTS:
        for language, block in FENCE.findall(document.read_text(encoding="utf-8")):
            if language not in SHELLS:
                continue
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words[:1] == ["organscope"] and words[1:] and not words[1].startswith("-"):
                    calls.append((document.name, words[1:]))
    return calls


CALLS = documented_calls()


def command_of(words: list[str]) -> tuple[str, ...] | None:
    return next((path for path in COMMANDS if tuple(words[: len(path)]) == path), None)


@pytest.mark.parametrize(
    ("document", "words"), CALLS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_documented_call_is_real(document, words):
    path = command_of(words)
    assert path is not None, f"{document}: no such command"
    known = {option for parameter in COMMANDS[path].params for option in (*parameter.opts, *parameter.secondary_opts)}
    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert options <= known | {"--help"}, f"{document}: no such option"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_command_is_documented(path):
    assert path in {command_of(words) for _, words in CALLS}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_runs_and_has_an_example(path):
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    assert re.search(rf"^\s*organscope {' '.join(path)}\b", result.output, re.MULTILINE), "no example in --help"


def test_top_help_names_every_command():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for path in COMMANDS:
        assert path[0] in result.output
