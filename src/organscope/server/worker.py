"""The process that analyses images one after the other; it ends when the server does.

Started as `python -m organscope.server.worker` with its settings as one line of JSON on the standard input, which stays
open as long as the server lives.
"""

import json
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

from organscope.errors import OrganscopeError
from organscope.pipeline import Models, load_models, warm_up
from organscope.pipeline.models import CLASSIFICATION, SEGMENTATION, at_operating_point
from organscope.server import queue
from organscope.server.analysis import AnalysisError, Progress, analyze, prepare_view
from organscope.server.database import Database
from organscope.server.settings import Limits, Settings
from organscope.server.store import keep_summary, keep_view, remove_files
from organscope.server.wording import for_page
from organscope.system import lower_priority

_IDLE_S = 0.2
_REPORT_EVERY_S = 0.2


class Cancelled(BaseException):
    """Nobody wants the image any more. No Exception, so that the run does not take it for a failure of the image."""


class _Yielded(BaseException):
    """An image that is worked on by region makes room for others; its finished regions are kept."""


def _work(settings: Settings) -> None:
    """Analyze what is in the queue, for ever."""
    database, models = Database(settings.database), _ModelCache(settings)
    while True:
        job = queue.claim(database, os.getpid())
        if job is None:
            time.sleep(_IDLE_S)
        else:
            try:
                chosen = models(job)
            except OrganscopeError as error:
                queue.end(database, job.number, queue.FAILED, for_page(str(error)))
            else:
                work_on(job, database, chosen, settings)


class _ModelCache:
    """The models of the server, and those that a study asked for last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._standard = self._load(settings.bundles)
        self._other: tuple[tuple[str, ...], Models] | None = None
        warm_up(self._standard)

    def __call__(self, job: queue.Job) -> Models:
        """The models for an image.

        Raises:
            UsageError: They find no such share of the cells, or do not go together.
            BundleError: One is damaged, or gone.
        """
        models, asked = self._standard, tuple(job.analysis.get("bundles", ()))
        if asked:
            if self._other is None or self._other[0] != asked:
                self._other = None
                self._other = asked, self._load(asked)
            models = self._other[1]
        return at_operating_point(models, job.analysis.get("min_cell_recall"))

    def _load(self, bundles: tuple[str, ...]) -> Models:
        return load_models((SEGMENTATION, CLASSIFICATION), bundles, threads=self._settings.threads)


def work_on(job: queue.Job, database: Database, models: Models, settings: Settings) -> None:
    """Analyze one image and note how it ended."""
    out = settings.result_folder(job.image)
    try:
        if not job.is_shown:
            _advance(database, job, "preparing the image", 0.0)
            keep_view(database, job.image, prepare_view(job, out, settings.limits))
            _advance(database, job, "finding cells and organ", 0.0)
        report = _Reporter(database, job)
        summary = analyze(job, out, models, settings.limits, Progress(report))
        keep_summary(database, job.image, summary)
        queue.end(database, job.number, queue.DONE)
    except _Yielded:
        queue.put_back(database, job.number)
    except Cancelled:
        _clear(database, job, settings)
        queue.end(database, job.number, queue.CANCELLED)
    except (AnalysisError, OrganscopeError) as error:
        queue.end(database, job.number, queue.FAILED, str(error))
    except Exception as error:
        # A mistake of the program costs this image, not the queue behind it.
        traceback.print_exc()
        queue.end(database, job.number, queue.FAILED, f"Internal error, {type(error).__name__}: {error}.")


class _Reporter:
    """Notes how far an image is, not more often than anybody looks, and stops when it is not wanted."""

    def __init__(self, database: Database, job: queue.Job) -> None:
        self._database = database
        self._job = job
        self._told = 0.0

    def __call__(self, fraction: float, is_by_region: bool) -> None:
        """Tell how far the image is.

        Raises:
            Cancelled: It is not wanted any more.
            _Yielded: Others go first.
        """
        if is_by_region and queue.should_yield(self._database, self._job.number):
            _advance(self._database, self._job, "finding cells and organ", fraction)
            raise _Yielded
        if time.monotonic() - self._told >= _REPORT_EVERY_S:
            self._told = time.monotonic()
            _advance(self._database, self._job, "finding cells and organ", fraction)


def _advance(database: Database, job: queue.Job, stage: str, fraction: float) -> None:
    if not queue.report(database, job.number, stage, fraction):
        raise Cancelled


def _clear(database: Database, job: queue.Job, settings: Settings) -> None:
    """A study that was removed meanwhile leaves no files behind."""
    known = database.read().execute("SELECT 1 FROM images WHERE id = ?", (job.image,)).fetchone()
    if known is None:
        remove_files(job.image, settings)


def _end_with(stream: object) -> None:
    """End this process as soon as the stream ends, which the server holds open."""
    with suppress(OSError, ValueError):
        while stream.read(1):
            pass
    os._exit(0)


def settings_line(settings: Settings) -> str:
    """What a worker needs to know, as one line."""
    fields = {"store": str(settings.store), "bundles": settings.bundles, "threads": settings.threads}
    return json.dumps(fields | {"image_pixels": settings.limits.image_pixels}) + "\n"


def main() -> None:
    """Read the settings and work."""
    fields = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()
    # Pages come first: the network takes what they leave.
    lower_priority()
    limits = Limits(image_pixels=fields["image_pixels"])
    _work(Settings(Path(fields["store"]), bundles=tuple(fields["bundles"]), threads=fields["threads"], limits=limits))


if __name__ == "__main__":
    main()
