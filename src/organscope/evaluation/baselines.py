"""How far color alone, and fine texture alone, go: a random forest on each, trained on the other folds.

Where images of one slide lie on both sides of a split, an organ can be told by its stain. A score of a
network says something about structure only where it is above these.

How far the colors alone, and the gray texture alone, of a cell's surroundings go: forests on other folds.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64, Int, Shaped

from organscope.data.index import Index, Sample
from organscope.io import Image
from organscope.models import Bundle
from organscope.ops.features import color_histogram, gray_texture
from organscope.ops.intensity import scale_intensity, to_rgb
from organscope.ops.tiling import Span, cell_centers, crop_starts, read_tile

_COLOR_FOREST = "colour_forest"
_GRAY_FOREST = "gray_forest"
_N_TREES = 500
_ENOUGH_PX = 512


def color_forest_baseline(
    index: Index,
    fold: int | Collection[int] | None = None,
    *,
    organs: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Out-of-fold answers of two random forests: one on colors, one on gray, contrast-normalised texture.

    Args:
        index: Images with their organs.
        fold: The folds to answer for, all without; each is answered by forests trained on all other folds.
        organs: Images of other organs are left out; all organs of the index without.
        seed: Of the forests.

    Returns:
        `colour_forest` and `gray_forest`: one row an image (index: its id), one column an organ,
        probabilities. Empty where there is no other fold to learn from.

    Raises:
        ImageReadError: An image cannot be read.
    """
    organs = sorted({sample.organ for sample in index.samples()}) if organs is None else list(organs)
    samples = [sample for sample in index.samples() if sample.organ in organs]
    scored = sorted({sample.fold for sample in index.samples(fold) if sample.organ in organs})
    if len({sample.fold for sample in samples}) < 2:
        return {}
    features = [_features(sample) for sample in samples]
    return {
        name: _out_of_fold(np.stack(part), samples, scored, organs, seed)
        for name, part in zip((_COLOR_FOREST, _GRAY_FOREST), zip(*features, strict=True), strict=True)
    }


def image_statistics(image: Image) -> tuple[Float32[np.ndarray, " bin"], Float32[np.ndarray, " bin"]]:
    """What the two forests see of an image: its color histogram, and its gray texture."""
    rgb = scale_intensity(to_rgb(image.visible(image.read_whole(_small_level(image)))), *image.value_range)
    return color_histogram(rgb), gray_texture(rgb)


def _features(sample: Sample) -> tuple[Float32[np.ndarray, " bin"], Float32[np.ndarray, " bin"]]:
    with sample.open() as image:
        return image_statistics(image)


def _small_level(image: Image) -> int:
    """The smallest resolution that still holds some 512 x 512 px, enough for a share of pixels."""
    sides = [min(level.height_px, level.width_px) for level in image.levels]
    return max((number for number, side in enumerate(sides) if side >= _ENOUGH_PX), default=0)


def forest_out_of_fold(
    features: Float32[np.ndarray, "n bin"],
    truth: Shaped[np.ndarray, " n"],
    folds: Int[np.ndarray, " n"],
    scored: Sequence[int],
    organs: Sequence[str],
    *,
    seed: int = 0,
) -> Float[np.ndarray, "n organ"]:
    """Probabilities of a random forest that was trained on all other folds; rows of folds that are not scored are 0.

    Args:
        features: Of each image.
        truth: Name of the organ of each image.
        folds: Of each image.
        scored: Folds to answer for.
        organs: Columns of the answer; one that no other fold shows is never named.
        seed: Of the forests.
    """
    from sklearn.ensemble import RandomForestClassifier

    answers = pd.DataFrame(0.0, range(len(truth)), list(organs))
    for fold in scored:
        held = folds == fold
        forest = RandomForestClassifier(_N_TREES, random_state=seed).fit(features[~held], truth[~held])
        answers.loc[held, list(forest.classes_)] = forest.predict_proba(features[held])
    return answers.to_numpy()


