"""The organ of plain colored images, of which the answer is known."""

import numpy as np
import pytest

from organscope.errors import UsageError
from organscope.inference import classify_image
from tiny_bundles import ORGANS

RED, BLUE, GRAY = (230, 20, 20), (20, 20, 230), (120, 120, 120)


def plain(colour, height=64, width=64) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (20, 50), (1, 1), (64, 90), (200, 130)])
def test_a_plain_image_of_any_size_is_named(organs_bundle, opened, size):
    found = classify_image(opened(plain(RED, *size)), organs_bundle)
    assert found.organs == tuple(ORGANS)
    assert found.organs[found.decision.organ_index] == "red organ"
    assert found.decision.decision == "accept"
    assert found.probabilities.sum() == pytest.approx(1.0)
    assert found.decision.confidence == pytest.approx(found.probabilities.max())


def test_an_unknown_image_is_abstained_from(organs_bundle, opened):
    found = classify_image(opened(plain(GRAY)), organs_bundle)
    assert found.decision.decision == "abstain"
    assert "unlike anything" in found.decision.reason


def test_a_large_image_is_the_mean_of_its_fields(organs_bundle, opened):
    red = classify_image(opened(plain(RED)), organs_bundle)
    blue = classify_image(opened(plain(BLUE)), organs_bundle)
    mixed = np.concatenate([plain(RED), plain(BLUE), plain(RED)], axis=1)
    found = classify_image(opened(mixed), organs_bundle)
    assert found.features.shape == found.logits.shape == (3, 3)
    assert found.probabilities == pytest.approx((2 * red.probabilities + blue.probabilities) / 3)
    # Two fields of three lie as near as plain red.
    assert found.decision.distance == pytest.approx(red.decision.distance, abs=1e-6)


def test_fields_overlap_where_they_do_not_fit(organs_bundle, opened):
    assert classify_image(opened(plain(RED, 65, 64)), organs_bundle).logits.shape[0] == 2
    assert classify_image(opened(plain(RED, 128, 129)), organs_bundle).logits.shape[0] == 6


def test_fields_are_cut_at_the_size_of_the_cells(organs_bundle, opened):
    image = opened(plain(RED, 64, 64))
    assert len(classify_image(image, organs_bundle, factor=2.0).logits) == 4
    assert len(classify_image(image, organs_bundle, factor=0.5).logits) == 1
    assert len(classify_image(image, organs_bundle, factor=1.0).logits) == 1


def test_a_bundle_for_cells_is_refused(colon, cells_bundle, opened):
    with pytest.raises(UsageError, match="Expected a bundle for classification"):
        classify_image(opened(colon), cells_bundle)
