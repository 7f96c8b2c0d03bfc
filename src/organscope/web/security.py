"""What every request must keep to and every answer carries, whatever the route."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from organscope.web.refusals import problem
from organscope.web.settings import LOOPBACK, Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Nothing from elsewhere, no inline script, no inline style, no frame around the page.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
UPLOADS = "/uploads"


class Guard:
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
        if scope["method"] in SAFE_METHODS:
            return None
        if not _same_site(headers, host):
            return 403, "Expected a request from this page, found one from another site. Open the page itself."
        return self._too_large(scope, headers)

    def _too_large(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        limits = self._settings.limits
        limit = limits.upload_bytes if scope["path"].endswith(UPLOADS) else limits.body_bytes
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
            for name, value in HEADERS.items():
                headers[name] = value
            # What belongs to a user is never kept by a cache in between; tiles and programs say otherwise themselves.
            headers.setdefault("Cache-Control", "no-store" if path.startswith("/api") else "no-cache")
        await send(message)

    return sending
