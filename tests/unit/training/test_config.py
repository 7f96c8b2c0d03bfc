"""Reading a training configuration, and saying what is wrong with it."""

from pathlib import Path

import pytest

from organscope.errors import ConfigError, UsageError
from organscope.training.config import BundleSettings, DataSettings, Settings, read_settings


class Config(Settings):
    """The parts of both tasks' configurations."""

    data: DataSettings
    bundle: BundleSettings


TEXT = """
[data]
sources = [{ index = "somewhere", weight = 2 }]

[bundle]
name = "cells"
summary = "Cells."
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    return path


def test_relative_indexes_belong_to_the_folder_of_the_file(file):
    config = read_settings(Config, file)
    assert config.data.sources[0].index == file.parent / "somewhere"
    assert config.data.test_folds == (1,)


@pytest.mark.parametrize(
    ("override", "expected"),
    [("data.seed=7", 7), ("data.seed = 7", 7)],
)
def test_single_keys_are_overridden(file, override, expected):
    assert read_settings(Config, file, (override,)).data.seed == expected


def test_an_override_that_is_no_toml_is_text(file):
    assert read_settings(Config, file, ("bundle.summary=Round cells",)).bundle.summary == "Round cells"


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("data.colour=1", r"data\.colour: Extra inputs"),
        ("data.validation_fraction=0.9", r"data\.validation_fraction: .*found 0\.9"),
        ("bundle.name=Upper Case", r"bundle\.name"),
        ("data.sources=[]", r"data\.sources"),
    ],
)
def test_every_fault_is_named_with_what_was_found(file, override, named):
    with pytest.raises(ConfigError, match=named):
        read_settings(Config, file, (override,))


def test_a_missing_table_is_named(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[bundle]\nname = "a"\nsummary = "b"\n')
    with pytest.raises(ConfigError, match="data: Field required"):
        read_settings(Config, path)


def test_broken_toml_and_missing_files_are_said(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("[data\n")
    with pytest.raises(ConfigError, match="no valid TOML"):
        read_settings(Config, broken)
    with pytest.raises(UsageError, match="No such file"):
        read_settings(Config, tmp_path / "absent.toml")


@pytest.mark.parametrize("override", ["epochs", "=3", "data.seed.deep=1"])
def test_an_impossible_override_is_wrong_use(file, override):
    overrides = ("data.seed=1", override)
    with pytest.raises(UsageError):
        read_settings(Config, file, overrides)
