"""What an expert should know of a picture before trusting what was found in it."""

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import gaussian_filter

from organscope.images import Image
from organscope.ops.preprocess import scale_intensity, to_rgb

VIEW_PX = 1024
#: Below this spread of gray, of 1, there is hardly anything to see; tissue has 0.1 and more.
BLANK_SPREAD = 0.02
#: Sharp tissue and cells keep up to 0.76 of their change from pixel to pixel when they are blurred once more, pictures
#: out of focus by 2.5 px 0.79 and more (40 of NuInsSeg, 30 of DSB2018).
MAX_KEPT_CHANGE = 0.78
AGAIN_PX = 2.0
MIN_SIDE_PX = 16


def quality_flags(image: Image, shown: tuple[float, float]) -> list[dict[str, str]]:
    """Blank and blurred pictures, each with a sentence; none where nothing is wrong.

    Sharpness is judged at full resolution in the middle: how much of the change between neighbouring pixels is left
    when the picture is blurred once more (Crete et al., The blur effect, SPIE 2007). Exposure and stain do not count.
    """
    if min(image.height_px, image.width_px) < MIN_SIDE_PX:
        return [{"flag": "tiny", "reason": f"only {image.height_px} x {image.width_px} px"}]
    gray = _middle(image, shown)
    # Few nuclei on a dark ground may all lie outside of the middle.
    if float(gray.std()) < BLANK_SPREAD and float(_glance(image, shown).std()) < BLANK_SPREAD:
        return [{"flag": "blank", "reason": "nearly blank: there is too little contrast to see tissue"}]
    if _change(gaussian_filter(gray, AGAIN_PX)) > MAX_KEPT_CHANGE * _change(gray):
        return [{"flag": "blur", "reason": "out of focus: blurring it once more changes little"}]
    return []


def _glance(image: Image, shown: tuple[float, float]) -> Float32[np.ndarray, "y x"]:
    return scale_intensity(to_rgb(image.displayed(image.thumbnail(VIEW_PX))), *shown).mean(axis=2)


def _change(gray: Float32[np.ndarray, "y x"]) -> float:
    return float(np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean())


def _middle(image: Image, shown: tuple[float, float]) -> Float32[np.ndarray, "y x"]:
    height, width = min(VIEW_PX, image.height_px), min(VIEW_PX, image.width_px)
    pixels = image.read((image.height_px - height) // 2, (image.width_px - width) // 2, height, width)
    return scale_intensity(to_rgb(image.displayed(pixels)), *shown).mean(axis=2)
