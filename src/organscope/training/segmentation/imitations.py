"""Images of stains and microscopes that no labeled set shows, imitated from labeled images of others.

H&E is unmixed into its two stains as each slide shows them (Macenko et al., A method for normalizing histology slides
for quantitative analysis, ISBI 2009). With known nuclei it is then shown as another laboratory stains it, as
immunohistochemistry (haematoxylin and the brown of DAB), or as fluorescence of DNA. Labeled nuclei of fluorescence are
composed into tissue in which they lie wall to wall, over others out of focus.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy import ndimage
from skimage.segmentation import expand_labels

_DAB = np.array([0.27, 0.57, 0.78])
_COUNTERSTAIN = np.array([0.68, 0.66, 0.30])
"""Optical densities of DAB and of haematoxylin alone (Ruifrok and Johnston 2001; haematoxylin somewhat bluer)."""

_LEAST_DENSITY = 0.15
"""Paler pixels show no stain (Macenko et al. 2009)."""

_GRAIN_PX = 1.0
"""Standard deviation of the Gaussian that takes away grain before stains are told apart."""


@dataclass(frozen=True)
class Stains:
    """How one slide shows haematoxylin and eosin.

    Attributes:
        colors: 2 x 3 unit vectors of optical density.
        strengths: The 99th percentile of the amount of each.
    """

    colors: Float[np.ndarray, "2 3"]
    strengths: Float[np.ndarray, " 2"]

    @classmethod
    def of(cls, image: UInt8[np.ndarray, "y x 3"]) -> "Stains | None":
        """Those of an image; None where too little of it is stained."""
        density = optical_density(image)[::2, ::2].reshape(-1, 3)
        stained = density[(density > _LEAST_DENSITY).all(axis=1)]
        if len(stained) < 1000:
            return None
        _, vectors = np.linalg.eigh(np.cov(stained.T))
        plane = vectors[:, 2:0:-1]
        plane = plane * np.where(plane.sum(axis=0) < 0, -1, 1)
        at = stained @ plane
        low, high = np.percentile(np.arctan2(at[:, 1], at[:, 0]), (1, 99))
        colors = np.stack([plane @ (np.cos(angle), np.sin(angle)) for angle in (low, high)])
        # Haematoxylin takes more of the red than eosin does.
        colors = np.maximum(colors[np.argsort(-colors[:, 0])], 0.01)
        colors /= np.linalg.norm(colors, axis=1, keepdims=True)
        strengths = np.percentile(stained @ np.linalg.pinv(colors), 99, axis=0)
        return cls(colors, np.maximum(strengths, 0.1))

    def amounts(self, image: UInt8[np.ndarray, "y x 3"]) -> Float[np.ndarray, "y x 2"]:
        """Of both stains at each pixel, from 0; 1 is strong on this slide."""
        # Stains of close colors make grain of compression and cameras much larger.
        smooth = ndimage.gaussian_filter(optical_density(image), (_GRAIN_PX, _GRAIN_PX, 0))
        return np.maximum(smooth @ np.linalg.pinv(self.colors), 0) / self.strengths


def optical_density(image: UInt8[np.ndarray, "y x 3"]) -> Float[np.ndarray, "y x 3"]:
    """Natural logarithm of white over the intensity, at least of 1 of 255."""
    return -np.log(np.maximum(image, 1) / 255.0)


def restain(
    image: UInt8[np.ndarray, "y x 3"], own: Stains, other: Stains, random: np.random.Generator
) -> UInt8[np.ndarray, "y x 3"]:
    """An image in the stains of another slide, the strength of each varied by up to a quarter."""
    amounts = own.amounts(image) * other.strengths * random.uniform(0.75, 1.25, 2)
    return _transmitted(amounts @ other.colors)


BrownKind = Literal["nuclei", "membranes", "cytoplasm", "sheet", "none"]
"""What is brown: nuclei, rings of membrane around some, cytoplasm of some; a whole sheet of cells but for its nuclei,
as keratin or E-cadherin in epithelium; nothing."""


def immunostain(
    image: UInt8[np.ndarray, "y x 3"],
    labels: Int[np.ndarray, "y x"],
    own: Stains,
    random: np.random.Generator,
    kind: BrownKind | None = None,
) -> UInt8[np.ndarray, "y x 3"]:
    """H&E as immunohistochemistry: a blue counterstain, and brown where an antibody would bind.

    Args:
        image: H&E.
        labels: Its nuclei.
        own: Its stains.
        random: Draws strengths and places.
        kind: What is brown; one of all but `sheet` is drawn where None.
    """
    amounts = own.amounts(image)
    blue, eosin = amounts[..., 0], amounts[..., 1]
    counterstain = blue * random.uniform(0.3, 1.0) + eosin * random.uniform(0, 0.12)
    counterstain = np.where(labels > 0, counterstain, counterstain * random.uniform(0.3, 0.8))
    kind = kind or random.choice(["nuclei", "membranes", "cytoplasm", "none"], p=[0.55, 0.15, 0.15, 0.15])
    brown = _brown(kind, labels, blue, eosin, random)
    brown += random.uniform(0, 0.12) * (eosin + blue) * _cloud(labels.shape, 60, random)
    colors = [_turned(color, 0.12, random) for color in (_COUNTERSTAIN, _DAB)]
    # Brown lies over the counterstain and hides part of it.
    counterstain = counterstain * np.exp(-random.uniform(0.2, 1.0) * brown)
    density = counterstain[..., None] * colors[0] * random.uniform(0.7, 1.4) + brown[..., None] * colors[1]
    density = ndimage.gaussian_filter(density, (*2 * (random.uniform(0, 0.8),), 0))
    return _transmitted(density + random.uniform(0, 0.08))


def fluoresce(
    image: UInt8[np.ndarray, "y x 3"], labels: Int[np.ndarray, "y x"], own: Stains, random: np.random.Generator
) -> UInt8[np.ndarray, "y x"]:
    """H&E as fluorescence of DNA: haematoxylin shines, nuclei each by their own strength, the rest faintly."""
    blue = ndimage.gaussian_filter(own.amounts(image)[..., 0], random.uniform(0.5, 1.5))
    of_cell = random.lognormal(0, random.uniform(0.1, 0.5), labels.max() + 1)
    inside = ndimage.gaussian_filter((labels > 0).astype(float), random.uniform(0.5, 1.5))
    shine = (random.uniform(0.2, 0.7) + blue) * inside * ndimage.gaussian_filter(of_cell[labels], 1)
    shine += random.uniform(0, 0.35) * blue * (1 - inside)
    return _exposed(shine, random)


@dataclass(frozen=True)
class Nucleus:
    """One labeled nucleus: how bright it is, 0 to 1, and what of the rectangle around it belongs to it."""

    light: Float[np.ndarray, "y x"]
    mask: Float[np.ndarray, "y x"]


def cut_nuclei(image: UInt8[np.ndarray, "y x"], labels: Int[np.ndarray, "y x"], n: int) -> list[Nucleus]:
    """Up to `n` whole nuclei of an image, at least 10 px wide."""
    found, background = [], np.percentile(image, 5)
    for cell, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or len(found) == n:
            continue
        ends = zip(box, labels.shape, strict=True)
        touches_edge = any(side.start == 0 or side.stop == length for side, length in ends)
        mask = labels[box] == cell
        if touches_edge or min(mask.shape) < 10:
            continue
        light = np.where(mask, np.maximum(image[box] - background, 0), 0).astype(float)
        top = np.percentile(light[mask], 95)
        if top >= 10:
            found.append(Nucleus(np.minimum(light / top, 1.5), mask.astype(float)))
    return found


def compose_tissue(
    nuclei: list[Nucleus], side_px: int, random: np.random.Generator
) -> tuple[UInt8[np.ndarray, "y x"], Int[np.ndarray, "y x"]]:
    """Tissue of nuclei that lie close or wall to wall, over others that are out of focus.

    Returns:
        The image, and its label image; of nuclei that overlap the upper one has the pixels.
    """
    diameter_px = float(np.exp(random.uniform(np.log(11), np.log(48))))
    tissue = _cloud((side_px, side_px), random.uniform(60, 200), random) > random.uniform(0, 0.6)
    spacing = random.uniform(0.7, 1.15)
    light, labels = _scatter(nuclei, tissue, diameter_px, spacing, random)
    behind, _ = _scatter(nuclei, tissue, diameter_px, random.uniform(0.8, 1.4), random)
    shine = ndimage.gaussian_filter(light, random.uniform(0.3, 0.06 * diameter_px))
    blurred = ndimage.gaussian_filter(behind, random.uniform(0.15, 0.6) * diameter_px)
    shine += random.uniform(0, 0.9) * blurred
    shine += random.uniform(0, 0.3) * ndimage.gaussian_filter(light, diameter_px)
    return _exposed(shine, random), labels


def compose_stained(
    nuclei: list[Nucleus], slides: list[Stains], side_px: int, random: np.random.Generator
) -> tuple[UInt8[np.ndarray, "y x 3"], Int[np.ndarray, "y x"]]:
    """A section of crowded epithelium and of looser tissue around it: immunohistochemistry, or H&E of one of `slides`.

    Returns:
        The image, and its label image; of nuclei that overlap the upper one has the pixels.
    """
    diameter_px = float(np.exp(random.uniform(np.log(9), np.log(36))))
    shape = (side_px, side_px)
    crowded = _cloud(shape, random.uniform(60, 250), random) > random.uniform(0.1, 0.7)
    blue, labels = _scatter(nuclei, crowded, diameter_px, random.uniform(0.75, 1.3), random, random.uniform(1, 2.2))
    loose = ~crowded & (_cloud(shape, random.uniform(40, 200), random) > random.uniform(0, 0.5))
    around, others = _scatter(
        nuclei, loose, diameter_px * random.uniform(0.6, 1), random.uniform(1.3, 3), random, random.uniform(1, 3)
    )
    labels = _largest_pieces(np.where(others > 0, others + labels.max(), labels))
    behind, _ = _scatter(nuclei, crowded | loose, diameter_px, random.uniform(1, 2), random)
    blue = np.maximum(blue, around * (others > 0)) * random.uniform(0.5, 1.2)
    blue += random.uniform(0, 0.5) * ndimage.gaussian_filter(behind, random.uniform(0.15, 0.5) * diameter_px)
    fibers = _cloud(shape, random.uniform(3, 10), random) * _cloud(shape, random.uniform(20, 80), random)
    eosin = np.where(crowded | loose, 0.3 + 0.7 * fibers, 0.05)
    density = _counterstained(blue, eosin, labels, crowded, slides, random)
    density = ndimage.gaussian_filter(density, (*2 * (random.uniform(0.3, 0.09 * diameter_px),), 0))
    density += random.normal(0, random.uniform(0, 0.04), density.shape)
    return _transmitted(density + random.uniform(0, 0.08)), labels


def _counterstained(
    blue: np.ndarray,
    eosin: np.ndarray,
    labels: np.ndarray,
    crowded: np.ndarray,
    slides: list[Stains],
    random: np.random.Generator,
) -> np.ndarray:
    """Optical density (y, x, 3): every third as H&E, the others blue with brown where an antibody would bind."""
    if random.random() < 1 / 3:
        slide = slides[random.integers(len(slides))]
        amounts = np.stack([blue * random.uniform(0.5, 1.2), eosin * random.uniform(0.2, 0.9)], axis=-1)
        return (amounts * slide.strengths) @ slide.colors
    kind = random.choice(["nuclei", "sheet", "membranes", "none"], p=[0.2, 0.5, 0.15, 0.15])
    brown = _brown(kind, labels, blue, eosin, random)
    if kind == "sheet":
        brown *= crowded
    brown += random.uniform(0, 0.12) * eosin
    stain, dab = (_turned(color, 0.12, random) for color in (_COUNTERSTAIN, _DAB))
    pale = blue * random.uniform(0.35, 1.2) + eosin * random.uniform(0, 0.2)
    pale = pale * np.exp(-random.uniform(0.2, 1.0) * brown)
    return pale[..., None] * stain + brown[..., None] * dab


def _scatter(
    nuclei: list[Nucleus],
    tissue: np.ndarray,
    diameter_px: float,
    spacing: float,
    random: np.random.Generator,
    stretch: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Light and labels of nuclei on a jittered grid of `spacing` diameters, in random order.

    Stretched `stretch` times along one direction; by chance where None.
    """
    shape = tissue.shape
    light, labels = np.zeros(shape), np.zeros(shape, np.int32)
    step = diameter_px * spacing
    grid = np.stack(np.meshgrid(*(np.arange(0, length + step, step) for length in shape), indexing="ij"), -1)
    places = grid.reshape(-1, 2) + random.normal(0, 0.22 * step, (grid.size // 2, 2))
    main_angle = random.uniform(0, 360)
    stretch = stretch or random.uniform(1, 1.6)
    spread, bright = random.uniform(0.08, 0.25), random.uniform(0.1, 0.5)
    adds = random.uniform(0.2, 1)
    for place in random.permutation(places):
        y, x = np.clip(place.astype(int), 0, np.array(shape) - 1)
        if not tissue[y, x]:
            continue
        size_px = diameter_px * random.lognormal(0, spread)
        nucleus = _placed(nuclei[random.integers(len(nuclei))], size_px, stretch, main_angle, random)
        _paste(nucleus, place, light, labels, random.lognormal(0, bright), adds)
    return light, _largest_pieces(labels)


def _placed(nucleus: Nucleus, diameter_px: float, stretch: float, angle: float, random: np.random.Generator) -> Nucleus:
    """A nucleus of another size, turned, and stretched along one direction."""
    factor = diameter_px / np.sqrt(4 * nucleus.mask.sum() / np.pi)
    turn = random.uniform(0, 360)
    parts = []
    for values in (nucleus.light, nucleus.mask):
        shown = Image.fromarray(values.astype(np.float32)).rotate(turn, Image.Resampling.BILINEAR, expand=True)
        sides = shown.width * factor * stretch**0.5, shown.height * factor / stretch**0.5
        shown = shown.resize([max(4, round(side)) for side in sides], Image.Resampling.BILINEAR)
        parts.append(np.asarray(shown.rotate(angle + turn % 20, Image.Resampling.BILINEAR, expand=True)))
    return Nucleus(*parts)


def _paste(
    nucleus: Nucleus, place: np.ndarray, light: np.ndarray, labels: np.ndarray, brightness: float, adds: float
) -> None:
    """Over what is there, of whose light a share of `adds` shines through."""
    shape = np.array(nucleus.mask.shape)
    start = (place - shape / 2).astype(int)
    low, high = np.maximum(start, 0), np.minimum(start + shape, light.shape)
    if (low >= high).any():
        return
    here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    there = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    mask = nucleus.mask[there]
    light[here] = light[here] * (1 - (1 - adds) * mask) + nucleus.light[there] * brightness
    labels[here][mask > 0.5] = labels.max() + 1


def _largest_pieces(labels: np.ndarray) -> np.ndarray:
    """Each nucleus as the largest piece that is seen of it, if that has 25 pixels or more."""
    kept = np.zeros_like(labels)
    for cell, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        pieces, n = ndimage.label(labels[box] == cell)
        sizes = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
        if sizes.max() >= 25:
            kept[box][pieces == sizes.argmax() + 1] = cell
    return kept


def _brown(
    kind: str, labels: np.ndarray, blue: np.ndarray, eosin: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Density of DAB in a share of the cells that varies over the image."""
    share = random.uniform(0.15, 1) * _cloud(labels.shape, 80, random) ** random.uniform(0, 1)
    area_px = np.maximum(np.bincount(labels.ravel()), 1)
    chosen = random.random(len(area_px)) < np.bincount(labels.ravel(), weights=share.ravel()) / area_px
    of_cell = chosen * random.lognormal(0, 0.4, len(area_px)) * random.uniform(0.6, 1.8)
    of_cell[0] = 0
    if kind == "none" or not labels.any():
        return np.zeros(labels.shape)
    if kind == "nuclei":
        texture = random.uniform(0.2, 0.8)
        edge = ndimage.gaussian_filter((labels > 0).astype(float), random.uniform(0.4, 1.2))
        return of_cell[labels] * (1 - texture + texture * np.minimum(blue, 1.5)) * edge
    if kind == "sheet":
        return _sheet(labels, eosin, random)
    grown = expand_labels(labels, int(random.integers(4, 12)))
    outside = of_cell[grown] * (labels == 0)
    if kind == "cytoplasm":
        return ndimage.gaussian_filter(outside * (0.4 + eosin), 1.0)
    inner = ndimage.minimum_filter(grown, 3) == ndimage.maximum_filter(grown, 3)
    return np.minimum(ndimage.gaussian_filter(outside * ~inner, random.uniform(0.8, 1.6)) * 2.5, 2.5)


def _sheet(labels: np.ndarray, eosin: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Density of DAB in a part of the tissue: cytoplasm, lines where cells meet, and a veil over the nuclei."""
    part = ndimage.gaussian_filter((_cloud(labels.shape, 140, random) > random.uniform(0, 0.6)).astype(float), 2)
    cells = expand_labels(labels, 60)
    meet = ndimage.minimum_filter(cells, 3) != ndimage.maximum_filter(cells, 3)
    lines = ndimage.gaussian_filter(meet.astype(float), random.uniform(0.8, 2.0))
    cytoplasm = (0.4 + 0.6 * eosin) * (0.5 + _cloud(labels.shape, random.uniform(4, 30), random))
    inside = ndimage.gaussian_filter((labels > 0).astype(float), random.uniform(0.6, 2.0))
    veil = 1 - random.uniform(0.3, 1.0) * inside
    brown = random.uniform(0.2, 1.2) * cytoplasm + random.uniform(0, 2.5) * lines
    return np.minimum(part * veil * brown, 2.5)


def _turned(color: np.ndarray, most: float, random: np.random.Generator) -> np.ndarray:
    turned = np.maximum(color + random.uniform(-most, most, 3), 0.02)
    return turned * np.linalg.norm(color) / np.linalg.norm(turned)


def _cloud(shape: tuple[int, ...], size_px: float, random: np.random.Generator) -> np.ndarray:
    """A smooth random field from 0 to 1."""
    coarse = random.random([max(2, int(length / size_px) + 2) for length in shape])
    field = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize(shape[::-1], Image.Resampling.BICUBIC))
    return np.clip((field - field.min()) / max(np.ptp(field), 1e-6), 0, 1)


def _transmitted(density: np.ndarray) -> np.ndarray:
    return np.round(255 * np.exp(-np.maximum(density, 0))).clip(0, 255).astype(np.uint8)


def _exposed(shine: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As a camera gives it: uneven light, background, a brightest level, shot noise and read noise."""
    shine = shine * (1 - random.uniform(0, 0.5) * _cloud(shine.shape, 250, random))
    shine = shine / np.percentile(shine, 99.8)
    seen = random.uniform(0, 0.25) + shine * random.uniform(0.3, 1)
    photons = np.exp(random.uniform(np.log(40), np.log(3000)))
    noisy = random.poisson(np.maximum(seen, 0) * photons) / photons + random.normal(0, 0.01, seen.shape)
    return np.round(200 * noisy).clip(0, 255).astype(np.uint8)
