"""The answer that costs least on average, where mistakes differ in price."""

import numpy as np
from jaxtyping import Float, Int

from organscope.errors import ShapeError, ValueRangeError


def expected_costs(
    probabilities: Float[np.ndarray, "n c"], costs: Float[np.ndarray, "a _"]
) -> Float[np.ndarray, "n a"]:
    """Average cost of each answer to each picture.

    Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001, equation 1.

    Args:
        probabilities: Calibrated; each row sums to 1.
        costs: `costs[i, j]` is the price of answer i where class j is true. There may be more answers than
            classes: a last row of equal prices is the price of abstaining.

    Raises:
        ShapeError: Costs and probabilities have different numbers of classes.
        ValueRangeError: A cost is not finite.
    """
    if costs.shape[1] != probabilities.shape[1]:
        raise ShapeError(
            f"Expected one cost a class ({probabilities.shape[1]} columns), found {costs.shape[1]}. "
            "Give the matrix one row an answer and one column a true class."
        )
    if not np.isfinite(costs).all():
        raise ValueRangeError("Expected finite costs, found infinity or not-a-number. Use a large number instead.")
    return probabilities.astype(np.float64) @ costs.astype(np.float64).T


def least_cost_answers(
    probabilities: Float[np.ndarray, "n c"], costs: Float[np.ndarray, "a _"]
) -> Int[np.ndarray, " n"]:
    """Index of the cheapest answer to each picture; of equal ones the first."""
    return expected_costs(probabilities, costs).argmin(axis=1)
