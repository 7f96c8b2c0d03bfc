"""How large images are worked on: from which size on by region, in tiles of which size, in how much memory."""

from dataclasses import dataclass

from organscope.errors import UsageError
from organscope.inference.maps import MAX_TILE_PX
from organscope.inference.regions import WINDOW_PX
from organscope.io import image
from organscope.ops.tiling import padded_length
from organscope.pipeline.models import Models

_PROCESS_BYTES = 720e6
"""A process with Python, the libraries and the three bundles of the package, and one window at work."""

_TILE_BYTES_PER_PX = 260
"""What the network of `nuclei` holds for each pixel of a tile. Both are a tenth above what was measured on slides of
17 and 4 megapixels, with tiles of 1.56 and .12 megapixels (994 and 669 MB)."""

WAITING_BYTES = 600e6
"""The process that gives tasks to others and writes what they found."""

_HELD_BYTES_PER_PX = 30
"""What an image that is worked on whole needs for each of its pixels."""


@dataclass(frozen=True)
class Streaming:
    """How images that are too large to hold are worked on.

    Attributes:
        memory_bytes: What all processes of this machine together may need; None for what they need at best speed.
        zarr_labels: Also write the labels of slides as OME-Zarr.
        window_px: Longest side of the regions of a slide.
        whole_px: Larger images are slides, however much memory there is; None for `io.image.MAX_HELD_PX`.
    """

    memory_bytes: float | None = None
    zarr_labels: bool = False
    window_px: int = WINDOW_PX
    whole_px: int | None = None

    def held_px(self, workers: int) -> int:
        """The largest image that is worked on whole."""
        most = image.MAX_HELD_PX if self.whole_px is None else self.whole_px
        if self.memory_bytes is None:
            return most
        room = self._share(workers) - expected_bytes(MAX_TILE_PX)
        return int(min(most, max(room, 0) / _HELD_BYTES_PER_PX))

    def tile_px(self, models: Models, workers: int) -> int:
        """Most pixels that go through the network for cells at a time.

        Raises:
            UsageError: The memory does not suffice for the smallest tile.
        """
        if self.memory_bytes is None or models.cells is None:
            return MAX_TILE_PX
        room = (self._share(workers) - _PROCESS_BYTES) / _TILE_BYTES_PER_PX
        smallest = _smallest_tile_px(models)
        if room < smallest:
            needed_mb = expected_bytes_of_all(smallest, workers) / 1e6
            many = "" if workers == 1 else f" for {workers} processes"
            raise UsageError(
                f"Expected at least {needed_mb:,.0f} MB{many}, found --memory {self.memory_bytes / 1e6:,.0f} MB. "
                "Allow more, or use fewer --workers."
            )
        return int(min(MAX_TILE_PX, room))

    def _share(self, workers: int) -> float:
        """What one process may need."""
        return self.memory_bytes if workers == 1 else (self.memory_bytes - WAITING_BYTES) / workers


def _smallest_tile_px(models: Models) -> int:
    """Pixels of the smallest tile of the network for cells: no core is narrower than its halo."""
    spec = models.cells.manifest.segmentation
    return (3 * padded_length(spec.halo_px, spec.stride_px) + spec.stride_px) ** 2


def expected_bytes(tile_px: int) -> float:
    """The most that a process is expected to need."""
    return _PROCESS_BYTES + _TILE_BYTES_PER_PX * tile_px


def expected_bytes_of_all(tile_px: int, workers: int) -> float:
    """The most that all processes of this machine are expected to need."""
    return workers * expected_bytes(tile_px) + (WAITING_BYTES if workers > 1 else 0)


def memory_from_text(text: str) -> float:
    """Bytes of a size such as `2GB`, `1500MB` or `1.5 GiB`.

    Raises:
        UsageError: It is no such size.
    """
    units = {"mb": 1e6, "gb": 1e9, "tb": 1e12, "mib": 2.0**20, "gib": 2.0**30, "tib": 2.0**40}
    cleaned = text.strip().lower()
    for unit, size in sorted(units.items(), key=lambda entry: -len(entry[0])):
        if cleaned.endswith(unit):
            try:
                found = float(cleaned.removesuffix(unit)) * size
            except ValueError:
                break
            if found > 0:
                return found
    raise UsageError(f"Expected a size such as 2GB or 1500MB for --memory, found '{text}'.")
