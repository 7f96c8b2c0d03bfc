"""The closed-form head, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from organscope.train.classification.config import DiscriminantConfig, NetworkConfig
from organscope.train.classification.discriminant import (
    Pooled,
    fit_discriminant,
    gray_copies,
    head_function,
    joined_heads,
    score_heads,
    set_head_function,
)
from organscope.train.classification.network import build_network


@pytest.fixture
def network():
    torch.manual_seed(0)
    config = NetworkConfig(backbone="resnet10t", arguments={"channels": [8, 8, 8, 8]}, stages=2, texture=True)
    return build_network(config, 3).eval()


def clouds(n: int = 60, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    organs = np.arange(n) % 3
    mix = random.standard_normal((d, d))
    return random.standard_normal((n, d)) @ mix + random.standard_normal((3, d))[organs] * 2, organs


def test_without_shrinkage_it_is_that_of_scikit_learn():
    features, organs = clouds()
    found = fit_discriminant(features, organs, np.ones(60), 0.0)(features)
    other = (
        LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3).fit(features, organs).decision_function(features)
    )
    # Logits matter up to a constant; float64 solutions of the same small equations.
    np.testing.assert_allclose(
        found - found.mean(axis=1, keepdims=True), other - other.mean(axis=1, keepdims=True), atol=1e-8
    )


def test_more_features_than_pictures_give_what_the_definition_says():
    random = np.random.default_rng(3)
    features, organs = random.standard_normal((24, 60)), np.arange(24) % 3
    found = fit_discriminant(features, organs, np.ones(24), 0.2)
    rows = features / features.std(axis=0)
    means = np.stack([rows[organs == organ].mean(axis=0) for organ in range(3)])
    covariance = (rows - means[organs]).T @ (rows - means[organs]) / 24
    shrunk = 0.8 * covariance + 0.2 * np.trace(covariance) / 60 * np.eye(60)
    weights = (means - means.mean(axis=0)) @ np.linalg.inv(shrunk) / features.std(axis=0)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-8, atol=1e-10)  # float64 inverses in two ways


def test_a_picture_that_counts_twice_is_as_good_as_two():
    features, organs = clouds()
    weights = 1.0 + (np.arange(60) < 12)
    found = fit_discriminant(features, organs, weights, 0.1)
    doubled = fit_discriminant(
        np.concatenate([features, features[:12]]), np.concatenate([organs, organs[:12]]), np.ones(72), 0.1
    )
    np.testing.assert_allclose(found.weights, doubled.weights, rtol=1e-8)
    np.testing.assert_allclose(found.bias, doubled.bias, rtol=1e-8)


def test_features_that_never_vary_count_nothing():
    features, organs = clouds()
    found = fit_discriminant(np.column_stack([features, np.ones(len(features))]), organs, np.ones(60), 0.1)
    assert np.isfinite(found.weights).all()
    np.testing.assert_allclose(found.weights[:, -1], 0, atol=1e-12)


def test_the_head_can_be_read_and_replaced(network):
    images = torch.randn(2, 3, 64, 64)
    function = head_function(network)
    with torch.inference_mode():
        logits, features = network(images)
    # float32 sums in another order.
    np.testing.assert_allclose(function(features.numpy()), logits.numpy(), atol=1e-5)
    set_head_function(network, function.scaled(2.0))
    with torch.inference_mode():
        np.testing.assert_allclose(network(images)[0].numpy(), 2 * logits.numpy(), atol=1e-5)


def test_joined_heads_have_one_scale(network):
    random = np.random.default_rng(1)
    organs = np.arange(30) % 3
    width = head_function(network).weights.shape[1]
    features = random.standard_normal((30, width)) + np.eye(3, width)[organs]
    heads = joined_heads(network, features, organs, np.ones(30), DiscriminantConfig(share=0.5))
    own, discriminant = heads["own"](features), heads["discriminant"](features)
    assert discriminant.std(axis=1).mean() == pytest.approx(own.std(axis=1).mean())
    np.testing.assert_allclose(heads["joined"](features), (own + discriminant) / 2)
    table = score_heads(heads, {"colour": Pooled(features, np.arange(30))}, organs)
    assert list(table["head"]) == ["own", "discriminant", "joined"]
    assert table.set_index("head").loc["discriminant", "accuracy"] > 0.9  # three shifted clouds in 48 dimensions


def test_gray_copies_have_neither_colour_nor_range():
    fields = np.random.default_rng(2).integers(60, 120, (2, 16, 16, 3), dtype=np.uint8)
    copies = gray_copies(fields)
    assert (copies == copies[..., :1]).all()
    assert copies.min() == 0
    assert copies.max() == 255
    np.testing.assert_array_equal(gray_copies(np.full((1, 4, 4, 3), 9, np.uint8)), 0)
