"""Label images: 0 is background, every other value above 0 is one cell.

`IGNORED` (-1) marks pixels of which nothing is known, as StarDist has it: neither cell nor background. They are read as
background unless they are asked for; training and scores leave them out.

Label images of any size, written from top to bottom: tiled pyramidal OME-TIFF and OME-Zarr.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from jaxtyping import Int32, Num

from organscope.errors import AnnotationError, ImageReadError
from organscope.io.open import open_source
from organscope.io.paths import atomic_path
from organscope.io.selection import Choice, Selection
from organscope.io.source import DEFAULT_MAX_PIXELS
from organscope.ops.pixel_size import PixelSize, given_pixel_size

if TYPE_CHECKING:
    import zarr


TILE_PX = 256
IGNORED = -1


def write_labels(
    path: str | Path, labels: Int32[np.ndarray, "y x"], um_per_px: float | PixelSize | None = None
) -> None:
    """Write a label image as a tiled, deflated TIFF (int32), which QuPath, Fiji and tifffile read.

    Args:
        path: The file; its folder exists.
        labels: 0 for background, then one value a cell.
        um_per_px: Side, or height and width, of a pixel, kept in the resolution tags where known.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    size = given_pixel_size(um_per_px)
    resolution = None if size is None else (1e4 / size[1], 1e4 / size[0])
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            labels,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            photometric="minisblack",
            resolution=resolution,
            resolutionunit="CENTIMETER" if resolution else None,
            metadata=None,
        )


def read_labels(path: str | Path, *, keep_ignored: bool = False) -> Int32[np.ndarray, "y x"]:
    """Read a label image: TIFF, PNG or .npy with one channel of whole numbers.

    Args:
        path: The file.
        keep_ignored: Leave `IGNORED` where it is; else it is read as background.

    Raises:
        AnnotationError: The file is unreadable, is in color, or has values that are no cell numbers.
    """
    return _read(Path(path), None, keep_ignored)


def read_label_region(
    path: str | Path, y_px: int, x_px: int, height_px: int, width_px: int, *, keep_ignored: bool = False
) -> Int32[np.ndarray, "y x"]:
    """A region of a label image; of a tiled TIFF only its tiles are read.

    Raises:
        AnnotationError: As `read_labels`.
    """
    return _read(Path(path), (y_px, x_px, height_px, width_px), keep_ignored)


def _read(path: Path, region: tuple[int, int, int, int] | None, keep_ignored: bool) -> Int32[np.ndarray, "y x"]:
    if path.suffix.lower() == ".npy":
        values = _read_npy(path)
        if region is not None:
            y, x, height, width = region
            values = values[y : y + height, x : x + width]
    else:
        values = _read_image(path, region)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim != 2:
        raise AnnotationError(
            f"Expected a label image with one number a pixel, found {values.shape[-1]} channels in {path}. "
            "Export cell numbers, not colors."
        )
    _require_cell_numbers(path, values, is_part=region is not None)
    labels = values.astype(np.int32, copy=False)
    return labels if keep_ignored else np.maximum(labels, 0)


def read_stored_values(path: str | Path) -> Num[np.ndarray, "y x c"]:
    """What a mask holds, without asking what it means: palette indices, colors, numbers of any type.

    Raises:
        AnnotationError: The file is unreadable, holds several images, or an array of other than 2 or 3 axes.
    """
    path = Path(path)
    values = _read_npy(path) if path.suffix.lower() == ".npy" else _read_image(path, None)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.size == 0:
        raise AnnotationError(f"Expected a label image, found an array of shape {values.shape} in {path}.")
    return values


def _read_image(path: Path, region: tuple[int, int, int, int] | None) -> Num[np.ndarray, "y x c"]:
    try:
        source = open_source(path, DEFAULT_MAX_PIXELS, Choice(), as_stored=True)
        with closing(source):
            _require_one_image(path, source.selection)
            level = source.levels[0]
            return source.read(0, *(region or (0, 0, level.height_px, level.width_px)))
    except ImageReadError as error:
        raise AnnotationError(f"The labels cannot be read. {error}") from error


def _require_one_image(path: Path, selection: Selection) -> None:
    if selection.n_pages > 1 or selection.n_series > 1:
        count = f"{selection.n_pages} pages" if selection.n_pages > 1 else f"{selection.n_series} images"
        raise AnnotationError(
            f"Expected one label image, found {count} in {path}. Export the one that belongs to the image."
        )


def _read_npy(path: Path) -> Num[np.ndarray, "..."]:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise AnnotationError(f"Expected a label array, found that {path} cannot be read ({error}).") from error


