"""Results as layers of napari; nothing here needs napari, so that all of it can be tested without a display.

A layer is what napari calls layer data: pixels, the arguments of the layer, its kind.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from organscope._api import analyze, measure, segment
from organscope.io import read_labels
from organscope.ops.pixel_size import PixelSize
from organscope.ops.regionprops import label_numbers
from organscope.pipeline.analysis import Analysis, Segmentation
from organscope.pipeline.plan import CELLS_PARQUET, LABELS

LayerData = tuple[Any, dict[str, Any], str]

_RESULTS = "organscope"
"""Key of the metadata of a layer."""


def reader_of(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """What opens a result folder, or the `labels.tif` in one; None where it is none of ours."""
    folder = None if isinstance(path, list) else _result_folder(Path(path))
    return None if folder is None else lambda _: read_results(folder)


def read_results(folder: Path) -> list[LayerData]:
    """The label image of a result folder, with the table of its cells as features.

    Raises:
        AnnotationError: The labels cannot be read.
    """
    labels = read_labels(folder / LABELS)
    table = pd.read_parquet(folder / CELLS_PARQUET)
    return _cell_layers(labels, table, folder.name, {})


def analyzed_layers(
    pixels: np.ndarray,
    name: str,
    *,
    um_per_px: PixelSize | None = None,
    organ: bool = True,
    measures: Sequence[str] = (),
) -> list[LayerData]:
    """Find the cells of an image and, if wanted, name its organ.

    Args:
        pixels: Of an image layer, (y, x) or (y, x, colors).
        name: Of the layer.
        um_per_px: Height and width of a pixel.
        organ: Name the organ of the image and of each cell.
        measures: More that is measured; see `organscope.pipeline.measures`.

    Returns:
        Labels with the table of the cells as features, and where organs are named labels of the organs.

    Raises:
        OrganscopeError: The image cannot be used; says why.
    """
    options = {"um_per_px": um_per_px, "measures": tuple(measures)}
    found = analyze(pixels, **options) if organ else segment(pixels, **options)
    return _layers_of(found, name)


def measured_layers(
    pixels: np.ndarray,
    labels: np.ndarray,
    name: str,
    *,
    um_per_px: PixelSize | None = None,
    measures: Sequence[str] = (),
) -> list[LayerData]:
    """Measure the cells of a labels layer, as a person has corrected it.

    Raises:
        OrganscopeError: The labels do not fit the image.
    """
    return _layers_of(measure(pixels, labels, um_per_px=um_per_px, measures=tuple(measures)), name)


def sample_layers() -> list[LayerData]:
    """A section of human colon, stained with an antibody (from scikit-image; the bundles know neither)."""
    from skimage.data import immunohistochemistry

    return [(immunohistochemistry(), {"name": "colon", "rgb": True}, "image")]


def sentence_of(layers: Sequence[LayerData]) -> str:
    """What was found, for a message."""
    _, arguments, _ = layers[0]
    facts = arguments["metadata"][_RESULTS]
    counted = f"{len(arguments['features']) - 1:,} cells"
    if "organ" not in facts:
        return f"{counted}."
    if facts["accepted"]:
        return f"{counted}; {facts['organ']} ({facts['confidence']:.2f})."
    return f"{counted}; organ not accepted: {'; '.join(facts['reasons'])}."


def _layers_of(found: Analysis | Segmentation, name: str) -> list[LayerData]:
    facts: dict[str, Any] = {"notes": list(found.notes)}
    cells = found
    if isinstance(found, Analysis):
        cells, organ = found.cells, found.organ
        facts |= {
            "organ": organ.label,
            "confidence": organ.confidence,
            "accepted": organ.accepted,
            "reasons": list(organ.reasons),
            "probabilities": organ.probabilities.to_dict(),
        }
    return _cell_layers(cells.labels, cells.table, name, facts)


def _cell_layers(labels: np.ndarray, table: pd.DataFrame, name: str, facts: dict[str, Any]) -> list[LayerData]:
    # The first row of features is that of the background; napari finds the others by the column `index`.
    features = pd.concat([pd.DataFrame({"index": [0]}), table.rename(columns={"id": "index"})], ignore_index=True)
    metadata = {"metadata": {_RESULTS: facts}}
    layers: list[LayerData] = [(labels, {"name": f"{name} cells", "features": features} | metadata, "labels")]
    if "organ" in table:
        names, number = np.unique(table["organ"].to_numpy(str), return_inverse=True)
        dense, _ = label_numbers(labels)
        classes = np.concatenate([[0], number + 1]).astype(np.int32)[dense]
        legend = pd.DataFrame({"index": np.arange(len(names) + 1), "organ": ["", *names]})
        layers.append((classes, {"name": f"{name} organs", "features": legend, "visible": False} | metadata, "labels"))
    return layers


def _result_folder(path: Path) -> Path | None:
    folder = path if path.is_dir() else path.parent
    is_ours = (folder / LABELS).is_file() and (folder / CELLS_PARQUET).is_file()
    return folder if is_ours and (path.is_dir() or path.name == LABELS) else None
