"""A map on which images of like colour and texture lie close together."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pandas as pd
from jaxtyping import Float

from organscope.dataset.survey import Survey

#: A map of more points shows no more; a seeded draw of the images is taken.
MAX_POINTS = 5000
MIN_POINTS = 3
#: Fewer points have no neighbourhood that UMAP could keep.
MIN_POINTS_UMAP = 20
N_NEIGHBOURS = 15
N_COMPONENTS = 20
SEED = 0


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


def embed_images(survey: Survey, images: pd.DataFrame, *, umap: bool) -> Embedding | None:
    """Principal components, and UMAP (McInnes et al., arXiv:1802.03426), of percentiles of colours and of texture.

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
    if chosen.size > MAX_POINTS:
        chosen = np.sort(np.random.default_rng(SEED).choice(chosen.size, MAX_POINTS, replace=False))
    scaled = _standardise(features[chosen]) if chosen.size >= MIN_POINTS else np.zeros((0, 0))
    if not scaled.any():
        return None
    components = PCA(min(N_COMPONENTS, *scaled.shape), svd_solver="full").fit(scaled)
    places = components.transform(scaled)
    table = images.iloc[chosen][["id", "organ", "group"]].assign(pca_1=places[:, 0], pca_2=places[:, 1])
    has_umap = umap and umap_is_installed() and chosen.size >= MIN_POINTS_UMAP
    if has_umap:
        mapped = _run_umap(places)
        table = table.assign(umap_1=mapped[:, 0], umap_2=mapped[:, 1])
    first, second = components.explained_variance_ratio_[:2]
    return Embedding(table, (float(first), float(second)), has_umap)


def umap_is_installed() -> bool:
    """Whether the extra [umap] is there; nothing is loaded."""
    return find_spec("umap") is not None


def _standardise(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Mean 0 and standard deviation 1 of each feature; a feature that never changes becomes 0."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    spread = centred.std(axis=0)
    # Rounding leaves a constant feature with a spread that is not exactly 0.
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)


def _run_umap(places: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
    with _tensorflow_hidden():
        from umap import UMAP
    mapper = UMAP(n_neighbors=min(N_NEIGHBOURS, len(places) - 1), random_state=SEED, n_jobs=1)
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
