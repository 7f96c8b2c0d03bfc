"""The page as an app: every answer is read from a store, nothing is written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.background import BackgroundTask
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from organscope import __version__
from organscope.dashboard.details import details_of, image_of
from organscope.dashboard.overview import overview_of, tag_of
from organscope.dashboard.runs import Run, RunStore
from organscope.dashboard.security import LocalOnly
from organscope.dashboard.shelf import Shelf
from organscope.dashboard.sweeps import SweepStore, trial_records
from organscope.errors import OrganscopeError

_STATIC = Path(__file__).parent / "static"
_MOST_CURVES = 200
_SMALLEST_PACKED_BYTES = 1_000


def create_app(shelf: Shelf) -> FastAPI:
    """An app that shows a shelf; its companions start and end with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        shelf.plan_companions()
        yield
        shelf.stop_companions()

    app = FastAPI(title="organscope dashboard", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(OrganscopeError, _sentence)
    app.get("/")(lambda: FileResponse(_STATIC / "dashboard.html"))
    _add_runs(app, shelf)
    _add_sweeps(app, shelf)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.add_middleware(GZipMiddleware, minimum_size=_SMALLEST_PACKED_BYTES, compresslevel=4)
    app.add_middleware(LocalOnly)
    return app


def _sentence(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 409)


def _add_runs(app: FastAPI, shelf: Shelf) -> None:
    @app.get("/api/overview")
    def overview(request: Request) -> Response:
        tag = tag_of(__version__, shelf.stamps())
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        content = {
            "folder": str(shelf.folder),
            "version": __version__,
            "problems": shelf.problems,
            "companions": shelf.companion_records(),
            "sweeps": {key: sweep.summary() for key, sweep in shelf.sweeps.items()},
            **overview_of(shelf.all_runs()),
        }
        return JSONResponse(content, headers={"ETag": tag}, background=BackgroundTask(shelf.viewed))

    @app.get("/api/curves")
    def curves(run: Annotated[list[str], Query()], metric: Annotated[list[str], Query()]) -> dict[str, Any]:
        if len(run) * len(metric) > _MOST_CURVES:
            raise HTTPException(400, f"Expected at most {_MOST_CURVES} curves, found {len(run) * len(metric)}.")
        found = [_run(shelf, run_id) for run_id in run]
        return {name: {known.id: _history(store, known, name) for store, known in found} for name in metric}

    @app.get("/api/runs/{run_id}")
    def details(run_id: str) -> dict[str, Any]:
        return details_of(_run(shelf, run_id)[1])

    @app.get("/api/runs/{run_id}/pictures/{name:path}")
    def picture(run_id: str, name: str) -> FileResponse:
        path = image_of(_run(shelf, run_id)[1], name)
        if path is None:
            raise HTTPException(404, "Expected an image of this run, found none of that name.")
        return FileResponse(path, media_type="image/png")


def _add_sweeps(app: FastAPI, shelf: Shelf) -> None:
    @app.get("/api/sweeps/{key}")
    def sweep(key: str) -> dict[str, Any]:
        store = _sweep(shelf, key)
        shown = store.shown()
        version = tag_of(store.stamp).strip('"')
        return {
            **store.summary(),
            "facts": shown.facts,
            "trials": trial_records(shown, store.space),
            "figures": [
                {"title": title, "caption": caption, "address": f"/api/sweeps/{key}/figures/{place}",
                 "version": version}
                for place, (title, caption, _) in enumerate(shown.figures)
            ],
        }  # fmt: skip

    @app.get("/api/sweeps/{key}/figures/{place}/{theme}.svg")
    def figure(key: str, place: int, theme: str) -> Response:
        drawn = _sweep(shelf, key).figure(place, theme)
        if drawn is None:
            raise HTTPException(404, "Expected a figure of this sweep, found none there.")
        return Response(drawn, media_type="image/svg+xml")

    @app.post("/api/companions/{key}")
    def start(key: str) -> dict[str, Any]:
        if key not in shelf.companions:
            raise HTTPException(404, "Expected the page of a store, found none of that name.")
        shelf.companions[key].start()
        return shelf.companion_records()[key]


def _history(store: RunStore, run: Run, metric: str) -> list[tuple[int, float]]:
    return store.history(run.id, metric) if metric in run.metrics else []


def _run(shelf: Shelf, run_id: str) -> tuple[RunStore, Run]:
    found = shelf.find(run_id)
    if found is None:
        raise HTTPException(404, "Expected a run of these stores, found none of that name.")
    return found


def _sweep(shelf: Shelf, key: str) -> SweepStore:
    if key not in shelf.sweeps:
        raise HTTPException(404, "Expected a sweep of this folder, found none of that name.")
    return shelf.sweeps[key]
