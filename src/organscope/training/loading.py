"""Load the framework that a trainer needs, or say in one sentence why that cannot be."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from organscope.errors import MissingExtraError, UsageError


def require_apart(framework: str) -> None:
    """Refuse to load a framework beside the other one: both in one process have ended in a segmentation fault.

    Args:
        framework: The one that is about to be loaded, `torch` or `tensorflow`.

    Raises:
        UsageError: The other one is loaded already.
    """
    names = {"torch": "PyTorch", "tensorflow": "TensorFlow"}
    other = "tensorflow" if framework == "torch" else "torch"
    if other in sys.modules:
        raise UsageError(
            f"Expected a process without {names[other]}, because {names[framework]} cannot be loaded beside it, found "
            f"it loaded. Start a new Python process (restart the kernel), or use the command line: organscope train."
        )


@contextmanager
def extra_installed() -> Iterator[None]:
    """A framework that is not installed is a sentence about the extra."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with _quiet_stderr():
            yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "organscope":
            raise
        raise MissingExtraError(
            f"Expected the packages of the extra [train], found no '{package}'. "
            "Install them from the checkout: pip install '.[train]'"
        ) from error


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep what compiled code writes while it is loaded off stderr: TensorFlow's notes ignore its own log level."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
