"""What a run says about each image."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from organscope.images.selection import Selection
from organscope.jobs.cell_answer import CellAnswer
from organscope.jobs.plan import Target
from organscope.ops.pixel_size import PixelSize, pixel_area_um2
from organscope.predict import Classification, Scale


@dataclass(frozen=True)
class ImageResult:
    """One image that was finished.

    Attributes:
        target: The image and where its results are.
        height_px: Rows at full resolution.
        width_px: Columns at full resolution.
        um_per_px: Height and width of a pixel, None where unknown.
        seconds: From opening the file to the last result on disk.
        areas_px: Area of every cell in pixels, of a slide an even sample of them, rising; None where cells were not
            asked for.
        classification: The organ; None where it was not asked for.
        cell_answer: What the cells say together; None where the organ of each cell was not named.
        scale: How the network that found the cells saw the image; None where cells were not asked for.
        cell_count: Number of cells where `areas_px` is a sample.
        fields_by_organ: In how many fields of a slide each organ is the most probable; None for other images.
        selection: Which image, page, plane and channel of the file was read.
        notes: What a person should know of the result, in full sentences: what was chosen of the file because nobody
            chose it, cells that were cut.
    """

    target: Target
    height_px: int
    width_px: int
    um_per_px: PixelSize | None
    seconds: float
    areas_px: np.ndarray | None = None
    classification: Classification | None = None
    cell_answer: CellAnswer | None = None
    scale: Scale | None = None
    cell_count: int | None = None
    fields_by_organ: np.ndarray | None = None
    selection: Selection = field(default_factory=Selection)
    notes: tuple[str, ...] = ()

    @property
    def megapixels(self) -> float:
        return self.height_px * self.width_px / 1e6

    @property
    def n_cells(self) -> int | None:
        if self.cell_count is not None:
            return self.cell_count
        return None if self.areas_px is None else int(self.areas_px.size)

    @property
    def median_area_px(self) -> float | None:
        return float(np.median(self.areas_px)) if self.areas_px is not None and self.areas_px.size else None

    @property
    def median_area_um2(self) -> float | None:
        if self.median_area_px is None or self.um_per_px is None:
            return None
        return self.median_area_px * pixel_area_um2(self.um_per_px)


@dataclass(frozen=True)
class Failure:
    """One input or result file that failed.

    Attributes:
        name: The image as the person named it, or the file that could not be written.
        message: One sentence: what was expected, what was found, what to do.
        trace: The traceback of an error that nobody foresaw; empty for all others.
    """

    name: str
    message: str
    trace: str = ""


@dataclass(frozen=True)
class RunResult:
    """Everything a run did.

    Attributes:
        out: The output folder.
        images: Finished images in the order of the work.
        failures: What failed, in the order of the work.
        files: Files about the whole run that were written, such as `summary.csv`.
        seconds: Duration of the run without loading the bundles.
        peak_memory_mb: The most memory that each process has held, added up.
    """

    out: Path
    images: tuple[ImageResult, ...]
    failures: tuple[Failure, ...]
    files: tuple[Path, ...]
    seconds: float
    peak_memory_mb: float

    @property
    def seconds_per_megapixel(self) -> float | None:
        megapixels = sum(image.megapixels for image in self.images)
        return sum(image.seconds for image in self.images) / megapixels if megapixels else None
