"""Pools as convolutions: the same answers, and nothing touched elsewhere."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from organscope.training.classification.config import NetworkConfig
from organscope.training.classification.export import OUTPUTS, export_graph, pools_as_convolutions
from organscope.training.classification.network import build_network

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


def test_convolutions_in_place_of_pools_change_no_answer(graph):
    changed = pools_as_convolutions(graph, 64)
    assert n_pools(changed) < n_pools(graph)
    for expected, found in zip(answers(graph, 64), answers(changed, 64), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_pool_that_meets_an_odd_side_stays(graph):
    # 76 px: maps of 19 px where the first pool stands, of 10 and 5 px where the next two do.
    changed = pools_as_convolutions(graph, 76)
    for expected, found in zip(answers(graph, 76), answers(changed, 76), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert n_pools(pools_as_convolutions(graph, 64)) < n_pools(changed)
