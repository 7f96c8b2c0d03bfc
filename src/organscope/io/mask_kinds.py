"""What the values of a mask mean: cell numbers, one value for all cells, classes of cells, insides and borders.

Numbers of cells lie in one piece each; few values in many pieces are classes; grays at edges come from lossy
compression or interpolation. What is clear is read and said; what is doubtful is refused with the option that decides.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Bool, Int32, Num
from scipy import ndimage
from skimage.measure import label, regionprops

from organscope.errors import AnnotationError, InputError
from organscope.io.labels import IGNORED, read_stored_values

#: What `--masks` takes.
MASK_KINDS = ("instances", "binary", "inverted", "classes")
_DECIDE = "Say what it is: --masks " + ", ".join(MASK_KINDS)
_JPEG_START = b"\xff\xd8\xff"
_JPEG_IN_TIFF = frozenset({6, 7, 33003, 33004, 33005, 34892})
_ALL_AROUND = np.ones((3, 3), bool)
#: More colors than this are no classes and no cells.
_MAX_COLORS = 65_535
#: Values in at least so many large pieces each, on average, are no cell numbers.
_PIECES_OF_CLASSES = 2.0
_PIECES_OF_CELLS = 1.5
_MAX_CLASSES = 32
#: A piece counts from this share of the largest piece of its value on.
_LARGE_PIECE = 0.1
#: Background lies along most of the border of the image, and covers most of it.
_BORDER_SHARE = 0.8
_CONVEX = 0.9
_SMALLEST_CELL_PX = 100
#: Of the widest place of what lies around.
_SMALLEST_RADIUS = 0.2
_BORDER_WIDTH_PX = 2.5
_N_LOOKED_AT = 200
#: So many thin pieces at other values may be slips of a person who drew cells.
_FEW_EDGES = 3
#: Of the pixels that are not near 0, the share near the highest value in a mask of one value with grays at its edges.
_NEAR_HIGHEST = 0.6


@dataclass(frozen=True)
class Mask:
    """The cells of a mask.

    Attributes:
        labels: 0 is background, every other value one cell.
        kind: "instances", "binary", "inverted", "classes", "borders" or "empty".
        is_changed: `labels` are not what the file holds.
        classes: For each label from 1 on its class, where the mask holds classes; else empty.
        notes: Sentences about how the mask was read.
    """

    labels: Int32[np.ndarray, "y x"]
    kind: str
    is_changed: bool
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(np.unique(self.labels[self.labels > 0]))


def read_mask(path: Path, height_px: int, width_px: int, kind: str | None = None) -> Mask:
    """Read a mask that belongs to an image of a known size, as what it is.

    Args:
        path: PNG, TIFF, BMP or .npy.
        height_px: Rows of the image.
        width_px: Columns of the image.
        kind: One of `MASK_KINDS`; None finds it out.

    Raises:
        AnnotationError: It cannot be read, has another size than its image, several planes, or values of doubtful
            meaning.
    """
    _require_one_plane(path)
    stored = read_stored_values(path)
    if stored.shape[:2] != (height_px, width_px):
        raise AnnotationError(
            f"{path}: expected labels of {height_px} x {width_px} px as the image, "
            f"found {stored.shape[0]} x {stored.shape[1]} px. Check that the file belongs to this image."
        )
    values, notes = _one_number_a_pixel(path, stored)
    is_lossy = _is_jpeg(path)
    if is_lossy and kind not in ("binary", "inverted"):
        raise AnnotationError(
            f"{path}: expected a label image, found a JPEG, whose compression changes the numbers. Export PNG or "
            "TIFF; a mask of one value for all cells can be read with --masks binary."
        )
    if kind in ("binary", "inverted"):
        mask = _given_binary(values, kind == "inverted")
    else:
        numbers = _whole_numbers(path, values)
        if (numbers == IGNORED).any():
            mask = _with_ignored(path, numbers, kind)
        else:
            mask = _decide(path, numbers) if kind is None else _given(numbers, kind)
    notes += [*mask.notes, *_large_cell(mask)]
    return replace(mask, is_changed=mask.is_changed or stored.shape[2] > 1, notes=notes)


def looks_like_labels(path: Path) -> bool:
    """Whether an image file is flat within its cells, as label images are and micrographs are not."""
    try:
        stored = read_stored_values(path)
    except InputError:
        return False
    if stored.dtype.kind == "f" or stored.size == 0:
        return False
    values, numbers = _numbered(stored)
    counts = np.bincount(numbers.reshape(-1))
    background = int(counts.argmax())
    inside = numbers[:, :-1] != background
    if len(values) < 2 or not inside.any():
        return False
    return bool((numbers[:, :-1] == numbers[:, 1:])[inside].mean() > 0.7)


def _numbered(stored: Num[np.ndarray, "y x c"]) -> tuple[np.ndarray, Int32[np.ndarray, "y x"]]:
    """The different values or colors, and the number of each pixel's."""
    flat = stored.reshape(-1, stored.shape[2])
    if flat.shape[1] > 1:
        flat = flat[:, :3].astype(np.int64) @ (1 << (16 * np.arange(min(3, flat.shape[1]), dtype=np.int64)))
    values, numbers = np.unique(flat.reshape(-1), return_inverse=True)
    return values, numbers.reshape(stored.shape[:2]).astype(np.int32)


