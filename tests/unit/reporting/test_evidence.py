"""Evidence as color over the tissue."""

import numpy as np
from PIL import Image as PillowImage

from organscope.reporting.overlays import draw_evidence, write_evidence


def drawn(evidence: np.ndarray, tmp_path) -> np.ndarray:
    tissue = np.full((40, 60, 3), 128, np.uint8)
    write_evidence(tmp_path / "evidence.png", draw_evidence(tissue, evidence.astype(np.float32)))
    with PillowImage.open(tmp_path / "evidence.png") as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_orange_speaks_for_and_blue_against(tmp_path):
    evidence = np.zeros((20, 30))
    evidence[:, :10], evidence[:, 20:] = 4.0, -4.0
    image = drawn(evidence, tmp_path)
    assert image.shape == (20, 30, 3)
    assert image[5, 5].argmax() == 0
    assert image[5, 25].argmax() == 2
    assert np.ptp(image[5, 15]) == 0  # no evidence: gray


def test_weak_evidence_stays_pale(tmp_path):
    strong, weak = (drawn(np.full((20, 30), value), tmp_path) for value in (5.0, 0.3))
    assert np.ptp(strong[0, 0]) > 2 * np.ptp(weak[0, 0]) > 0
