"""The parity certificate of an organ classifier: PyTorch against ONNX, integers, threads."""

import math
from collections.abc import Sequence

import numpy as np
import safetensors.torch
import timm
import torch
from jaxtyping import Float32
from torch import nn

from organscope.bundle import Bundle, Comparison
from organscope.dataset.index import Sample
from organscope.errors import BundleError
from organscope.evaluate.parity import compare_bundles
from organscope.train.classification.config import NetworkConfig
from organscope.train.classification.export import export_graph, network_outputs
from organscope.train.classification.network import OrganNetwork, build_network

FRAMEWORK = "PyTorch"


class TorchEngine:
    """Computes a bundle's outputs in PyTorch."""

    def __init__(self, network: OrganNetwork) -> None:
        self._network = network.float().cpu().eval()

    def run(self, batch: Float32[np.ndarray, "n y x c"]) -> dict[str, np.ndarray]:
        """As `Bundle.run`."""
        return network_outputs(self._network, batch)


class PooledEngine:
    """The same for bundles of older versions, whose classifier is that of timm.

    Args:
        backbone: With its classifier, a linear function of the pooled features.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone.float().eval()

    def run(self, batch: Float32[np.ndarray, "n y x c"]) -> dict[str, np.ndarray]:
        """As `Bundle.run`."""
        with torch.inference_mode():
            maps = self._backbone.forward_features(torch.from_numpy(batch).permute(0, 3, 1, 2))
            features = self._backbone.forward_head(maps, pre_logits=True)
            logits = self._backbone.get_classifier()(features)
        return {"logits": logits.numpy(), "features": features.numpy()}


def compare_framework(bundle: Bundle, samples: Sequence[Sample]) -> list[Comparison]:
    """Build the network again from the weights in the bundle, and compare it with the graph.

    Where the graph computes in integers, or is the mean of several networks of which one is stored, the stored network
    is exported again and compared with that.

    Raises:
        BundleError: The weights do not fit the architecture.
    """
    architecture = bundle.manifest.weights.architecture
    if "stages" not in architecture:
        options = {"num_classes": architecture["n_organs"], **architecture["arguments"]}
        backbone = timm.create_model(architecture["backbone"], **options)
        _load(backbone, bundle)
        return [compare_bundles("framework", bundle.with_engine(PooledEngine(backbone)), bundle, samples, FRAMEWORK)]
    network = _stored_network(bundle)
    members = int(architecture.get("members", 1))
    in_torch = bundle.with_engine(TorchEngine(network))
    if not bundle.has_integers and members == 1:
        return [compare_bundles("framework", in_torch, bundle, samples, FRAMEWORK)]
    plain = bundle.with_graph(export_graph(network, bundle.manifest.spec.input_px))
    note = FRAMEWORK if members == 1 else f"{FRAMEWORK}, network 1 of {members}"
    found = [compare_bundles("framework", in_torch, plain, samples, note)]
    # The other networks are in the graph alone, and only in integers.
    return found if members > 1 else [*found, compare_bundles("int8", plain, bundle, samples)]


def versions() -> dict[str, str]:
    """Of what computes the network in training."""
    return {"torch": torch.__version__, "timm": timm.__version__}


def _stored_network(bundle: Bundle) -> OrganNetwork:
    architecture = bundle.manifest.weights.architecture
    settings = {key: value for key, value in architecture.items() if key in NetworkConfig.model_fields}
    # Bundles that do not name a limit were trained without one.
    settings.setdefault("limit", math.inf)
    network = build_network(NetworkConfig.model_validate(settings), int(architecture["n_organs"]))
    _load(network, bundle)
    return network


def _load(network: nn.Module, bundle: Bundle) -> None:
    file = bundle.manifest.weights.file
    try:
        network.load_state_dict(safetensors.torch.load(bundle.read(file)))
    except RuntimeError as error:
        raise BundleError(
            f"Expected {file} of {bundle.source} to fit its architecture, found: {str(error).splitlines()[0]} "
            "Train it again with this version of organscope."
        ) from error
