"""All tables of a data set together.

How cells are distributed, by organ, from the counts that the survey kept of each image.

One row an image, one row an organ.

A map on which images of like color and texture lie close together.

Which images stand for a data set in a montage.
"""

import hashlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Num

from organscope.data.index import Sample
from organscope.data.survey import AREA_EDGES, PERCENTILES, SHAPE_EDGES, CellFacts, Facts, Survey
from organscope.errors import DatasetError
from organscope.ops.pixel_size import pixel_area_um2

UNKNOWN_ORGAN = "(unknown)"
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Measure:
    """A property of a cell that is counted.

    Attributes:
        name: In tables.
        label: In figures, with its unit.
        field: Of `CellFacts`, the counts in each bin.
        edges: Of the bins.
        logarithmic: Whether bins grow by a factor.
    """

    name: str
    label: str
    field: str
    edges: Float64[np.ndarray, " bins+1"]
    logarithmic: bool = False


AREA_PX = Measure("area_px", "cell area, px", "areas_px", AREA_EDGES, logarithmic=True)
AREA_UM2 = Measure("area_um2", "cell area, µm²", "areas_um2", AREA_EDGES, logarithmic=True)
_ECCENTRICITY = Measure("eccentricity", "eccentricity (0 round, 1 a line)", "eccentricities", SHAPE_EDGES)
SOLIDITY = Measure("solidity", "solidity (1 convex)", "solidities", SHAPE_EDGES)


def choose_measures(survey: Survey) -> tuple[Measure, ...]:
    """Areas in square micrometers where every image with cells has a pixel size, else in pixels; and shapes."""
    with_cells = [cells for _, cells in survey.cells() if cells.n_cells]
    known = bool(with_cells) and all(cells.areas_um2 is not None for cells in with_cells)
    return (AREA_UM2 if known else AREA_PX), _ECCENTRICITY, SOLIDITY


def count_by_organ(survey: Survey, measure: Measure) -> dict[str, Num[np.ndarray, " bins"]]:
    """Cells in each bin, summed over the images of each organ that has cells, in order of name."""
    counts: dict[str, Num[np.ndarray, " bins"]] = {}
    for sample, cells in survey.cells():
        if cells.n_cells:
            organ = sample.organ or UNKNOWN_ORGAN
            counts[organ] = counts.get(organ, 0) + _counts(cells, measure)
    return dict(sorted(counts.items()))


def quantiles_of(
    counts: Num[np.ndarray, " bins"], measure: Measure, quantiles: Sequence[float] = _QUANTILES
) -> Float64[np.ndarray, " q"]:
    """Quantiles of counted values, as if the values of a bin were spread evenly over it."""
    edges = np.log(measure.edges) if measure.logarithmic else measure.edges
    cumulative = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    found = np.interp(quantiles, cumulative, edges)
    return np.exp(found) if measure.logarithmic else found


def long_table(counts: dict[str, dict[str, Num[np.ndarray, " bins"]]], measures: Sequence[Measure]) -> pd.DataFrame:
    """Every count above 0 as one row: measure, organ, edges of the bin, number of cells."""
    rows = [
        (measure.name, organ, measure.edges[place], measure.edges[place + 1], int(found[place]))
        for measure in measures
        for organ, found in counts[measure.name].items()
        for place in np.flatnonzero(found)
    ]
    return pd.DataFrame(rows, columns=["measure", "organ", "from", "to", "n_cells"])


def _counts(cells: CellFacts, measure: Measure) -> Num[np.ndarray, " bins"]:
    return getattr(cells, measure.field).astype(np.int64)


_COLORS = ("red", "green", "blue")


def _images_table(survey: Survey) -> pd.DataFrame:
    """One row an image that could be read.

    Columns: what the index says; `n_cells`, `cells_per_mpx`, `cells_per_mm2`, `covered` (share of the pixels),
    `median_area_px`, `median_eccentricity`, `median_solidity` where there are labels; `brightness` (median over pixels
    and colors) and percentiles of each color such as `red_p50`, where black is 0 and white is 1.
    """
    return pd.DataFrame([_image_row(sample, facts) for sample, facts in survey if facts.pixels is not None])


