import numpy as np
import pytest

from organscope.decision.costs import CostTable, costs_of, read_costs
from organscope.errors import ConfigError, UnknownNameError

ORGANS = ["liver", "lung", "lymph node"]


def _read(tmp_path, text, name="costs.toml"):
    path = tmp_path / name
    path.write_text(text)
    return read_costs(path, ORGANS)


def test_nothing_said_is_one_for_every_mistake():
    costs = costs_of(CostTable(), ORGANS)
    np.testing.assert_array_equal(costs.matrix, 1 - np.eye(3))
    assert not costs.can_abstain


def test_missing_an_organ_is_so_many_times_worse(tmp_path):
    costs = _read(tmp_path, "abstain = 0.3\n[miss]\nlung = 20\n")
    np.testing.assert_array_equal(costs.matrix, [[0, 20, 1], [1, 0, 1], [1, 20, 0], [0.3, 0.3, 0.3]])
    assert costs.can_abstain


def test_a_single_mistake_has_its_own_price(tmp_path):
    costs = _read(tmp_path, 'mistake = 2\n[miss]\nlung = 3\n[pair."Lymph_Node"]\nlung = 0.5\n')
    np.testing.assert_array_equal(costs.matrix, [[0, 6, 2], [2, 0, 0.5], [2, 6, 0]])


def test_matrix_of_csv(tmp_path):
    text = "answer,lung,liver\nliver,20,0\n\nlymph node,5,4\nabstain,0.5,0.25\n"
    costs = _read(tmp_path, text, "costs.csv")
    np.testing.assert_array_equal(costs.matrix, [[0, 20, 1], [1, 0, 1], [4, 5, 0], [0.25, 0.5, 0.5]])
    assert costs.can_abstain
    assert not _read(tmp_path, "answer,lung\nliver,2", "costs.csv").can_abstain


@pytest.mark.parametrize(
    ("text", "name", "error", "words"),
    [
        ("[miss]\nlivr = 2", "a.toml", UnknownNameError, "Did you mean liver"),
        ("[miss]\nheart = 2", "a.toml", UnknownNameError, "There are: liver, lung, lymph node"),
        ("misses = 2", "a.toml", ConfigError, "Known keys are mistake, abstain"),
        ("abstain = -1", "a.toml", ConfigError, "'abstain'"),
        ("abstain =", "a.toml", ConfigError, "to be TOML"),
        ("answer,lung\nliver,dear", "a.csv", ConfigError, "found 'dear'"),
        ("answer,lung\nliver,nan", "a.csv", ConfigError, "prices from 0"),
        ("answer,lung\nliver,1,2", "a.csv", ConfigError, "Expected 1 prices"),
        ("answer", "a.csv", ConfigError, "found 1 rows"),
    ],
)
def test_faults_are_explained(tmp_path, text, name, error, words):
    with pytest.raises(error, match=words):
        _read(tmp_path, text, name)


def test_missing_file_is_explained(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_costs(tmp_path / "none.toml", ORGANS)
