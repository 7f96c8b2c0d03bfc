"""Decisions on stored probabilities equal those of the run, and change with what is asked."""

import numpy as np
import pandas as pd
import pytest

from organscope.decision import Policy, fit_conformal, fit_recall_guarantees
from organscope.errors import DatasetError, UnknownNameError, UsageError
from organscope.pipeline import Models, decide_again, plan_run, run_plan
from organscope.pipeline.results import StoredPolicy

ORGANS = ("liver", "lung", "brain")


def _stored(rng, out, n=400):
    """A folder as `classify` leaves it: probabilities of three organs and a policy with promises."""
    labels = rng.integers(0, 3, n)
    probabilities = rng.dirichlet(np.ones(3), n) * 0.5 + 0.5 * np.eye(3)[labels]
    policy = Policy(
        min_confidence=0.4,
        max_distance=0.9,
        contract=fit_recall_guarantees(probabilities, labels, ORGANS),
        conformal=fit_conformal(probabilities, labels),
    )
    stored = StoredPolicy(bundle="organs 1", bundle_sha256="0" * 64, organs=ORGANS, policy=policy)
    out.mkdir(exist_ok=True)
    (out / "policy.json").write_text(stored.model_dump_json())
    table = pd.DataFrame(probabilities, columns=[f"p_{organ}" for organ in ORGANS])
    table.insert(0, "image", [f"{number}.png" for number in range(n)])
    table["distance"] = rng.uniform(0, 1, n)
    table["doubt"] = np.where(np.arange(n) % 50 == 0, "blurred", "")
    table.to_csv(out / "predictions.csv", index=False)
    return probabilities, labels


def test_the_same_question_gets_the_same_answer(tmp_path, picture, models):
    out = tmp_path / "out"
    run_plan(plan_run([picture], out), Models(organs=models.organs))
    found = decide_again(out)
    first = pd.read_csv(out / "predictions.csv")
    second = pd.read_csv(found.path)
    shared = ["image", "organ", "confidence", "decision", "reason", "prediction_set", "promised_recall"]
    pd.testing.assert_frame_equal(first[shared], second[shared])
    assert found.bundle == "tiny-organs 1.0.0"
    assert found.promise is None


def test_reasons_and_sets(rng, tmp_path):
    probabilities, _ = _stored(rng, tmp_path)
    table = decide_again(tmp_path).table
    assert table["reason"][0].startswith("blurred")
    assert (table["decision"] == "abstain").equals(table["reason"] != "")
    first = [names.split("; ")[0] for names in table["prediction_set"]]
    assert first == [ORGANS[k] for k in probabilities.argmax(axis=1)]


def test_promised_recall_is_kept_on_the_calibration_images(rng, tmp_path):
    _, labels = _stored(rng, tmp_path)
    found = decide_again(tmp_path, positive="Lung", min_recall=0.9)
    flagged = found.table["flagged"].to_numpy()
    assert flagged[labels == 1].mean() >= found.promise.level == 0.9
    assert flagged[labels != 1].sum() == found.promise.n_false
    other = found.table[found.table["flagged"] & (found.table["organ"] != "lung")]
    assert other["reason"].str.contains("lung cannot be ruled out").all()
    assert (other["decision"] == "abstain").all()


def test_costs_change_the_answer(rng, tmp_path):
    _stored(rng, tmp_path)
    costs = tmp_path / "costs.toml"
    costs.write_text("[miss]\nbrain = 50\n")
    plain, dear = decide_again(tmp_path).table, decide_again(tmp_path, costs=costs).table
    assert (dear["organ"] == "brain").sum() > (plain["organ"] == "brain").sum()
    costs.write_text("abstain = 0.01\n")
    careful = decide_again(tmp_path, costs=costs).table
    assert careful["reason"].str.contains("above that of abstaining, 0.01").any()


def test_numbers_are_read_as_they_were_written(rng, tmp_path):
    """An image whose probability is the threshold itself is flagged."""
    probabilities, _ = _stored(rng, tmp_path)
    found = decide_again(tmp_path, positive="lung", min_recall=0.95)
    at_limit = probabilities[:, 1] == found.promise.threshold
    assert at_limit.any()
    assert found.table["flagged"][at_limit].all()


def test_a_bundle_of_other_organs_is_refused(rng, tmp_path, models):
    _stored(rng, tmp_path)
    with pytest.raises(DatasetError, match="probabilities of the 3 organs of tiny-organs"):
        decide_again(tmp_path, bundle=str(models.organs.source))


def test_wrong_use_is_explained(rng, tmp_path):
    with pytest.raises(DatasetError, match="found no such file"):
        decide_again(tmp_path)
    _stored(rng, tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean liver"):
        decide_again(tmp_path, positive="livre")
    with pytest.raises(UsageError, match="give --positive"):
        decide_again(tmp_path, min_recall=0.9)
    (tmp_path / "policy.json").write_text("{}")
    with pytest.raises(DatasetError, match="Name the bundle with --bundle"):
        decide_again(tmp_path)
    (tmp_path / "policy.json").unlink()
    with pytest.raises(DatasetError, match="--bundle"):
        decide_again(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="distance"), "no distance"),
        (lambda table: table.assign(p_lung=np.nan), "found row 2 otherwise"),
        (lambda table: table.assign(p_lung="much"), "found row 2 otherwise"),
        (lambda table: table.assign(p_heart=0.0), "those of 4"),
    ],
)
def test_damaged_predictions_are_explained(rng, tmp_path, change, words):
    _stored(rng, tmp_path, n=60)
    path = tmp_path / "predictions.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(DatasetError, match=words):
        decide_again(tmp_path)


def test_no_image_is_no_decision(rng, tmp_path):
    _stored(rng, tmp_path, n=60)
    path = tmp_path / "predictions.csv"
    pd.read_csv(path).iloc[:0].to_csv(path, index=False)
    assert len(decide_again(tmp_path, positive="lung").table) == 0
