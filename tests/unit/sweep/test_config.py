"""A space from a TOML file, and the spaces that ship."""

from pathlib import Path

import pytest

from organscope.errors import ConfigError, UsageError
from organscope.sweep import read_space
from organscope.sweep.space import check_space, configuration

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
SPACE = """
task = "segmentation"
config = "base.toml"
[parameters]
"fit.learning_rate" = { min = 1e-3, max = 1e-2, log = true }
"""


@pytest.fixture
def write(tmp_path):
    def text(content: str) -> Path:
        path = tmp_path / "rates.toml"
        path.write_text(content)
        return path

    return text


def test_the_base_is_found_beside_the_space_and_the_name_is_the_files(write, tmp_path):
    space = read_space(write(SPACE))
    assert (space.name, space.config) == ("rates", tmp_path / "base.toml")
    assert space.prunes


def test_what_the_command_says_goes_before_the_file(write, tmp_path):
    space = read_space(write(SPACE), config=tmp_path / "other.toml", task="classification")
    assert (space.task, space.config) == ("classification", tmp_path / "other.toml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (SPACE.replace("[parameters]", "epoch = 3\n[parameters]"), "epoch: Extra inputs"),
        (SPACE + '"fit.batch" = { min = 8 }', "min and max belong together"),
        (SPACE + 'strength = { min = 0, max = 1, sets = { "fit.learning_rate" = [0, 1] } }', "set the same key"),
        ("objectives = [{ metric = 'ms_per_image' }]" + SPACE, "ms_per_megapixel"),
        ("objectives = [{ metric = 'pq' }, { metric = 'pq' }]" + SPACE, "each metric can be an objective once"),
        (SPACE.replace("[parameters]", "[parameters"), "no valid TOML"),
    ],
)
def test_what_does_not_fit_is_named(write, text, reason):
    with pytest.raises(ConfigError, match=reason):
        read_space(write(text))


def test_a_missing_base_is_said(write):
    with pytest.raises(UsageError, match="base configuration of the sweep"):
        check_space(read_space(write(SPACE)))


def test_a_key_that_the_trainer_does_not_know_is_found_before_the_first_trial(space):
    with pytest.raises(ConfigError, match=r"network\.filters"):
        check_space(space(parameters={"network.filters": {"values": [1, 2]}}))
    with pytest.raises(ConfigError, match=r"less than or equal to 6"):
        check_space(space(parameters={"network.depth": {"min": 2, "max": 9, "int": True}}))


def test_indexes_stay_where_they_are(space, tmp_path):
    content = configuration(space(), {"fit.learning_rate": 0.5})
    assert content["data"]["sources"] == [{"index": str(tmp_path / "index")}]
    assert content["fit"] == {"learning_rate": 0.5}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("sweep_*.toml")), ids=lambda path: path.stem)
def test_the_spaces_that_ship_fit_their_trainers(path):
    space = read_space(path)
    check_space(space)
    assert space.prunes
    assert space.trials >= 16
