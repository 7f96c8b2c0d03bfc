"""A stand-in for the server of Weights & Biases that holds a project with runs and keeps reports."""

import json
from typing import Any

from wandb_server import VIEWER


class ProjectStandIn:
    """Answers what reading runs and saving a report ask for.

    Args:
        runs: `config` and `summary` of each run.
    """

    def __init__(self, runs: list[dict[str, Any]]) -> None:
        self.address = ""
        self.reports: list[dict[str, Any]] = []
        self._runs = runs

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Data for one request."""
        if "upsertView" in query:
            self.reports.append(variables)
            return {"upsertView": {"view": self._view(variables), "inserted": True}}
        if "runs(" in query:
            return {"project": self._project() | {"runs": self._page()}}
        if "models(" in query or "projects(" in query:
            edges = [{"node": self._project(), "cursor": "1"}]
            found = {"edges": edges, "pageInfo": {"endCursor": "1", "hasNextPage": False}}
            return {"models": found, "projects": found}
        if "project(" in query:
            return {"project": self._project()}
        return {"viewer": VIEWER}

    def _project(self) -> dict[str, Any]:
        return {
            "id": "1",
            "internalId": "1",
            "name": "organscope",
            "entityName": "lab",
            "createdAt": "2026-01-01T00:00:00Z",
            "isBenchmark": False,
            "readOnly": False,
            "user": VIEWER | {"name": "me", "admin": False, "deletedAt": None, "memberships": [], "apiKeys": None},
            "runCount": len(self._runs),
        }

    def _page(self) -> dict[str, Any]:
        edges = [{"node": self._run(number, run), "cursor": str(number)} for number, run in enumerate(self._runs)]
        return {"edges": edges, "pageInfo": {"endCursor": "1", "hasNextPage": False}}

    def _run(self, number: int, run: dict[str, Any]) -> dict[str, Any]:
        config = {name: {"value": value} for name, value in run["config"].items()}
        return {
            "id": f"id{number}",
            "projectId": "1",
            "name": f"run{number}",
            "displayName": f"run {number}",
            "state": "finished",
            "config": json.dumps(config),
            "summaryMetrics": json.dumps(run["summary"]),
            "systemMetrics": "{}",
            "tags": [],
            "group": "",
            "jobType": "train",
            "sweepName": None,
            "commit": None,
            "readOnly": False,
            "createdAt": "2026-01-01T00:00:00Z",
            "heartbeatAt": "2026-01-01T00:00:00Z",
            "description": "",
            "notes": "",
            "historyKeys": {},
            "historyLineCount": 1,
            "user": {"name": "me", "username": "me"},
        }

    def _view(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": "Vmlldzox",
            "type": variables["type"],
            "name": variables["name"],
            "displayName": variables["displayName"],
            "description": variables["description"],
            "project": {"id": "1", "name": variables["projectName"], "entityName": variables["entityName"]},
            "spec": variables["spec"],
            "updatedAt": "2026-01-01T00:00:00Z",
        }
