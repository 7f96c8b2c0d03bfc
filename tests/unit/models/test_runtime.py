import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

import tiny_bundles
from organscope.errors import UnsafeGraphError
from organscope.models.runtime import QUANTIZED_OPERATORS, Session, parse_safe_graph


def _check(model: onnx.ModelProto) -> None:
    parse_safe_graph(model.SerializeToString(), "bundle x")


def _external(tensor: TensorProto) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def _branch(node: onnx.NodeProto, initialisers=()) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    return helper.make_graph([node], "branch", [], [output], list(initialisers))


def _with_branch(branch: onnx.GraphProto) -> onnx.ModelProto:
    """The tiny graph with an If in an If, whose innermost branch is given."""
    model = tiny_bundles.segmentation_graph()
    inner = helper.make_node("If", ["yes"], ["inner"], then_branch=branch, else_branch=branch)
    outer = _branch(inner)
    model.graph.node.append(helper.make_node("If", ["yes"], ["out"], then_branch=outer, else_branch=outer))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    return model


@pytest.mark.parametrize("make", [tiny_bundles.segmentation_graph, tiny_bundles.classification_graph])
def test_standard_graphs_pass(make):
    _check(make())


def test_an_unused_domain_is_no_operator():
    model = tiny_bundles.segmentation_graph()
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    _check(model)


@pytest.mark.parametrize("operator", sorted(QUANTIZED_OPERATORS))
def test_quantized_operators_pass(operator):
    model = tiny_bundles.segmentation_graph()
    model.graph.node.append(helper.make_node(operator, ["maps"], ["q"], domain="com.microsoft"))
    _check(model)


class _Batches(CalibrationDataReader):
    """One random batch to measure ranges on."""

    def __init__(self) -> None:
        batch = np.random.default_rng(0).random((1, 16, 16, 3), dtype=np.float32)
        self._batches = iter([{"image": batch}])

    def get_next(self):
        return next(self._batches, None)


@pytest.mark.parametrize("form", [QuantFormat.QOperator, QuantFormat.QDQ])
@pytest.mark.parametrize("make", [tiny_bundles.segmentation_graph, tiny_bundles.classification_graph])
def test_what_the_quantizer_writes_passes(make, form, tmp_path):
    onnx.save(make(), tmp_path / "float.onnx")
    quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", _Batches(), quant_format=form)
    graph = (tmp_path / "int8.onnx").read_bytes()
    operators = {node.op_type for node in parse_safe_graph(graph, "x").graph.node}
    assert "QuantizeLinear" in operators
    outputs = [output.name for output in make().graph.output]
    Session(graph, "image", outputs, threads=1, where="x").run(np.zeros((1, 8, 8, 3), np.float32))


@pytest.mark.parametrize(
    ("operator", "domain"),
    [
        ("Evil", "my.domain"),
        ("Tokenizer", "ai.onnx.contrib"),
        ("TreeEnsemble", "ai.onnx.ml"),
        ("EPContext", "com.microsoft"),
        ("ATen", "org.pytorch.aten"),
        ("PyOp", "pyopmulti"),
        ("NoSuchOperator", ""),
    ],
)
def test_other_operators_are_refused(operator, domain):
    model = tiny_bundles.segmentation_graph()
    node = helper.make_node(operator, ["maps"], ["evil"], domain=domain)
    model.graph.node.append(node)
    with pytest.raises(UnsafeGraphError, match=operator):
        _check(model)
    with pytest.raises(UnsafeGraphError, match=operator):
        _check(_with_branch(_branch(node)))


def test_external_data_is_refused():
    model = tiny_bundles.segmentation_graph()
    _external(model.graph.initializer[0])
    with pytest.raises(UnsafeGraphError, match="external data for tensor 'half'"):
        _check(model)


def test_external_data_is_refused_in_a_nested_graph():
    tensor = _external(numpy_helper.from_array(np.zeros(3, np.float32), "hidden"))
    branch = _branch(helper.make_node("Identity", ["hidden"], ["inner"]), [tensor])
    with pytest.raises(UnsafeGraphError, match="'hidden'"):
        _check(_with_branch(branch))


def test_external_data_is_refused_in_an_attribute():
    model = tiny_bundles.segmentation_graph()
    node = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.zeros(3), "value"))
    _external(node.attribute[0].t)
    model.graph.node.append(node)
    with pytest.raises(UnsafeGraphError, match="external data"):
        _check(model)


def test_external_data_is_refused_in_a_sparse_tensor():
    model = tiny_bundles.segmentation_graph()
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(_external(numpy_helper.from_array(np.zeros(3, np.float32), "sparse")))
    with pytest.raises(UnsafeGraphError, match="'sparse'"):
        _check(model)


@pytest.mark.parametrize("domain", ["my.functions", ""])
def test_functions_of_its_own_are_refused(domain):
    model = tiny_bundles.segmentation_graph()
    node = helper.make_node("Relu", ["a"], ["b"])
    imports = [helper.make_opsetid("", tiny_bundles.OPSET)]
    model.functions.append(helper.make_function(domain, "Twice", ["a"], ["b"], [node], imports))
    with pytest.raises(UnsafeGraphError, match="functions"):
        _check(model)


@pytest.mark.parametrize("graph", [b"", b"not a graph", b"\x08\x07"])
def test_other_bytes_are_refused(graph):
    with pytest.raises(UnsafeGraphError, match="Expected an ONNX graph"):
        parse_safe_graph(graph, "x")
