"""HTTP error responses."""

import errno
import sqlite3
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from organscope.errors import OrganscopeError, OutputError
from organscope.server.wording import for_page

_RETRY_AFTER_S = 5
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class Problem(BaseModel):
    """What every refusal says."""

    detail: str


class RefusalError(Exception):
    """A request that is not carried out; `detail` says what was expected, what was found and what to do."""

    def __init__(self, status: int, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s


def not_found(what: str, name: str) -> RefusalError:
    """Nothing of that name, or nothing that this user may see: the answer does not tell which."""
    return RefusalError(404, f"Expected {what}, found none called {name[:80]!r}. It may have been removed.")


def overloaded(why: str) -> RefusalError:
    """Too much to do at the moment; the same request may be tried again."""
    return RefusalError(503, f"{why} Try again in {_RETRY_AFTER_S} seconds.", retry_after_s=_RETRY_AFTER_S)


def refusing(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside its result, for the description of the interface."""
    return {status: {"model": Problem} for status in (400, 401, 403, 404, 413, 422, 503, *statuses)}


def answer_refusals(app: FastAPI) -> None:
    """Turn everything that is raised on purpose into a sentence."""

    @app.exception_handler(RefusalError)
    async def _refusal(_: Request, refusal: RefusalError) -> JSONResponse:
        return problem(refusal.status, refusal.detail, refusal.retry_after_s)

    @app.exception_handler(OrganscopeError)
    async def _known(_: Request, error: OrganscopeError) -> JSONResponse:
        return problem(507 if isinstance(error, OutputError) else 422, str(error))

    @app.exception_handler(OSError)
    async def _disk(_: Request, error: OSError) -> JSONResponse:
        if error.errno not in _FULL_DISK:
            raise error
        return problem(
            507, "Expected room on the disk of this server, found none. Remove studies, or tell the operator."
        )

    @app.exception_handler(sqlite3.OperationalError)
    async def _busy(_: Request, error: sqlite3.OperationalError) -> JSONResponse:
        if "locked" not in str(error):
            raise error
        return problem(503, "Expected the database, found it busy. Try again soon.", _RETRY_AFTER_S)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path")) or "request"
        return problem(422, f"Expected another value for '{where}': {first['msg']}.")

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        found = problem(error.status_code, str(error.detail))
        found.headers.update(error.headers or {})
        return found


def problem(status: int, detail: str, retry_after_s: int | None = None) -> JSONResponse:
    """The answer to a request that is refused."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    printable = for_page(detail).encode("utf-8", "replace").decode("utf-8")
    return JSONResponse({"detail": printable}, status, headers)
