"""The network: any timm backbone, made to give its pooled features along with its logits."""

import difflib

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from organscope.errors import ConfigError, UnknownNameError
from organscope.train.classification.config import NetworkConfig


class OrganNetwork(nn.Module):
    """A timm model whose forward gives the logits and the pooled features that they are read from."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> tuple[Float[Tensor, "n organ"], Float[Tensor, "n d"]]:
        maps = self.backbone.forward_features(images)
        features = self.backbone.forward_head(maps, pre_logits=True)
        classifier = self.backbone.get_classifier()
        if isinstance(classifier, nn.Conv2d):
            # Some backbones classify by a 1 x 1 convolution of the pooled map, which is the same matrix.
            return functional.linear(features, classifier.weight.flatten(1), classifier.bias), features
        return classifier(features), features


def build_network(config: NetworkConfig, n_organs: int) -> OrganNetwork:
    """Make the network that a configuration describes, with a fresh head for `n_organs`.

    Raises:
        UnknownNameError: timm has no backbone of that name; close ones are named.
        ConfigError: The backbone does not take `arguments` or pictures of any size, or its pretrained weights
            cannot be had.
    """
    _require_known(config.backbone)
    if config.pretrained:
        _require_published(config.backbone)
    rates = {"drop_rate": config.drop_rate, "drop_path_rate": config.drop_path_rate}
    options = {name: rate for name, rate in rates.items() if rate > 0} | config.arguments
    try:
        backbone = timm.create_model(config.backbone, pretrained=config.pretrained, num_classes=n_organs, **options)
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
    network = OrganNetwork(backbone)
    _require_any_size(network, config.backbone)
    return network


def describe_network(config: NetworkConfig, n_organs: int) -> dict:
    """What `timm.create_model` needs to build this network again, as plain data for the manifest."""
    return {
        "backbone": config.backbone,
        "n_organs": n_organs,
        "timm_version": timm.__version__,
        "arguments": dict(config.arguments),
    }


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


def _require_any_size(network: OrganNetwork, name: str) -> None:
    """Crops, validation fields and the exported graph differ in size: find out before the training, not after."""
    training = network.training
    try:
        with torch.inference_mode():
            features = network.eval()(torch.zeros(1, 3, 96, 128))[1]
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"The backbone {name!r} does not take pictures of any size ({error}). Choose a convolutional one, or "
            "set network.arguments (dynamic_img_size = true for many transformers)."
        ) from error
    finally:
        network.train(training)
    if features.ndim != 2:
        raise ConfigError(
            f"The backbone {name!r} gives no pooled features, found shape {tuple(features.shape)}. Choose another."
        )
