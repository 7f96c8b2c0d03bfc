"""The organ of cells in plain colors, of which the answer is known."""

import json

import numpy as np
import pytest

from organscope.decision import softmax
from organscope.errors import UsageError
from organscope.inference import cell_classification as cells_module
from organscope.inference import classify_cells, classify_centers, classify_image
from organscope.inference.preprocess import ImageNormalizer
from organscope.models import load_bundle
from tiny_bundles import ORGANS, reseal, tiny_cell_organs, write_tiny_cell_organs

COLOURS = {"red organ": (230, 20, 20), "green organ": (20, 230, 20), "blue organ": (20, 20, 230)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_cell_organs(tmp_path_factory.mktemp("bundles") / "cells")


def picture_of(organs: list[str], side: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A row of squares in the colors of organs, and a cell of 4 px in the middle of each."""
    pixels = np.concatenate([np.full((side, side, 3), COLOURS[organ], np.uint8) for organ in organs], axis=1)
    labels = np.zeros(pixels.shape[:2], np.int32)
    for number in range(len(organs)):
        middle = number * side + side // 2
        labels[side // 2 - 2 : side // 2 + 2, middle - 2 : middle + 2] = number + 1
    return pixels, labels


def test_every_cell_is_named(bundle, opened):
    organs = ["red organ", "blue organ", "green organ", "blue organ"]
    pixels, labels = picture_of(organs)
    found = classify_cells(opened(pixels), labels, bundle)
    assert found.organs == tuple(ORGANS)
    assert [found.organs[number] for number in found.organ_index] == organs
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-6)  # rounding of float32
    assert found.probabilities.dtype == found.distance.dtype == np.float32
    assert found.confidence == pytest.approx(found.probabilities.max(axis=1))


def test_cells_that_agree_decide_together(bundle, opened):
    found = classify_cells(*_opened(opened, ["red organ"] * 5), bundle)
    assert found.organs[found.decision.organ_index] == "red organ"
    assert found.decision.decision == "accept"
    assert found.pooled.max() > found.confidence.max()


def test_cells_that_disagree_are_not_relied_on(bundle, opened):
    found = classify_cells(*_opened(opened, ["red organ", "blue organ"]), bundle)
    assert found.decision.decision == "abstain"
    assert "confidence" in found.decision.reason


def test_an_image_without_cells_has_no_answer(bundle, opened):
    found = classify_cells(opened(np.full((9, 9, 3), 200, np.uint8)), np.zeros((9, 9), np.int32), bundle)
    assert found.probabilities.shape == (0, 3)
    assert (found.pooled, found.decision) == (None, None)
    assert found.confidence.shape == found.organ_index.shape == (0,)


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (70, 30)])
def test_crops_are_mirrored_at_every_edge(bundle, opened, rng, size):
    pixels = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    labels = np.arange(1, pixels[..., 0].size + 1, dtype=np.int32).reshape(size)
    image = opened(pixels)
    padded = np.pad(pixels, [(40, 40), (40, 40), (0, 0)], mode="symmetric")
    preparation = ImageNormalizer(image, bundle.manifest.preprocessing)
    found = classify_cells(image, labels, bundle)
    for y, x in ((0, 0), (0, size[1] - 1), (size[0] - 1, 0), (size[0] // 2, size[1] // 2)):
        # The middle of 8 pixels is an edge between two; the nearest to pixel y begins 3 before it.
        crop = padded[40 + y - 3 : 40 + y + 5, 40 + x - 3 : 40 + x + 5]
        logits = bundle.run(preparation.standardised(preparation.as_bytes(crop))[None])["logits"]
        assert found.probabilities[labels[y, x] - 1].argmax() == logits.argmax()
        ratio = np.log(found.probabilities[labels[y, x] - 1]) * 0.8
        np.testing.assert_allclose(ratio - ratio.mean(), (logits - logits.mean())[0], atol=1e-4)  # float32


def test_the_result_does_not_depend_on_tiles_and_batches(bundle, opened, rng, monkeypatch):
    image = opened(rng.integers(0, 256, (90, 120, 3)).astype(np.uint8))
    centers = rng.uniform(0, [89, 119], (200, 2))
    whole = classify_centers(image, centers, bundle)
    monkeypatch.setattr(cells_module, "_TILE_PX", 32)
    monkeypatch.setattr(cells_module, "_BATCH", 7)
    told = []
    parts = classify_centers(image, centers, bundle, progress=told.append)
    # onnxruntime may add in another order for another batch size.
    np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=1e-6)
    np.testing.assert_allclose(parts.distance, whole.distance, atol=1e-5)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) == 29  # full batches of 7 across the tiles, and the rest


class OnePixel:
    """Looks at one pixel beside the upper left corner, so that each way to lay a crop shows it another one."""

    def __init__(self):
        self.sizes = []

    def run(self, batch):
        self.sizes.append(len(batch))
        return {"logits": 8 * batch[:, 0, 1], "features": batch.mean(axis=(1, 2))}


def test_a_doubtful_cell_is_turned_to_all_four_sides(tmp_path, opened, rng):
    folder = write_tiny_cell_organs(tmp_path / "cells")
    spec = json.loads((folder / "manifest.json").read_text())["spec"]
    bundle = load_bundle(reseal(folder, spec={**spec, "second_look": 0.9}))
    side, temperature = spec["field_px"], spec["policy"]["temperature"]
    sure = np.full((side, side, 3), COLOURS["red organ"], np.uint8)
    doubtful = rng.integers(100, 130, (side, side, 3), dtype=np.uint8)
    centers = np.array([[side / 2 - 0.5, side / 2 - 0.5], [side / 2 - 0.5, side * 1.5 - 0.5]])
    engine = OnePixel()
    found = classify_centers(opened(np.concatenate([sure, doubtful], axis=1)), centers, bundle.with_engine(engine))
    assert engine.sizes == [2, *[1] * 3]
    last = side - 1
    seen = [(0, 1), (1, last), (last, last - 1), (last - 1, 0)]
    logits = 8 / 255 * np.array([sure[0, 1], np.mean([doubtful[place] for place in seen], axis=0)])
    np.testing.assert_allclose(found.probabilities, softmax(logits, temperature), rtol=1e-5)


def test_bundles_for_other_subjects_are_refused(bundle, organs_bundle, cells_bundle, opened):
    image = opened(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(UsageError, match=r"organ of single cells, found 'tiny-organs', which names the organ of whole"):
        classify_cells(image, np.zeros((9, 9), np.int32), organs_bundle)
    with pytest.raises(UsageError, match=r"found 'tiny-cell-organs', which names .*single cells.*analyze --bundle"):
        classify_image(image, bundle)
    with pytest.raises(UsageError, match="for classification"):
        classify_cells(image, np.zeros((9, 9), np.int32), cells_bundle)


def _opened(opened, organs):
    pixels, labels = picture_of(organs)
    return opened(pixels), labels
