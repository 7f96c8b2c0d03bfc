"""One image of a run, tried: its result, or its failure as a sentence."""

import errno
import os
import platform
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from organscope.errors import OrganscopeError, OutputError
from organscope.images.urls import is_url
from organscope.jobs.memory import peak_memory_mb
from organscope.jobs.models import Models
from organscope.jobs.one_image import Reading, work_on_image
from organscope.jobs.plan import Target
from organscope.jobs.portable import PortableModels
from organscope.jobs.result import Failure, ImageResult
from organscope.jobs.warm_up import warm_up

OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True)
class Attempt:
    """How an image ended.

    Attributes:
        outcome: Its result, or why there is none.
        hopeless: No other image could be written either.
        process: Which one worked on it, by machine and number.
        peak_memory_mb: The most that this process has held so far.
    """

    outcome: ImageResult | Failure
    hopeless: bool = False
    process: str = ""
    peak_memory_mb: float = 0.0


def attempt_image(
    target: Target, out: Path, models: Models, reading: Reading, advance: Callable[[float], None] | None = None
) -> Attempt:
    """Work on one image; whatever it fails with is its failure."""
    outcome, hopeless = _outcome(target, out, models, reading, advance)
    return Attempt(outcome, hopeless, this_process(), peak_memory_mb())


@dataclass(frozen=True)
class RemoteAttempt:
    """`attempt_image` for another process, which may have another working folder.

    Attributes:
        out: The output folder.
        models: Loaded there at the first image.
        reading: How images are opened.
        folder: What relative paths start from.
    """

    out: Path
    models: PortableModels
    reading: Reading
    folder: Path

    def prepare(self) -> None:
        """Load the models, and what the first image would otherwise wait for."""
        warm_up(self.models.loaded)

    def __call__(self, target: Target) -> Attempt:
        """Work on one image; the outcome names it as the plan does."""
        there = target if is_url(target.source) else replace(target, source=self.folder / target.source)
        attempt = attempt_image(there, self.folder / self.out, self.models.loaded, self.reading)
        if isinstance(attempt.outcome, Failure):
            message = attempt.outcome.message.replace(str(there.source), str(target.source))
            return replace(attempt, outcome=replace(attempt.outcome, name=str(target.source), message=message))
        return replace(attempt, outcome=replace(attempt.outcome, target=target))


def this_process() -> str:
    """Which process this is, among those of all machines."""
    return f"{platform.node()} {os.getpid()}"


def _outcome(
    target: Target, out: Path, models: Models, reading: Reading, advance: Callable[[float], None] | None
) -> tuple[ImageResult | Failure, bool]:
    """The result or the failure of one image, and whether going on is hopeless."""
    name = str(target.source)
    try:
        return work_on_image(target, out, models, reading, advance), False
    except OrganscopeError as error:
        return Failure(name, str(error)), isinstance(error, OutputError) and _out_of_space(error)
    except MemoryError:
        message = "Expected the image to fit into memory, found that it does not. Crop it or use a larger machine."
        return Failure(name, message), False
    except Exception as error:
        # One image that hits a mistake of the program must not cost the others their results.
        return unforeseen(name, error, traceback.format_exc()), False


def unforeseen(name: str, error: Exception, trace: str) -> Failure:
    """A failure for which nobody wrote a sentence."""
    return Failure(name, f"Internal error, {type(error).__name__}: {error}. See where with --debug.", trace)


def _out_of_space(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OUT_OF_SPACE:
            return True
        cause = cause.__cause__
    return False
