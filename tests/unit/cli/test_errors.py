"""Every error is a sentence and an exit code."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from organscope import errors
from organscope.cli._errors import GuardedGroup, remember_debug


def run(error: BaseException, *words: str):
    app = typer.Typer(cls=GuardedGroup, pretty_exceptions_enable=False, rich_markup_mode=None)

    @app.callback()
    def top(debug: bool = typer.Option(False, "--debug", callback=remember_debug)) -> None:
        """Hold the command below."""

    @app.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(app, [*words, "fail"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("wrong"), 2),
        (errors.ConfigError("wrong"), 2),
        (errors.UnknownNameError("wrong"), 2),
        (errors.DatasetError("wrong"), 2),
        (errors.OutputError("wrong"), 2),
        (errors.ImageReadError("wrong"), 1),
        (errors.IntegrityError("wrong"), 1),
    ],
)
def test_our_error_is_its_sentence(error, code):
    result = run(error)
    assert result.exit_code == code
    assert result.stderr == "Error: wrong\n"
    assert result.stdout == ""


def test_unforeseen_error_says_how_to_see_more():
    result = run(ZeroDivisionError("by zero"))
    assert result.exit_code == 1
    assert result.stderr == "Internal error: ZeroDivisionError: by zero. See where with --debug.\n"


def test_debug_shows_the_traceback():
    result = run(ZeroDivisionError("by zero"), "--debug")
    assert "Traceback (most recent call last)" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("interrupt", "sentence"),
    [
        (KeyboardInterrupt(), "What was finished is complete; run the same command again."),
        (KeyboardInterrupt("Go on with --resume."), "Go on with --resume."),
    ],
)
def test_interruption_is_130_and_a_sentence(interrupt, sentence):
    result = run(interrupt)
    assert result.exit_code == 130
    assert result.stderr == f"Interrupted. {sentence}\n"


def test_message_that_no_terminal_can_show_is_printed_with_a_mark():
    assert run(errors.UsageError("bad\udcff.png")).stderr == "Error: bad?.png\n"


def test_entry_point_runs_as_a_program():
    code = "import sys; sys.argv[0] = 'organscope'; from organscope.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("organscope 0.")
