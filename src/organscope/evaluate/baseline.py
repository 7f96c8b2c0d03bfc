"""How far colour alone, and fine texture alone, go: a random forest on each, trained on the other folds.

Where pictures of one slide lie on both sides of a split, an organ can be told by its stain. A score of a
network says something about structure only where it is above these.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int, Shaped

from organscope.dataset.index import Index, Sample
from organscope.images import Image
from organscope.ops.colour import colour_histogram, gray_texture
from organscope.ops.preprocess import scale_intensity, to_rgb

COLOUR_FOREST = "colour_forest"
GRAY_FOREST = "gray_forest"
N_TREES = 500
ENOUGH_PX = 512


def colour_forest_baseline(
    index: Index,
    fold: int | Collection[int] | None = None,
    *,
    organs: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Out-of-fold answers of two random forests: one on colours, one on gray, contrast-normalised texture.

    Args:
        index: Pictures with their organs.
        fold: The folds to answer for, all without; each is answered by forests trained on all other folds.
        organs: Pictures of other organs are left out; all organs of the index without.
        seed: Of the forests.

    Returns:
        `colour_forest` and `gray_forest`: one row a picture (index: its id), one column an organ,
        probabilities. Empty where there is no other fold to learn from.

    Raises:
        ImageReadError: A picture cannot be read.
    """
    organs = sorted({sample.organ for sample in index.samples()}) if organs is None else list(organs)
    samples = [sample for sample in index.samples() if sample.organ in organs]
    scored = sorted({sample.fold for sample in index.samples(fold) if sample.organ in organs})
    if len({sample.fold for sample in samples}) < 2:
        return {}
    features = [_features(sample) for sample in samples]
    return {
        name: _out_of_fold(np.stack(part), samples, scored, organs, seed)
        for name, part in zip((COLOUR_FOREST, GRAY_FOREST), zip(*features, strict=True), strict=True)
    }


def image_statistics(image: Image) -> tuple[Float32[np.ndarray, " bin"], Float32[np.ndarray, " bin"]]:
    """What the two forests see of an image: its color histogram, and its gray texture."""
    rgb = scale_intensity(to_rgb(image.visible(image.read_whole(_small_level(image)))), *image.value_range)
    return colour_histogram(rgb), gray_texture(rgb)


def _features(sample: Sample) -> tuple[Float32[np.ndarray, " bin"], Float32[np.ndarray, " bin"]]:
    with sample.open() as image:
        return image_statistics(image)


def _small_level(image: Image) -> int:
    """The smallest resolution that still holds some 512 x 512 px, enough for a share of pixels."""
    sides = [min(level.height_px, level.width_px) for level in image.levels]
    return max((number for number, side in enumerate(sides) if side >= ENOUGH_PX), default=0)


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
        forest = RandomForestClassifier(N_TREES, random_state=seed).fit(features[~held], truth[~held])
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
