"""Survey an index: every file is read once, several at a time; an interrupted survey goes on where it stopped.

One pass over the pixels of an image, band by band: every pixel is decoded once, none is kept.

What a label image says about its cells, in a fixed number of figures however many cells there are.

All that a survey keeps of one sample, as text that can be read back.

Samples that an interrupted survey had finished.
"""

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32, Num, UInt32, UInt64

from organscope.data.index import Index, Sample
from organscope.data.records import hash_path
from organscope.errors import InputError
from organscope.io import Image
from organscope.io.image import block_mean
from organscope.io.paths import cannot_write, make_folder
from organscope.ops.features import VIEW_PX, color_histogram, gray_texture, perceptual_hashes
from organscope.ops.intensity import scale_intensity, to_rgb
from organscope.ops.pixel_size import PixelSize, pixel_area_um2
from organscope.ops.regionprops import find_fragmented, measure_cells
from organscope.ops.resample import resize_field
from organscope.parallel import run_parallel

#: Of larger images the largest resolution below this size is read, where there is one.
_MAX_DECODED_PIXELS = 400_000_000
_BAND_PIXELS = 2**21
#: Whole tiles or strips lie in a band, and whole blocks of the small image.
_BAND_ALIGNMENT_PX = 512
_SAMPLE_PIXELS = 250_000
_SMALL_SIDE_PX = 256
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class PixelFacts:
    """What is known of an image after its pixels were seen.

    Attributes:
        height_px: At full resolution; so is `width_px`.
        dtype: Pixel type.
        um_per_px: As the index or the file says it.
        value_range: What black and white are.
        read_whole: False where only a smaller resolution was read.
        n_nan: Values that are not-a-number.
        n_inf: Infinite values.
        low: Smallest finite value, None where there is none; `high` the largest.
        percentiles: Of every color (a gray image has three equal ones) at `PERCENTILES`, where `value_range` is 0..1.
        colors: Share of pixels in 512 colors, `ops.colour.colour_histogram`.
        texture: `ops.colour.gray_texture` of the small image.
        hashes: `ops.likeness.perceptual_hashes` of a gray view of 32 x 32 px.
    """

    height_px: int
    width_px: int
    n_channels: int
    dtype: str
    um_per_px: PixelSize | None
    value_range: tuple[float, float]
    read_whole: bool
    n_nan: int
    n_inf: int
    low: float | None
    high: float | None
    percentiles: Float32[np.ndarray, "3 q"]
    colours: Float32[np.ndarray, " bins"]
    texture: Float32[np.ndarray, " bins"]
    hashes: UInt64[np.ndarray, " 8"]

    @property
    def is_constant(self) -> bool:
        """Whether all finite values are one, or there is none."""
        return self.low is None or self.low == self.high


def look_at(image: Image) -> PixelFacts:
    """Read an image once and say what is in it.

    Raises:
        ImageReadError: The file is damaged.
    """
    level = _readable_level(image)
    tally, samples, blocks = _Tally(), [], []
    size = image.levels[level]
    stride = math.ceil(math.sqrt(size.height_px * size.width_px / _SAMPLE_PIXELS))
    # A power of two divides the height of a band, so blocks of two bands never mix.
    step = 2 ** math.ceil(math.log2(max(1.0, max(size.height_px, size.width_px) / _SMALL_SIDE_PX)))
    for top, band in _bands(image, level):
        tally.add(band)
        samples.append(band[-top % stride :: stride, ::stride].reshape(-1, 1, band.shape[2]))
        blocks.append(block_mean(band, step) if step > 1 else band)
    sample, small = (_colors(image, np.concatenate(parts)) for parts in (samples, blocks))
    return PixelFacts(
        height_px=image.height_px,
        width_px=image.width_px,
        n_channels=image.n_channels,
        dtype=str(image.dtype),
        um_per_px=image.um_per_px,
        value_range=image.value_range,
        read_whole=level == 0,
        n_nan=tally.n_nan,
        n_inf=tally.n_inf,
        low=tally.low,
        high=tally.high,
        percentiles=_percentiles(sample, image.value_range),
        colours=color_histogram(scale_intensity(sample, *image.value_range)),
        texture=gray_texture(scale_intensity(small, *image.value_range)),
        hashes=perceptual_hashes(_gray_view(small)),
    )


