"""At which scale the network should see an image: cells about as large as those that it was trained on.

What a person says about the size of cells goes before what pixel sizes tell, and this before an estimate.
"""

from dataclasses import dataclass
from typing import Literal

from organscope.errors import UsageError
from organscope.io import Image
from organscope.models import Bundle
from organscope.ops.pixel_size import pixel_size_text, side_um, squaring_factors

_FACTORS = (1 / 16, 8.0)
"""Scales that are possible; beyond them one of the sizes is a mistake."""

_CLOSE = 1.1
"""Sizes within this ratio are the same: resampling would cost more sharpness than the network's training with
crops of many sizes leaves to gain."""


_ScaleSource = Literal["as trained", "cell diameter", "pixel size", "estimated"]


@dataclass(frozen=True)
class Sizing:
    """What is known about the size of cells.

    Attributes:
        diameter_px: Typical diameter of the cells in pixels of the image; None where nobody said it.
        automatic: Estimate it from the image where neither this nor pixel sizes tell.
    """

    diameter_px: float | None = None
    automatic: bool = True


@dataclass(frozen=True)
class Scale:
    """How the network sees an image.

    Attributes:
        factor: Pixels that the network sees for one of the image, along each axis; where pixels are not square, of
            the square pixels of the same area.
        source: Where it comes from; `as trained` where the factor is 1.
        note: One sentence for a person; empty where the image is seen as it is.
        stretch: Pixels along y and x for one of the image that make its pixels square before the factor is applied.
    """

    factor: float = 1.0
    source: _ScaleSource = "as trained"
    note: str = ""
    stretch: tuple[float, float] = (1.0, 1.0)

    @property
    def factors(self) -> tuple[float, float]:
        """Pixels that the network sees for one of the image, along y and x."""
        return self.factor * self.stretch[0], self.factor * self.stretch[1]

    @property
    def resamples(self) -> bool:
        """Whether the network sees anything but the image as it is."""
        return self.factors != (1.0, 1.0)


def unscaled(image: Image) -> Scale:
    """The image at its own scale; resampled only where pixels are not square."""
    return _scale(image, 1.0, "as trained", "")


def known_scale(image: Image, bundle: Bundle, sizing: Sizing) -> Scale | None:
    """The scale that follows from a given diameter or from pixel sizes; None where it must be estimated.

    Raises:
        UsageError: A diameter is given but the bundle does not say what it was trained on, or the sizes differ
            so much that one must be wrong.
    """
    manifest = bundle.manifest
    trained_px, trained_um = manifest.segmentation.typical_diameter_px, manifest.um_per_px
    if sizing.diameter_px is not None:
        trained_px = require_diameter(bundle)
        what = f"cells of {sizing.diameter_px:g} px, {trained_px:.0f} px in training"
        return _scale(image, trained_px / sizing.diameter_px, "cell diameter", what)
    if image.um_per_px is not None and trained_um is not None:
        what = f"pixels of {pixel_size_text(image.um_per_px)}, {trained_um:g} um in training"
        return _scale(image, side_um(image.um_per_px) / trained_um, "pixel size", what)
    return None if sizing.automatic and trained_px is not None else unscaled(image)


def require_diameter(bundle: Bundle) -> float:
    """How large the cells of a bundle's training were, in pixels; one that does not say so is refused.

    Raises:
        UsageError: It does not.
    """
    if (trained_px := bundle.manifest.segmentation.typical_diameter_px) is None:
        raise UsageError(
            f"Expected a bundle that says how large its cells were, found none of it in '{bundle.manifest.name}'. "
            "Leave --diameter-px out, or train the bundle again with this version."
        )
    return trained_px


def estimated_scale(image: Image, factor: float, diameter_px: float, trained_px: float) -> Scale:
    """The scale that an estimate of the cells' diameter led to."""
    return _scale(
        image, factor, "estimated", f"cells look about {diameter_px:.0f} px wide, {trained_px:.0f} px in training"
    )


def _scale(image: Image, factor: float, source: _ScaleSource, what: str) -> Scale:
    if not _FACTORS[0] <= factor <= _FACTORS[1]:
        raise UsageError(
            f"Expected cells or pixels at most {1 / _FACTORS[0]:.0f} times as large and "
            f"{_FACTORS[1]:.0f} times as small "
            f"as in training, found {what}. Check --diameter-px and --um-per-px."
        )
    stretch = squaring_factors(image.um_per_px)
    squared = "" if stretch == (1.0, 1.0) else "The network saw the image resampled to square pixels."
    if 1 / _CLOSE <= factor <= _CLOSE:
        return Scale(note=squared, stretch=stretch)
    note = f"The network saw the image at {factor:.2g} times its size: {what}."
    return Scale(factor, source, f"{note} {squared}".strip(), stretch)
