"""From an error to one sentence and an exit code."""

import logging
import sys
import traceback
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from organscope.errors import DatasetError, OrganscopeError, OutputError, UsageError

_DONE = 0
SOME_FAILED = 1
_WRONG_USE = 2
_INTERRUPTED = 130

# What typer raises for a wrong option, and explains by itself; older versions have it from click, newer have a copy.
_WrongCommandLine: type[BaseException] = typer.BadParameter.__bases__[0]

# Found before any work: the names, the options, the index or the output folder were wrong.
_NOTHING_STARTED = (UsageError, DatasetError, OutputError)

_DEBUG_KEY = "organscope.debug"


class GuardedGroup(TyperGroup):
    """The top command: what any command below it raises becomes a sentence on stderr, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for and turn its errors into an exit code."""
        _quieten_libraries()
        try:
            return super().invoke(ctx)
        except OrganscopeError as error:
            _explain(ctx, "Error", str(error), error)
            raise typer.Exit(_WRONG_USE if isinstance(error, _NOTHING_STARTED) else SOME_FAILED) from error
        except KeyboardInterrupt as interrupt:
            say(f"Interrupted. {str(interrupt) or 'What was finished is complete; run the same command again.'}")
            raise typer.Exit(_INTERRUPTED) from None
        except (typer.Exit, typer.Abort, _WrongCommandLine, BrokenPipeError):
            raise
        except Exception as error:
            _explain(ctx, "Internal error", f"{type(error).__name__}: {error}. See where with --debug.", error)
            raise typer.Exit(SOME_FAILED) from error


def remember_debug(ctx: typer.Context, value: bool) -> bool:
    """Option callback: note for the guard that tracebacks are wanted."""
    if value:
        ctx.meta[_DEBUG_KEY] = True
        logging.basicConfig(level=logging.INFO)
        warnings.simplefilter("default")
    return value


def say(sentence: str) -> None:
    """Print one sentence for a person, on stderr; characters no terminal can show are replaced."""
    print(sentence.encode("utf-8", "replace").decode("utf-8"), file=sys.stderr, flush=True)


def _explain(ctx: Any, kind: str, sentence: str, error: BaseException) -> None:
    if ctx.meta.get(_DEBUG_KEY):
        traceback.print_exception(error)
    say(f"{kind}: {sentence}")


def _quieten_libraries() -> None:
    """Libraries report on broken files by themselves; the one sentence comes from here."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
