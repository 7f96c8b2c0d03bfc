"""The pages that a person opens; what they show comes through the interface.

The server itself: its bundles, its health, who is asking.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.background import BackgroundTask

from organscope import __version__
from organscope.models import load_bundle
from organscope.server import queue, schemas
from organscope.server.auth import COOKIE, LOCAL_USER, owner_of, user_of
from organscope.server.errors import RefusalError, not_found, refusing
from organscope.server.lessons import taught_bundles
from organscope.server.library import library
from organscope.server.state import Parts, User, state_of

router = APIRouter(include_in_schema=False)
environment = Environment(
    loader=PackageLoader("organscope.server"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip


@router.get("/")
def home(request: Request) -> Response:
    """Drop images, see the queue and the studies."""
    limits = state_of(request).settings.limits
    facts = {"upload_mb": limits.upload_bytes // 10**6, "images_a_study": limits.images_a_study}
    return _page(
        request, "home.html.j2", title="Studies", facts=facts, allowed=bool(state_of(request).settings.allowed)
    )


@router.get("/studies/{study}")
def study(request: Request, study: str) -> Response:
    """All images of a study."""
    return _page(request, "study.html.j2", title="Study", facts={"study": study[:64]})


@router.get("/images/{image}")
def image(request: Request, image: str) -> Response:
    """One image."""
    return _page(request, "image.html.j2", title="Image", facts={"image": image[:64]})


@router.get("/login")
def login_page() -> HTMLResponse:
    """Show a token."""
    return HTMLResponse(_render("login.html.j2", title="Sign in", facts={}, user="", active=""))


@router.get("/docs")
def docs(request: Request) -> Response:
    """The interface, from its own description; no other server is needed to read it."""
    description = request.app.openapi()
    return _page(
        request, "docs.html.j2", title="For programs", facts={}, description=description, groups=_groups(description)
    )


@router.get("/{rest:path}")
def missing(request: Request, rest: str) -> Response:
    """Nothing is there: a page for people, a sentence for programs."""
    if rest.startswith("api/") or "text/html" not in request.headers.get("accept", ""):
        raise not_found("something at this address", f"/{rest}")
    return _page(request, "missing.html.j2", status=404, title="Nothing here", facts={})


def _page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    try:
        user = user_of(request)
    except RefusalError:
        return RedirectResponse("/login", 303)
    shown = "" if user == LOCAL_USER else user
    return HTMLResponse(_render(template, user=shown, active=request.url.path, **values), status)


def _render(template: str, **values: Any) -> str:
    return environment.get_template(template).render(version=__version__, **values)


def _groups(description: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by their last tag, which is the most telling one."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            entry = {"path": path, "method": method.upper(), **operation}
            groups.setdefault(operation["tags"][-1], []).append(entry)
    return dict(sorted(groups.items()))


server_router = APIRouter(prefix="/api", tags=["server"], responses=refusing())
_ZIP = {200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}}
_SESSION_S = 30 * 24 * 3600


@server_router.get("/bundles", tags=["bundles"])
def list_bundles(user: User, state: Parts) -> list[schemas.BundleEntry]:
    """The models that this server knows, and those that it uses."""
    return [
        schemas.BundleEntry(
            id=entry.id,
            name=entry.manifest.name,
            version=entry.manifest.version,
            task=entry.task,
            summary=entry.manifest.summary,
            licence=entry.manifest.licence,
            used=entry.used,
            classes=entry.manifest.classes,
            scores=[score.model_dump() for score in entry.manifest.scores[:3]],
        )
        for entry in library(state.settings, taught_bundles(state.database, user, state.settings))
    ]


@server_router.get("/bundles/{name}/bundle.zip", tags=["bundles"], response_class=Response, responses=_ZIP)
def take_bundle(name: str, user: User, state: Parts) -> FileResponse:
    """A bundle that was taught here, for `organscope bundle`, `--bundle` and `--cell-kinds`."""
    folder = dict(taught_bundles(state.database, user, state.settings)).get(name)
    if folder is None or not folder.is_dir():
        raise not_found("a bundle that you taught", name)
    place = Path(tempfile.mkdtemp(prefix="organscope-"))
    path = Path(shutil.make_archive(str(place / "bundle"), "zip", folder))
    title = load_bundle(folder).manifest.name
    cleaning = BackgroundTask(shutil.rmtree, place, ignore_errors=True)
    return FileResponse(path, media_type="application/zip", filename=f"{title}.zip", background=cleaning)


@server_router.get("/health")
def health(user: User, state: Parts) -> schemas.Health:
    """Whether the server works on its queue."""
    worker = state.supervisor.worker is not None
    return schemas.Health(version=__version__, worker=worker, n_waiting=queue.n_waiting(state.database))


@server_router.post("/login", status_code=204, response_class=Response)
def login(shown: schemas.Login, request: Request, response: Response, state: Parts) -> None:
    """Keep a token as a cookie that scripts cannot read and other sites cannot use."""
    if owner_of(shown.token, state.settings.tokens) is None:
        raise RefusalError(
            401, "Expected a token of this server, found none that it knows. Open the link printed at its start."
        )
    response.set_cookie(
        COOKIE, shown.token, max_age=_SESSION_S, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )


@server_router.post("/logout", status_code=204, response_class=Response)
def logout(response: Response) -> None:
    """Forget the token."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
