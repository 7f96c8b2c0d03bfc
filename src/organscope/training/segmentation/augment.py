"""Vary how training crops look: color first, then the microscope's faults. Keras operations only."""

import numpy as np
from keras import ops

from organscope.training.segmentation.config import AugmentationSettings

STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], np.float32)
"""Optical density of haematoxylin, eosin and DAB in red, green and blue (Ruifrok and Johnston 2001)."""

_PATCHES = 2.5
"""How much the brown of a crop varies over it."""

_PALE = 0.5
"""The counterstain of brown crops is up to so much paler than haematoxylin beside eosin."""

_COLORED = 0.03
"""Mean difference between the strongest and the weakest channel from which a crop counts as colored."""


def vary_appearance(images, settings: AugmentationSettings, random: np.random.Generator):
    """Vary stain, light and sharpness of a batch of crops.

    Args:
        images: float32 (n, y, x, 3) in [0, 1].
        settings: Largest amounts.
        random: Draws the amounts, so that a resumed training goes on alike.

    Returns:
        A tensor of the same shape and range.
    """
    images = _vary_color(images, settings, random)
    if settings.illumination > 0:
        images = images * (1 + _draw_light(images.shape, settings.illumination, random))
    return _vary_sharpness(images, settings, random)


def _vary_color(images, settings: AugmentationSettings, random: np.random.Generator):
    """Stain and gamma in optical density, where both are linear, then gray, contrast and brightness."""
    n = images.shape[0]
    matrix, turned, offset, brown = _draw_stain(n, settings, random)
    density = -ops.log(ops.maximum(images, 0.004))
    # An image without color has no stain to turn.
    spread = ops.mean(ops.max(images, axis=-1) - ops.min(images, axis=-1), axis=(1, 2))
    colored = (spread > _COLORED)[:, None, None, None]
    shown = ops.matmul(density, ops.where(colored, turned, matrix)) + offset
    if brown.any():
        # Where nothing binds, the brown is missing altogether, and the counterstain lies on white.
        bound = np.maximum(_draw_light(images.shape, _PATCHES, random), -1)
        shown += ops.where(colored, ops.matmul(density, brown) * bound, 0.0)
    images = ops.exp(-ops.maximum(shown, 0))
    gray = _column(random.random(n) < settings.gray)
    gain = _column(1 + random.uniform(-settings.contrast, settings.contrast, n))
    shift = _column(random.uniform(-settings.brightness, settings.brightness, n))
    brightness = ops.mean(images, axis=-1, keepdims=True)
    mean = ops.mean(brightness, axis=(1, 2), keepdims=True)
    return images * (gain * (1 - gray)) + brightness * (gain * gray) + (mean * (1 - gain) + shift)


def _draw_stain(n: int, settings: AugmentationSettings, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    """How the stains of each crop vary (Tellez et al. 2019), and its gamma.

    Returns:
        The 3 x 3 matrices from density to density, the same with the stains' colors turned too, the offsets, and the
        part of the second matrices that shows brown, 0 for most crops.
    """
    gain = 1 + random.uniform(-settings.stain, settings.stain, (n, 1, 3, 1))
    offset = random.uniform(-settings.stain, settings.stain, (n, 1, 1, 3)) * 0.2
    gamma = _column(settings.gamma ** random.uniform(-1, 1, n))
    colors = np.tile(STAINS, (n, 1, 1, 1))
    browned = random.random(n) < settings.brown
    colors[browned, :, 1] = STAINS[2]
    gain[browned, :, 0] *= 1 - random.uniform(0, _PALE, (browned.sum(), 1, 1))
    strength = np.linalg.norm(colors, axis=-1, keepdims=True)
    colors = np.maximum(colors + random.uniform(-settings.stain_colour, settings.stain_colour, colors.shape), 0)
    colors *= strength / np.linalg.norm(colors, axis=-1, keepdims=True)
    unmix = np.linalg.inv(STAINS)
    matrices = [(unmix @ (gain * shown) * gamma).astype(np.float32) for shown in (STAINS, colors)]
    brown = unmix[:, 1:2] @ (gain * colors * gamma)[:, :, 1:2] * _column(browned)
    return *matrices, (offset @ STAINS * gamma).astype(np.float32), brown.astype(np.float32)


def _draw_light(shape: tuple[int, ...], most: float, random: np.random.Generator) -> np.ndarray:
    """Smooth fields (n, y, x, 1) of at most `most`: parabolas in both directions, in Bernstein form."""
    fields = random.uniform(-most, most, (shape[0], 3, 3))
    for axis in (1, 2):
        t = np.linspace(0, 1, shape[axis])
        basis = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2])
        fields = np.moveaxis(np.tensordot(fields, basis, axes=(axis, 0)), -1, axis)
    return fields[..., None].astype(np.float32)


def _vary_sharpness(images, settings: AugmentationSettings, random: np.random.Generator):
    """Blur half of the batches, each crop by its own share, and add noise."""
    n = images.shape[0]
    if settings.blur_px > 0 and random.random() < 0.5:
        sigma = float(random.uniform(min(0.3, settings.blur_px), settings.blur_px))
        share = _column(random.random(n))
        images = images + (_blur(images, sigma) - images) * share
    sigma = random.uniform(0, settings.noise, (n, 1, 1, 1))
    noise = random.standard_normal(images.shape, dtype=np.float32) * sigma.astype(np.float32)
    return ops.clip(images + noise, 0, 1)


def _blur(images, sigma_px: float):
    """A Gaussian of 7 px, mirrored at the edges. That of `keras.ops.image` (3.15) differs between backends."""
    weight = np.exp(-0.5 * (np.arange(-3, 4) / sigma_px) ** 2).astype(np.float32)
    kernel = np.tile((weight / weight.sum())[:, None, None, None], (1, 1, images.shape[-1], 1))
    padded = ops.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    return ops.depthwise_conv(ops.depthwise_conv(padded, kernel), kernel.transpose(1, 0, 2, 3))


def _column(values) -> np.ndarray:
    return np.asarray(values, np.float32).reshape(-1, 1, 1, 1)