def _require_one_plane(path: Path) -> None:
    try:
        with tifffile.TiffFile(path) as tiff:
            whole = [page for page in tiff.pages if not page.is_reduced]
            n_planes = sum(page.shape == whole[0].shape for page in whole)
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError):
        return  # No TIFF, or one that reading refuses with its own sentence.
    if n_planes > 1:
        raise AnnotationError(
            f"{path}: expected a label image of one plane, found {n_planes} planes. Export the one that belongs to "
            "the image."
        )


def _is_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(3) == _JPEG_START:
            return True
    try:
        with tifffile.TiffFile(path) as tiff:
            return int(tiff.pages[0].compression) in _JPEG_IN_TIFF
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError):
        return False


def _one_number_a_pixel(path: Path, stored: Num[np.ndarray, "y x c"]) -> tuple[Num[np.ndarray, "y x"], list[str]]:
    """Values as they are; of a color mask the number of each color, black (or nothing) being 0."""
    n_channels = stored.shape[2]
    if n_channels == 1:
        return stored[:, :, 0], []
    if n_channels > 4 or stored.dtype.kind == "f":
        raise AnnotationError(
            f"{path}: expected a label image with one number a pixel, found {n_channels} channels. Export cell numbers."
        )
    colors = stored[:, :, : n_channels - (n_channels in (2, 4))]
    if n_channels in (2, 4):
        colors = np.where(stored[:, :, -1:] == 0, 0, colors)
    if (colors == colors[:, :, :1]).all():
        return colors[:, :, 0], [f"the mask has {n_channels} equal channels, and was read as gray"]
    values, numbers = _numbered(colors)
    if len(values) > min(_MAX_COLORS, numbers.size // 50):
        raise AnnotationError(
            f"{path}: expected a label image, found {len(values)} colors: an image, or a mask with smooth edges. "
            "Export cell numbers, not colors."
        )
    return numbers + (values[0] != 0), [f"the mask is in color: each of its {len(values)} colors was read as a value"]


def _whole_numbers(path: Path, values: Num[np.ndarray, "y x"]) -> Int32[np.ndarray, "y x"]:
    low, high = values.min(), values.max()
    whole = values.dtype.kind in "bui" or (np.isfinite([low, high]).all() and (values == np.rint(values)).all())
    if not whole or low < IGNORED or high < 0 or high > np.iinfo(np.int32).max:
        raise AnnotationError(
            f"{path}: expected whole cell numbers from 0 to {np.iinfo(np.int32).max}, found values from {low} to "
            f"{high} "
            f"({values.dtype}). Export a label image, not probabilities; values above the middle are cells with "
            "--masks binary."
        )
    return values.astype(np.int32, copy=False)


def _with_ignored(path: Path, numbers: Int32[np.ndarray, "y x"], kind: str | None) -> Mask:
    """Numbers of cells beside pixels of which nothing is known; the file is used as it is."""
    if kind not in (None, "instances"):
        raise AnnotationError(
            f"{path}: expected values from 0 for --masks {kind}, found {IGNORED}, which marks ignored pixels beside "
            "numbers of cells. Use --masks instances."
        )
    text = f"pixels of {IGNORED} are ignored: they teach neither cell nor background"
    labels = np.maximum(numbers, 0)
    return Mask(labels, "instances" if labels.any() else "empty", is_changed=False, notes=[text])


def _given_binary(values: Num[np.ndarray, "y x"], is_inverted: bool) -> Mask:
    """Values above the middle are cells, or those below it."""
    high = values.max()
    if not np.isfinite(high):
        raise AnnotationError("expected numbers in the mask, found values that are not finite. Export the mask again.")
    middle = (float(values.min()) + float(high)) / 2
    cells = values <= middle if is_inverted else values > middle
    return _pieces(cells, "inverted" if is_inverted else "binary")


def _given(numbers: Int32[np.ndarray, "y x"], kind: str) -> Mask:
    if kind == "instances":
        return Mask(numbers, "instances" if numbers.any() else "empty", is_changed=False)
    numbers, notes = _with_background(numbers)
    return _classes(numbers, notes)


def _pieces(cells: Bool[np.ndarray, "y x"], kind: str, *notes: str) -> Mask:
    labels, n_cells = ndimage.label(cells, structure=_ALL_AROUND)
    text = "the mask has one value for all cells: its connected pieces became cells, touching cells are one"
    return Mask(
        labels.astype(np.int32), kind if n_cells else "empty", True, (), [*notes, text] if n_cells else list(notes)
    )


def _decide(path: Path, numbers: Int32[np.ndarray, "y x"]) -> Mask:
    """What the mask is by its values and their pieces."""
    present = np.unique(numbers)
    if not present.any():
        return Mask(numbers, "empty", is_changed=False)
    if len(present) == 1:
        raise AnnotationError(
            f"{path}: expected cells and background, found {present[0]} in every pixel. Check the mask."
        )
    numbers, notes = _with_background(numbers)
    has_background = bool(notes)
    present = np.unique(numbers[numbers > 0])
    if len(present) == 1:
        return _one_value(path, numbers, notes)
    if len(present) == 2:
        if numbers.all():
            raise _doubtful(path, f"values {present[0]} and {present[1]} and no background")
        borders = _with_borders(numbers, present, notes)
        if borders is not None:
            return borders
    pieces, owners, is_large = _pieces_of_values(numbers)
    n_large, n_values = int(is_large.sum()), len(present)
    n_edges, n_whole = _count_edges(pieces, len(owners))
    if n_edges > max(_FEW_EDGES, n_whole):
        return _with_grays(path, numbers, n_values, notes)
    if n_large < _PIECES_OF_CELLS * n_values or n_large - n_values < 2:
        if n_values <= 3 and n_large > n_values:
            notes.append(
                f"{n_values} values in {n_large} pieces were read as numbers of cells; if they are classes: "
                "--masks classes"
            )
        return Mask(numbers, "instances", has_background, (), notes)
    if n_values > _MAX_CLASSES or n_large < _PIECES_OF_CLASSES * n_values:
        raise _doubtful(path, f"{n_values} values in {n_large} pieces, which may be numbers of cells or classes")
    return _classes(numbers, notes)


def _with_grays(path: Path, numbers: Int32[np.ndarray, "y x"], n_values: int, notes: list[str]) -> Mask:
    """A mask of one value with grays at its edges; refused where the values are not near 0 and near the highest."""
    high = int(numbers.max())
    if np.mean(numbers[numbers > 0.25 * high] >= 0.75 * high) < _NEAR_HIGHEST:
        raise _doubtful(
            path,
            f"{n_values} values, many of them thin edges beside others, as interpolation and compression make them",
        )
    text = (
        f"the mask has {n_values} grays at edges (lossy compression or interpolation): values above {high // 2} became "
        "cells"
    )
    return _pieces(numbers > high / 2, "binary", *notes, text)


def _doubtful(path: Path, found: str) -> AnnotationError:
    return AnnotationError(f"{path}: expected one piece a cell, found {found}. {_DECIDE}.")


def _with_background(numbers: Int32[np.ndarray, "y x"]) -> tuple[Int32[np.ndarray, "y x"], list[str]]:
    """Make the value 0 that is background, where no pixel is 0."""
    if not numbers.all():
        return numbers, []
    edge = np.concatenate([numbers[0], numbers[-1], numbers[1:-1, 0], numbers[1:-1, -1]])
    values, counts = np.unique(edge, return_counts=True)
    background = values[counts.argmax()]
    if counts.max() < _BORDER_SHARE * len(edge) or np.mean(numbers == background) <= 0.5:
        return numbers, []
    text = f"no pixel of the mask is 0: {background}, which lies all around, was read as background"
    return np.where(numbers == background, 0, numbers), [text]


def _one_value(path: Path, numbers: Int32[np.ndarray, "y x"], notes: list[str]) -> Mask:
    """Cells of a mask with one value for all of them: the pieces of that value, or of the 0 that it surrounds."""
    inside = numbers > 0
    edge = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    if not notes and inside.mean() > 0.5 and edge.mean() >= _BORDER_SHARE:
        gaps, n_gaps = ndimage.label(~inside, structure=_ALL_AROUND)
        if n_gaps > 1 and _are_cells(gaps):
            text = f"0 lies in rounded pieces and {numbers.max()} all around: 0 was read as cells (inverted)"
            return _pieces(~inside, "inverted", text)
        if n_gaps > 1:
            raise _doubtful(
                path, f"{numbers.max()} all around and 0 in {n_gaps} pieces, both of which may be background"
            )
    mask = _pieces(inside, "binary", *notes)
    return mask if mask.labels.max() > 1 or notes else Mask(numbers, "instances", is_changed=False)


def _are_cells(pieces: Int32[np.ndarray, "y x"]) -> bool:
    """Whether pieces are cells: gaps between crowded cells are small beside these, or their sides curve inwards."""
    found = regionprops(pieces)[:_N_LOOKED_AT]
    area = np.median([piece.area for piece in found])
    widest = ndimage.distance_transform_edt(pieces == 0).max()
    is_large = area >= _SMALLEST_CELL_PX and np.sqrt(area / np.pi) >= _SMALLEST_RADIUS * widest
    return bool(is_large and np.median([piece.solidity for piece in found]) >= _CONVEX)


def _pieces_of_values(numbers: Int32[np.ndarray, "y x"]) -> tuple[Int32[np.ndarray, "y x"], np.ndarray, np.ndarray]:
    """Connected pieces of equal value, the value of each, and which are large beside the others of their value."""
    pieces, n_pieces = label(numbers, background=0, return_num=True, connectivity=2)
    areas = np.bincount(pieces.reshape(-1), minlength=n_pieces + 1)[1:]
    owners = np.zeros(n_pieces + 1, np.int64)
    owners[pieces.reshape(-1)] = numbers.reshape(-1)
    owners = owners[1:]
    _, group = np.unique(owners, return_inverse=True)
    largest = np.zeros(group.max() + 1, np.int64)
    np.maximum.at(largest, group, areas)
    return pieces.astype(np.int32), owners, areas >= np.maximum(3, _LARGE_PIECE * largest[group])


def _count_edges(pieces: Int32[np.ndarray, "y x"], n_pieces: int) -> tuple[int, int]:
    """Number of thin pieces that touch another value, and of pieces that hold a square of 3 x 3 pixels."""
    low, high = ndimage.minimum_filter(pieces, 3), ndimage.maximum_filter(pieces, 3)
    is_whole = np.zeros(n_pieces + 1, bool)
    is_whole[low[low == high]] = True
    lowest_other = ndimage.minimum_filter(np.where(pieces == 0, n_pieces + 1, pieces), 3)
    touches = np.zeros(n_pieces + 1, bool)
    touches[pieces[(pieces > 0) & ((high != pieces) | (lowest_other != pieces))]] = True
    return int((touches & ~is_whole)[1:].sum()), int(is_whole[1:].sum())


def _with_borders(numbers: Int32[np.ndarray, "y x"], present: np.ndarray, notes: list[str]) -> Mask | None:
    """Cells of a mask of insides and borders: pieces of the inside, each with the border around it."""
    for inside_value, border_value in (present, present[::-1]):
        inside, border = numbers == inside_value, numbers == border_value
        width = ndimage.distance_transform_edt(np.pad(border, 1))[1:-1, 1:-1]
        around = ndimage.binary_dilation(inside, _ALL_AROUND) & ~inside
        if np.mean(width[border] <= _BORDER_WIDTH_PX) < 0.95 or np.mean(border[around]) < 0.9:
            continue
        cells, n_cells = ndimage.label(inside, structure=_ALL_AROUND)
        nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
        cells = np.where(border, cells[tuple(nearest)], cells).astype(np.int32)
        text = (
            f"{border_value} is a thin border around {inside_value}: the {n_cells} pieces of {inside_value} became "
            "cells, each with its border"
        )
        return Mask(cells, "borders", True, (), [*notes, text])
    return None


def _classes(numbers: Int32[np.ndarray, "y x"], notes: list[str]) -> Mask:
    pieces, owners, _ = _pieces_of_values(numbers)
    if not len(owners):
        return Mask(pieces, "empty", True, (), notes)
    values = np.unique(owners)
    text = (
        f"{len(values)} values in {len(owners)} pieces were read as classes ({', '.join(map(str, values[:8]))}): "
        "each piece became a cell of its class, touching cells of a class are one"
    )
    return Mask(pieces, "classes", True, tuple(map(str, owners)), [*notes, text])


def _large_cell(mask: Mask) -> list[str]:
    """A sentence about a cell that covers half the image."""
    _, counts = np.unique(mask.labels[mask.labels > 0], return_counts=True)
    share = counts.max(initial=0) / mask.labels.size
    return [f"one cell covers {share:.0%} of the image; check that it is a cell"] if share > 0.5 else []
