"""A small map over an image, one channel a class, as OME-Zarr."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from organscope.ops.pixel_size import PixelSize


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
