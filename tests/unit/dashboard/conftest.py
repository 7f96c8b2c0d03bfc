"""One small store for all tests of this room: MLflow takes seconds to make its tables."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

import dashboard_store
from organscope.dashboard.app import create_app
from organscope.dashboard.shelf import Shelf
from organscope.dashboard.stores import find_stores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow uses what SQLAlchemy 2.1 calls old."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory) -> Path:
    """Six tracked runs and a sweep of six trials."""
    folder = tmp_path_factory.mktemp("tracked") / "runs"
    dashboard_store.write_runs(folder, 6, epochs=3)
    dashboard_store.write_sweep(folder / "sweep-rates", 6, folder.parent / "base.toml")
    return folder


@pytest.fixture(scope="session")
def shelf(runs_folder) -> Shelf:
    """Its companions are never started: nobody enters the app's lifespan."""
    said: list[str] = []
    shelf = Shelf(find_stores(runs_folder), said.append)
    assert said == []
    return shelf


@pytest.fixture
def client(shelf) -> TestClient:
    return TestClient(create_app(shelf), base_url="http://127.0.0.1")
