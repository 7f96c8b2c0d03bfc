"""OME-Zarr images (NGFF 0.4 and 0.5), read by region.

A small map over an image, one channel a class, as OME-Zarr.
"""

from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Num

from organscope.errors import ImageReadError, OrganscopeError
from organscope.io.paths import ZARR_SUFFIX
from organscope.io.pixel_size import Stated, stated_in_unit
from organscope.io.remote import is_url, require_packages
from organscope.io.selection import Channels, Choice, Selection, named_channels, select, selection_notes
from organscope.io.source import Level, as_pixels, dtype_range, pixel_dtype
from organscope.ops.pixel_size import PixelSize

if TYPE_CHECKING:
    import zarr


_RGB_COLORS = ("FF0000", "00FF00", "0000FF")
_MARKERS = ("zarr.json", ".zgroup", ".zattrs")


def is_ome_zarr(path: Path, head: bytes) -> bool:
    """Whether a path is the folder of a Zarr group; at an address the name has to say it."""
    if is_url(path):
        return path.file_name.lower().endswith(ZARR_SUFFIX)
    return path.is_dir() and any((path / name).is_file() for name in _MARKERS)


class ZarrSource:
    """One image of an OME-Zarr folder: its channels, one z plane and time point, all levels.

    A chunk that is not there holds the fill value, as the format wants it: writers leave empty chunks out, so
    an incomplete copy of a folder cannot be told from a dark image.
    """

    def __init__(self, path: Path, choice: Choice) -> None:
        import zarr

        if is_url(path):
            require_packages(path)
        self._path = path
        try:
            root = zarr.open_group(str(path) if is_url(path) else path, mode="r")
            group, multiscale, found = _find_image(root, choice, path)
            self._axes = [_axis_name(axis) for axis in multiscale["axes"]]
            self._arrays = self._sorted([group[dataset["path"]] for dataset in multiscale["datasets"]])
            self.levels = self._describe_levels()
            stated = _pixel_size(multiscale, self._axes)
            self.um_per_px, self.pixel_notes = stated.um_per_px, stated.notes
            self.channels = _channels(_attributes(group), self._size("c"), self._arrays[0].dtype)
            found = replace(found, n_z=self._size("z"), n_t=self._size("t"), n_channels=len(self.channels))
            self.selection = select(choice, found, path)
        except OrganscopeError:
            raise
        # Whatever is wrong with metadata written by others surfaces as one of many exception types.
        except Exception as error:
            raise self._damaged(error) from error
        self.notes = selection_notes(choice, self.selection)
        self._channels = slice(None)
        stored = np.dtype(self._arrays[0].dtype)
        self.dtype = pixel_dtype(stored, path)
        self.n_channels = len(self.channels)
        self.value_range = dtype_range(stored)

    def read(self, level: int, y_px: int, x_px: int, height_px: int, width_px: int) -> Num[np.ndarray, "y x c"]:
        """Pixels of a region; raises ImageReadError where a chunk is damaged."""
        cuts = {"y": slice(y_px, y_px + height_px), "x": slice(x_px, x_px + width_px), "c": self._channels}
        try:
            return reduce(np.fmax, (self._read_plane(level, cuts, z) for z in self.selection.planes))
        except Exception as error:
            raise self._damaged(error) from error

    def _read_plane(self, level: int, cuts: dict[str, slice], z: int) -> Num[np.ndarray, "y x c"]:
        places = {**cuts, "z": z, "t": self.selection.t}
        left = [axis for axis in self._axes if axis in cuts]
        pixels = as_pixels(np.asarray(self._arrays[level][tuple(places[axis] for axis in self._axes)]), self.dtype)
        if "c" not in left:
            pixels, left = pixels[..., None], [*left, "c"]
        return np.ascontiguousarray(pixels.transpose([left.index(axis) for axis in ("y", "x", "c")]))

    def choose_channel(self, channel: int) -> None:
        """Read only one channel from now on."""
        self._channels, self.n_channels = slice(channel, channel + 1), 1

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _size(self, axis: str) -> int:
        return self._arrays[0].shape[self._axes.index(axis)] if axis in self._axes else 1

    def _sorted(self, arrays: list["zarr.Array"]) -> list["zarr.Array"]:
        """The largest first; those that are no smaller version of it are left out."""
        y, x = self._axes.index("y"), self._axes.index("x")
        arrays = sorted(arrays, key=lambda array: -array.shape[y] * array.shape[x])
        others = [k for k in range(len(self._axes)) if k not in (y, x) and self._axes[k] != "z"]
        base = arrays[0]
        return [
            array
            for number, array in enumerate(arrays)
            if array.dtype == base.dtype
            and all(array.shape[k] == base.shape[k] for k in others)
            and (number == 0 or array.shape[y] * array.shape[x] < base.shape[y] * base.shape[x])
        ]

    def _describe_levels(self) -> tuple[Level, ...]:
        sizes = [(a.shape[self._axes.index("y")], a.shape[self._axes.index("x")]) for a in self._arrays]
        return tuple(Level(y, x, (sizes[0][0] / max(y, 1) + sizes[0][1] / max(x, 1)) / 2) for y, x in sizes)

    def _damaged(self, error: Exception) -> ImageReadError:
        return ImageReadError(
            f"Expected an OME-Zarr image (NGFF 0.4 or 0.5), found that {self._path} cannot be read "
            f"({type(error).__name__}: {error}). Copy or export it again."
        )


def _attributes(group: "zarr.Group") -> dict[str, Any]:
    attributes = group.attrs.asdict()
    return attributes.get("ome", attributes)


