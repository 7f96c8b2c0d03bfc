"""Exact intervals of a share, where pictures are independent."""

from scipy.special import betaincinv

from organscope.errors import ValueRangeError


def share_interval(n_hits: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a binomial share (Clopper and Pearson, Biometrika 26:404, 1934); 0 to 1 where n is 0.

    Raises:
        ValueRangeError: More hits than trials, or fewer than none.
    """
    if not 0 <= n_hits <= n:
        raise ValueRangeError(f"Expected between 0 and {n} hits, found {n_hits}.")
    tail = (1 - level) / 2
    low = float(betaincinv(n_hits, n - n_hits + 1, tail)) if n_hits > 0 else 0.0
    high = float(betaincinv(n_hits + 1, n - n_hits, 1 - tail)) if n_hits < n else 1.0
    return low, high
