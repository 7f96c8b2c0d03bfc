"""Looks of real crops, and of copies that were spoilt on purpose."""

import numpy as np
import pytest
from PIL import Image as PillowImage

from organscope.data.index import Sample
from organscope.ops.features import N_FEATURES
from organscope.ops.intensity import Preprocessing
from organscope.training.classification import ood
from organscope.training.classification.config import FieldConfig
from organscope.training.classification.ood import SPOILT, fit_looks, measure_looks

FIELD = FieldConfig(field_px=128, input_px=64)
PLAIN = Preprocessing(intensity="full_range")


@pytest.fixture(scope="module")
def samples(tmp_path_factory, colon) -> list[Sample]:
    """Sixteen crops of a real image, one smaller than a field."""
    folder, found = tmp_path_factory.mktemp("crops"), []
    for number in range(16):
        y, x = divmod(number, 4)
        side = 100 if number == 0 else 128
        path = folder / f"{number}.png"
        PillowImage.fromarray(colon[128 * y : 128 * y + side, 128 * x : 128 * x + side]).save(path)
        found.append(Sample(str(number), path, None, "colon", "", "tiny", 1, "", None))
    return found


def test_every_image_has_each_look(samples):
    found = measure_looks(samples, FIELD, PLAIN)
    assert found.looks.shape == found.tolerated.shape == (16, N_FEATURES)
    assert set(found.spoilt) == set(SPOILT)
    assert all(part.shape == (16, N_FEATURES) for part in found.spoilt.values())
    fine = slice(9, 12)
    assert np.all(found.spoilt["blurred"][:, fine] < found.looks[:, fine] - 0.5)
    assert np.abs(found.tolerated[:, :6] - found.looks[:, :6]).mean() < 0.5


def test_the_seed_makes_it_repeatable(samples):
    one, other = (measure_looks(samples[:3], FIELD, PLAIN, seed=1) for _ in range(2))
    np.testing.assert_array_equal(one.tolerated, other.tolerated)


def test_too_few_images_give_no_limits(samples):
    assert fit_looks(samples, FIELD, PLAIN) is None


def test_very_many_images_are_thinned(samples, monkeypatch):
    monkeypatch.setattr(ood, "_MAX_IMAGES", 5)
    assert len(measure_looks(samples, FIELD, PLAIN).looks) == 4
