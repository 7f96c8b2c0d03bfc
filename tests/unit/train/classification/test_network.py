"""The network: any timm backbone, and clear words where it cannot be had."""

import pytest
import timm
import torch

from organscope.errors import ConfigError, UnknownNameError
from organscope.train.classification.config import NetworkConfig
from organscope.train.classification.network import build_network

NARROW = {"channels": [8, 8, 16, 16]}


@pytest.mark.parametrize(
    ("backbone", "arguments", "n_features"),
    [("resnet10t", NARROW, 16), ("resnetv2_18", {"channels": [8, 8, 16, 16]}, 16), ("mobilenetv3_small_050", {}, 1024)],
)
def test_logits_are_those_of_the_backbone_itself(backbone, arguments, n_features):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(backbone=backbone, arguments=arguments), n_organs=5).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        logits, features = network(images)
        # The same operations, in another order at most.
        torch.testing.assert_close(logits, network.backbone(images), atol=1e-5, rtol=1e-4)
    assert logits.shape == (2, 5)
    assert features.shape == (2, n_features)


def test_an_unknown_backbone_is_named_with_close_ones():
    with pytest.raises(UnknownNameError, match=r"'resnet81'.*Close: .*resnet18"):
        build_network(NetworkConfig(backbone="resnet81"), 3)


def test_an_unknown_tag_is_not_taken_for_the_plain_backbone():
    with pytest.raises(UnknownNameError, match=r"'resnet18.nobody'.*Close: .*resnet18"):
        build_network(NetworkConfig(backbone="resnet18.nobody"), 3)


def test_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match=r"does not take .*'widths': 3"):
        build_network(NetworkConfig(backbone="resnet10t", arguments={"widths": 3}), 3)


def test_a_backbone_of_one_picture_size_is_refused_before_training():
    with pytest.raises(ConfigError, match="does not take pictures of any size"):
        build_network(NetworkConfig(backbone="vit_tiny_patch16_224"), 3)


def test_pretrained_without_internet_says_what_to_do(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigError, match=r"could not be downloaded.*pretrained = false"):
        build_network(NetworkConfig(backbone="resnet18", pretrained=True), 3)


def test_pretrained_weights_that_were_never_published_are_said_so():
    with pytest.raises(ConfigError, match="publishes no pretrained weights for 'resnetaa34d'"):
        build_network(NetworkConfig(backbone="resnetaa34d", pretrained=True), 3)
