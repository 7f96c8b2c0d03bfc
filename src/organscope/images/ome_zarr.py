"""OME-Zarr images (NGFF 0.4 and 0.5), read by region."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Num

from organscope.errors import ImageReadError
from organscope.images.files import ZARR_SUFFIX
from organscope.images.source import Level, dtype_range, plausible_um_per_px
from organscope.images.urls import is_url, require_packages

if TYPE_CHECKING:
    import zarr

MARKERS = ("zarr.json", ".zgroup", ".zattrs")
UM_PER_UNIT = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}


def is_ome_zarr(path: Path, head: bytes) -> bool:
    """Whether a path is the folder of a Zarr group; at an address the name has to say it."""
    if is_url(path):
        return path.file_name.lower().endswith(ZARR_SUFFIX)
    return path.is_dir() and any((path / name).is_file() for name in MARKERS)


class ZarrSource:
    """The first image of an OME-Zarr folder: its channels, the first z plane and time point, all levels.

    A chunk that is not there holds the fill value, as the format wants it: writers leave empty chunks out, so
    an incomplete copy of a folder cannot be told from a dark image.
    """

    def __init__(self, path: Path) -> None:
        import zarr

        if is_url(path):
            require_packages(path)
        self._path = path
        try:
            group, multiscale = _find_image(zarr.open_group(str(path) if is_url(path) else path, mode="r"))
            self._axes = [_axis_name(axis) for axis in multiscale["axes"]]
            self._arrays = [group[dataset["path"]] for dataset in multiscale["datasets"]]
            self.levels = self._describe_levels()
            self.um_per_px = _um_per_px(multiscale, self._axes.index("x"))
        except ImageReadError:
            raise
        # Whatever is wrong with metadata written by others surfaces as one of many exception types.
        except Exception as error:
            raise self._damaged(error) from error
        self._channels = slice(None)
        base: zarr.Array = self._arrays[0]
        self.dtype = np.dtype(base.dtype).newbyteorder("=")
        self.n_channels = base.shape[self._axes.index("c")] if "c" in self._axes else 1
        self.value_range = dtype_range(self.dtype)

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """Pixels of a region; raises ImageReadError where a chunk is damaged."""
        cuts = {"y": slice(y_px, y_px + height_px), "x": slice(x_px, x_px + width_px), "c": self._channels}
        index = tuple(cuts.get(axis, 0) for axis in self._axes)
        left = [axis for axis in self._axes if axis in cuts]
        try:
            pixels = np.asarray(self._arrays[level][index])
        except Exception as error:
            raise self._damaged(error) from error
        if "c" not in left:
            pixels, left = pixels[..., None], [*left, "c"]
        order = [left.index(axis) for axis in ("y", "x", "c")]
        return np.ascontiguousarray(pixels.transpose(order), dtype=self.dtype)

    def choose_channel(self, channel: int) -> None:
        """Read only one channel from now on."""
        self._channels, self.n_channels = slice(channel, channel + 1), 1

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _describe_levels(self) -> tuple[Level, ...]:
        sizes = [(a.shape[self._axes.index("y")], a.shape[self._axes.index("x")]) for a in self._arrays]
        return tuple(Level(y, x, (sizes[0][0] / max(y, 1) + sizes[0][1] / max(x, 1)) / 2) for y, x in sizes)

    def _damaged(self, error: Exception) -> ImageReadError:
        return ImageReadError(
            f"Expected an OME-Zarr image (NGFF 0.4 or 0.5), found that {self._path} cannot be read "
            f"({type(error).__name__}: {error}). Copy or export it again."
        )


def _find_image(group: "zarr.Group") -> tuple["zarr.Group", dict[str, Any]]:
    """The group with the pixels and its multiscales metadata."""
    attributes = group.attrs.asdict()
    attributes = attributes.get("ome", attributes)
    if "multiscales" in attributes:
        return group, attributes["multiscales"][0]
    if "bioformats2raw.layout" in attributes:
        return _find_image(group["0"])
    kind = "a plate; give its fields one by one" if "plate" in attributes else "a group without multiscales"
    raise KeyError(f"no image but {kind}")


def _axis_name(axis: Any) -> str:
    return (axis["name"] if isinstance(axis, dict) else axis).lower()


def _um_per_px(multiscale: dict[str, Any], x: int) -> float | None:
    """Scale of the first level along x in micrometres; None where the axis has no unit."""
    axis = multiscale["axes"][x]
    unit = UM_PER_UNIT.get(axis.get("unit", "") if isinstance(axis, dict) else "")
    if unit is None:
        return None
    both = multiscale["datasets"][0].get("coordinateTransformations", []) + multiscale.get(
        "coordinateTransformations", []
    )
    scales = [float(one["scale"][x]) for one in both if one.get("type") == "scale"]
    return plausible_um_per_px(unit * float(np.prod(scales))) if scales else None
