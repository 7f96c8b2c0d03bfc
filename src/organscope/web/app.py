"""The app: everything put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from organscope import __version__
from organscope.web.database import sole_server
from organscope.web.refusals import answer_refusals
from organscope.web.routes import decisions, downloads, images, pages, server, studies
from organscope.web.security import Guard
from organscope.web.settings import Settings
from organscope.web.state import new_state

STATIC = Path(__file__).parent / "static"
DESCRIPTION = "Submit microscope images, follow their analysis, take verdicts, cells and corrections away."
SMALLEST_PACKED_BYTES = 1_000


def create_app(settings: Settings) -> FastAPI:
    """An app that serves the page for these settings.

    Raises:
        OutputError: The folder for studies cannot be written.
    """
    settings.store.mkdir(parents=True, exist_ok=True)
    parts = new_state(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with sole_server(settings.store):
            if settings.analyse:
                parts.supervisor.start()
            yield
            if settings.analyse:
                parts.supervisor.stop()

    # The documentation of FastAPI loads scripts from elsewhere; /docs is made by `pages`.
    app = FastAPI(
        title="organscope",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.parts = parts
    answer_refusals(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # `pages` comes last: it answers for whatever is not there.
    for router in (studies.router, images.router, decisions.router, downloads.router, server.router, pages.router):
        app.include_router(router)
    app.add_middleware(GZipMiddleware, minimum_size=SMALLEST_PACKED_BYTES, compresslevel=4)
    app.add_middleware(Guard, settings=settings)
    return app