def _require_cell_numbers(path: Path, values: Num[np.ndarray, "y x"], *, is_part: bool) -> None:
    if values.size == 0:
        raise AnnotationError(f"Expected a label image with pixels, found none in {path}.")
    low, high = values.min(), values.max()
    whole = values.dtype.kind in "bui" or (np.isfinite([low, high]).all() and (values == np.rint(values)).all())
    is_known = low >= 0 or (low == IGNORED and (is_part or high >= 0))
    if not whole or not is_known or high > np.iinfo(np.int32).max:
        raise AnnotationError(
            f"Expected whole cell numbers from 0 to {np.iinfo(np.int32).max}, found values from {low} to "
            f"{high} ({values.dtype}) in {path}. Export a label image, not probabilities."
        )


_CHUNK_PX = 1024
"""Width of a chunk of OME-Zarr; a slide has thousands of them, each a file."""

_SHRINK = 4
"""How many pixels of a level along each axis one of the next smaller level stands for."""

_SMALLEST_PX = 1024
"""Levels are added until the longer side has at most this many pixels."""

_LEVEL = 4
"""Of deflate: label images pack a hundredfold in any case."""

_Strip = Int32[np.ndarray, "rows x"]


def level_sizes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Height and width of every level, full resolution first."""
    sizes = [shape]
    while max(sizes[-1]) > _SMALLEST_PX:
        sizes.append(tuple(math.ceil(length / _SHRINK) for length in sizes[-1]))
    return sizes


def write_label_pyramid(
    path: str | Path, strips: Iterable[_Strip], shape: tuple[int, int], um_per_px: PixelSize | None = None
) -> None:
    """Write labels as a tiled, deflated OME-TIFF (BigTIFF, int32) with smaller levels, in memory of a few strips.

    The same labels give the same bytes. Of each block of 4 x 4 pixels the next level keeps the first.

    Args:
        path: The file; its folder exists, and holds the smaller levels meanwhile.
        strips: From top to bottom, `TILE_PX` rows each but for the last; one is done with when the next is asked for.
        shape: Height and width of the whole.
        um_per_px: Kept in the metadata where known.

    Raises:
        OutputError: The folder is not writable or the disk is full.
    """
    sizes = level_sizes(shape)
    with atomic_path(path) as temporary, ExitStack() as stack:
        spools = [stack.enter_context(_Spool(temporary, size)) for size in sizes[1:]]
        writer = stack.enter_context(tifffile.TiffWriter(temporary, bigtiff=True))
        options = {"dtype": np.int32, "tile": (TILE_PX, TILE_PX), "compression": "zlib", "photometric": "minisblack"}
        options |= {"metadata": None, "software": False}
        resolution = {}
        if um_per_px is not None:
            per_cm = (1e4 / um_per_px[1], 1e4 / um_per_px[0])
            resolution = {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
        tiles = (tile for strip in _passed_on(strips, shape, spools) for tile in _tiles(strip))
        description = _ome_xml(shape, um_per_px)
        writer.write(tiles, shape=shape, subifds=len(spools), description=description, **resolution, **options)
        for spool in spools:
            writer.write(spool.tiles(), shape=spool.shape, subfiletype=1, **options)


class ZarrLabels:
    """Takes strips of labels to an OME-Zarr image (NGFF 0.5) of the kind `image-label`, with smaller levels."""

    def __init__(self, folder: Path, shape: tuple[int, int], um_per_px: PixelSize | None = None) -> None:
        """Make the folder with its metadata; chunks follow strip by strip.

        Args:
            folder: Does not exist yet.
            shape: Height and width of the whole.
            um_per_px: Kept in the metadata where known.
        """
        import zarr

        sizes = level_sizes(shape)
        group = zarr.create_group(folder, attributes={"ome": _ngff(len(sizes), um_per_px)})
        self._arrays = [_zarr_array(group, str(level), size) for level, size in enumerate(sizes)]
        self._shrinker = _Shrinker(sizes, self._write)

    def take(self, strip: _Strip) -> None:
        """Write the next strip, `TILE_PX` rows but for the last."""
        self._shrinker.take(strip)

    def _write(self, level: int, row: int, strip: _Strip) -> None:
        self._arrays[level][row : row + len(strip)] = strip


class _Shrinker:
    """Makes whole strips of every level out of strips of full resolution."""

    def __init__(self, sizes: list[tuple[int, int]], write: Callable[[int, int, _Strip], None]) -> None:
        self._sizes = sizes
        self._write = write
        self._rows = [0] * len(sizes)
        self._held: list[list[_Strip]] = [[] for _ in sizes]

    def take(self, strip: _Strip, level: int = 0) -> None:
        self._held[level].append(strip)
        n_held = sum(len(part) for part in self._held[level])
        if n_held < TILE_PX and self._rows[level] + n_held < self._sizes[level][0]:
            return
        whole = self._held[level][0] if len(self._held[level]) == 1 else np.concatenate(self._held[level])
        self._held[level] = []
        self._write(level, self._rows[level], whole)
        self._rows[level] += len(whole)
        if level + 1 < len(self._sizes):
            self.take(np.ascontiguousarray(whole[::_SHRINK, ::_SHRINK]), level + 1)


class _Spool:
    """Encoded tiles of a smaller level, on disk until the larger ones are written."""

    def __init__(self, beside: Path, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._path = beside.with_name(f"{beside.name}.{shape[0]}x{shape[1]}")
        self._file: BinaryIO | None = None

    def __enter__(self) -> "_Spool":
        self._file = self._path.open("w+b")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def take(self, strip: _Strip) -> None:
        for tile in _tiles(strip):
            self._file.write(len(tile).to_bytes(4, "little"))
            self._file.write(tile)

    def tiles(self) -> Iterator[bytes]:
        self._file.seek(0)
        while head := self._file.read(4):
            yield self._file.read(int.from_bytes(head, "little"))


def _passed_on(strips: Iterable[_Strip], shape: tuple[int, int], spools: list[_Spool]) -> Iterator[_Strip]:
    """The same strips; their smaller versions go to the spools on the way."""

    def write(level: int, row: int, strip: _Strip) -> None:
        if level > 0:
            spools[level - 1].take(strip)

    shrinker = _Shrinker([shape, *(spool.shape for spool in spools)], write)
    for strip in strips:
        # Before the strip is passed on, because nobody asks for what follows the last one.
        shrinker.take(strip)
        yield strip


def _tiles(strip: _Strip) -> Iterator[bytes]:
    """The deflated tiles of a strip, filled up with background at the right and lower edge."""
    n_across = math.ceil(strip.shape[1] / TILE_PX)
    for across in range(n_across):
        part = strip[:, across * TILE_PX : (across + 1) * TILE_PX]
        if not part.any():
            yield _EMPTY
            continue
        if part.shape != (TILE_PX, TILE_PX):
            part = np.pad(part, [(0, TILE_PX - part.shape[0]), (0, TILE_PX - part.shape[1])])
        yield imagecodecs.deflate_encode(np.ascontiguousarray(part), level=_LEVEL)


_EMPTY = imagecodecs.deflate_encode(np.zeros((TILE_PX, TILE_PX), np.int32), level=_LEVEL)


def _ome_xml(shape: tuple[int, int], um_per_px: PixelSize | None) -> str:
    # Written by hand, because tifffile adds a random identifier to its own. A tag of TIFF holds ASCII only.
    size = ""
    if um_per_px is not None:
        sides = zip("XY", um_per_px[::-1], strict=True)
        size = "".join(f' PhysicalSize{axis}="{side!r}" PhysicalSize{axis}Unit="&#181;m"' for axis, side in sides)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation='
        '"http://www.openmicroscopy.org/Schemas/OME/2016-06 http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd">'
        '<Image ID="Image:0" Name="labels"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="int32" '
        f'SizeX="{shape[1]}" SizeY="{shape[0]}" SizeC="1" SizeZ="1" SizeT="1"{size}>'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )


def _ngff(n_levels: int, um_per_px: PixelSize | None) -> dict[str, object]:
    """Metadata of NGFF 0.5."""
    unit = {} if um_per_px is None else {"unit": "micrometer"}
    axes = [{"name": axis, "type": "space", **unit} for axis in "yx"]
    sides = um_per_px or (1.0, 1.0)
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": [side * _SHRINK**level for side in sides]}],
        }
        for level in range(n_levels)
    ]
    return {
        "version": "0.5",
        "multiscales": [{"name": "labels", "axes": axes, "datasets": datasets, "type": "first pixel"}],
        "image-label": {"version": "0.5"},
    }


def _zarr_array(group: "zarr.Group", name: str, size: tuple[int, int]) -> "zarr.Array":
    from zarr.codecs import BloscCodec

    chunks = (min(TILE_PX, size[0]), min(_CHUNK_PX, size[1]))
    return group.create_array(
        name,
        shape=size,
        chunks=chunks,
        dtype=np.int32,
        fill_value=0,
        dimension_names=("y", "x"),
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
    )
