"""Is this anything like the training pictures? Deep nearest neighbours.

Sun, Ming, Zhu and Li: Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022. An embedding is
brought to length 1; its distance to the k-th nearest training embedding says how unknown it is.
"""

import numpy as np
from jaxtyping import Float, Real

from organscope.errors import ShapeError, ValueRangeError

_CHUNK = 1 << 22
"""Distances held at once (32 MB), so that memory stays flat however many cells are asked about."""


def unit_norm(features: Real[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Each row divided by its length, in float32; a row of zeros stays zeros.

    Raises:
        ValueRangeError: A number is not finite.
    """
    exact = features.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ValueRangeError("Expected finite features, found infinity or not-a-number. Check the network's weights.")
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    return (exact / np.where(length > 0, length, 1.0)).astype(np.float32)


def nearest_distance(
    features: Float[np.ndarray, "n d"], reference: Real[np.ndarray, "m _"], n_neighbours: int
) -> Float[np.ndarray, " n"]:
    """Distance from each embedding to its k-th nearest reference embedding.

    Args:
        features: Of the pictures in question; of any length, brought to length 1 here.
        reference: Of the training pictures; brought to length 1 here too.
        n_neighbours: k, from 1 to m.

    Returns:
        Euclidean distances between vectors of length 1: 0 (known) to 2 (opposite), float32.

    Raises:
        ShapeError: The embeddings differ in length, or there are fewer than k references.
        ValueRangeError: A number is not finite.
    """
    if features.shape[1] != reference.shape[1]:
        raise ShapeError(
            f"Expected features of {reference.shape[1]} numbers as in the reference, found "
            f"{features.shape[1]}. Use features and reference of one and the same network."
        )
    if not 1 <= n_neighbours <= len(reference):
        raise ShapeError(
            f"Expected at least {n_neighbours} reference embeddings (and k of 1 or more), found "
            f"{len(reference)}. Choose fewer neighbours or give more references."
        )
    known = unit_norm(reference)
    asked = unit_norm(features)
    step = max(1, _CHUNK // len(known))
    chunks = [_kth_distance(asked[at : at + step], known, n_neighbours) for at in range(0, len(asked), step)]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def fit_distance_limit(held_out: Float[np.ndarray, " n"], in_domain_pass: float) -> float:
    """The distance that the stated share of held-out, in-domain pictures stays within.

    Args:
        held_out: Distances of pictures of the training domain that are not in the reference set.
        in_domain_pass: Share in (0, 1] that must pass, 0.95 in the paper.

    Raises:
        ShapeError: There is no distance.
        ValueRangeError: The share leaves (0, 1].
    """
    if len(held_out) == 0:
        raise ShapeError("Expected distances of held-out pictures, found none. Hold some pictures out.")
    if not 0 < in_domain_pass <= 1:
        raise ValueRangeError(f"Expected a share in (0, 1], found {in_domain_pass}. Ask for 0.95, for example.")
    # "higher" takes an observed distance, so that at least that share passes, not nearly.
    return float(np.quantile(held_out.astype(np.float64), in_domain_pass, method="higher"))


def _kth_distance(
    asked: Float[np.ndarray, "n d"], known: Float[np.ndarray, "m d"], n_neighbours: int
) -> Float[np.ndarray, " n"]:
    a, b = asked.astype(np.float64), known.astype(np.float64)
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
    kth = np.partition(squared, n_neighbours - 1, axis=1)[:, n_neighbours - 1]
    return np.sqrt(np.clip(kth, 0.0, 4.0)).astype(np.float32)
