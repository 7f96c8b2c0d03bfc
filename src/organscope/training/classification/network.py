"""The network: any timm backbone under a head whose logits are the mean of a map.

The head: from the maps of several stages to logits that are the mean of a map, so that evidence is exact.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016: where logits are a linear function
of globally averaged maps, the same function of each place says what that place added. It holds for every map that
is averaged, so earlier stages and the logarithm of a local energy (Laws 1980; Bruna & Mallat 2013) may be among
them: what counts is that nothing but a mean and a linear function comes after.

The backbone weights that a training begins with where it does not begin from chance.
"""

import difflib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from organscope.errors import ConfigError, UnknownNameError
from organscope.models import load_bundle
from organscope.training.classification.config import NetworkConfig

#: Added to an energy before its logarithm: maps have a variance of about 1, and a silent one must not dominate.
_ENERGY_FLOOR = 1e-2
#: Added to a variance before a division: a channel that is silent in training would otherwise say a thousand times too
#: much of the one image that wakes it.
VARIANCE_FLOOR = 1e-2


@dataclass(frozen=True)
class Stage:
    """Maps that the head reads.

    Attributes:
        channels: Of the maps.
        factor: How many of their pixels lie along one pixel of the last stage.
        rounds_up: Whether the last stage has a pixel for a remainder, or leaves it out.
    """

    channels: int
    factor: int
    rounds_up: bool = True


class OrganHead(nn.Module):
    """Local means of the maps of some stages, averaged over the field, to logits.

    All maps are brought to the grid of the last stage and standardized there. Each stage has a linear function of
    its own on the averages; the logits are the mean over the stages.

    Args:
        stages: The last stage of the backbone last.
        n_organs: Number of classes.
        texture: Beside the local means, the earlier stages give the logarithm of their local energies, and every
            stage gives the squares of all these, which tell how a texture varies over the field.
        limit: Of a local value before it is squared, in its standard deviations; none lets one place of an image
            drown all the others.
        drop_rate: Dropout before the linear functions.
    """

    def __init__(self, stages: list[Stage], n_organs: int, *, texture: bool, limit: float, drop_rate: float) -> None:
        super().__init__()
        self.stages = stages
        self.texture = texture
        self.limit = limit
        widths = [stage.channels * (2 if texture and stage.factor > 1 else 1) for stage in stages]
        repeats = 2 if texture else 1
        self.local_norms = nn.ModuleList([nn.BatchNorm2d(width, VARIANCE_FLOOR, affine=False) for width in widths])
        self.norms = nn.ModuleList([nn.BatchNorm1d(repeats * width, VARIANCE_FLOOR, affine=False) for width in widths])
        self.drop = nn.Dropout(drop_rate)
        self.linears = nn.ModuleList([nn.Linear(repeats * width, n_organs) for width in widths])

    def forward(self, maps: list[Float[Tensor, "n _ _ _"]]) -> tuple[Float[Tensor, "n organ"], Float[Tensor, "n d"]]:
        """Logits and standardized averages of all stages."""
        features = self.features(maps)
        return torch.stack(self.stage_logits(features)).mean(dim=0), torch.cat(features, dim=1)

    def features(self, maps: list[Float[Tensor, "n _ _ _"]]) -> list[Float[Tensor, "n _"]]:
        """Standardized averages over the whole field, by stage."""
        return [norm(part.mean(dim=(2, 3))) for norm, part in zip(self.norms, self.local(maps), strict=True)]

    def stage_logits(self, features: list[Float[Tensor, "n _"]]) -> list[Float[Tensor, "n organ"]]:
        """What each stage says by itself."""
        return [linear(self.drop(part)) for linear, part in zip(self.linears, features, strict=True)]

    def local(self, maps: list[Float[Tensor, "n _ _ _"]]) -> list[Float[Tensor, "n _ y x"]]:
        """What each place of the last stage's grid gives, by stage; `features` are the averages."""
        return [
            self._describe(values, stage, norm)
            for values, stage, norm in zip(maps, self.stages, self.local_norms, strict=True)
        ]

    def explain(
        self, maps: list[Float[Tensor, "n _ _ _"]]
    ) -> tuple[Float[Tensor, "n organ"], Float[Tensor, "n d"], Float[Tensor, "n y x organ"]]:
        """Logits, features and evidence, in evaluation mode: logits are the mean of the evidence plus the bias."""
        local = self.local(maps)
        features = [norm(part.mean(dim=(2, 3))) for norm, part in zip(self.norms, local, strict=True)]
        evidence = [
            _at_each_place(part, norm, linear)
            for part, norm, linear in zip(local, self.norms, self.linears, strict=True)
        ]
        bias = torch.stack([linear.bias for linear in self.linears]).mean(dim=0)
        mean = sum(evidence) / len(evidence)
        return mean.mean(dim=(1, 2)) + bias, torch.cat(features, dim=1), mean

    def _describe(self, values: Tensor, stage: Stage, norm: nn.BatchNorm2d) -> Tensor:
        local = _block_means(values, stage.factor, rounds_up=stage.rounds_up)
        if self.texture and stage.factor > 1:
            energy = _block_means(values * values, stage.factor, rounds_up=stage.rounds_up)
            local = torch.cat([local, (energy + _ENERGY_FLOOR).log()], dim=1)
        local = norm(local)
        if not self.texture:
            return local
        bounded = local.clamp(-self.limit, self.limit)
        return torch.cat([bounded, bounded * bounded], dim=1)


