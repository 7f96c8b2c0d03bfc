"""What an expert should know of a picture before trusting what was found in it."""

import numpy as np
from jaxtyping import Float32

from organscope.images import Image
from organscope.ops.preprocess import scale_intensity
from organscope.web.pyramid import as_rgb

VIEW_PX = 1024
#: Below this spread of gray, of 1, there is hardly anything to see; tissue has 0.1 and more.
BLANK_SPREAD = 0.02
#: Tissue changes from pixel to pixel by more than this share of its own spread, unless it is out of focus.
BLUR_SHARE = 0.03
BLOCK_PX = 64
MIN_SIDE_PX = 16


def quality_flags(image: Image, shown: tuple[float, float]) -> list[dict[str, str]]:
    """Blank and blurred pictures, each with a sentence; none where nothing is wrong.

    Sharpness is judged at full resolution, in the middle and around it, where the picture has most contrast: the mean
    change between neighbouring pixels over two pixels apart (Brenner et al., J. Histochem. Cytochem. 1976, as a share
    of the spread of the gray values, so that neither exposure nor stain counts).
    """
    if min(image.height_px, image.width_px) < MIN_SIDE_PX:
        return [{"flag": "tiny", "reason": f"only {image.height_px} x {image.width_px} px"}]
    gray = _middle(image, shown)
    spread = float(gray.std())
    if spread < BLANK_SPREAD:
        return [{"flag": "blank", "reason": "nearly blank: there is too little contrast to see tissue"}]
    change = np.abs(gray[:, 2:] - gray[:, :-2]).mean() + np.abs(gray[2:] - gray[:-2]).mean()
    if change / (2 * spread) < BLUR_SHARE * 4:
        return [{"flag": "blur", "reason": "out of focus: hardly any change between neighbouring pixels"}]
    return []


def _middle(image: Image, shown: tuple[float, float]) -> Float32[np.ndarray, "y x"]:
    height, width = min(VIEW_PX, image.height_px), min(VIEW_PX, image.width_px)
    pixels = image.read((image.height_px - height) // 2, (image.width_px - width) // 2, height, width)
    return scale_intensity(as_rgb(pixels), *shown).mean(axis=2)
