"""Many cells, one answer."""

import numpy as np
import pytest

from organscope.decision.aggregation import (
    Pooling,
    effective_number,
    fit_pooling,
    pool_answers,
    pool_cells,
    pooled_score,
)
from organscope.errors import ShapeError

CELL = np.array([[0.6, 0.3, 0.1]])


@pytest.mark.parametrize("rule", ["mean", "log_mean"])
@pytest.mark.parametrize("correlation", [0.01, 0.3, 1.0])
def test_a_single_cell_keeps_its_probabilities(rule, correlation):
    assert pool_cells(CELL, Pooling(rule=rule, correlation=correlation)) == pytest.approx(CELL[0])


@pytest.mark.parametrize("rule", ["mean", "log_mean"])
def test_cells_that_agree_are_the_surer_the_less_they_depend_on_one_another(rule):
    many = np.repeat(CELL, 50, axis=0)
    found = [pool_cells(many, Pooling(rule=rule, correlation=c))[0] for c in (1.0, 0.5, 0.1)]
    assert found[0] == pytest.approx(0.6)
    assert found == sorted(found)
    power = CELL[0] ** (50 / 25.5)
    assert found[1] == pytest.approx(power[0] / power.sum())


def test_one_cell_that_is_wrongly_sure_outvotes_nobody():
    cells = np.vstack([np.repeat([[0.9, 0.1]], 9, axis=0), [[0.0, 1.0]]])
    assert pool_cells(cells, Pooling(rule="mean")).argmax() == 0
    assert pool_cells(cells, Pooling(rule="log_mean")).argmax() == 0
    # Without a floor the mean logarithm would be minus infinity.
    assert np.isfinite(pooled_score(cells, "log_mean")).all()


def test_rules_by_hand():
    cells = np.array([[0.8, 0.2], [0.5, 0.5]])
    assert pooled_score(cells, "mean") == pytest.approx(np.log([0.65, 0.35]))
    assert pooled_score(cells, "log_mean") == pytest.approx(np.log([0.8 * 0.5, 0.2 * 0.5]) / 2)
    assert effective_number(1, 0.3) == 1
    assert effective_number(10_000, 0.25) == pytest.approx(4, rel=1e-3)


def test_no_cell_has_no_answer():
    with pytest.raises(ShapeError, match="at least one cell"):
        pool_cells(np.zeros((0, 3)), Pooling())


def cells_of_images(rng, *, spread_of_images: float, n_images=60, n_cells=20):
    """Cells whose calibrated probabilities err together (as images) or each for itself."""
    images = np.repeat(np.arange(n_images), n_cells)
    labels = (np.arange(n_images) % 3)[images]
    common = rng.normal(0, spread_of_images, (n_images, 3))[images]
    logits = 1.0 * np.eye(3)[labels] + common + rng.normal(0, 1, (len(images), 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, labels, images


def test_correlation_is_higher_where_the_cells_of_an_image_err_together(rng):
    alone = fit_pooling(*cells_of_images(rng, spread_of_images=0.0))
    together = fit_pooling(*cells_of_images(rng, spread_of_images=1.5))
    assert alone.correlation < 0.3
    assert together.correlation > 1.5 * alone.correlation
    assert together.min_confidence > 0


def test_the_order_of_the_cells_does_not_matter(rng):
    probabilities, labels, images = cells_of_images(rng, spread_of_images=1.0)
    shuffled = rng.permutation(len(images))
    one = fit_pooling(probabilities, labels, images)
    other = fit_pooling(probabilities[shuffled], labels[shuffled], images[shuffled])
    # Sums in another order differ in the last digits, and so does where the search for the minimum ends.
    assert other.correlation == pytest.approx(one.correlation, rel=1e-3)
    assert other.rule == one.rule


def test_of_two_opinions_the_surer_one_carries_the_day_and_agreement_makes_no_surer():
    joint = pool_answers(np.array([0.6, 0.4]), np.array([0.01, 0.99]))
    assert joint.sum() == pytest.approx(1)
    assert joint.argmax() == 1
    same = np.array([0.7, 0.2, 0.1])
    np.testing.assert_allclose(pool_answers(same, same), same)


def test_an_opinion_that_rules_an_organ_out_does_not_silence_the_other():
    joint = pool_answers(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(joint, [0.5, 0.5])
