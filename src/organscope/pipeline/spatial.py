"""Results as AnnData and SpatialData, for scanpy, squidpy, napari-spatialdata and others.

The table: one observation a cell, named `<image>-<number>`; measures are variables, classes and their probabilities are
in `obs`, centers as x, y in pixels in `obsm["spatial"]`, facts on the image in `uns["organscope"]`. Points are as in
SpatialData: the corner of the first pixel is (0, 0), so its center is (0.5, 0.5), half a pixel more than in the columns
`centroid_*_px`.

SpatialData also has the image, the label image (`cells`, of which the table tells) and the outlines; all in pixels in
the coordinate system `global`, and in micrometers in `um` where the pixel size is known.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Int32, Num
from shapely.geometry.base import BaseGeometry

from organscope import __version__
from organscope.errors import MissingExtraError, OrganscopeError, OutputError, UsageError
from organscope.io import Image, read_labels
from organscope.ops.pixel_size import PixelSize
from organscope.ops.polygons import cell_polygons
from organscope.pipeline.given_labels import MAX_LABELED_PX
from organscope.pipeline.image import ReadOptions
from organscope.pipeline.plan import ANNDATA, CELLS_PARQUET, LABELS, SLIDE_LABELS, SPATIALDATA
from organscope.pipeline.results import Failure, ImageResult, RunResult

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_OBSERVED = ("id", "organ", "organ_probability", "probability", "touches_border")
"""Columns that say what a cell is, rather than what was measured of it; so are all that are no numbers."""

_LABELS_ELEMENT = "cells"


@dataclass(frozen=True)
class SpatialCells:
    """What is known of the cells of one image.

    Attributes:
        name: Of the image.
        table: One row a cell, with a column `id`.
        um_per_px: Height and width of a pixel.
        facts: On the image as a whole, such as its organ.
    """

    name: str
    table: pd.DataFrame
    um_per_px: PixelSize | None
    facts: dict[str, Any]

    def to_anndata(self) -> "AnnData":
        """The table.

        Raises:
            MissingExtraError: The extra [spatial] is not installed.
        """
        anndata = _package("anndata")
        table = self.table
        observed = [name for name in table if name in _OBSERVED or table[name].dtype.kind not in "iuf"]
        names = [f"{self.name}-{number}" for number in table["id"]]
        obs = table[observed].set_index(pd.Index(names, dtype=object))
        for name in obs.columns[[kind.kind not in "iufb" for kind in obs.dtypes]]:
            obs[name] = pd.Categorical(obs[name].astype(object))
        measured = table.drop(columns=observed)
        variables = pd.DataFrame(index=pd.Index([str(name) for name in measured], dtype=object))
        found = anndata.AnnData(measured.to_numpy(np.float64), obs, variables)
        found.obsm["spatial"] = table[["centroid_x_px", "centroid_y_px"]].to_numpy(np.float64) + 0.5
        size = {} if self.um_per_px is None else {"um_per_px": np.array(self.um_per_px)}
        found.uns["organscope"] = {"version": __version__, "image": self.name} | size | self.facts
        return found

    def to_spatialdata(
        self,
        labels: Int32[np.ndarray, "y x"],
        outlines: Sequence[BaseGeometry],
        pixels: Num[np.ndarray, "y x c"],
    ) -> "SpatialData":
        """Table, label image, outlines and image.

        Raises:
            MissingExtraError: The extra [spatial] is not installed.
        """
        spatialdata, geopandas = _package("spatialdata"), _package("geopandas")
        models = import_module("spatialdata.models")
        systems = self._systems()
        table = self.to_anndata()
        table.obs["region"] = pd.Categorical([_LABELS_ELEMENT] * table.n_obs, [_LABELS_ELEMENT])
        shapes = geopandas.GeoDataFrame({"geometry": list(outlines)}, index=self.table["id"].to_numpy())
        channels = ["r", "g", "b"] if pixels.shape[2] == 3 else [str(n) for n in range(pixels.shape[2])]
        return spatialdata.SpatialData(
            images={
                "image": models.Image2DModel.parse(
                    np.moveaxis(pixels, 2, 0), dims=("c", "y", "x"), c_coords=channels, transformations=systems
                )
            },
            labels={_LABELS_ELEMENT: models.Labels2DModel.parse(labels, dims=("y", "x"), transformations=systems)},
            shapes={"outlines": models.ShapesModel.parse(shapes, transformations=systems)} if len(shapes) else {},
            tables={
                "table": models.TableModel.parse(table, region=_LABELS_ELEMENT, region_key="region", instance_key="id")
            },
        )

    def _systems(self) -> dict[str, Any]:
        transformations = import_module("spatialdata.transformations")
        systems: dict[str, Any] = {"global": transformations.Identity()}
        if self.um_per_px is not None:
            height, width = self.um_per_px
            systems["um"] = transformations.Scale([width, height], axes=("x", "y"))
        return systems


def require_spatial(*, anndata: bool, spatialdata: bool) -> None:
    """Refuse before a run starts what cannot be written at its end.

    Raises:
        MissingExtraError: The extra [spatial] is not installed.
    """
    for name in (["anndata"] if anndata else []) + (["spatialdata", "geopandas"] if spatialdata else []):
        if find_spec(name) is None:
            raise _missing(name)


def write_spatial(result: RunResult, reading: ReadOptions, *, anndata: bool, spatialdata: bool) -> list[Failure]:
    """Write `cells.h5ad` and `cells.spatialdata.zarr` beside the results of every image of a run.

    Args:
        result: Of a run that found cells.
        reading: How its images were opened.
        anndata: Write the table.
        spatialdata: Write the table with image, labels and outlines; of images of up to 250 megapixels.

    Returns:
        A failure for each image for which a file could not be written.
    """
    failures = []
    for image in result.images:
        if image.n_cells is None:
            continue
        folder = result.out / image.target.stem
        try:
            found = _of_results(folder, image)
            if anndata:
                with complete_path(folder / ANNDATA) as path:
                    found.to_anndata().write_h5ad(path)
            if spatialdata:
                _write_spatialdata(folder, image, found, reading)
        except OrganscopeError as error:
            failures.append(Failure(str(image.target.source), str(error)))
    return failures


def image_facts(classification: Any) -> dict[str, Any]:
    """What is answered for an image as a whole; nothing where its organ was not asked for."""
    if classification is None:
        return {}
    decision = classification.decision
    return {
        "organ": classification.organs[decision.organ_index],
        "confidence": float(decision.confidence),
        "decision": decision.decision,
    }


def _of_results(folder: Path, image: ImageResult) -> SpatialCells:
    table = pd.read_parquet(folder / CELLS_PARQUET)
    return SpatialCells(image.target.stem.name, table, image.um_per_px, image_facts(image.classification))


def _write_spatialdata(folder: Path, image: ImageResult, found: SpatialCells, reading: ReadOptions) -> None:
    if image.height_px * image.width_px > MAX_LABELED_PX:
        raise UsageError(
            f"Expected an image of at most {MAX_LABELED_PX / 1e6:.0f} megapixels for --spatialdata, found "
            f"{image.megapixels:,.0f}. Use --anndata, and --zarr for its labels."
        )
    path = folder / LABELS
    labels = read_labels(path if path.is_file() else folder / SLIDE_LABELS)
    with reading.open(image.target.source) as opened:
        pixels = _seen(opened)
    with complete_path(folder / SPATIALDATA) as target:
        found.to_spatialdata(labels, cell_polygons(labels), pixels).write(target)


def _seen(image: Image) -> Num[np.ndarray, "y x c"]:
    return image.displayed(image.read_whole())


@contextmanager
def complete_path(target: Path) -> Iterator[Path]:
    """A path beside the target to write to; it takes the target's place when it is complete."""
    partial = target.with_name(f".partial-{target.name}")
    try:
        _remove(partial)
        yield partial
        _remove(target)
        partial.rename(target)
    except OSError as error:
        raise OutputError(f"Cannot write {target}: {error.strerror or error}. Free space or choose another.") from error
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise _missing(error.name or name) from error


def _missing(name: str) -> MissingExtraError:
    return MissingExtraError(
        f"Expected the packages for AnnData and SpatialData, found no {name}. Run: pip install 'organscope[spatial]'."
    )
