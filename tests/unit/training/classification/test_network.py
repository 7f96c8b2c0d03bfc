"""The network: any timm backbone, and clear words where it cannot be had."""

import pytest
import timm
import torch

from organscope.errors import ConfigError, UnknownNameError
from organscope.models import load_bundle
from organscope.training.classification.config import NetworkConfig
from organscope.training.classification.network import VARIANCE_FLOOR, OrganHead, Stage, build_network

NARROW = {"channels": [8, 8, 16, 16]}


@pytest.mark.parametrize(
    ("backbone", "arguments", "n_features"),
    [("resnet10t", NARROW, 16), ("resnetv2_18", NARROW, 16), ("mobilenetv3_small_050", {}, 288)],
)
def test_features_are_what_the_backbone_pools(backbone, arguments, n_features):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(backbone=backbone, arguments=arguments), n_organs=5).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        logits, features = network(images)
        pooled = network.backbone.forward_features(images).mean(dim=(2, 3))
    # Both normalizations of a fresh network divide by the root of a variance of 1 and its floor.
    torch.testing.assert_close(features, pooled / (1 + VARIANCE_FLOOR), atol=1e-5, rtol=1e-4)
    assert logits.shape == (2, 5)
    assert features.shape == (2, n_features)


@pytest.mark.parametrize(("backbone", "stages"), [("resnet10t", 5), ("convnext_atto", 3), ("efficientnet_b0", 2)])
def test_logits_are_the_mean_of_the_evidence_plus_a_constant(backbone, stages):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(backbone=backbone, stages=stages, texture=True), n_organs=3).eval()
    images = torch.randn(2, 3, 76, 108)  # no multiples of the stride
    with torch.inference_mode():
        maps = network.stage_maps(images)
        logits, features, evidence = network.head.explain(maps)
        plain, pooled = network.head(maps)
    assert evidence.shape == (2, *maps[-1].shape[2:], 3)
    # Other orders of adding numbers of size 1.
    torch.testing.assert_close(logits, plain, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features, pooled)
    bias = logits - evidence.mean(dim=(1, 2))
    torch.testing.assert_close(bias[0], bias[1], atol=1e-4, rtol=0)


def test_in_gray_neither_color_nor_the_strength_of_the_stain_counts():
    torch.manual_seed(0)
    network = build_network(NetworkConfig(backbone="resnet10t", arguments=NARROW, sees="gray"), n_organs=3).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        logits, _ = network(images)
        torch.testing.assert_close(network(images.flip(1))[0], logits, atol=1e-5, rtol=1e-4)
        # The floor under the variance of a field leaves a little of its contrast.
        torch.testing.assert_close(network(3 * images + 1)[0], logits, atol=0.05, rtol=0)
        assert (network(images.roll(5, 2) + images)[0] - logits).abs().max() > 1e-3


def test_a_channel_that_was_silent_in_training_does_not_outshout_the_others():
    torch.manual_seed(0)
    head = OrganHead([Stage(2, 1)], n_organs=3, texture=False, limit=3.0, drop_rate=0.0)
    for _ in range(200):  # channel 0 is silent until the running statistics have forgotten their start
        maps = torch.randn(8, 2, 4, 4)
        maps[:, 0] = 0.0
        head.features([maps])
    head.eval()
    with torch.inference_mode():
        (features,) = head.features([torch.full((1, 2, 4, 4), 0.1)])
    # Through two divisions by the root of the floor; without it: 10,000.
    assert features[0, 0].abs() <= 0.1 / VARIANCE_FLOOR


def test_one_strange_place_does_not_outshout_the_rest_of_the_image():
    torch.manual_seed(0)
    head = OrganHead([Stage(2, 1)], n_organs=3, texture=True, limit=3.0, drop_rate=0.0)
    for _ in range(200):
        head.features([torch.randn(8, 2, 8, 8)])
    head.eval()
    maps = torch.randn(1, 2, 8, 8)
    strange = maps.clone()
    strange[0, 0, 0, 0] = 1000.0
    with torch.inference_mode():
        difference = head.features([strange])[0] - head.features([maps])[0]
    # One of 64 places counts (3 + 3) / 64 of a mean and 9 / 64 of a mean of squares at most, in their own spreads of
    # about 1 / 8 and 1.4 / 8; without the limit: 15,000 and more.
    assert difference.abs().max() < 1.5


def test_too_many_stages_are_refused():
    with pytest.raises(ConfigError, match=r"network\.stages of at most 5"):
        build_network(NetworkConfig(backbone="resnet10t", stages=6), 3)


def test_an_unknown_backbone_is_named_with_close_ones():
    with pytest.raises(UnknownNameError, match=r"'resnet81'.*Close: .*resnet18"):
        build_network(NetworkConfig(backbone="resnet81"), 3)


def test_an_unknown_tag_is_not_taken_for_the_plain_backbone():
    with pytest.raises(UnknownNameError, match=r"'resnet18.nobody'.*Close: .*resnet18"):
        build_network(NetworkConfig(backbone="resnet18.nobody"), 3)


def test_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match=r"does not take .*'widths': 3"):
        build_network(NetworkConfig(backbone="resnet10t", arguments={"widths": 3}), 3)


def test_a_backbone_of_one_image_size_is_refused_before_training():
    with pytest.raises(ConfigError, match="does not take images of any size"):
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


def test_a_backbone_starts_from_that_of_a_bundle_and_only_from_the_same_one():
    known = load_bundle("organs").manifest.weights.architecture
    chosen = {"backbone": known["backbone"], "arguments": known["arguments"], "start": "organs"}

    first, second = (build_network(NetworkConfig(**chosen), 3) for _ in range(2))

    pairs = zip(first.backbone.parameters(), second.backbone.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(ConfigError, match="are missing or of another shape"):
        build_network(NetworkConfig(**chosen | {"backbone": "resnet34"}), 3)
