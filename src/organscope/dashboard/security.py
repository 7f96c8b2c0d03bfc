"""What every request must keep to and every answer carries: nothing from elsewhere, nobody from elsewhere."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class LocalOnly:
    """ASGI middleware: requests to this machine, from this page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = _refusal(scope["method"], Headers(scope=scope))
        app = self._app if refusal is None else JSONResponse({"detail": refusal[1]}, refusal[0])
        await app(scope, receive, _with_headers(send))


def _refusal(method: str, headers: Headers) -> tuple[int, str] | None:
    host = headers.get("host", "")
    if host.partition(":")[0] not in _LOOPBACK:
        # A page elsewhere could have its name resolved to this machine.
        return 400, f"Expected a request to this machine, found one to {host[:80]!r}. Open http://127.0.0.1."
    if method in _SAFE_METHODS:
        return None
    origin = headers.get("origin")
    from_here = origin is None or origin.partition("://")[2] == host
    if not from_here or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return 403, "Expected a request from this page, found one from another site. Open the page itself."
    return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
