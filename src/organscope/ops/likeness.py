"""Pictures that look alike: a perceptual hash, the same for mirrored and turned copies up to a known order.

Sign of the low frequencies of a cosine transform (Zauner, Implementation and Benchmarking of Perceptual Image
Hash Functions, 2010, section 3.2.1, with the sign in place of the median). A mirrored picture has the same
frequencies with the sign of the odd ones changed, a transposed one the transposed frequencies, so the hashes of
all eight orientations come from one transform.
"""

import numpy as np
from jaxtyping import Float32, UInt8, UInt64

#: Side of the small gray view that is hashed, and of the square of frequencies that is kept.
VIEW_PX = 32
N_FREQUENCIES = 8
N_ORIENTATIONS = 8
#: The mean brightness is no bit, so a hash has 63.
N_BITS = N_FREQUENCIES**2 - 1


def perceptual_hashes(view: Float32[np.ndarray, "32 32"]) -> UInt64[np.ndarray, " 8"]:
    """Hashes of a small gray view in its eight orientations, the one in which it lies first.

    Args:
        view: Any range; brightness and contrast do not change the hash. A flat view has hash 0.
    """
    from scipy.fft import dctn

    # Rounding leaves a flat view with frequencies that are not exactly 0.
    frequencies = dctn(view.astype(np.float64) - view.mean())[:N_FREQUENCIES, :N_FREQUENCIES]
    frequencies[np.abs(frequencies) < 1e-6 * max(1.0, np.abs(view).max())] = 0.0
    mirrored = (-1.0) ** np.arange(N_FREQUENCIES)
    turned = [
        grid * down[:, None] * across
        for grid in (frequencies, frequencies.T)
        for down in (np.ones(N_FREQUENCIES), mirrored)
        for across in (np.ones(N_FREQUENCIES), mirrored)
    ]
    bits = np.stack(turned).reshape(N_ORIENTATIONS, -1)[:, 1:] > 0
    return bits.astype(np.uint64) @ (np.uint64(1) << np.arange(N_BITS, dtype=np.uint64))


def hash_distances(one: UInt64[np.ndarray, " n"], other: UInt64[np.ndarray, "m 8"]) -> UInt8[np.ndarray, "n m"]:
    """Number of bits that differ, in the orientation that fits best; 0 to 63, about 31 for unlike pictures."""
    least = np.full((len(one), len(other)), N_BITS, np.uint8)
    for orientation in other.T:
        np.minimum(least, np.bitwise_count(one[:, None] ^ orientation[None, :]), out=least)
    return least
