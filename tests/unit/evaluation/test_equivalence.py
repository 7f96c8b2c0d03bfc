"""Two ways to compute one bundle, compared on real images of a small index."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from organscope.evaluation.equivalence import certificate, choose_images, compare_bundles, compare_use
from organscope.models import Bundle
from tiny_bundles import tiny_classification, tiny_segmentation
from tiny_set import TinySet, two_cells


@pytest.fixture
def samples(tmp_path, colon):
    """Two real pieces of tissue with labels, and one that is too large to be taken."""
    data = TinySet(tmp_path / "set")
    for number in range(2):
        piece = colon[number * 64 : number * 64 + 64, 100:180]
        labels = np.zeros(piece.shape[:2], np.int32)
        labels[:32, :32] = two_cells()
        data.add(f"piece{number}", piece, labels, organ="red organ")
    data.add("large", np.zeros((1500, 1500), np.uint8), np.ones((1500, 1500), np.int32), organ="red organ")
    return data.index().samples()


def sharper(bundle: Bundle, factor: float) -> Bundle:
    """The tiny segmentation graph with other logits."""
    model = onnx.load_model_from_string(bundle.read("graph.onnx"))
    (constant,) = (entry for entry in model.graph.initializer if entry.name == "sharpness")
    constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) * np.float32(factor), "sharpness"))
    return bundle.with_graph(model.SerializeToString())


def test_tiles_and_threads_change_nothing(samples, tmp_path):
    chosen = choose_images(samples)
    assert [sample.id for sample in chosen] == ["piece0", "piece1"]
    tiles, threads = compare_use(tiny_segmentation(tmp_path / "tiny"), chosen)
    assert (tiles.kind, threads.kind) == ("tiles", "threads")
    # A sum of 81 neighbors may be added in another order in a tile.
    assert tiles.largest_difference < 1e-6
    assert (threads.largest_difference, threads.n_changed, threads.n_lost) == (0, 0, 0)


def test_another_graph_is_seen(samples, tmp_path):
    bundle = tiny_segmentation(tmp_path / "tiny")
    chosen = choose_images(samples)
    same = compare_bundles("framework", bundle, bundle, chosen)
    assert (same.largest_difference, same.n_changed) == (0, 0)
    other = compare_bundles("int8", bundle, sharper(bundle, 0.3), chosen, "tried, not used")
    assert other.largest_difference > 0.1
    assert 0 < other.n_changed <= other.n_units
    assert set(other.scores) == {"dice", "aji", "pq"}
    found = certificate("these", chosen, [same, other], keras="3")
    assert found.pictures == "2 images of tiny (these)"
    assert {"keras", "onnxruntime"} <= set(found.made_with)


def test_organs_are_compared_by_image(samples, tmp_path):
    bundle = tiny_classification(tmp_path / "tiny")
    (threads,) = compare_use(bundle, choose_images(samples))
    assert (threads.unit, threads.n_units, threads.n_changed, threads.largest_difference) == ("images", 2, 0, 0)


def test_an_engine_stands_in_for_onnxruntime(tmp_path):
    class Zeros:
        def run(self, batch):
            return {"maps": np.zeros((*batch.shape[:3], 2), np.float32)}

    bundle = tiny_segmentation(tmp_path / "tiny")
    batch = np.ones((1, 8, 8, 3), np.float32)
    assert not bundle.with_engine(Zeros()).run(batch)["maps"].any()
    assert bundle.run(batch)["maps"].any()
