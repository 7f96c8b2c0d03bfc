"""Pools that go into the convolution after them: the same answers with fewer steps, and nothing touched elsewhere."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from organscope.train.classification.config import NetworkConfig
from organscope.train.classification.export import OUTPUTS, export_graph
from organscope.train.classification.network import build_network
from organscope.train.classification.pools import merge_pools

ARGUMENTS = {"channels": [8, 8, 16, 16], "stem_width": 8}


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(0)
    told = NetworkConfig(backbone="resnet26d", arguments=ARGUMENTS, stages=2, texture=True)
    return export_graph(build_network(told, n_organs=3).eval(), 64)


def answers(graph, side_px):
    fields = np.random.default_rng(0).standard_normal((2, side_px, side_px, 3), dtype=np.float32)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(list(OUTPUTS), {"image": fields})


def n_pools(graph):
    return sum(node.op_type == "AveragePool" for node in onnx.load_from_string(graph).graph.node)


def test_merged_pools_change_no_answer(graph):
    merged = merge_pools(graph, 64)
    assert n_pools(merged) < n_pools(graph)
    assert len(merged) < len(graph) * 1.5
    for expected, found in zip(answers(graph, 64), answers(merged, 64), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_pool_that_meets_an_odd_side_stays(graph):
    # 76 px: maps of 19 px where the first pool stands, of 10 and 5 px where the next two do.
    merged = merge_pools(graph, 76)
    for expected, found in zip(answers(graph, 76), answers(merged, 76), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert n_pools(merge_pools(graph, 64)) < n_pools(merged)
