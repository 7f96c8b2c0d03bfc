"""The network: any timm backbone under a head whose logits are the mean of a map."""

import difflib

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from organscope.errors import ConfigError, UnknownNameError
from organscope.train.classification.config import NetworkConfig
from organscope.train.classification.head import OrganHead, Stage
from organscope.train.classification.start import load_backbone

#: Added to the variance of a field before it is divided out: a blank field stays nearly blank.
CONTRAST_FLOOR = 1e-2


class OrganNetwork(nn.Module):
    """A timm backbone without its own classifier, and the head that reads the maps of its last stages."""

    def __init__(self, backbone: nn.Module, stages: list[Stage], n_organs: int, config: NetworkConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.sees = config.sees
        self.n_stages = len(stages)
        self.head = OrganHead(stages, n_organs, texture=config.texture, limit=config.limit, drop_rate=config.drop_rate)

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> tuple[Float[Tensor, "n organ"], Float[Tensor, "n d"]]:
        """Logits, and the standardised means that they are read from."""
        return self.head(self.stage_maps(images))

    def stage_maps(self, images: Float[Tensor, "n 3 y x"]) -> list[Float[Tensor, "n _ _ _"]]:
        """Maps of the last stages, the last one as the backbone itself hands it to a classifier."""
        seen = structure(images) if self.sees == "gray" else images
        return _stage_maps(self.backbone, seen, self.n_stages)


def structure(images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n 1 y x"]:
    """The mean of the channels, each field with mean 0 and variance 1: no stain can make it lighter or stronger."""
    return functional.instance_norm(images.mean(dim=1, keepdim=True), eps=CONTRAST_FLOOR)


def build_network(config: NetworkConfig, n_organs: int) -> OrganNetwork:
    """Make the network that a configuration describes, with a fresh head for `n_organs`.

    Raises:
        UnknownNameError: timm has no backbone of that name; close ones are named.
        ConfigError: The backbone does not take `arguments` or pictures of any size, gives no maps or fewer
            stages than asked for, or the weights to start from cannot be had or do not fit.
    """
    _require_known(config.backbone)
    if config.pretrained:
        _require_published(config.backbone)
    backbone = _backbone(config)
    if config.start is not None:
        load_backbone(backbone, config.start)
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
    # What follows the last stage (a normalisation, a widening) is part of the backbone; the tokens of a
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
    """Channels and scale of each stage, found with a picture that is no square: fields and crops differ in size."""
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
            f"The backbone {name!r} does not take pictures of any size ({error}). Choose a convolutional one, or "
            "set network.arguments (dynamic_img_size = true for many transformers)."
        ) from error
    finally:
        backbone.train(training)
    factors = [values.shape[-1] // maps[-1].shape[-1] for values in maps]
    return [
        Stage(values.shape[1], factor, rounds_up=-(-values.shape[-1] // factor) == uneven[-1].shape[-1])
        for values, factor in zip(uneven, factors, strict=True)
    ]