class _Tally:
    """Counts and extremes over all bands."""

    def __init__(self) -> None:
        self.n_nan = 0
        self.n_inf = 0
        self.low: float | None = None
        self.high: float | None = None

    def add(self, band: Num[np.ndarray, "y x c"]) -> None:
        if band.dtype.kind == "f":
            finite = np.isfinite(band)
            n_nan = int(np.isnan(band).sum())
            self.n_nan += n_nan
            self.n_inf += band.size - int(finite.sum()) - n_nan
            band = band[finite]
        if band.size:
            low, high = float(band.min()), float(band.max())
            self.low = low if self.low is None else min(low, self.low)
            self.high = high if self.high is None else max(high, self.high)


def _readable_level(image: Image) -> int:
    sizes = [level.height_px * level.width_px for level in image.levels]
    return next((number for number, size in enumerate(sizes) if size <= _MAX_DECODED_PIXELS), len(sizes) - 1)


def _bands(image: Image, level: int) -> Iterator[tuple[int, Num[np.ndarray, "y x c"]]]:
    height, width = image.levels[level].height_px, image.levels[level].width_px
    rows = max(1, _BAND_PIXELS // width // _BAND_ALIGNMENT_PX) * _BAND_ALIGNMENT_PX
    for top in range(0, height, rows):
        yield top, image.read(top, 0, min(rows, height - top), width, level=level)


def _colors(image: Image, pixels: Num[np.ndarray, "y x c"]) -> Num[np.ndarray, "y x 3"]:
    """Three colors of any number of channels: the first three where it is not known which is looked at."""
    return to_rgb(image.visible(pixels) if image.channels.shown else pixels[:, :, :3])


def _percentiles(sample: Num[np.ndarray, "n 1 3"], value_range: tuple[float, float]) -> Float32[np.ndarray, "3 q"]:
    colors = [values[np.isfinite(values)] for values in np.moveaxis(sample, 2, 0)]
    if not all(values.size for values in colors):
        return np.zeros((3, len(PERCENTILES)), np.float32)
    low, high = value_range
    found = (np.stack([np.percentile(values, PERCENTILES) for values in colors]) - low) / (high - low)
    limits = np.finfo(np.float32)
    return np.clip(found, limits.min, limits.max).astype(np.float32)


def _gray_view(small: Num[np.ndarray, "y x 3"]) -> Float32[np.ndarray, "32 32"]:
    gray = small.mean(axis=2, keepdims=True, dtype=np.float64)
    finite = gray[np.isfinite(gray)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    scaled = scale_intensity(np.where(np.isfinite(gray), gray, low) - low, 0.0, high - low)
    return resize_field(scaled, VIEW_PX, VIEW_PX)[:, :, 0]


#: Edges of the bins in which cells are counted. Areas: 50 bins a decade, so a quantile is exact to 2.4 %.
AREA_EDGES = 10.0 ** np.linspace(-3, 7, 501)
SHAPE_EDGES = np.linspace(0, 1, 101)
#: A second piece below this share of its cell is a stray pixel or a rag, not half a cell.
_DIVIDED_SHARE = 0.1


@dataclass(frozen=True)
class CellFacts:
    """What is known of a label image after it was read.

    Attributes:
        height_px: Of the label image; so is `width_px`.
        n_cells: Distinct values above 0.
        n_touching_border: Cells with a pixel in the outermost row or column.
        covered: Share of the pixels that belong to a cell.
        n_fragmented: Cells in several 8-connected pieces.
        n_divided: Those whose second piece is `DIVIDED_SHARE` of the cell or more: no stray pixels.
        worst_fragmented: The cell with the largest second piece, 0 where none has several pieces.
        worst_second_share: Area of that piece over that of the cell.
        median_area_px: None without cells; so are the other medians.
        areas_px: Cells in each bin of `AREA_EDGES`.
        areas_um2: The same in square micrometers; None where the pixel size is unknown.
        eccentricities: Cells in each bin of `SHAPE_EDGES`; so are `solidities`.
    """

    height_px: int
    width_px: int
    n_cells: int
    n_touching_border: int
    covered: float
    n_fragmented: int
    n_divided: int
    worst_fragmented: int
    worst_second_share: float
    median_area_px: float | None
    median_eccentricity: float | None
    median_solidity: float | None
    areas_px: UInt32[np.ndarray, " bins"]
    areas_um2: UInt32[np.ndarray, " bins"] | None
    eccentricities: UInt32[np.ndarray, " bins"]
    solidities: UInt32[np.ndarray, " bins"]


def describe_cells(labels: Int32[np.ndarray, "y x"], um_per_px: PixelSize | None) -> CellFacts:
    """Measure all cells and count them by size and shape.

    Args:
        labels: 0 for background; each other value is a cell.
        um_per_px: Height and width of a pixel, None where unknown.
    """
    # Shapes are asked for, not intensities: an image without channels saves reading the real one again.
    cells = measure_cells(labels, np.empty((*labels.shape, 0), np.uint8), um_per_px)
    fragmented = find_fragmented(labels)
    worst = int(fragmented.second_share.argmax()) if fragmented.cell.size else None
    areas = cells["area_px"].astype(np.float64)
    return CellFacts(
        height_px=labels.shape[0],
        width_px=labels.shape[1],
        n_cells=int(cells["id"].size),
        n_touching_border=int(cells["touches_border"].sum()),
        covered=float(areas.sum() / labels.size),
        n_fragmented=int(fragmented.cell.size),
        n_divided=int((fragmented.second_share >= _DIVIDED_SHARE).sum()),
        worst_fragmented=0 if worst is None else int(fragmented.cell[worst]),
        worst_second_share=0.0 if worst is None else float(fragmented.second_share[worst]),
        median_area_px=_median(areas),
        median_eccentricity=_median(cells["eccentricity"]),
        median_solidity=_median(cells["solidity"]),
        areas_px=count_in_bins(areas, AREA_EDGES),
        areas_um2=None if um_per_px is None else count_in_bins(areas * pixel_area_um2(um_per_px), AREA_EDGES),
        eccentricities=count_in_bins(cells["eccentricity"], SHAPE_EDGES),
        solidities=count_in_bins(cells["solidity"], SHAPE_EDGES),
    )


def count_in_bins(values: Float64[np.ndarray, " n"], edges: Float64[np.ndarray, " bins+1"]) -> UInt32[np.ndarray, " b"]:
    """How many values lie in each bin; those beyond the edges count in the outermost bins."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].astype(np.uint32)


def _median(values: Float64[np.ndarray, " n"]) -> float | None:
    return float(np.median(values)) if values.size else None


_ARRAY_KEY = "array"


@dataclass(frozen=True)
class Facts:
    """What was found in the files of one sample.

    Attributes:
        id: Of the sample.
        pixels: None where the image cannot be read; `image_error` then says why.
        sha256: Of the image file, "" where it cannot be read.
        cells: None without labels, or where they cannot be read; `labels_error` then says why.
        labels_sha256: Of the label file, "" where there is none or it cannot be read.
    """

    id: str
    pixels: PixelFacts | None = None
    image_error: str = ""
    sha256: str = ""
    cells: CellFacts | None = None
    labels_error: str = ""
    labels_sha256: str = ""


def facts_to_text(facts: Facts) -> str:
    """The facts as one line of JSON; arrays are exact."""
    return json.dumps(asdict(facts), default=_encode_array)


def facts_from_text(text: str) -> Facts:
    """What `facts_to_text` wrote."""
    fields = json.loads(text, object_hook=_decode_array)
    if fields["pixels"] is not None:
        for name in ("value_range", "um_per_px"):
            found = fields["pixels"][name]
            fields["pixels"][name] = None if found is None else tuple(found)
        fields["pixels"] = PixelFacts(**fields["pixels"])
    if fields["cells"] is not None:
        fields["cells"] = CellFacts(**fields["cells"])
    return Facts(**fields)


def _encode_array(array: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array)).decode("ascii")
    return {_ARRAY_KEY: data, "dtype": array.dtype.str, "shape": array.shape}


def _decode_array(fields: dict[str, Any]) -> Any:
    if _ARRAY_KEY not in fields:
        return fields
    return np.frombuffer(base64.b64decode(fields[_ARRAY_KEY]), fields["dtype"]).reshape(fields["shape"])


class _SurveyJournal:
    """A text file to which every finished sample is appended at once: its key, a tab, its facts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        make_folder(path.parent)
        try:
            self._finished = self._load()
            self._stream = path.open("a", encoding="utf-8")
        except OSError as error:
            raise cannot_write(path, error) from error

    def find(self, key: str) -> Facts | None:
        """What an earlier run found in unchanged files."""
        return self._finished.get(key)

    def add(self, key: str, facts: Facts) -> None:
        """Keep a sample that is finished; one with unreadable files is not kept, so that it is tried again.

        Raises:
            OutputError: The disk is full.
        """
        if facts.image_error or facts.labels_error:
            return
        try:
            self._stream.write(f"{key}\t{facts_to_text(facts)}\n")
            self._stream.flush()
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def __enter__(self) -> "_SurveyJournal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.close()
        except OSError as closing_error:
            # What is not yet on a full disk is written again by closing.
            if error is None:
                raise cannot_write(self._path, closing_error) from closing_error

    def _load(self) -> dict[str, Facts]:
        if not self._path.is_file():
            return {}
        finished = {}
        with self._path.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, _, text = line.partition("\t")
                try:
                    finished[key] = facts_from_text(text)
                except (ValueError, KeyError, TypeError):
                    # The last line of an interrupted survey may be cut off; a line of another version is no use.
                    continue
        return finished


#: Called with the number of finished samples and the number of all.
Progress = Callable[[int, int], None]
#: Starting a process pays off from about this many images on.
_IMAGES_PER_WORKER = 16


@dataclass(frozen=True)
class Survey:
    """An index and what its files hold; iterates over pairs of sample and facts, in order of the index."""

    index: Index
    samples: tuple[Sample, ...]
    facts: dict[str, Facts]

    def __iter__(self) -> Iterator[tuple[Sample, Facts]]:
        return ((sample, self.facts[sample.id]) for sample in self.samples)

    def pixels(self) -> Iterator[tuple[Sample, PixelFacts]]:
        """The samples whose image could be read."""
        return ((sample, facts.pixels) for sample, facts in self if facts.pixels is not None)

    def cells(self) -> Iterator[tuple[Sample, CellFacts]]:
        """The samples whose labels could be read."""
        return ((sample, facts.cells) for sample, facts in self if facts.cells is not None)


def survey_index(index: Index, journal_path: Path, *, workers: int = 1, progress: Progress | None = None) -> Survey:
    """Read every image and label image of an index. Unreadable files are facts, not errors.

    Args:
        index: What to read.
        journal_path: Finished samples are kept in this file, until the caller removes it.
        workers: Number of processes.
        progress: Called after every sample.

    Raises:
        OutputError: The journal cannot be written.
        InputError: A worker process ended by itself.
    """
    keys = {sample: _sample_key(sample) for sample in index.samples()}
    with _SurveyJournal(journal_path) as journal:
        finished = {sample.id: journal.find(key) for sample, key in keys.items()}
        facts = {name: found for name, found in finished.items() if found is not None}
        todo = [sample for sample in keys if sample.id not in facts]
        workers = max(1, min(workers, len(todo) // _IMAGES_PER_WORKER))
        for sample, found in run_parallel(survey_sample, todo, workers):
            journal.add(keys[sample], found)
            facts[sample.id] = found
            if progress is not None:
                progress(len(facts), len(keys))
    return Survey(index, tuple(keys), facts)


def survey_sample(sample: Sample) -> Facts:
    """Read the files of one sample; what cannot be read is said in the facts."""
    pixels, image_error, sha256 = _survey_image(sample)
    um_per_px = pixels.um_per_px if pixels is not None else sample.um_per_px
    cells, labels_error, labels_sha256 = _survey_labels(sample, um_per_px)
    return Facts(sample.id, pixels, image_error, sha256, cells, labels_error, labels_sha256)


def _sample_key(sample: Sample) -> str:
    """Changes when the files of a sample change, or what the index says about them."""
    paths = [path for path in (sample.image_path, sample.labels_path) if path is not None]
    text = repr((sample.id, sample.um_per_px, [_stamp(path) for path in paths]))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _survey_image(sample: Sample) -> tuple[PixelFacts | None, str, str]:
    try:
        with sample.open() as image:
            return look_at(image), "", hash_path(sample.image_path)
    except InputError as error:
        return None, str(error), ""


def _survey_labels(sample: Sample, um_per_px: PixelSize | None) -> tuple[CellFacts | None, str, str]:
    if sample.labels_path is None:
        return None, "", ""
    try:
        return describe_cells(sample.read_labels(), um_per_px), "", hash_path(sample.labels_path)
    except InputError as error:
        return None, str(error), ""


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_size, status.st_mtime_ns
