import numpy as np
import pytest

from organscope.decision import expected_costs, least_cost_answers
from organscope.errors import ShapeError, ValueRangeError

# Answers: healthy, tumour, abstain. Truths: healthy, tumour. A missed tumour costs 100, a false alarm 5.
COSTS = np.array([[0.0, 100.0], [5.0, 0.0], [2.0, 2.0]])


def test_expected_costs_by_hand():
    found = expected_costs(np.array([[0.9, 0.1]]), COSTS)
    np.testing.assert_allclose(found, [[10.0, 4.5, 2.0]])


def test_a_dear_miss_moves_the_answer():
    probabilities = np.array([[0.99, 0.01], [0.9, 0.1], [0.3, 0.7]])
    np.testing.assert_array_equal(least_cost_answers(probabilities, COSTS), [0, 2, 1])


def test_equal_costs_give_the_most_probable_class(rng):
    probabilities = rng.dirichlet(np.ones(4), 50)
    costs = 1.0 - np.eye(4)
    np.testing.assert_array_equal(least_cost_answers(probabilities, costs), probabilities.argmax(axis=1))


def test_a_matrix_of_other_classes_is_refused():
    with pytest.raises(ShapeError, match="2 columns"):
        expected_costs(np.array([[0.9, 0.1]]), np.eye(3))


def test_costs_are_finite():
    with pytest.raises(ValueRangeError, match="finite"):
        expected_costs(np.array([[0.9, 0.1]]), np.array([[0.0, np.inf]]))
