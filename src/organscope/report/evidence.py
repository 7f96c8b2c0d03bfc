"""What speaks for an organ, as colour over the tissue."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image as Picture

MAX_SIDE_PX = 1024
#: Orange speaks for the organ, blue against it (Okabe and Ito 2008: told apart with any colour vision).
FOR, AGAINST = (213, 94, 0), (0, 114, 178)
#: How strong the strongest colour is, and how much the tissue is faded below it.
STRONGEST, FADED = 0.75, 0.35
#: A value up to which evidence lies in all but one of this many pixels has the strongest colour.
ONE_IN = 200
#: In units of the logit: where all evidence is weaker than this, it stays pale.
WEAK = 1.0
GRAY_LEVELS, STRENGTHS = 16, 7


def draw_evidence(picture: UInt8[np.ndarray, "y x 3"], evidence: Float32[np.ndarray, "v u"]) -> Picture.Image:
    """Evidence over the tissue in gray.

    Args:
        picture: The image in its display range, of the proportions of the evidence and at least of its size.
        evidence: In units of the logit; above 0 speaks for the organ, below 0 against it.

    Returns:
        A picture with a palette, of the size of the evidence.
    """
    size = (evidence.shape[1], evidence.shape[0])
    gray = np.asarray(Picture.fromarray(picture).convert("L").resize(size, Picture.Resampling.BOX))
    largest = max(float(np.quantile(np.abs(evidence), 1 - 1 / ONE_IN)), WEAK)
    strength = np.rint(np.clip(evidence / largest, -1, 1) * STRENGTHS).astype(np.int64) + STRENGTHS
    drawn = Picture.fromarray((strength * GRAY_LEVELS + gray // (256 // GRAY_LEVELS)).astype(np.uint8))
    drawn.putpalette(_palette().tobytes())
    return drawn


def write_evidence(path: Path, drawn: Picture.Image) -> None:
    """Write the picture as PNG, lightly compressed."""
    drawn.save(path, format="PNG", compress_level=3)


def _palette() -> UInt8[np.ndarray, "entry 3"]:
    """All shades of the tissue for each strength, from the strongest against to the strongest for."""
    gray = (np.arange(GRAY_LEVELS) + 0.5) * 256 / GRAY_LEVELS
    tissue = np.repeat((1 - FADED) * gray[:, None] + FADED * 255, 3, axis=1)
    steps = np.arange(-STRENGTHS, STRENGTHS + 1) / STRENGTHS
    mixed = [
        (1 - STRONGEST * abs(step)) * tissue + STRONGEST * abs(step) * np.array(FOR if step > 0 else AGAINST)
        for step in steps
    ]
    return np.rint(np.concatenate(mixed)).astype(np.uint8)
