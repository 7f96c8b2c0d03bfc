"""How far the colours alone, and the gray texture alone, of a cell's surroundings go: forests on other folds."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64

from organscope.bundle import Bundle
from organscope.dataset.index import Index, Sample
from organscope.evaluate.baseline import COLOUR_FOREST, GRAY_FOREST
from organscope.ops.colour import colour_histogram, gray_texture
from organscope.ops.crops import cell_centres, crop_starts
from organscope.ops.preprocess import scale_intensity, to_rgb
from organscope.ops.tiles import Span, read_tile

N_TREES = 200
MIN_LEAF = 2
"""Cells in a leaf: with single ones a forest of thousands of cells fills the memory and answers no better."""

TRAINING_CELLS = 30
"""Most cells of a picture that train the forests: more of one picture add little."""

SEED = 0


def cell_forest_baseline(
    index: Index, fold: int | Collection[int] | None, cells: pd.DataFrame, bundle: Bundle
) -> dict[str, Float64[np.ndarray, "n c"]]:
    """Out-of-fold answers of two random forests for single cells, from the crops that the bundle sees.

    Args:
        index: Pictures with their organs and labels.
        fold: The folds of the scored cells; each is answered by forests trained on all other folds.
        cells: `id` of the picture, `centroid_y_px` and `centroid_x_px` of each scored cell.
        bundle: Says how large a crop is, and which organs are answered.

    Returns:
        `colour_forest` (512 colours) and `gray_forest` (gray levels and local binary patterns of the crop):
        probabilities in the order of `cells` and of the bundle's classes. Empty where no other fold has cells.
    """
    classes, side_px = bundle.manifest.classes, bundle.manifest.spec.field_px
    samples = [s for s in index.samples() if s.organ in classes and s.labels_path is not None]
    scored = sorted({s.fold for s in index.samples(fold)} & {s.fold for s in samples})
    if len({s.fold for s in samples}) < 2:
        return {}
    seen = {s.id: _features(s, _training_centres(s), side_px) for s in samples if scored != [s.fold]}
    asked = {
        s.id: _features(s, cells.loc[cells["id"] == s.id, ["centroid_y_px", "centroid_x_px"]].to_numpy(), side_px)
        for s in samples
        if s.fold in scored
    }
    answers = {}
    for place, name in enumerate((COLOUR_FOREST, GRAY_FOREST)):
        found = np.zeros((len(cells), len(classes)))
        for number in scored:
            forest = _fit_forest([s for s in samples if s.fold != number], seen, place)
            for sample in (s for s in samples if s.fold == number and len(asked[s.id][place])):
                columns = [classes.index(organ) for organ in forest.classes_]
                rows = np.flatnonzero(cells["id"] == sample.id)
                found[np.ix_(rows, columns)] = forest.predict_proba(asked[sample.id][place])
        answers[name] = found
    return answers


def _fit_forest(samples: Sequence[Sample], features: dict[str, tuple[np.ndarray, np.ndarray]], place: int):
    from sklearn.ensemble import RandomForestClassifier

    parts = [features[sample.id][place] for sample in samples]
    organs = np.repeat([sample.organ for sample in samples], [len(part) for part in parts])
    return RandomForestClassifier(N_TREES, min_samples_leaf=MIN_LEAF, random_state=SEED).fit(
        np.concatenate(parts), organs
    )


def _training_centres(sample: Sample) -> Float64[np.ndarray, "n 2"]:
    centres = cell_centres(sample.read_labels())
    if len(centres) <= TRAINING_CELLS:
        return centres
    random = np.random.default_rng([SEED, *sample.id.encode()])
    return centres[np.sort(random.choice(len(centres), TRAINING_CELLS, replace=False))]


def _features(
    sample: Sample, centres: Float64[np.ndarray, "n 2"], side_px: int
) -> tuple[Float32[np.ndarray, "n bins"], Float32[np.ndarray, "n codes"]]:
    """Colour histogram and gray texture of the crop of each cell."""
    colours, textures = [], []
    with sample.open() as image:
        pixels = scale_intensity(to_rgb(image.visible(image.read_whole())), *image.value_range)
    for starts in crop_starts(centres, side_px).tolist():
        rows, columns = (Span(start, start + side_px, start, start + side_px) for start in starts)
        crop = read_tile(lambda y, x, h, w: pixels[y : y + h, x : x + w], pixels.shape[:2], rows, columns)
        colours.append(colour_histogram(crop))
        textures.append(gray_texture(crop))
    empty = np.zeros((0, 1), np.float32)
    return (np.stack(colours), np.stack(textures)) if colours else (empty, empty)
