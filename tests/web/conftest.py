"""Servers of tiny bundles."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tiny_bundles
from web_server import Server


@pytest.fixture(scope="session")
def tiny_options(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("bundles")
    cells = tiny_bundles.write_tiny_segmentation(folder / "cells")
    organs = tiny_bundles.write_tiny_classification(folder / "organs")
    return ["--bundle", str(cells), "--bundle", str(organs)]


@pytest.fixture
def serve(tiny_options) -> Iterator[Callable[..., Server]]:
    """Start servers; all are stopped at the end."""
    started: list[Server] = []

    def start(store: Path, *options: str) -> Server:
        started.append(Server(store, *tiny_options, *options))
        return started[-1]

    yield start
    for server in started:
        server.stop()
