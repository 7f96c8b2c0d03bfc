"""Corruptions of images: stain, blur, scale, compression, noise."""

import io

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image as PillowImage
from scipy.ndimage import gaussian_filter

from organscope.ops.intensity import gray_range, scale_intensity
from organscope.ops.tiling import mirror_indices

_Image = UInt8[np.ndarray, "y x 3"]
_Resized = UInt8[np.ndarray, "y2 x2 3"]


def stain_shifted(image: _Image, haematoxylin: float, eosin: float) -> _Image:
    """The same tissue, stained stronger or weaker.

    Optical density is taken apart into haematoxylin, eosin and DAB (Ruifrok and Johnston, Anal. Quant. Cytol. Histol.
    23:291, 2001) and put together again with two of them multiplied.

    Args:
        image: In the colors of an H&E stain.
        haematoxylin: Factor; so is `eosin`. 1 changes nothing.
    """
    from skimage.color import hed_from_rgb, rgb_from_hed

    density = -np.log(np.maximum(image, 1) / 255.0)
    stains = density @ hed_from_rgb * np.array([haematoxylin, eosin, 1.0])
    return np.rint(255 * np.exp(-np.maximum(stains @ rgb_from_hed, 0.0))).astype(np.uint8)


def restained(image: _Image, generator: np.random.Generator, *, turn: float = 0.08, strength: float = 1.4) -> _Image:
    """As if another laboratory had stained it: color and strength of both stains (and of the rest) differ.

    Args:
        image: uint8 RGB, bright field.
        generator: Draws the difference.
        turn: Standard deviation of each number of a stain's optical density of length 1.
        strength: Each stain becomes stronger or weaker by up to this factor.
    """
    from skimage.color import hed_from_rgb, rgb_from_hed

    other = np.abs(rgb_from_hed + generator.normal(0, turn, rgb_from_hed.shape))
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    strengths = np.exp(generator.uniform(-1, 1, 3) * np.log(strength))
    # One matrix from density to density: unmix, strengthen, mix again.
    change = (hed_from_rgb * strengths @ other).astype(np.float32)
    density = -np.log((image.astype(np.float32) + 1) / 256)
    return np.clip(np.rint(256 * np.exp(-(density @ change)) - 1), 0, 255).astype(np.uint8)


def gray_copy(image: _Image) -> _Image:
    """The mean of red, green and blue, stretched from its own black to its own white."""
    gray = image.mean(axis=2, keepdims=True, dtype=np.float32)
    stretched = np.rint(scale_intensity(gray, *gray_range(image)) * 255).astype(np.uint8)
    return np.repeat(stretched, 3, axis=2)


def blurred(image: _Image, sigma_px: float) -> _Image:
    """Out of focus: a Gaussian of this standard deviation."""
    return gaussian_filter(image, (sigma_px, sigma_px, 0))


def magnified(image: _Image, factor: float) -> _Resized:
    """As seen at another magnification: above 1 the middle, enlarged; below 1 smaller, of fewer pixels."""
    height, width = image.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    kind = PillowImage.Resampling.BICUBIC if factor > 1 else PillowImage.Resampling.LANCZOS
    resized = np.asarray(PillowImage.fromarray(image).resize(size, kind))
    top, left = max(0, size[1] - height) // 2, max(0, size[0] - width) // 2
    return resized[top : top + height, left : left + width]


def compressed(image: _Image, quality: int) -> _Image:
    """As JPEG of this quality would give it back."""
    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(PillowImage.open(stream))


def noisy(image: _Image, sigma: float, generator: np.random.Generator) -> _Image:
    """With gray noise of this standard deviation, of 255."""
    noise = generator.normal(0, sigma, (*image.shape[:2], 1))
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def blank(height_px: int, width_px: int, level: float, sigma: float, generator: np.random.Generator) -> _Image:
    """An image of nothing: one gray level and noise."""
    ground: Float64[np.ndarray, "y x 1"] = generator.normal(level, sigma, (height_px, width_px, 1))
    return np.repeat(np.clip(np.rint(ground), 0, 255).astype(np.uint8), 3, axis=2)


def filled(image: _Image, height_px: int, width_px: int) -> _Resized:
    """Mirrored at its far edges up to a size, as a small image fills a field."""
    height, width = image.shape[:2]
    rows, columns = max(height, height_px), max(width, width_px)
    return image[mirror_indices(0, rows, height)][:, mirror_indices(0, columns, width)]
