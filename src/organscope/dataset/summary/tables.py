"""One row an image, one row an organ."""

from typing import Any

import numpy as np
import pandas as pd

from organscope.dataset.index import Sample
from organscope.dataset.summary.distributions import QUANTILES, UNKNOWN_ORGAN, Measure, quantiles_of
from organscope.dataset.survey import Facts, Survey
from organscope.dataset.survey.pixels import PERCENTILES
from organscope.ops.pixel_size import pixel_area_um2

COLOURS = ("red", "green", "blue")


def images_table(survey: Survey) -> pd.DataFrame:
    """One row an image that could be read.

    Columns: what the index says; `n_cells`, `cells_per_mpx`, `cells_per_mm2`, `covered` (share of the pixels),
    `median_area_px`, `median_eccentricity`, `median_solidity` where there are labels; `brightness` (median over pixels
    and colours) and percentiles of each colour such as `red_p50`, where black is 0 and white is 1.
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
    for colour, values in zip(COLOURS, pixels.percentiles, strict=True):
        row |= {f"{colour}_p{q}": float(value) for q, value in zip(PERCENTILES, values, strict=True)}
    return row


def organs_table(
    images: pd.DataFrame, measures: tuple[Measure, ...], counts: dict[str, dict[str, np.ndarray]]
) -> pd.DataFrame:
    """One row an organ: images, groups, cells, density, quantiles of cell area and shape, brightness."""
    rows = []
    for organ, part in images.groupby("organ"):
        labelled = part[part["n_cells"].notna()]
        row: dict[str, Any] = {
            "organ": organ,
            "n_images": len(part),
            "n_groups": part["group"].nunique(),
            "n_labelled": len(labelled),
            "n_cells": int(labelled["n_cells"].sum()),
            "cells_per_mpx": labelled["cells_per_mpx"].median(),
            "cells_per_mm2": labelled["cells_per_mm2"].median(),
            "covered": labelled["covered"].mean(),
            "brightness": part["brightness"].median(),
        }
        for measure in measures:
            found = counts[measure.name].get(organ)
            values = np.full(len(QUANTILES), np.nan) if found is None else quantiles_of(found, measure)
            row |= {f"{measure.name}_p{100 * q:.0f}": value for q, value in zip(QUANTILES, values, strict=True)}
        rows.append(row)
    return pd.DataFrame(rows)
