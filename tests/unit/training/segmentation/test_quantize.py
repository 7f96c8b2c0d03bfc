"""Integers give nearly the same maps, the same in tiles and in the whole, and are kept only where they are worth it."""

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import load

from organscope.models import Graph
from organscope.training.quantize import expected_outputs
from organscope.training.segmentation.quantize import Trial, quantize_graph
from small_unet import small_unet_graph


@pytest.fixture(scope="module")
def graphs(colon_tiles):
    plain = small_unet_graph().SerializeToString()
    return plain, quantize_graph(plain, colon_tiles)


@pytest.fixture(scope="module")
def colon_tiles():
    from skimage.data import immunohistochemistry

    image = immunohistochemistry().astype(np.float32) / 255
    return [np.ascontiguousarray(image[None, y : y + 64, x : x + 64]) for y in (0, 200, 400) for x in (100, 300)]


def maps(graph, tile):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(["maps"], {"image": np.ascontiguousarray(tile)})[0]


def test_maps_in_integers_are_nearly_the_same(graphs, colon_tiles):
    plain, integers = graphs
    kinds = {node.op_type for node in onnx.load_from_string(integers).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    difference = np.abs(maps(plain, colon_tiles[0]) - maps(integers, colon_tiles[0]))
    # Eight bits of eight untrained layers.
    assert 0 < difference.mean() < 0.05


def test_a_tile_in_integers_equals_the_whole(graphs, colon_tiles):
    from small_unet import HALO_PX, STRIDE_PX

    whole = maps(graphs[1], colon_tiles[0])
    reach = -(-HALO_PX // STRIDE_PX) * STRIDE_PX
    part = maps(graphs[1], colon_tiles[0][:, :, : 8 + reach])
    assert np.array_equal(part[:, :, :8], whole[:, :, :8])


def test_expected_outputs_are_those_of_the_graph(graphs, colon_tiles):
    declared = Graph(file="graph.onnx", input="image", outputs=["maps"], opset=17)
    found = load(expected_outputs(graphs[1], declared, colon_tiles[0]))
    assert np.array_equal(found["maps"], maps(graphs[1], colon_tiles[0]))


@pytest.mark.parametrize(("trial", "kept"), [((2.0, 0.004), True), ((2.0, 0.006), False), ((1.1, -0.01), False)])
def test_integers_are_kept_only_where_they_are_faster_and_as_good(trial, kept):
    assert Trial(*trial).worth_it is kept
    assert Trial(*trial).sentence(kept).endswith("not used." if not kept else "; used.")
