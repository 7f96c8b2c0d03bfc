"""Makes `src/organscope/bundles/cell-kinds` from BRCA-M2C, and measures it beside MCSpatNet.

    organscope data import shared/data/brca_m2c -o indexes/brca_m2c --um-per-px 0.5
    python bench/cell_kinds.py make indexes/brca_m2c src/organscope/bundles/cell-kinds
    python bench/cell_kinds.py score indexes/brca_m2c scores.json

`score` teaches on folds 2 to 4, finds the cells of fold 1 with `nuclei` (which learned from points of folds 2 to 4 of
the same set, without kinds), names them, and counts a cell as found where a point of its kind lies within 6 px, each
cell and each point once, as MCSpatNet's `03_eval_localization_fscore.py` does. MCSpatNet's figures are of its own 30
test images, which are not among these 90: they are the level that was published, not a comparison on the same images.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import organscope as osc
from organscope.data.index import Index, Sample, read_index, write_index
from organscope.models import Bundle
from organscope.training.config import BundleSettings
from organscope.training.teaching import teach_cells

REACH_PX = 6
TEST_FOLD = 1
MCSPATNET = {"lymphocyte": 0.628, "epithelial": 0.790, "stromal": 0.551, "mean": 0.656, "detection": 0.852}
"""F1 within 6 px on 30 other images of BRCA-M2C, published with its weights (TopoXLab/MCSpatNet, commit 463faf6:
pretrained_results/BRCA-M2C/out_distance_scores.txt)."""

SETTINGS = BundleSettings(
    name="cell-kinds",
    version="1",
    summary="Kind of each cell in H&E of breast cancer: lymphocyte, epithelial (mostly tumor), stromal.",
    licence="BSD-3-Clause",
    data_statement="""\
- BRCA-M2C: Abousamra et al., Multi-Class Cell Detection Using Spatial Context Representation, ICCV 2021; BSD-3-Clause.
  21,780 points with a class in 90 images of 83 patients with breast cancer, of many hospitals (TCGA), seen at 20x
  (0.5 um a pixel). Points, no outlines: epithelial 10,689, stromal 6,192, lymphocyte 4,899.""",
    limits="""\
- Breast cancer in H&E at about 0.5 um a pixel is all that it has seen. Other organs and stains were not measured.
- Every cell is called one of three kinds. Macrophages, plasma cells, endothelium, mitoses, necrosis: none of these has
  a name here; they are called what they look like most, or "not sure".
- Epithelial means tumor and normal epithelium alike: it is not a sign of cancer.
- Stromal cells are the hardest: about three of ten are taken for epithelial cells or lymphocytes.
- The figures are given the cells. What the network for cells misses, joins or invents comes on top: the F1 of
  detection and kind together is in docs/teach.md.
- The classes were marked by few annotators of one group; how much two pathologists would differ is not known.""",
)


def make(index: Index, folder: Path) -> None:
    """Teach on everything and print what the bundle says of itself."""
    taught = teach_cells(index, folder, settings=SETTINGS)
    with pd.option_context("display.width", 160):
        print(taught.scores, taught.classes, taught.confusions, taught.bundle.manifest.spec.shares, sep="\n\n")
    print(f"\n{taught.bundle.manifest.size_bytes / 1e6:.1f} MB", *taught.notes, sep="\n")


def score(index: Index) -> dict[str, float]:
    """F1 of each class, their mean, and that of detection, on the fold that neither network has seen."""
    known = index.table[index.table["fold"] != TEST_FOLD]
    with tempfile.TemporaryDirectory() as folder:
        absolute = known.assign(**{name: [str(index.resolve(p)) for p in known[name]] for name in ("image", "classes")})
        taught = teach_cells(write_index(Path(folder) / "index", absolute), Path(folder) / "bundle")
        counts = [counted(sample, taught.bundle) for sample in index.samples(TEST_FOLD)]
    return figures([*taught.bundle.manifest.classes, "detection"], counts)


def figures(names: list[str], counts: list[np.ndarray]) -> dict[str, float]:
    """Of counts pooled over images."""
    hits, found, marked = sum(counts).T
    scores = dict(zip(names, (2 * hits / (found + marked)).tolist(), strict=True))
    return scores | {
        "mean": float(np.mean(list(scores.values())[:-1])),
        "images": len(counts),
        "cells": int(marked[-1]),
    }


def counted(sample: Sample, bundle: Bundle) -> np.ndarray:
    """Hits, found cells and marked points of each class, then of all together."""
    table, cells = sample.read_classes(), osc.segment(sample.image_path, cell_kinds=bundle, um_per_px=0.5).table
    centers, points = cells[["centroid_y_px", "centroid_x_px"]].to_numpy(), table[["y_px", "x_px"]].to_numpy()
    rows = []
    for kind in (*bundle.manifest.classes, None):
        mine = np.ones(len(cells), bool) if kind is None else (cells["kind"] == kind).to_numpy()
        true = np.ones(len(table), bool) if kind is None else (table["class"] == kind).to_numpy()
        rows.append((matches(centers[mine], points[true]), mine.sum(), true.sum()))
    return np.array(rows)


def matches(centers: np.ndarray, points: np.ndarray) -> int:
    """Most pairs of a cell and a point within reach, each in one pair."""
    if not len(centers) or not len(points):
        return 0
    near = cdist(centers, points) <= REACH_PX
    return int(near[linear_sum_assignment(~near)].sum())


if __name__ == "__main__":
    opened = read_index(sys.argv[2])
    if sys.argv[1] == "make":
        make(opened, Path(sys.argv[3]))
    else:
        Path(sys.argv[3]).write_text(json.dumps({"fold 1": score(opened), "MCSpatNet": MCSPATNET}, indent=2) + "\n")
        print(Path(sys.argv[3]).read_text())
