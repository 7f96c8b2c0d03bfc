"""What decides between epochs."""

from dataclasses import dataclass

import numpy as np
import pytest

from organscope.training.segmentation.config import SegmentationConfig
from organscope.training.segmentation.data import corners_of, training_maps
from organscope.training.segmentation.fit import validate

CONFIG = SegmentationConfig.model_validate(
    {
        "data": {"sources": [{"index": "none"}]},
        "bundle": {"name": "none", "summary": "none"},
        "network": {"depth": 2},
        "fit": {"crop_px": 40},
    }
)


@dataclass
class Drawn:
    """A labeled image in memory: discs, some of them touching."""

    dataset: str
    side_px: int

    def read_labels(self, **_: bool) -> np.ndarray:
        y, x = np.mgrid[: self.side_px, : self.side_px]
        labels = np.zeros((self.side_px, self.side_px), np.int32)
        for cell, (cy, cx) in enumerate([(10, 10), (10, 25), (28, 18), (50, 50), (50, 34)], start=1):
            labels[(np.hypot(y - cy, x - cx) < 8) & (labels == 0)] = cell
        return labels


class Pictures:
    """Images whose colors are their own answer, so that a network can be thought of that is right."""

    def __init__(self, samples: list[Drawn]) -> None:
        self.samples = samples

    def __getitem__(self, number: int):
        maps = training_maps(self.samples[number].read_labels(), "distance")
        return np.concatenate([maps, maps[:, :, :1]], axis=2), maps

    def corners(self, number: int, side_px: int):
        image, labels = self[number][0], self.samples[number].read_labels()
        return [(image[corner], labels[corner]) for corner in corners_of(labels.shape, side_px)]


class Reader:
    """Gives the first two colors back, the foreground fainter by `share`."""

    def __init__(self, share: float) -> None:
        self._share = np.array([share, 1.0], np.float32)

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        return images[..., :2] * self._share


PICTURES = Pictures([Drawn("small", 60), Drawn("odd", 37)])


def test_a_perfect_network_scores_one():
    scores = validate(Reader(1.0), PICTURES, CONFIG)
    assert scores["score"] == scores["pq"] == pytest.approx(1.0, abs=0.02)
    assert scores["dice"] == 1.0
    assert scores["missed_rate"] == scores["false_rate"] == 0.0


@pytest.mark.parametrize(("share", "found"), [(0.7, True), (0.3, False)])
def test_a_network_that_is_less_sure_is_not_worse_until_its_cells_are_gone(share, found):
    scores = validate(Reader(share), PICTURES, CONFIG)
    assert (scores["pq"] > 0.98) == found
    assert (scores["missed_rate"] == 1.0) != found