def _image_row(sample: Sample, facts: Facts) -> dict[str, Any]:
    pixels, cells = facts.pixels, facts.cells
    row = {
        "id": sample.id,
        "organ": sample.organ or UNKNOWN_ORGAN,
        "group": sample.group,
        "split": sample.split,
        "fold": sample.fold,
        "height_px": pixels.height_px,
        "width_px": pixels.width_px,
        "n_channels": pixels.n_channels,
        "dtype": pixels.dtype,
        "um_per_px_y": None if pixels.um_per_px is None else pixels.um_per_px[0],
        "um_per_px_x": None if pixels.um_per_px is None else pixels.um_per_px[1],
        "n_cells": None if cells is None else cells.n_cells,
        "cells_per_mpx": None,
        "cells_per_mm2": None,
        "covered": None if cells is None else cells.covered,
        "median_area_px": None if cells is None else cells.median_area_px,
        "median_eccentricity": None if cells is None else cells.median_eccentricity,
        "median_solidity": None if cells is None else cells.median_solidity,
    }
    if cells is not None:
        row["cells_per_mpx"] = 1e6 * cells.n_cells / (cells.height_px * cells.width_px)
        if pixels.um_per_px is not None:
            row["cells_per_mm2"] = row["cells_per_mpx"] / pixel_area_um2(pixels.um_per_px)
    row["brightness"] = float(pixels.percentiles[:, PERCENTILES.index(50)].mean())
    for color, values in zip(_COLORS, pixels.percentiles, strict=True):
        row |= {f"{color}_p{q}": float(value) for q, value in zip(PERCENTILES, values, strict=True)}
    return row


def _organs_table(
    images: pd.DataFrame, measures: tuple[Measure, ...], counts: dict[str, dict[str, np.ndarray]]
) -> pd.DataFrame:
    """One row an organ: images, groups, cells, density, quantiles of cell area and shape, brightness."""
    rows = []
    for organ, part in images.groupby("organ"):
        labeled = part[part["n_cells"].notna()]
        row: dict[str, Any] = {
            "organ": organ,
            "n_images": len(part),
            "n_groups": part["group"].nunique(),
            "n_labelled": len(labeled),
            "n_cells": int(labeled["n_cells"].sum()),
            "cells_per_mpx": labeled["cells_per_mpx"].median(),
            "cells_per_mm2": labeled["cells_per_mm2"].median(),
            "covered": labeled["covered"].mean(),
            "brightness": part["brightness"].median(),
        }
        for measure in measures:
            found = counts[measure.name].get(organ)
            values = np.full(len(_QUANTILES), np.nan) if found is None else quantiles_of(found, measure)
            row |= {f"{measure.name}_p{100 * q:.0f}": value for q, value in zip(_QUANTILES, values, strict=True)}
        rows.append(row)
    return pd.DataFrame(rows)


#: A map of more points shows no more; a seeded draw of the images is taken.
_MAX_POINTS = 5000
_MIN_POINTS = 3
#: Fewer points have no neighborhood that UMAP could keep.
_MIN_POINTS_UMAP = 20
_N_NEIGHBORS = 15
_N_COMPONENTS = 20
_SEED = 0


@dataclass(frozen=True)
class Embedding:
    """Places of images on maps.

    Attributes:
        table: `id`, `organ`, `group`, `pca_1`, `pca_2`, and `umap_1`, `umap_2` where UMAP was run.
        explained: Share of the variance that the two principal components hold.
        has_umap: Whether UMAP was run.
    """

    table: pd.DataFrame
    explained: tuple[float, float]
    has_umap: bool


def _embed_images(survey: Survey, images: pd.DataFrame, *, umap: bool) -> Embedding | None:
    """Principal components, and UMAP (McInnes et al., arXiv:1802.03426), of percentiles of colors and of texture.

    Args:
        survey: What was found in the images.
        images: One row a readable image, in order of the survey.
        umap: Also run UMAP where it is installed and there are enough images.

    Returns:
        None where there are fewer than 3 images, or all are alike.
    """
    from sklearn.decomposition import PCA

    features = np.array([np.concatenate([p.percentiles.ravel(), p.texture]) for _, p in survey.pixels()])
    chosen = np.arange(len(features))
    if chosen.size > _MAX_POINTS:
        chosen = np.sort(np.random.default_rng(_SEED).choice(chosen.size, _MAX_POINTS, replace=False))
    scaled = _standardize(features[chosen]) if chosen.size >= _MIN_POINTS else np.zeros((0, 0))
    if not scaled.any():
        return None
    components = PCA(min(_N_COMPONENTS, *scaled.shape), svd_solver="full").fit(scaled)
    places = components.transform(scaled)
    table = images.iloc[chosen][["id", "organ", "group"]].assign(pca_1=places[:, 0], pca_2=places[:, 1])
    has_umap = umap and umap_is_installed() and chosen.size >= _MIN_POINTS_UMAP
    if has_umap:
        mapped = _run_umap(places)
        table = table.assign(umap_1=mapped[:, 0], umap_2=mapped[:, 1])
    first, second = components.explained_variance_ratio_[:2]
    return Embedding(table, (float(first), float(second)), has_umap)