def _find_image(group: "zarr.Group", choice: Choice, where: Path) -> tuple["zarr.Group", dict[str, Any], Selection]:
    """The group with the pixels, its multiscales metadata, and which of how many images it is."""
    attributes = _attributes(group)
    if "multiscales" in attributes:
        found = select(replace(choice, page=None, z=None, t=None, project=None), Selection(), where)
        return group, attributes["multiscales"][0], found
    if "bioformats2raw.layout" in attributes:
        names = sorted((name for name in group.group_keys() if name.isdecimal()), key=int)
        sizes = [_n_pixels(group[name]) for name in names]
        largest = Selection(n_series=len(names), series=sizes.index(max(sizes)))
        found = select(replace(choice, page=None, z=None, t=None, project=None), largest, where)
        inner = group[names[found.series]]
        return inner, _attributes(inner)["multiscales"][0], found
    kind = "a plate; give its fields one by one" if "plate" in attributes else "a group without multiscales"
    raise KeyError(f"no image but {kind}")


def _n_pixels(group: "zarr.Group") -> int:
    multiscale = _attributes(group)["multiscales"][0]
    axes = [_axis_name(axis) for axis in multiscale["axes"]]
    shapes = [group[dataset["path"]].shape for dataset in multiscale["datasets"]]
    return max(shape[axes.index("y")] * shape[axes.index("x")] for shape in shapes)


def _channels(attributes: dict[str, Any], n_channels: int, dtype: np.dtype) -> Channels:
    """Channels with their names in the omero metadata; three of 8 bits in red, green and blue are colors."""
    told = attributes.get("omero", {}).get("channels", [])
    if len(told) != n_channels:
        return Channels.unnamed(n_channels)
    channels = named_channels([str(one.get("label", "")) for one in told])
    colors = tuple(str(one.get("color", "")).upper().removeprefix("#")[:6] for one in told)
    if channels.is_color or channels.shown or np.dtype(dtype) != np.uint8 or colors != _RGB_COLORS:
        return channels
    note = f"Three channels ({channels.listed()}) that the file shows in red, green and blue were taken as one color "
    return replace(channels, is_color=True, note=f"{note}image. Choose one alone with --channel.")


def _axis_name(axis: Any) -> str:
    return (axis["name"] if isinstance(axis, dict) else axis).lower()


def _pixel_size(multiscale: dict[str, Any], axes: list[str]) -> Stated:
    """Scale of the first level along y and x, times that of the whole image."""
    both = multiscale["datasets"][0].get("coordinateTransformations", []) + multiscale.get(
        "coordinateTransformations", []
    )
    scales = [one["scale"] for one in both if one.get("type") == "scale" and "scale" in one]
    if not scales:
        return Stated()
    places = [axes.index(axis) for axis in "yx"]
    units = tuple(_axis_unit(multiscale["axes"][place]) for place in places)
    values = (float(np.prod([float(scale[place]) for scale in scales])) for place in places)
    return stated_in_unit(*values, units, "OME-Zarr")


def _axis_unit(axis: Any) -> str:
    return str(axis.get("unit") or "") if isinstance(axis, dict) else ""


def create_maps_zarr(
    folder: Path, size_px: tuple[int, int], channels: list[str], um_per_px: PixelSize | None
) -> "zarr.Array":
    """An OME-Zarr image (NGFF 0.5, float16, one level) of maps as large as the image, to be filled region by region.

    Args:
        folder: Does not exist yet.
        size_px: Height and width.
        channels: What each map is.
        um_per_px: Of the image, where known.

    Returns:
        The array (c, y, x); 0 where nothing is written.
    """
    import zarr

    unit = {} if um_per_px is None else {"unit": "micrometer"}
    scale = [1.0, *(um_per_px or (1.0, 1.0))]
    axes = [{"name": "c", "type": "channel"}, *({"name": axis, "type": "space", **unit} for axis in "yx")]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    ome = {
        "version": "0.5",
        "multiscales": [{"name": "maps", "axes": axes, "datasets": datasets}],
        "omero": {"channels": [{"label": name} for name in channels]},
    }
    group = zarr.create_group(folder, attributes={"ome": ome})
    chunks = (1, *(min(_MAP_CHUNK_PX, length) for length in size_px))
    return group.create_array(
        "0", shape=(len(channels), *size_px), chunks=chunks, dtype=np.float16, dimension_names=("c", "y", "x")
    )


_MAP_CHUNK_PX = 1024


def write_map_zarr(
    folder: Path,
    values: Float32[np.ndarray, "c y x"],
    channels: list[str],
    *,
    step_px: tuple[float, float],
    um_per_px: PixelSize | None,
    facts: dict[str, Any],
) -> None:
    """Write a map as an OME-Zarr image (NGFF 0.5) with one level.

    Args:
        folder: Does not exist yet.
        values: Not-a-number where nothing is known.
        channels: What each channel is.
        step_px: Pixels of the image between two rows and between two columns of the map.
        um_per_px: Of the image, where known.
        facts: Kept beside the metadata, under `organscope`.
    """
    import zarr

    unit = {} if um_per_px is None else {"unit": "micrometer"}
    scale = [1.0, *(step * side for step, side in zip(step_px, um_per_px or (1.0, 1.0), strict=True))]
    axes = [{"name": "c", "type": "channel"}, *({"name": axis, "type": "space", **unit} for axis in "yx")]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    ome = {
        "version": "0.5",
        "multiscales": [{"name": "map", "axes": axes, "datasets": datasets}],
        "omero": {"channels": [{"label": name} for name in channels]},
    }
    group = zarr.create_group(folder, attributes={"ome": ome, "organscope": facts})
    array = group.create_array(
        "0",
        shape=values.shape,
        # One file: a map has some thousand places.
        chunks=values.shape,
        dtype=np.float32,
        fill_value=float("nan"),
        dimension_names=("c", "y", "x"),
    )
    array[:] = values
