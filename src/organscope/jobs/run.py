"""All images of a plan, one after the other; what fails is named and the others go on."""

import errno
import time
import traceback

from organscope.errors import OrganscopeError, OutputError
from organscope.jobs.memory import peak_memory_mb
from organscope.jobs.models import Models
from organscope.jobs.one_image import Reading, work_on_image
from organscope.jobs.plan import Plan, Target, prepare_output
from organscope.jobs.result import Failure, ImageResult, RunResult
from organscope.jobs.tables import write_run_files

OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class Listener:
    """Told how a run goes on; the base class stays silent."""

    def image_started(self, target: Target) -> None:
        """Work on this image begins."""

    def image_advanced(self, fraction: float) -> None:
        """So much of the present image is done, from 0 to 1."""

    def image_ended(self, outcome: ImageResult | Failure) -> None:
        """The present image is finished, or has failed."""


def run_plan(plan: Plan, models: Models, reading: Reading | None = None, listener: Listener | None = None) -> RunResult:
    """Work on every image of the plan with the loaded bundles.

    With a bundle for cells each image gets its result folder; with one for organs the run gets
    `predictions.csv`; with both also `summary.csv` and `report.html`. Files about the whole run tell of this
    run alone. A failed image leaves what an earlier run wrote for it.

    Args:
        plan: From `plan_run`.
        models: From `load_models`.
        reading: How images are opened.
        listener: Told of progress.

    Returns:
        What was finished and what failed.

    Raises:
        OutputError: The output folder cannot be made or written; nothing was started.
    """
    prepare_output(plan.out)
    started = time.perf_counter()
    listener = listener or Listener()
    outcomes: list[ImageResult | Failure] = []
    for place, target in enumerate(plan.targets):
        listener.image_started(target)
        outcome, stop = _attempt(target, plan, models, reading or Reading(), listener)
        outcomes.append(outcome)
        listener.image_ended(outcome)
        if stop:
            outcomes += [_not_started(later) for later in plan.targets[place + 1 :]]
            break
    images = tuple(outcome for outcome in outcomes if isinstance(outcome, ImageResult))
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    files, unwritten = write_run_files(plan, models, images, failures)
    return RunResult(
        out=plan.out,
        images=images,
        failures=(*failures, *unwritten),
        files=tuple(files),
        seconds=time.perf_counter() - started,
        peak_memory_mb=peak_memory_mb(),
    )


def _attempt(
    target: Target, plan: Plan, models: Models, reading: Reading, listener: Listener
) -> tuple[ImageResult | Failure, bool]:
    """The result or the failure of one image, and whether going on is hopeless."""
    name = str(target.source)
    try:
        return work_on_image(target, plan.out, models, reading, listener.image_advanced), False
    except OrganscopeError as error:
        return Failure(name, str(error)), isinstance(error, OutputError) and _out_of_space(error)
    except MemoryError:
        message = "Expected the image to fit into memory, found that it does not. Crop it or use a larger machine."
        return Failure(name, message), False
    except Exception as error:
        # One image that hits a mistake of the program must not cost the others their results.
        message = f"Internal error, {type(error).__name__}: {error}. See where with --debug."
        return Failure(name, message, traceback.format_exc()), False


def _out_of_space(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OUT_OF_SPACE:
            return True
        cause = cause.__cause__
    return False


def _not_started(target: Target) -> Failure:
    return Failure(str(target.source), "Not started, because the output folder takes no more files.")