def umap_is_installed() -> bool:
    """Whether the extra [umap] is there; nothing is loaded."""
    return find_spec("umap") is not None


def _standardize(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Mean 0 and standard deviation 1 of each feature; a feature that never changes becomes 0."""
    centered = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    spread = centered.std(axis=0)
    # Rounding leaves a constant feature with a spread that is not exactly 0.
    return np.divide(centered, spread, out=np.zeros_like(centered), where=spread > 1e-9)


def _run_umap(places: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
    with _tensorflow_hidden():
        from umap import UMAP
    mapper = UMAP(n_neighbors=min(_N_NEIGHBORS, len(places) - 1), random_state=_SEED, n_jobs=1)
    return mapper.fit_transform(places)


@contextmanager
def _tensorflow_hidden() -> Iterator[None]:
    """umap loads TensorFlow where it is installed, for a class that is not used: seconds and half a gigabyte."""
    hidden = "tensorflow" not in sys.modules
    if hidden:
        sys.modules["tensorflow"] = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImportWarning)
            yield
    finally:
        if hidden:
            del sys.modules["tensorflow"]


_MAX_EXAMPLES = 36


def choose_examples(survey: Survey) -> list[Sample]:
    """Up to 36 readable images that show something: organs in turn, those with cells first, else by chance.

    Chance is the SHA-256 of the id, so that the same images are chosen on every machine.
    """
    by_organ: dict[str, list[tuple[bool, str, Sample]]] = {}
    for sample, facts in survey:
        if facts.pixels is not None and not facts.pixels.is_constant:
            has_cells = facts.cells is not None and facts.cells.n_cells > 0
            draw = hashlib.sha256(sample.id.encode()).hexdigest()
            by_organ.setdefault(sample.organ, []).append((not has_cells, draw, sample))
    queues = [sorted(queue, key=lambda entry: entry[:2]) for _, queue in sorted(by_organ.items())]
    chosen = []
    for place in range(max(map(len, queues), default=0)):
        chosen += [queue[place][2] for queue in queues if place < len(queue)]
        if len(chosen) >= _MAX_EXAMPLES:
            break
    return sorted(chosen[:_MAX_EXAMPLES], key=lambda sample: (sample.organ, sample.id))


@dataclass(frozen=True)
class Summary:
    """A data set in figures.

    Attributes:
        images: One row an image, `tables.images_table`.
        organs: One row an organ, `tables.organs_table`.
        measures: Properties of cells that were counted, the area first.
        counts: Name of the measure -> organ -> cells in each bin; organs without cells are left out.
        embedding: The map, None where there are too few images.
        examples: Images for a montage.
    """

    images: pd.DataFrame
    organs: pd.DataFrame
    measures: tuple[Measure, ...]
    counts: dict[str, dict[str, np.ndarray]]
    embedding: Embedding | None
    examples: list[Sample]

    @property
    def n_images(self) -> int:
        """Images that could be read."""
        return len(self.images)

    @property
    def n_cells(self) -> int:
        """Cells of all label images that could be read."""
        return int(self.organs["n_cells"].sum())

    @property
    def n_organs(self) -> int:
        """Organs with at least one image; images of unknown organ count as one."""
        return len(self.organs)

    def distributions(self) -> pd.DataFrame:
        """All counts as one long table."""
        return long_table(self.counts, self.measures)


def summarize(survey: Survey, *, umap: bool = True) -> Summary:
    """Make the tables of a data set.

    Args:
        survey: What was found in its files.
        umap: Also make the UMAP map where umap-learn is installed.

    Raises:
        DatasetError: No image can be read.
    """
    images = _images_table(survey)
    if images.empty:
        first = next(facts.image_error for _, facts in survey)
        raise DatasetError(f"No image of {survey.index.folder} can be read. The first reason: {first}")
    measures = choose_measures(survey)
    counts = {measure.name: count_by_organ(survey, measure) for measure in measures}
    return Summary(
        images=images,
        organs=_organs_table(images, measures, counts),
        measures=measures,
        counts=counts,
        embedding=_embed_images(survey, images, umap=umap),
        examples=choose_examples(survey),
    )
