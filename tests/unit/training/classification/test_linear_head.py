"""The closed-form head, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from organscope.training.classification.config import DiscriminantConfig, NetworkConfig
from organscope.training.classification.linear_head import (
    Pooled,
    fit_discriminant,
    head_function,
    joined_heads,
    score_heads,
    set_head_function,
)
from organscope.training.classification.network import VARIANCE_FLOOR, build_network


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


@pytest.mark.parametrize("width", [5, 90])
def test_it_is_the_ridge_regression_of_scikit_learn(width):
    features, organs = clouds(61, width)
    counted = np.random.default_rng(1).uniform(0.5, 2, 61)
    found = fit_discriminant(features, organs, counted, 1e-3)(features)
    # All organs are equally frequent: of each, the weights of its images sum to a third.
    shares = counted / np.array([counted[organs == organ].sum() for organ in range(3)])[organs] / 3
    mean = shares @ features
    rows = (features - mean) / np.sqrt(shares @ (features - mean) ** 2 + VARIANCE_FLOOR)
    other = Ridge(alpha=1e-3 * width, solver="cholesky").fit(rows, np.eye(3)[organs], shares).predict(rows)
    # Up to the share of an organ, which changes no answer; float64 solutions of the same equations.
    np.testing.assert_allclose(found + 1 / 3, other, atol=1e-8)


def test_a_image_that_counts_twice_is_as_good_as_two():
    features, organs = clouds()
    weights = 1.0 + (np.arange(60) < 12)
    found = fit_discriminant(features, organs, weights, 0.1)
    doubled = fit_discriminant(
        np.concatenate([features, features[:12]]), np.concatenate([organs, organs[:12]]), np.ones(72), 0.1
    )
    np.testing.assert_allclose(found.weights, doubled.weights, rtol=1e-8)
    np.testing.assert_allclose(found.bias, doubled.bias, rtol=1e-8)


def test_features_that_hardly_vary_count_next_to_nothing():
    features, organs = clouds()
    silent = np.stack([np.ones(60), 3 + 1e-9 * organs], axis=1)
    found = fit_discriminant(np.column_stack([features, silent]), organs, np.ones(60), 1e-7)
    # The second tells the organs apart; standardized like the others it would get weights of 1e9.
    assert np.abs(found.weights[:, -2:]).max() < 0.1


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
