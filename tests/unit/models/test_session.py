import numpy as np
import pytest

import tiny_bundles
from organscope.errors import BundleError, ManifestError, ShapeError
from organscope.models.runtime import Session


def _session(model=None, outputs=("maps",), name="image") -> Session:
    graph = (model or tiny_bundles.segmentation_graph()).SerializeToString()
    return Session(graph, name, list(outputs), threads=1, where="bundle x")


def test_every_size_runs_on_one_session():
    session = _session()
    for shape in [(1, 8, 8, 3), (3, 20, 12, 3), (1, 8, 8, 3), (1, 8, 8, 3)]:
        maps = session.run(np.zeros(shape, np.float32))["maps"]
        assert maps.shape == (*shape[:3], 2)
        # Black is dark: sigmoid(12 * 0.5), in float32.
        np.testing.assert_allclose(maps[..., 0], 1 / (1 + np.exp(-6)), rtol=1e-6)


def test_a_batch_need_not_be_contiguous():
    batch = np.random.default_rng(0).random((1, 9, 8, 3), dtype=np.float32)
    session = _session()
    flipped = session.run(batch[:, ::-1])["maps"]
    np.testing.assert_array_equal(flipped, session.run(batch[:, ::-1].copy())["maps"])


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 8, 8, 3)),
        np.zeros((1, 8, 8, 4), np.float32),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 8, 3), np.float32),
    ],
)
def test_another_batch_is_refused(batch):
    with pytest.raises(ShapeError, match="n y x 3 of float32"):
        _session().run(batch)


def test_a_size_that_the_graph_cannot_take_is_one_sentence():
    model = tiny_bundles.segmentation_graph()
    for side, k in ((8, 1), (8, 2)):
        model.graph.input[0].type.tensor_type.shape.dim[k].dim_value = side
    with pytest.raises(ShapeError, match=r"\(1, 9, 8, 3\)"):
        _session(model).run(np.zeros((1, 9, 8, 3), np.float32))


@pytest.mark.parametrize(("name", "outputs"), [("picture", ["maps"]), ("image", ["maps", "logits"])])
def test_other_names_than_the_manifest_says_are_refused(name, outputs):
    with pytest.raises(ManifestError, match="maps"):
        _session(outputs=outputs, name=name)


def test_a_graph_that_cannot_run_is_one_sentence():
    model = tiny_bundles.segmentation_graph()
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(BundleError, match="onnxruntime"):
        _session(model)