def _at_each_place(local: Tensor, norm: nn.BatchNorm1d, linear: nn.Linear) -> Float[Tensor, "n y x organ"]:
    """The linear function of the standardized averages, of each place instead; without its bias."""
    scale = (norm.running_var + norm.eps).rsqrt()
    return functional.linear((local.permute(0, 2, 3, 1) - norm.running_mean) * scale, linear.weight)


def _block_means(values: Float[Tensor, "n d v u"], factor: int, *, rounds_up: bool) -> Float[Tensor, "n d y x"]:
    """Means of square blocks; a block that is cut at the edge is the mean of what is there, or is left out."""
    if factor == 1:
        return values
    return functional.avg_pool2d(values, factor, ceil_mode=rounds_up, count_include_pad=False)


_PREFIX = "backbone."


def _load_backbone(backbone: nn.Module, bundle: str | Path) -> None:
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


#: Added to the variance of a field before it is divided out: a blank field stays nearly blank.
_CONTRAST_FLOOR = 1e-2


class OrganNetwork(nn.Module):
    """A timm backbone without its own classifier, and the head that reads the maps of its last stages."""

    def __init__(self, backbone: nn.Module, stages: list[Stage], n_organs: int, config: NetworkConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.sees = config.sees
        self.n_stages = len(stages)
        self.head = OrganHead(stages, n_organs, texture=config.texture, limit=config.limit, drop_rate=config.drop_rate)

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> tuple[Float[Tensor, "n organ"], Float[Tensor, "n d"]]:
        """Logits, and the standardized means that they are read from."""
        return self.head(self.stage_maps(images))

    def stage_maps(self, images: Float[Tensor, "n 3 y x"]) -> list[Float[Tensor, "n _ _ _"]]:
        """Maps of the last stages, the last one as the backbone itself hands it to a classifier."""
        seen = _structure(images) if self.sees == "gray" else images
        return _stage_maps(self.backbone, seen, self.n_stages)


def _structure(images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n 1 y x"]:
    """The mean of the channels, each field with mean 0 and variance 1: no stain can make it lighter or stronger."""
    return functional.instance_norm(images.mean(dim=1, keepdim=True), eps=_CONTRAST_FLOOR)


def build_network(config: NetworkConfig, n_organs: int) -> OrganNetwork:
    """Make the network that a configuration describes, with a fresh head for `n_organs`.

    Raises:
        UnknownNameError: timm has no backbone of that name; close ones are named.
        ConfigError: The backbone does not take `arguments` or images of any size, gives no maps or fewer
            stages than asked for, or the weights to start from cannot be had or do not fit.
    """
    _require_known(config.backbone)
    if config.pretrained:
        _require_published(config.backbone)
    backbone = _backbone(config)
    if config.start is not None:
        _load_backbone(backbone, config.start)
    return OrganNetwork(backbone, _probe_stages(backbone, config), n_organs, config)


def describe_network(config: NetworkConfig, n_organs: int) -> dict:
    """What `build_network` needs to build this network again, as plain data for the manifest."""
    return {
        "backbone": config.backbone,
        "n_organs": n_organs,
        "timm_version": timm.__version__,
        "arguments": dict(config.arguments),
        "stages": config.stages,
        "texture": config.texture,
        "limit": config.limit,
        "sees": config.sees,
    }


def _channels(config: NetworkConfig) -> int:
    return 1 if config.sees == "gray" else 3


def _backbone(config: NetworkConfig) -> nn.Module:
    options = {"drop_path_rate": config.drop_path_rate} if config.drop_path_rate > 0 else {}
    options["in_chans"] = _channels(config)
    try:
        return timm.create_model(
            config.backbone, pretrained=config.pretrained, num_classes=0, **(options | config.arguments)
        )
    except (TypeError, AssertionError) as error:
        raise ConfigError(
            f"The backbone {config.backbone!r} does not take network.arguments = {config.arguments} ({error}). "
            "Leave out what it does not know."
        ) from error
    except Exception as error:
        if not config.pretrained:
            raise
        raise ConfigError(
            f"The pretrained weights of {config.backbone!r} could not be downloaded ({type(error).__name__}). "
            "Connect to the internet, or set network.pretrained = false to train from scratch."
        ) from error


def _stage_maps(backbone: nn.Module, images: Tensor, n_stages: int) -> list[Tensor]:
    final, maps = backbone.forward_intermediates(images, indices=n_stages)
    # What follows the last stage (a normalization, a widening) is part of the backbone; the tokens of a
    # transformer are no map.
    return [*maps[:-1], final] if final.ndim == 4 and final.shape[1] == backbone.num_features else maps


def _require_known(name: str) -> None:
    _, _, tag = name.partition(".")
    if timm.is_model(name) and (not tag or timm.is_model_pretrained(name)):
        return
    close = difflib.get_close_matches(name, timm.list_models(), n=4, cutoff=0.5)
    hint = f" Close: {', '.join(close)}." if close else " See timm.list_models()."
    raise UnknownNameError(f"Expected the name of a timm model as network.backbone, found {name!r}.{hint}")


def _require_published(name: str) -> None:
    if timm.is_model_pretrained(name):
        return
    raise ConfigError(
        f"timm publishes no pretrained weights for {name!r}. Set network.pretrained = false, or name a backbone "
        "that has them (timm.list_pretrained())."
    )


def _probe_stages(backbone: nn.Module, config: NetworkConfig) -> list[Stage]:
    """Channels and scale of each stage, found with an image that is no square: fields and crops differ in size."""
    name, n_known = config.backbone, len(getattr(backbone, "feature_info", []))
    if not hasattr(backbone, "forward_intermediates") or n_known == 0:
        raise ConfigError(f"The backbone {name!r} gives no maps of its stages. Choose another, for instance resnet18.")
    if config.stages > n_known:
        raise ConfigError(f"Expected network.stages of at most {n_known} for {name!r}, found {config.stages}.")
    training, channels = backbone.training, _channels(config)
    try:
        with torch.inference_mode():
            maps = _stage_maps(backbone.eval(), torch.zeros(1, channels, 96, 128), config.stages)
            uneven = _stage_maps(backbone, torch.zeros(1, channels, 76, 108), config.stages)
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"The backbone {name!r} does not take images of any size ({error}). Choose a convolutional one, or "
            "set network.arguments (dynamic_img_size = true for many transformers)."
        ) from error
    finally:
        backbone.train(training)
    factors = [values.shape[-1] // maps[-1].shape[-1] for values in maps]
    return [
        Stage(values.shape[1], factor, rounds_up=-(-values.shape[-1] // factor) == uneven[-1].shape[-1])
        for values, factor in zip(uneven, factors, strict=True)
    ]
