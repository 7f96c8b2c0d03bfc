"""The app: everything put together.

What every request must keep to and every answer carries, whatever the route.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from organscope import __version__
from organscope.server.database import sole_server
from organscope.server.errors import answer_refusals, problem
from organscope.server.routes import images, pages, regions, studies
from organscope.server.settings import LOOPBACK, Settings
from organscope.server.state import new_state

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Nothing from elsewhere, no inline script, no inline style, no frame around the page.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_UPLOADS = "/uploads"


class _Guard:
    """ASGI middleware: the host, the origin and the size of a request; the headers of its answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        sending = _with_headers(send, scope["path"])
        if refusal is not None:
            await problem(*refusal)(scope, receive, sending)
            return
        await self._app(scope, receive, sending)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._settings.host in LOOPBACK and _without_port(host) not in LOOPBACK:
            # A page elsewhere could have its name resolved to this machine.
            return 400, f"Expected a request to this machine, found one to {host[:80]!r}. Open http://127.0.0.1."
        if scope["method"] in _SAFE_METHODS:
            return None
        if not _same_site(headers, host):
            return 403, "Expected a request from this page, found one from another site. Open the page itself."
        return self._too_large(scope, headers)

    def _too_large(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        limits = self._settings.limits
        limit = limits.upload_bytes if scope["path"].endswith(_UPLOADS) else limits.body_bytes
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            return None
        if length is None and limit == limits.body_bytes:
            return 411, "Expected a request that says its length, found none. Send a Content-Length."
        if length is not None and (not length.isdigit() or int(length) > limit):
            found, advice = _megabytes(length), _advice(limits.body_bytes, limit)
            return 413, f"Expected at most {limit / 1e6:,.1f} MB, found {found}. {advice}"
        return None


def _advice(body_limit: int, limit: int) -> str:
    if limit == body_limit:
        return "Send less at once."
    return "Ask the operator to allow the folder of the slide, and give its path."


def _megabytes(length: str) -> str:
    return f"{int(length) / 1e6:,.1f} MB" if length.isdigit() else "no number"


def _same_site(headers: Headers, host: str) -> bool:
    """Browsers tell where a request comes from; programs that are no browser send neither header."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == host


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _with_headers(send: Send, path: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            # What belongs to a user is never kept by a cache in between; tiles and programs say otherwise themselves.
            headers.setdefault("Cache-Control", "no-store" if path.startswith("/api") else "no-cache")
        await send(message)

    return sending


_STATIC = Path(__file__).parent / "static"
_DESCRIPTION = "Submit microscope images, follow their analysis, take verdicts, cells and corrections away."
_SMALLEST_PACKED_BYTES = 1_000


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
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.parts = parts
    answer_refusals(app)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    # `pages` comes last: it answers for whatever is not there.
    for router in (
        studies.router,
        images.router,
        studies.decisions_router,
        regions.router,
        images.downloads_router,
        pages.server_router,
        pages.router,
    ):
        app.include_router(router)
    app.add_middleware(GZipMiddleware, minimum_size=_SMALLEST_PACKED_BYTES, compresslevel=4)
    app.add_middleware(_Guard, settings=settings)
    return app
