"""What makes a bundle smaller, and what it costs."""

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from organscope.decision import nearest_distance
from organscope.decision.ood import eight_bits
from organscope.training.classification.export import store_halves


def test_distances_to_embeddings_in_eight_bits_are_those_to_the_embeddings():
    random = np.random.default_rng(0)
    reference = random.standard_normal((50, 400)).astype(np.float32)
    asked = random.standard_normal((20, 400)).astype(np.float32)
    stored = eight_bits(reference)
    assert stored.dtype == np.int8
    np.testing.assert_allclose(nearest_distance(asked, stored, 3), nearest_distance(asked, reference, 3), atol=2e-3)
    np.testing.assert_allclose(nearest_distance(reference, stored, 1), 0, atol=0.02)


def test_a_silent_embedding_stays_silent():
    np.testing.assert_array_equal(eight_bits(np.zeros((1, 4), np.float32)), 0)


def test_a_head_in_half_precision_answers_the_same_to_a_thousandth():
    random = np.random.default_rng(0)
    weights = random.standard_normal((64, 5)).astype(np.float32)
    statistics = np.array([1e-9, 1.0, 1e9, 3.0, 4.0], np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["product"]), helper.make_node("Mul", ["product", "s"], ["y"])],
        "head",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 64])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 5])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(statistics, "s")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    small = store_halves(model.SerializeToString())
    x = random.standard_normal((3, 64)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(small).run(None, {"x": x})
    np.testing.assert_allclose(found / statistics, x @ weights, atol=0.03)
    stored = {part.name: part.data_type for part in onnx.load_model_from_string(small).graph.initializer}
    assert stored == {"w.half": onnx.TensorProto.FLOAT16, "s": onnx.TensorProto.FLOAT}
