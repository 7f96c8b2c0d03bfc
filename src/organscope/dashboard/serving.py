"""The page as a process: its address and its end."""

import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from organscope.dashboard.app import create_app
from organscope.dashboard.shelf import Shelf
from organscope.dashboard.stores import find_stores
from organscope.dashboard.subprocess_server import LOOPBACK
from organscope.errors import UsageError

_BROWSER_AFTER_S = 0.3
_GRACE_S = 2


def serve_dashboard(folder: Path, port: int, *, browser: bool, report: Callable[[str], None]) -> None:
    """Show the stores of a folder until Ctrl-C.

    Args:
        folder: Of runs.
        port: To listen on; 0 for any that is free.
        browser: Open the page in the browser.
        report: Gets the address, and a sentence for each store that cannot be read.

    Raises:
        UsageError: There is nothing to show, or the port is taken.
    """
    stores = find_stores(folder)
    with _listen(port) as listening:
        shelf = Shelf(stores, report)
        address = f"http://{LOOPBACK}:{listening.getsockname()[1]}/"
        n_runs = sum(len(store.runs()) for store in shelf.runs)
        report(f"{n_runs} runs and {len(shelf.sweeps)} sweeps are shown at {address} Ctrl-C ends it.")
        config = uvicorn.Config(
            create_app(shelf), log_level="critical", server_header=False, timeout_graceful_shutdown=_GRACE_S
        )
        if browser:
            threading.Timer(_BROWSER_AFTER_S, webbrowser.open, [address]).start()
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        # From now on a browser waits rather than being refused.
        listening.listen()
    except OSError as error:
        listening.close()
        raise UsageError(
            f"Expected to listen on port {port}, found: {error.strerror}. Choose another with --port."
        ) from error
    return listening
