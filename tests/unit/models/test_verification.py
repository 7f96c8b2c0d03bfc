import numpy as np
import pytest
import safetensors.numpy

import tiny_bundles
from organscope.errors import VerificationError
from organscope.models import load_bundle, require_verified, verify_bundle


def _with_test(folder, change):
    tensors = dict(safetensors.numpy.load_file(folder / "test.safetensors"))
    change(tensors)
    return load_bundle(tiny_bundles.reseal(folder, {"test.safetensors": safetensors.numpy.save(tensors)}))


def test_a_sound_bundle_verifies(organs):
    report = require_verified(load_bundle(organs))
    assert report.ok
    assert set(report.differences) == {"logits", "features"}
    assert report.max_difference <= report.tolerance == 1e-5


def test_the_largest_difference_of_each_output_is_reported(organs):
    def shift(tensors):
        tensors["logits"] = tensors["logits"] + np.float32([[0, 0.5, 0]])

    bundle = _with_test(organs, shift)
    report = verify_bundle(bundle)
    # 0.5 is exact in float32, and logits here are below 8.
    assert report.differences["logits"] == pytest.approx(0.5, abs=1e-6)
    assert report.differences["features"] <= 1e-6
    assert not report.ok
    with pytest.raises(VerificationError, match=r"difference of 0\.5"):
        require_verified(bundle)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_never_verifies(nuclei, value):
    def spoil(tensors):
        tensors["maps"] = np.full_like(tensors["maps"], value)

    assert verify_bundle(_with_test(nuclei, spoil)).max_difference == np.inf


def test_a_missing_tensor_is_named(organs):
    with pytest.raises(VerificationError, match="found no features"):
        verify_bundle(_with_test(organs, lambda tensors: tensors.pop("features")))


def test_another_shape_is_named(nuclei):
    def crop(tensors):
        tensors["maps"] = tensors["maps"][:, 1:].copy()

    with pytest.raises(VerificationError, match="output maps"):
        verify_bundle(_with_test(nuclei, crop))


def test_outputs_are_as_wide_as_the_manifest_says(organs):
    tiny_bundles.reseal(organs, classes=["red", "green"])
    with pytest.raises(VerificationError, match="2 channels in output logits"):
        verify_bundle(load_bundle(organs))


@pytest.mark.parametrize(
    "tensors", [{"other": np.zeros((9, 3), np.float32)}, {"features": np.zeros((1, 3), np.float32)}]
)
def test_the_reference_holds_enough_training_images(organs, tensors):
    tiny_bundles.reseal(organs, {"reference.safetensors": safetensors.numpy.save(tensors)})
    with pytest.raises(VerificationError, match="at least 2 training images"):
        verify_bundle(load_bundle(organs))
