"""Apps around tiny bundles, with and without a worker, and images as bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import tiny_bundles
from organscope.pipeline import Models
from organscope.server.app import create_app
from organscope.server.settings import Limits, Settings
from web_pictures import encoded

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def bundle_paths(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("bundles")
    cells = tiny_bundles.write_tiny_segmentation(folder / "cells")
    organs = tiny_bundles.write_tiny_classification(folder / "organs")
    return str(cells), str(organs)


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    return Models(
        cells=tiny_bundles.tiny_segmentation(folder / "cells"),
        organs=tiny_bundles.tiny_classification(folder / "organs"),
    )


@pytest.fixture
def settings(tmp_path, bundle_paths) -> Settings:
    """Without a worker, so that images stay in the queue."""
    limits = Limits(upload_bytes=2_000_000, image_pixels=1_000_000, images_a_study=50, queued=20)
    return Settings(tmp_path / "store", bundles=bundle_paths, threads=1, limits=limits, analyse=False)


@pytest.fixture
def client(settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url=ADDRESS) as found:
        yield found


@pytest.fixture
def study(client) -> str:
    return client.post("/api/studies", json={"name": "a study"}).json()["id"]


@pytest.fixture(scope="session")
def png(colon) -> bytes:
    return encoded(colon[:128, :160])


@pytest.fixture(scope="session")
def finished(tmp_path_factory, bundle_paths, models, colon) -> Iterator[tuple[TestClient, str, str]]:
    """A client, and the ids of a study and of an image of it that was analyzed; shared, so only added to."""
    from organscope.server.worker import work_on

    folder: Path = tmp_path_factory.mktemp("finished")
    (folder / "slides").mkdir()
    settings = Settings(folder / "store", bundles=bundle_paths, threads=1, analyse=False, allowed=(folder / "slides",))
    app = create_app(settings)
    with TestClient(app, base_url=ADDRESS) as client:
        study = client.post("/api/studies", json={"name": "colon", "um_per_px": 0.5}).json()["id"]
        answer = client.post(f"/api/studies/{study}/uploads?name=case 1/colon.png", content=encoded(colon))
        work_on(_next_job(app), app.state.parts.database, models, settings)
        yield client, study, answer.json()["images"][0]["id"]


def _next_job(app):
    from organscope.server import queue

    return queue.claim(app.state.parts.database, 1)
