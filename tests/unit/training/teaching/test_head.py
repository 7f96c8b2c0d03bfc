"""The linear head, and how groups are left out."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.linear_model import Ridge

from organscope.training.teaching.graph import graph_with_head
from organscope.training.teaching.head import (
    Rows,
    answers_out_of_group,
    fit_head,
    image_probabilities,
    leave_groups_out,
)


def rows_of(random, n_images=30, n_fields=2, width=6):
    labels = np.arange(n_images) % 3
    owners = np.repeat(np.arange(n_images), n_fields)
    features = 2.0 * np.eye(width)[labels[owners]] + random.normal(0, 0.5, (len(owners), width))
    return Rows(features.astype(np.float32), owners), labels


def test_balanced_images_give_the_ridge_regression_of_scikit_learn(rng):
    rows, labels = rows_of(rng)
    head = fit_head(rows, labels, 3, penalty=0.01)
    embedded = (rows.features - head.mean) / head.spread
    towards = np.eye(3)[labels[rows.owners]] - 1 / 3
    # Ours weighs rows to a sum of 1, scikit-learn's each with 1.
    expected = Ridge(alpha=0.01 * 6 * len(embedded), fit_intercept=False).fit(embedded, towards)
    np.testing.assert_allclose(head.weights, expected.coef_.T, rtol=1e-6, atol=1e-9)


def test_an_image_with_many_fields_counts_once(rng):
    rows, labels = rows_of(rng, n_fields=1)
    again = Rows(rows.features[:1].repeat(9, axis=0), np.zeros(9, np.int64))
    one, many = fit_head(rows, labels, 3), fit_head(rows + again, labels, 3)
    np.testing.assert_allclose(one.weights, many.weights, rtol=1e-5, atol=1e-8)


def test_more_features_than_rows_give_the_same_as_the_other_way_round(rng):
    rows, labels = rows_of(rng, n_images=12, n_fields=1, width=40)
    wide = fit_head(rows, labels, 3)
    padded = fit_head(rows + rows + rows + rows, labels, 3)
    np.testing.assert_allclose(wide.weights, padded.weights, rtol=1e-4, atol=1e-8)


def test_no_answer_comes_from_a_head_that_saw_the_group(rng):
    rows, labels = rows_of(rng)
    # Every image of group 0 has a label of its own that only its group shows: it cannot be named when left out.
    groups = np.arange(30) // 6
    labels = np.where(groups == 0, 3, labels)
    copies = rows.where(np.zeros(30, bool))
    answers = answers_out_of_group(rows, copies, labels, groups, 4, 3)
    named = image_probabilities(answers.logits, rows.owners).argmax(axis=1)
    assert not (named[groups == 0] == 3).any()
    assert (named[groups != 0] == labels[groups != 0]).all()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "a", "b", "c", "d"])), min_size=8, max_size=60).filter(
        lambda pairs: all(sum(label == number for label, _ in pairs) >= 2 for number in range(3))
    )
)
def test_a_group_lies_in_one_fold_unless_a_class_has_no_other(pairs):
    labels = np.array([label for label, _ in pairs])
    groups = [group for _, group in pairs]
    held = leave_groups_out(labels, groups, ["x", "y", "z"])
    for group in set(groups) - {""}:
        of_group = np.array([name == group for name in groups])
        shared = of_group & ~np.isin(labels, [("x", "y", "z").index(name) for name in held.single_group])
        assert len(set(held.folds[shared])) <= 1
    for number, name in enumerate(("x", "y", "z")):
        own = labels == number
        units = {group or i for i, group in enumerate(groups) if own[i]}
        assert (len(units) == 1) == (name in held.single_group)


def test_the_graph_computes_what_the_head_does(rng):
    rows, labels = rows_of(rng)
    head = fit_head(rows, labels, 3)
    nodes = [helper.make_node("ReduceMean", ["input"], ["features"], axes=[1, 2], keepdims=0)]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", "y", "x", 6])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 6])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(graph_with_head(model, head))
    batch = rows.features[:5, None, None, :].repeat(2, axis=1)
    logits, features = session.run(["logits", "features"], {"input": batch})
    np.testing.assert_allclose(features, head.embed(rows.features[:5]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, head.logits(rows.features[:5]), rtol=1e-3, atol=1e-4)
    assert [output.name for output in onnx.load_model_from_string(graph_with_head(model, head)).graph.output] == [
        "logits",
        "features",
    ]


def test_probabilities_of_an_image_are_the_mean_of_its_fields():
    means = image_probabilities(np.array([[1.0, 0.0], [0.0, 1.0], [0.2, 0.8]]), np.array([0, 0, 1]))
    assert means.tolist() == pytest.approx(np.array([[0.5, 0.5], [0.2, 0.8]]))
