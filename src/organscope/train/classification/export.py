"""From a trained network to an ONNX graph that needs no framework, checked against the network itself."""

import copy
import io
import warnings

import numpy as np
import onnx
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from organscope.bundle.session import Session
from organscope.errors import VerificationError
from organscope.train.classification.network import OrganNetwork

OPSET = 20
INPUT = "image"
OUTPUTS = ("logits", "features", "evidence")
TOLERANCE = 1e-3
"""Of outputs whose size is about 10: other orders of adding cost about 1e-5, other processors more."""

ROUNDINGS = 10
"""Where a feature hardly varies in training, the rounding of the network itself is larger; so often that passes."""


class _ChannelsLast(nn.Module):
    """Takes n y x 3, as every bundle does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Float[Tensor, "n y x 3"]) -> tuple[Tensor, Tensor, Tensor]:
        return self.network.head.explain(self.network.stage_maps(image.permute(0, 3, 1, 2)))


def round_to_half(network: OrganNetwork) -> OrganNetwork:
    """A copy whose weights are representable in float16, as they are stored; its arithmetic stays float32."""
    rounded = copy.deepcopy(network)
    rounded.load_state_dict(half_weights(network))
    return rounded


def half_weights(network: OrganNetwork) -> dict[str, Tensor]:
    """All weights, those of the backbone below `backbone.` under timm's names and in float16.

    Whole numbers stay what they are, and so does the small head, whose statistics span many magnitudes.
    """
    return {
        name: (_half(tensor) if name.startswith("backbone.") else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }


def export_graph(network: OrganNetwork, input_px: int) -> bytes:
    """Export in evaluation mode: input `image` (n, y, x, 3), three outputs.

    `logits` (n, organ), `features` (n, d), and `evidence` (n, y', x', organ), whose mean over y' and x' differs
    from the logits by one constant an organ. n, y and x may be any size. The exporter folds a batch normalisation
    into the convolution before it.
    """
    plain = _ChannelsLast(copy.deepcopy(network)).float().cpu().eval()
    example = torch.zeros(2, input_px, input_px + 32, 3)
    sink = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter warns about its own parts (of copyreg, of onnxscript); the graph is checked below.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            plain,
            (example,),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            dynamic_shapes=({0: "n", 1: "y", 2: "x"},),
            verbose=False,
        )
        program.save(sink)
    return _cleaned(onnx.load_model_from_string(sink.getvalue()))


def check_graph(
    graph: bytes, network: OrganNetwork, images: Float32[np.ndarray, "n y x 3"]
) -> tuple[dict[str, Float32[np.ndarray, "n _"]], float]:
    """Compare the graph with the network on prepared images, and on noise of another size.

    Returns:
        What the network itself gives for `images`, by output, and by how much a graph may differ from it there.

    Raises:
        VerificationError: They differ by more than `TOLERANCE`, and by more than the network's rounding explains.
    """
    session = Session(graph, INPUT, list(OUTPUTS), threads=None, where="the exported graph")
    exactly = copy.deepcopy(network).double()
    n, height, width, _ = images.shape
    noise = np.random.default_rng(0).standard_normal((n + 1, height + 32, width, 3), dtype=np.float32)
    for batch in (noise, images):
        expected = network_outputs(network, batch)
        rounding = _worst(expected, network_outputs(exactly, batch.astype(np.float64)))
        allowed, worst = max(TOLERANCE, ROUNDINGS * rounding), _worst(session.run(batch), expected)
        if not worst <= allowed:
            raise VerificationError(
                f"Expected the exported graph within {allowed:g} of the network, found a difference of {worst:g}. "
                "Report this backbone, or choose another."
            )
    return expected, allowed


def _worst(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(found[name] - expected[name]).max()) for name in OUTPUTS)


def network_outputs(network: OrganNetwork, batch: np.ndarray) -> dict[str, np.ndarray]:
    """What the network itself gives for a prepared batch n y x 3, by output."""
    with torch.inference_mode():
        outputs = _ChannelsLast(network.eval())(torch.from_numpy(batch))
    return {name: output.numpy() for name, output in zip(OUTPUTS, outputs, strict=True)}


def _cleaned(model: onnx.ModelProto) -> bytes:
    """Without the exporter's notes, which hold stack traces and paths of the machine."""
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor
