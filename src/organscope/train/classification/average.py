"""Several graphs as one that gives the mean of what they give."""

from collections.abc import Sequence

import onnx
from onnx import helper

from organscope.train.classification.export import INPUT


def average_graphs(graphs: Sequence[bytes]) -> bytes:
    """One graph with the input and the outputs of each.

    Logits and evidence are means over the members, so that the mean of the evidence still differs from the logits
    by one constant an organ. Features are those of the first: distances to its training pictures have a meaning,
    means over networks that arrange their features each in its own way have none.

    Args:
        graphs: Of one and the same opset, with the input and the outputs of `export.export_graph`.
    """
    models = [
        onnx.compose.add_prefix(onnx.load_model_from_string(graph), f"member{number}.", rename_inputs=False)
        for number, graph in enumerate(graphs, start=1)
    ]
    first = models[0].graph
    combined = [
        helper.make_node("Mean", [f"member{number + 1}.{name}" for number in range(len(models))], [name], name=name)
        for name in ("logits", "evidence")
    ]
    combined.append(helper.make_node("Identity", ["member1.features"], ["features"], name="features"))
    outputs = [_renamed(value) for value in first.output]
    graph = helper.make_graph(
        [node for model in models for node in model.graph.node] + combined,
        "mean_of_members",
        [value for value in first.input if value.name == INPUT],
        outputs,
        [weights for model in models for weights in model.graph.initializer],
    )
    model = helper.make_model(graph, opset_imports=models[0].opset_import, ir_version=models[0].ir_version)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _renamed(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    plain = onnx.ValueInfoProto()
    plain.CopyFrom(value)
    plain.name = value.name.removeprefix("member1.")
    return plain
