"""Imitated stains and microscopes keep the labels where they are and show what they claim to show."""

import numpy as np
import pytest

from organscope.training.segmentation.imitations import (
    Stains,
    compose_stained,
    compose_tissue,
    cut_nuclei,
    fluoresce,
    immunostain,
    restain,
)

HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.27, 0.91, 0.31])


def _slide(rng, haematoxylin=HAEMATOXYLIN, eosin=EOSIN):
    """Discs of haematoxylin on eosin of changing strength, and their labels."""
    y, x = np.mgrid[:160, :160]
    labels = np.zeros((160, 160), np.int32)
    for cell, (at_y, at_x) in enumerate([(40, 40), (40, 110), (110, 40), (110, 110)], start=1):
        labels[(y - at_y) ** 2 + (x - at_x) ** 2 < 15**2] = cell
    blue = np.where(labels > 0, rng.uniform(0.9, 1.3, labels.shape), 0.02)
    pink = np.where(labels > 0, 0.05, rng.uniform(0.3, 0.9, labels.shape))
    density = blue[..., None] * haematoxylin + pink[..., None] * eosin
    return np.round(255 * np.exp(-density)).astype(np.uint8), labels


def test_stains_of_a_slide_are_found(rng):
    image, labels = _slide(rng)
    stains = Stains.of(image)
    for color, true in zip(stains.colors, (HAEMATOXYLIN, EOSIN), strict=True):
        assert color @ true / np.linalg.norm(true) > 0.99
    amounts = stains.amounts(image)
    assert amounts[labels > 0][:, 0].mean() > 5 * amounts[labels == 0][:, 0].mean()


def test_white_has_no_stains():
    assert Stains.of(np.full((64, 64, 3), 250, np.uint8)) is None


def test_restained_in_its_own_stains_it_is_nearly_the_same(rng):
    image, _ = _slide(rng)
    own = Stains.of(image)
    again = restain(image, own, own, np.random.default_rng(0)).astype(float)
    assert np.corrcoef(again.ravel(), image.ravel())[0, 1] > 0.9


def test_restained_has_the_colors_of_the_other_slide(rng):
    image, _ = _slide(rng)
    other = Stains.of(_slide(rng, haematoxylin=np.array([0.85, 0.5, 0.15]))[0])
    found = Stains.of(restain(image, Stains.of(image), other, np.random.default_rng(0)))
    assert found.colors[0] @ other.colors[0] > 0.99


def test_immunostained_nuclei_turn_brown_and_the_tissue_between_does_not(rng):
    image, labels = _slide(rng)
    own, browner = Stains.of(image), 0
    for seed in range(8):
        shown = immunostain(image, labels, own, np.random.default_rng(seed), "nuclei").astype(float)
        assert shown[labels == 0].mean() > shown[labels > 0].mean()
        browner += (shown[..., 0] - shown[..., 2])[labels > 0].max() > 40
    assert browner >= 3


def test_a_brown_sheet_leaves_its_nuclei_blue(rng):
    image, labels = _slide(rng)
    own, browner = Stains.of(image), []
    for seed in range(6):
        shown = immunostain(image, labels, own, np.random.default_rng(seed), "sheet").astype(float)
        red_over_blue = shown[..., 0] - shown[..., 2]
        browner.append(np.percentile(red_over_blue[labels == 0], 95) - np.percentile(red_over_blue[labels > 0], 95))
    assert np.median(browner) > 15


def test_the_kind_of_brown_is_drawn(rng):
    image, labels = _slide(rng)
    drawn = [immunostain(image, labels, Stains.of(image), np.random.default_rng(seed)) for seed in range(8)]
    assert sum((one[..., 0].astype(int) - one[..., 2]).max() > 40 for one in drawn) >= 3


def test_fluorescence_shines_where_nuclei_are(rng):
    image, labels = _slide(rng)
    shown = fluoresce(image, labels, Stains.of(image), np.random.default_rng(0))
    assert shown.dtype == np.uint8
    assert shown[labels > 0].mean() > 2 * shown[labels == 0].mean()


def test_composed_tissue_is_crowded_and_labeled_to_the_pixel(rng):
    _, labels = _slide(rng)
    nuclei = cut_nuclei(np.where(labels > 0, 180, 10).astype(np.uint8), labels, 4)
    assert len(nuclei) == 4
    touching = 0
    for seed in range(3):
        shown, cells = compose_tissue(nuclei, 160, np.random.default_rng(seed))
        assert shown.shape == cells.shape == (160, 160)
        assert np.bincount(cells.ravel())[1:][np.unique(cells)[1:] - 1].min() >= 25
        assert shown[cells > 0].mean() > shown[cells == 0].mean()
        right, left = cells[:, 1:], cells[:, :-1]
        touching += ((right != left) & (right > 0) & (left > 0)).any()
    assert touching >= 2


def test_a_composed_section_is_stained_and_labeled_to_the_pixel(rng):
    image, labels = _slide(rng)
    nuclei = cut_nuclei(np.where(labels > 0, 180, 10).astype(np.uint8), labels, 4)
    slides = [Stains.of(image)]
    darker, browner = 0, 0
    for seed in range(8):
        shown, cells = compose_stained(nuclei, slides, 160, np.random.default_rng(seed))
        assert shown.shape == (160, 160, 3)
        assert shown.dtype == np.uint8
        assert len(np.unique(cells)) > 10
        assert np.bincount(cells.ravel())[1:][np.unique(cells)[1:] - 1].min() >= 25
        red, blue = shown[..., 0].astype(int), shown[..., 2].astype(int)
        darker += red[cells > 0].mean() < red[cells == 0].mean()
        browner += (red - blue > 40).mean() > 0.02
    assert darker >= 7
    assert 1 <= browner < 8


@pytest.mark.parametrize("n", [0, 2])
def test_no_more_nuclei_than_asked_for(rng, n):
    _, labels = _slide(rng)
    assert len(cut_nuclei(np.where(labels > 0, 180, 10).astype(np.uint8), labels, n)) == n
