"""The backbone weights that a training begins with where it does not begin from chance."""

import tempfile
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from organscope.bundle import load_bundle
from organscope.errors import ConfigError

_PREFIX = "backbone."


def load_backbone(backbone: nn.Module, bundle: str | Path) -> None:
    """Give a backbone the weights of that of a bundle; the head stays fresh, whatever organs either of them knows.

    Raises:
        BundleError: The bundle cannot be read.
        ConfigError: It was not trained here on organs, or its backbone is another one.
    """
    base = load_bundle(bundle)
    if base.manifest.weights.framework != "timm":
        raise ConfigError(f"Expected a bundle with weights of timm as network.start, found {base.manifest.name!r}.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "start.safetensors"
        file.write_bytes(base.read(base.manifest.weights.file))
        # The first bundles held the weights of the backbone under their own names, beside those of its classifier.
        weights = {name.removeprefix(_PREFIX): values for name, values in load_file(file).items()}
    wanted = backbone.state_dict()
    foreign = [name for name, values in wanted.items() if name not in weights or weights[name].shape != values.shape]
    if foreign:
        raise ConfigError(
            f"Expected in {base.manifest.name!r} (network.start) the backbone of this configuration, found "
            f"{base.manifest.weights.architecture}: {len(foreign)} of {len(wanted)} weights, such as {foreign[0]!r}, "
            "are missing or of another shape. Set network.backbone and network.arguments as there."
        )
    backbone.load_state_dict({name: weights[name] for name in wanted})
