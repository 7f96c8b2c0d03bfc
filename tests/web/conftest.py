"""Servers of tiny bundles, and a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tiny_bundles
from web_server import Server

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def tiny_options(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("bundles")
    cells = tiny_bundles.write_tiny_segmentation(folder / "cells")
    organs = tiny_bundles.write_tiny_classification(folder / "organs")
    return ["--bundle", str(cells), "--bundle", str(organs)]


@pytest.fixture(scope="session")
def browser():
    """Chromium of the system; tests that ask for it are skipped where there is none."""
    if not CHROMIUM.is_file():
        pytest.skip("no Chromium at /usr/bin/chromium (apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


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
