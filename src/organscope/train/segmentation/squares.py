"""Turned, mirrored and scaled squares cut out of a picture."""

import numpy as np
from PIL import Image


def draw_square(random: np.random.Generator, zoom: float, rotate: bool) -> np.ndarray:
    """Draw the 2 x 2 matrix that leads from a crop's pixels (x, y) to the picture's, about the crop's centre."""
    scale = zoom ** random.uniform(-1, 1)
    angle = random.uniform(0, 2 * np.pi) if rotate else 0.0
    mirror = -1.0 if rotate and random.random() < 0.5 else 1.0
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    return np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])


def cut_square(
    image: np.ndarray, maps: np.ndarray, side_px: int, matrix: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a square at a random place, interpolated bilinearly; beyond the picture follows its mirror image.

    Args:
        image: uint8 (y, x, 3).
        maps: uint8 (y, x, k), cut at the same place.
        side_px: Side of the result.
        matrix: From the result's pixels to the picture's, see `draw_square`.
        random: Draws the place.

    Returns:
        uint8 (side, side, 3) and (side, side, k).
    """
    reach = int(np.ceil(np.abs(matrix).sum(axis=1).max() * side_px / 2)) + 1
    image, maps = (_grow(pixels, 2 * reach) for pixels in (image, maps))
    y, x = (random.integers(0, length - 2 * reach + 1) for length in image.shape[:2])
    window = slice(y, y + 2 * reach), slice(x, x + 2 * reach)
    centre = np.full(2, reach) - matrix @ np.full(2, side_px / 2)
    affine = (*matrix[0], centre[0], *matrix[1], centre[1])
    channels = [maps[window][:, :, k] for k in range(maps.shape[2])]
    return _warp(image[window], side_px, affine), np.stack([_warp(c, side_px, affine) for c in channels], axis=2)


def _grow(pixels: np.ndarray, side_px: int) -> np.ndarray:
    missing = [(side - side // 2, side // 2) for side in (max(0, side_px - n) for n in pixels.shape[:2])]
    return np.pad(pixels, [*missing, (0, 0)], mode="symmetric") if np.any(missing) else pixels


def _warp(pixels: np.ndarray, side_px: int, affine: tuple[float, ...]) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.transform((side_px, side_px), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR))
