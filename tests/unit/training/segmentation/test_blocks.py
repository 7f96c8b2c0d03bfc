"""Laid out for integers a graph gives the same maps, and only its ends are left in floating point."""

import numpy as np
import onnx
import onnxruntime
import pytest

from organscope.training.segmentation.bundling import export_graph
from organscope.training.segmentation.config import NetworkSettings
from organscope.training.segmentation.network import build_network
from organscope.training.segmentation.quantize import in_blocks, quantize_graph

VARIANTS = {
    "shipped": NetworkSettings(base_filters=4, depth=3, head="flow"),
    "plain": NetworkSettings(base_filters=4, depth=2, block="plain", skip="concat", stem_stride=1),
    "attention": NetworkSettings(
        base_filters=4, depth=3, block="plain", skip="concat", attention=True, decoders=2, head="flow"
    ),
}


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS)
def exported(request):
    return request.param, export_graph(build_network(request.param))


def session(graph: bytes, **settings) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    for name, value in settings.items():
        setattr(options, name, value)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def kinds(graph: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(graph).graph.node]


@pytest.mark.parametrize(("n", "height", "width"), [(1, 1, 1), (2, 3, 5)])
def test_the_maps_stay_the_same(exported, rng, n, height, width):
    settings, graph = exported
    images = rng.random((n, height * settings.stride_px, width * settings.stride_px, 3)).astype(np.float32)
    before, after = (session(one).run(["maps"], {"image": images})[0] for one in (graph, in_blocks(graph)))
    assert before.shape == after.shape
    assert np.allclose(before, after, atol=1e-5)


def test_no_up_convolution_and_nothing_that_only_served_it_is_left(exported):
    before, after = (set(kinds(graph)) for graph in (exported[1], in_blocks(exported[1])))
    assert {"ConvTranspose", "Pad", "Shape"} <= before
    assert not {"ConvTranspose", "Pad", "Shape"} & after


def test_in_integers_only_both_ends_are_computed_in_floating_point(rng, tmp_path):
    settings = VARIANTS["shipped"]
    tiles = [rng.random((1, 32, 32, 3)).astype(np.float32) for _ in range(4)]
    integers = quantize_graph(export_graph(build_network(settings)), tiles)
    session(integers, optimized_model_filepath=str(tmp_path / "as_run.onnx"), log_severity_level=3)
    as_run = onnx.load(tmp_path / "as_run.onnx").graph.node
    found = [node.op_type for node in as_run]
    assert found.count("Conv") == 2
    assert found.count("QuantizeLinear") == 1
    assert found.count("DequantizeLinear") == 1
    assert "MaxPool" not in found  # but NhwcMaxPool: a pool with its channels first takes twenty times as long
