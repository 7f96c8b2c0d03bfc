"""The units of work on a slide: a window, the seams that begin in a window, the end.

Each is a picklable description, and `Worker` a picklable function of it, so that any process can do it and do it again:
a part file appears under its name complete or not at all, and is the same each time.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from organscope.errors import OutputError
from organscope.inference.regions import SlideReader
from organscope.inference.stitching import OpenPieces, SeamBatch
from organscope.io import Image
from organscope.pipeline.image import ReadOptions, this_process
from organscope.pipeline.ledger import SEAMS, WINDOWS, Region
from organscope.pipeline.models import Models, PortableModels
from organscope.pipeline.results import ImageResult
from organscope.pipeline.slide_parts import FinishTask, Part, Slide, write_seams, write_window
from organscope.system import peak_memory_mb


@dataclass(frozen=True)
class WindowTask:
    """One window of a slide, and the one that this process is given next, where that is known."""

    slide: Slide
    number: int
    then: int | None = None


@dataclass(frozen=True)
class SeamTask:
    """The pieces over seams whose first window is `number`, and the windows that have a part file."""

    slide: Slide
    number: int
    batches: tuple[SeamBatch, ...]


Task = WindowTask | SeamTask | FinishTask


@dataclass(frozen=True)
class Done:
    """What came of a task.

    Attributes:
        value: The region, or at the end of a slide its result.
        process: Which one did it, by machine and number.
        peak_memory_mb: The most that this process has held so far.
    """

    value: Region | ImageResult
    process: str
    peak_memory_mb: float


class Worker:
    """Does tasks; holds the bundles, and the slide that it worked on last."""

    def __init__(self, models: Models | PortableModels, reading: ReadOptions) -> None:
        """Keep what all tasks have in common.

        Args:
            models: A bundle for each answer that is wanted; portable ones are loaded at the first task.
            reading: How to open images.
        """
        self._given = models
        self._reading = reading
        self._held: tuple[Slide, Image, SlideReader] | None = None

    def __call__(self, task: Task) -> Done:
        """Do one task.

        Raises:
            InputError: The image cannot be used.
            OutputError: Files cannot be written; `errno` says why where it is known.
        """
        try:
            return Done(self._do(task), this_process(), peak_memory_mb())
        except OutputError as error:
            # The cause does not travel between processes, attributes do.
            error.errno = _errno_of(error)
            raise

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    @property
    def _models(self) -> Models:
        return self._given.loaded if isinstance(self._given, PortableModels) else self._given

    def release(self) -> None:
        """Close the slide that is held, and give back memory of the network."""
        if self._held is not None:
            _, image, reader = self._held
            self._held = None
            reader.close()
            image.close()

    def _do(self, task: Task) -> ImageResult | Region:
        if isinstance(task, FinishTask):
            # Imported here because windows do not need images.
            from organscope.pipeline.slide_writer import finish_slide

            self.release()
            with self._open(task.slide) as image:
                return finish_slide(task, image, self._models, self._reading.measures)
        started = time.perf_counter()
        reader = self._reader(task.slide)
        do = self._window if isinstance(task, WindowTask) else self._seams
        n_cells, has_part = do(task, reader)
        return Region(task.number, n_cells, has_part, time.perf_counter() - started)

    def _window(self, task: WindowTask, reader: SlideReader) -> tuple[int, bool]:
        found = reader.window(task.number, task.then)
        if found.cells is None and (found.fields is None or found.fields.number.size == 0):
            return 0, False
        path, name = task.slide.part(WINDOWS, task.number), task.slide.target.stem.name
        return write_window(path, found, self._models.cell_organs, name), True

    def _seams(self, task: SeamTask, reader: SlideReader) -> tuple[int, bool]:
        slide, held = task.slide, {}

        def open_of(window: int) -> OpenPieces:
            if window not in held:
                held[window] = Part(slide.part(WINDOWS, window)).open_pieces()
            return held[window]

        def others_of(window: int) -> UInt8[np.ndarray, " _"]:
            path = slide.part(WINDOWS, window)
            return Part(path).others() if path.is_file() else np.zeros(0, np.uint8)

        found = [reader.seam(batch, open_of, others_of) for batch in task.batches]
        path, name = slide.part(SEAMS, task.number), slide.target.stem.name
        return write_seams(path, found, self._models.cell_organs, name), True

    def _reader(self, slide: Slide) -> SlideReader:
        if self._held is not None and self._held[0] != slide:
            self.release()
        if self._held is None:
            image, models = self._open(slide), self._models
            reader = SlideReader(
                image,
                slide.settings,
                cells=models.cells,
                organs=models.organs,
                cell_organs=models.cell_organs,
                cell_kinds=models.cell_kinds,
            )
            self._held = slide, image, reader
        return self._held[2]

    def _open(self, slide: Slide) -> Image:
        return self._reading.open(slide.target.source)


def _errno_of(error: OutputError) -> int | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return None if cause is None else cause.errno
