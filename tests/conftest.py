"""Shared fixtures; array shapes and types of the public functions are checked while testing."""

from pathlib import Path

import hypothesis
import numpy as np
import pytest
from jaxtyping import install_import_hook

import organscope


def checked_modules() -> list[str]:
    """The rooms of pure functions, without compiled kernels, which cannot be wrapped."""
    source = Path(organscope.__file__).parent
    rooms = ("ops", "evaluation/metrics", "decision")
    files = [file for room in rooms for file in sorted((source / room).glob("*.py"))]
    kept = [file for file in files if file.stem != "__init__" and not file.stem.endswith("_kernels")]
    return [".".join(("organscope", *file.relative_to(source).with_suffix("").parts)) for file in kept]


# How long an example takes depends on what else the machine does, and the first one may compile kernels.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

install_import_hook(checked_modules(), "beartype.beartype")

KERAS_TESTS = ("unit/training/segmentation", "contract/segmentation")
"""Tests that load TensorFlow; torch and TensorFlow never share a process, so these run in one of their own."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keras", action="store_true", help="run the tests that load TensorFlow, and only these")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without --keras leave the TensorFlow tests out, with it all others."""
    if collection_path.is_dir():
        return None
    loads_keras = any(folder in collection_path.as_posix() for folder in KERAS_TESTS)
    return True if loads_keras != config.getoption("--keras") else None


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real training images beside the checkout, where they are present."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real images (../shared/data) are not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def colon() -> np.ndarray:
    """A real image of human colon, IHC stained: uint8 512 x 512 x 3."""
    from skimage.data import immunohistochemistry

    return immunohistochemistry()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
