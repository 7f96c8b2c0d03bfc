"""A drawn picture that looks like stained tissue, and a cover made from it: nobody else's picture travels along."""

import io

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image, ImageDraw
from scipy import ndimage

from organscope.bundle.load import Bundle
from organscope.ops.instances import decode_cells
from organscope.ops.measure import cell_outlines
from organscope.ops.preprocess import Preprocessing, intensity_range, scale_intensity, standardise

GROUND = np.array([232.0, 176.0, 208.0])
NUCLEUS = np.array([96.0, 64.0, 140.0])
COVER_PX = 320
OUTLINE = (255, 230, 0)


def draw_picture(height_px: int, width_px: int, n_nuclei: int | None = None) -> UInt8[np.ndarray, "y x 3"]:
    """Dark ellipses on an uneven pink ground; the same at every call.

    Args:
        height_px: Of the picture.
        width_px: Of the picture.
        n_nuclei: As many as fit loosely where left out; one lies in the middle.
    """
    random = np.random.default_rng(7)
    y, x = np.mgrid[:height_px, :width_px]
    amount = np.zeros((height_px, width_px))
    count = max(1, height_px * width_px // 900) if n_nuclei is None else n_nuclei
    for number in range(count):
        place = np.array([height_px, width_px]) * (random.random(2) if number else 0.5)
        long, short, angle = random.uniform(8, 13), random.uniform(6, 9), random.uniform(0, np.pi)
        along = (x - place[1]) * np.cos(angle) + (y - place[0]) * np.sin(angle)
        across = (y - place[0]) * np.cos(angle) - (x - place[1]) * np.sin(angle)
        amount = np.maximum(amount, (along / long) ** 2 + (across / short) ** 2 < 1)
    amount = ndimage.gaussian_filter(amount, 1)[..., None]
    texture = ndimage.gaussian_filter(random.standard_normal((height_px, width_px)), 3)[..., None]
    pixels = GROUND * (1 - amount) + NUCLEUS * amount + 60 * texture + random.normal(0, 4, (height_px, width_px, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def prepare(pixels: UInt8[np.ndarray, "y x 3"], spec: Preprocessing) -> np.ndarray:
    """A whole picture as the network takes it, float32 (1, y, x, 3)."""
    low, high = intensity_range(pixels, spec, (0.0, 255.0))
    return np.ascontiguousarray(standardise(scale_intensity(pixels, low, high), spec))[None]


def draw_cover(bundle: Bundle, pixels: UInt8[np.ndarray, "y x 3"], outputs: dict[str, np.ndarray]) -> bytes:
    """PNG: the picture, and beside it what the network makes of it (cells, or the most probable classes)."""
    left = Image.fromarray(pixels)
    if bundle.manifest.spec.task == "segmentation":
        right = _outlined(left, decode_cells(outputs["maps"][0], bundle.manifest.spec.decoder))
    else:
        right = _bars(outputs["logits"][0], bundle.manifest.classes)
    cover = Image.new("RGB", (2 * COVER_PX, COVER_PX), "white")
    for number, picture in enumerate((left, right)):
        cover.paste(picture.resize((COVER_PX, COVER_PX), Image.Resampling.BICUBIC), (number * COVER_PX, 0))
    content = io.BytesIO()
    cover.save(content, "PNG", optimize=True)
    return content.getvalue()


def _outlined(picture: Image.Image, labels: Int32[np.ndarray, "y x"]) -> Image.Image:
    outlined = picture.copy()
    draw = ImageDraw.Draw(outlined)
    for outline in cell_outlines(labels):
        draw.line([(float(x), float(y)) for x, y in outline], fill=OUTLINE, width=1)
    return outlined


def _bars(logits: np.ndarray, classes: list[str]) -> Image.Image:
    """The eight most probable classes as bars."""
    probability = np.exp(logits - logits.max())
    probability /= probability.sum()
    picture = Image.new("RGB", (COVER_PX, COVER_PX), "white")
    draw = ImageDraw.Draw(picture)
    for row, number in enumerate(np.argsort(-probability)[:8]):
        top = 12 + row * 38
        draw.rectangle((12, top + 14, 12 + int(280 * probability[number]), top + 28), fill=(110, 70, 150))
        draw.text((12, top), classes[number], fill="black")
    return picture
