"""A stand-in for the server of Weights & Biases: as much of its GraphQL as registering a sweep and an agent ask for."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VIEWER = {"id": "1", "entity": "lab", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
SWEEP = "abc123"


class StandIn:
    """What the server was told, and what it answers.

    Args:
        draws: Values of the parameters of each trial that the agent is sent, in order.
        served: Changes the registered YAML before an agent reads it.
    """

    def __init__(self, draws: list[dict[str, Any]], served: Callable[[str], str] = lambda config: config) -> None:
        self.config = ""
        self.project = ""
        self.address = ""
        self._draws = list(draws)
        self._served = served
        self._sent = 0

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Data for one request."""
        if "upsertSweep" in query:
            self.config, self.project = variables["config"], variables["projectName"]
            project = {"id": "1", "name": self.project, "entity": {"id": "1", "name": "lab"}}
            return {"upsertSweep": {"sweep": {"name": SWEEP, "project": project}, "configValidationWarnings": []}}
        if "createAgent" in query:
            return {"createAgent": {"agent": {"id": "agent"}}}
        if "agentHeartbeat" in query:
            return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(self._commands(variables))}}
        if "sweep(sweepName" in query:
            sweep = {"id": "1", "name": SWEEP, "config": self._served(self.config), "runs": {"edges": []}}
            return {"project": {"sweep": sweep | {"state": "RUNNING"}}}
        return {"viewer": VIEWER}

    def _commands(self, variables: dict[str, Any]) -> list[dict[str, Any]]:
        """The next trial once none runs, and an end after the last."""
        if json.loads(variables["runState"]):
            return []
        if self._sent == len(self._draws):
            return [{"type": "exit"}]
        self._sent += 1
        values = {name: {"value": value} for name, value in self._draws[self._sent - 1].items()}
        return [{"type": "run", "run_id": f"run{self._sent}", "program": "", "args": values}]


@contextmanager
def running_server(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve on a free port of this computer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            data = {}
            if self.path == "/graphql":
                request = json.loads(body)
                data = {"data": stand_in.answer(request["query"], request.get("variables") or {})}
            content = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
