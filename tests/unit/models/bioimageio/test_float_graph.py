"""A graph without its integers is the same network: their weights, their limits, none of their rounding."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

import tiny_bundles
from organscope.errors import BundleError
from organscope.models.bioimageio.export import float_form
from organscope.models.runtime import Session
from quantised_unet import colon_tiles, quantized_unet_graph
from small_unet import small_unet_graph

SCALE = np.float32(0.125)


def run(graph: bytes, batch: np.ndarray) -> np.ndarray:
    return Session(graph, "image", ["maps"], threads=1, where="the test").run(batch)["maps"]


def operators(graph: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(graph).graph.node]


def make_graph(nodes: list, **constants: np.ndarray) -> bytes:
    """A graph of channels last, n y x 3 in and out."""
    sides = ["n", "y", "x", 3]
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, sides)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def pair(*, step: tuple = ("scale", "zero"), back: tuple = ("scale", "zero")) -> list[onnx.NodeProto]:
    """An activation into integers and back."""
    return [
        helper.make_node("QuantizeLinear", ["image", *step], ["integers"], name="there"),
        helper.make_node("DequantizeLinear", ["integers", *back], ["maps"], name="back"),
    ]


def test_a_network_keeps_its_answers_and_the_relus_that_the_quantizer_took_away():
    integers = quantized_unet_graph()
    assert operators(integers).count("Relu") < operators(small_unet_graph().SerializeToString()).count("Relu")
    plain = float_form(integers)
    onnx.checker.check_model(onnx.load_model_from_string(plain), full_check=True)
    assert not {"QuantizeLinear", "DequantizeLinear"} & set(operators(plain))
    gaps = [np.abs(run(plain, tile) - run(integers, tile)) for tile in colon_tiles()]
    # Eight bits of eleven untrained layers.
    assert np.mean(gaps) < 0.01
    unlimited = onnx.load_model_from_string(plain)
    for node in unlimited.graph.node:
        if node.op_type == "Clip":
            node.op_type = "Identity"
            del node.input[1:]
    without = [np.abs(run(unlimited.SerializeToString(), t) - run(integers, t)) for t in colon_tiles()]
    assert np.mean(without) > 10 * np.mean(gaps)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(("kind", "zeros"), [(np.int8, [0, 0, 0]), (np.uint8, [128, 100, 3]), (np.int32, [0, 0, 0])])
def test_weights_become_what_their_integers_stand_for(kind, zeros, axis):
    random = np.random.default_rng(0)
    integers = random.integers(0, 120, (3, 3)).astype(kind)
    constants = {
        "weights": integers,
        "scales": np.array([0.5, 0.25, 0.01], np.float32),
        "zeros": np.array(zeros, kind),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["weights", "scales", "zeros"], ["kernel"], axis=axis),
        helper.make_node("MatMul", ["image", "kernel"], ["maps"]),
    ]
    graph = make_graph(nodes, **constants)
    plain = float_form(graph)
    assert operators(plain) == ["MatMul"]
    assert [entry.name for entry in onnx.load_model_from_string(plain).graph.initializer] == ["kernel"]
    batch = random.random((1, 4, 4, 3), np.float32)
    assert np.array_equal(run(plain, batch), run(graph, batch))


@pytest.mark.parametrize("zero", [np.uint8(0), np.uint8(255), np.uint8(90), np.int8(0), np.int8(-128), None])
def test_activations_are_held_to_the_limits_of_their_integers(zero):
    named = ("scale",) if zero is None else ("scale", "zero")
    graph = make_graph(pair(step=named, back=named), scale=SCALE, **({} if zero is None else {"zero": zero}))
    plain = float_form(graph)
    assert operators(plain) == ["Clip"]
    batch = np.linspace(-60, 60, 4 * 4 * 3, dtype=np.float32).reshape(1, 4, 4, 3)
    # Half a step is what rounding can do, and nothing beyond the limits.
    assert np.abs(run(plain, batch) - run(graph, batch)).max() <= SCALE / 2
    on_steps = np.round(batch / SCALE) * SCALE
    assert np.array_equal(run(plain, on_steps), run(graph, on_steps))


def test_a_graph_without_integers_stays():
    graph = small_unet_graph().SerializeToString()
    assert np.array_equal(run(float_form(graph), colon_tiles()[0]), run(graph, colon_tiles()[0]))


ZERO = np.uint8(0)
REFUSED = {
    "several scales": (pair(), {"scale": np.full(3, SCALE), "zero": np.zeros(3, np.uint8)}),
    "another than its": (pair(back=("other", "zero")), {"scale": SCALE, "other": 2 * SCALE, "zero": ZERO}),
    "computed scale": (pair(step=("image", "zero")), {"scale": SCALE, "zero": ZERO}),
    "without QuantizeLinear": (
        [helper.make_node("Cast", ["image"], ["integers"], to=TensorProto.UINT8), pair()[1]],
        {"scale": SCALE, "zero": ZERO},
    ),
    "go on as integers": (
        [pair()[0], helper.make_node("Cast", ["integers"], ["maps"], to=TensorProto.FLOAT)],
        {"scale": SCALE, "zero": ZERO},
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_other_integers_are_refused(why):
    nodes, constants = REFUSED[why]
    with pytest.raises(BundleError, match=why):
        float_form(make_graph(nodes, **constants))


class _Batches(CalibrationDataReader):
    def __init__(self) -> None:
        self._batches = iter([{"image": np.random.default_rng(0).random((1, 16, 16, 3), np.float32)}])

    def get_next(self):
        return next(self._batches, None)


def test_operators_on_integers_are_refused(tmp_path):
    onnx.save(tiny_bundles.segmentation_graph(), tmp_path / "float.onnx")
    quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", _Batches(), quant_format=QuantFormat.QOperator)
    with pytest.raises(BundleError, match="QDQ form"):
        float_form((tmp_path / "int8.onnx").read_bytes())