def _out_of_fold(
    features: Float32[np.ndarray, "n bin"],
    samples: Sequence[Sample],
    scored: Sequence[int],
    organs: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    truth, folds, ids = (np.array([getattr(s, name) for s in samples]) for name in ("organ", "fold", "id"))
    answers = forest_out_of_fold(features, truth, folds, scored, organs, seed=seed)
    order = np.concatenate([np.flatnonzero(folds == fold) for fold in scored])
    return pd.DataFrame(answers[order], ids[order], list(organs))


_N_CELL_TREES = 200
_MIN_LEAF = 2
"""Cells in a leaf: with single ones a forest of thousands of cells fills the memory and answers no better."""

_TRAINING_CELLS = 30
"""Most cells of an image that train the forests: more of one image add little."""

_SEED = 0


def cell_forest_baseline(
    index: Index, fold: int | Collection[int] | None, cells: pd.DataFrame, bundle: Bundle
) -> dict[str, Float64[np.ndarray, "n c"]]:
    """Out-of-fold answers of two random forests for single cells, from the crops that the bundle sees.

    Args:
        index: Images with their organs and labels.
        fold: The folds of the scored cells; each is answered by forests trained on all other folds.
        cells: `id` of the image, `centroid_y_px` and `centroid_x_px` of each scored cell.
        bundle: Says how large a crop is, and which organs are answered.

    Returns:
        `colour_forest` (512 colors) and `gray_forest` (gray levels and local binary patterns of the crop):
        probabilities in the order of `cells` and of the bundle's classes. Empty where no other fold has cells.
    """
    classes, side_px = bundle.manifest.classes, bundle.manifest.classification.field_px
    samples = [s for s in index.samples() if s.organ in classes and s.labels_path is not None]
    scored = sorted({s.fold for s in index.samples(fold)} & {s.fold for s in samples})
    if len({s.fold for s in samples}) < 2:
        return {}
    seen = {s.id: _cell_features(s, _training_centers(s), side_px) for s in samples if scored != [s.fold]}
    asked = {
        s.id: _cell_features(s, cells.loc[cells["id"] == s.id, ["centroid_y_px", "centroid_x_px"]].to_numpy(), side_px)
        for s in samples
        if s.fold in scored
    }
    answers = {}
    for place, name in enumerate((_COLOR_FOREST, _GRAY_FOREST)):
        found = np.zeros((len(cells), len(classes)))
        for number in scored:
            forest = _fit_forest([s for s in samples if s.fold != number], seen, place)
            for sample in (s for s in samples if s.fold == number and len(asked[s.id][place])):
                columns = np.array([classes.index(organ) for organ in forest.classes_])
                rows = np.flatnonzero(cells["id"] == sample.id)
                found[np.ix_(rows, columns)] = forest.predict_proba(asked[sample.id][place])
        answers[name] = found
    return answers


def _fit_forest(samples: Sequence[Sample], features: dict[str, tuple[np.ndarray, np.ndarray]], place: int):
    from sklearn.ensemble import RandomForestClassifier

    parts = [features[sample.id][place] for sample in samples]
    organs = np.repeat([sample.organ for sample in samples], [len(part) for part in parts])
    return RandomForestClassifier(_N_CELL_TREES, min_samples_leaf=_MIN_LEAF, random_state=_SEED).fit(
        np.concatenate(parts), organs
    )


def _training_centers(sample: Sample) -> Float64[np.ndarray, "n 2"]:
    centers = cell_centers(sample.read_labels())
    if len(centers) <= _TRAINING_CELLS:
        return centers
    random = np.random.default_rng([_SEED, *sample.id.encode()])
    return centers[np.sort(random.choice(len(centers), _TRAINING_CELLS, replace=False))]


def _cell_features(
    sample: Sample, centers: Float64[np.ndarray, "n 2"], side_px: int
) -> tuple[Float32[np.ndarray, "n bins"], Float32[np.ndarray, "n codes"]]:
    """Color histogram and gray texture of the crop of each cell."""
    colors, textures = [], []
    with sample.open() as image:
        pixels = scale_intensity(to_rgb(image.visible(image.read_whole())), *image.value_range)
    for starts in crop_starts(centers, side_px).tolist():
        rows, columns = (Span(start, start + side_px, start, start + side_px) for start in starts)
        crop = read_tile(lambda y, x, h, w: pixels[y : y + h, x : x + w], pixels.shape[:2], rows, columns)
        colors.append(color_histogram(crop))
        textures.append(gray_texture(crop))
    empty = np.zeros((0, 1), np.float32)
    return (np.stack(colors), np.stack(textures)) if colors else (empty, empty)
