"""A server of files that answers range requests, and counts what it has sent."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


class RangeServer(ThreadingHTTPServer):
    """Serves a folder.

    Attributes:
        with_ranges: Whether it sends parts of a file, or only the whole.
        n_bytes: Sent so far.
    """

    daemon_threads = True

    def __init__(self, folder: Path, with_ranges: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.with_ranges, self.n_bytes = folder, with_ranges, 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def log_message(self, *_args) -> None:
        pass

    def _answer(self, *, send: bool) -> None:
        path = self.server.folder / unquote(self.path.partition("?")[0]).lstrip("/")
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and self.server.with_ranges:
            start, stop = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1) + 1
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
            content = content[start:stop]
        else:
            self.send_response(200)
        if self.server.with_ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if send:
            self.server.n_bytes += len(content)
            # A client that wanted a part hangs up when it gets the whole.
            with suppress(ConnectionError):
                self.wfile.write(content)


@contextmanager
def serving(folder: Path, *, with_ranges: bool = True) -> Iterator[RangeServer]:
    """Serve a folder on a port of its own."""
    with RangeServer(folder, with_ranges) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
