"""Bundles of every format version that was ever released still load, verify and answer the same."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from organscope.models import load_bundle, require_verified

HERE = Path(__file__).parent
MANIFEST_SHA256 = {
    "tiny_nuclei_v1": "cd270686c323f0476429c09bce34111f304942f377ec2b0e80bb3629b549f2ca",
    "tiny_organs_v1": "5e910d9e10a7698b460dd0e0da4ed5edcde8b49bd5111c915c4ee30f9839ddc0",
}


@pytest.mark.parametrize("name", sorted(MANIFEST_SHA256))
def test_a_released_bundle_is_unchanged_loads_and_verifies(name):
    text = (HERE / name / "manifest.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == MANIFEST_SHA256[name], "a golden bundle is never changed"
    assert require_verified(load_bundle(HERE / name, threads=1)).ok


def test_values_of_version_1_mean_what_they_meant():
    organs = load_bundle(HERE / "tiny_organs_v1").manifest
    assert organs.classes == ["red organ", "green organ", "blue organ"]
    assert (organs.spec.field_px, organs.spec.input_px) == (64, 32)
    assert organs.spec.policy.max_distance == 0.35
    nuclei = load_bundle(HERE / "tiny_nuclei_v1")
    assert nuclei.manifest.spec.maps == ["foreground", "distance"]
    maps = nuclei.run(np.zeros((1, 12, 12, 3), np.float32))["maps"]
    # sigmoid(6) of the black picture, to float32's accuracy.
    assert maps[0, 6, 6, 0] == pytest.approx(0.99752738, abs=1e-6)
