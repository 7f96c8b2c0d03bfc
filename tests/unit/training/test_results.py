"""What the trackers are shown of a finished training."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tiny_bundles
from organscope.models import load_bundle
from organscope.training.run import track_results
from tiny_set import TinySet, two_cells


class Noted:
    """Trackers that only remember."""

    def __init__(self) -> None:
        self.told: dict[str, object] = {}

    def tell(self, method, name, content) -> None:
        self.told[name] = content


@pytest.fixture
def samples(tmp_path):
    tiny = TinySet(tmp_path / "set")
    for number in range(8):
        tiny.add(f"{number}", tiny.noise((64, 64, 3)), two_cells(64), organ="liver", fold=1)
    return tiny.index().samples()


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_samples_scores_and_the_bundle_are_shown(samples, tmp_path, task, monkeypatch):
    write = {
        "segmentation": tiny_bundles.write_tiny_segmentation,
        "classification": tiny_bundles.write_tiny_classification,
    }[task]
    bundle = load_bundle(write(tmp_path / "bundle"))
    monkeypatch.setattr(type(bundle), "calibration", lambda self: pd.DataFrame())
    noted = Noted()
    track_results(noted, bundle, samples, tmp_path)
    assert "problems" not in noted.told, noted.told["problems"]
    assert noted.told["bundle"] == bundle.source
    images = {name: Image.open(io.BytesIO(png)) for name, png in noted.told.items() if isinstance(png, bytes)}
    assert any(name.startswith("samples/") for name in images)


def test_what_cannot_be_drawn_is_listed_and_the_rest_is_shown(samples, tmp_path, monkeypatch):
    bundle = load_bundle(tiny_bundles.write_tiny_classification(tmp_path / "bundle"))
    table = pd.DataFrame({"id": ["a"], "label": [0]})
    monkeypatch.setattr(type(bundle), "calibration", lambda self: table)
    noted = Noted()
    track_results(noted, bundle, samples, tmp_path)
    assert len(noted.told["problems"]) == 1
    assert noted.told["bundle"] == bundle.source


def test_confusion_and_reliability_come_from_the_calibration_table(samples, tmp_path, monkeypatch):
    bundle = load_bundle(tiny_bundles.write_tiny_classification(tmp_path / "bundle"))
    organs = bundle.manifest.classes
    probs = np.full((4, len(organs)), 0.1)
    probs[:, 0] = 1 - 0.1 * (len(organs) - 1)
    table = pd.DataFrame(probs, columns=[f"p_{organ}" for organ in organs]).assign(id=list("aabb"), label=[0, 0, 1, 1])
    monkeypatch.setattr(type(bundle), "calibration", lambda self: table)
    noted = Noted()
    track_results(noted, bundle, samples, tmp_path)
    assert {"figures/confusion", "figures/reliability"} <= set(noted.told)
