"""The server itself: its bundles, its health, who is asking."""

from fastapi import APIRouter, Request, Response

from organscope import __version__
from organscope.bundle import load_bundle
from organscope.bundle.shipped import shipped_names
from organscope.web import messages, queue
from organscope.web.access import COOKIE, owner_of
from organscope.web.refusals import RefusalError, refusing
from organscope.web.state import Parts, User

router = APIRouter(prefix="/api", tags=["server"], responses=refusing())
SESSION_S = 30 * 24 * 3600


@router.get("/bundles", tags=["bundles"])
def list_bundles(user: User, state: Parts) -> list[messages.BundleEntry]:
    """The models that this server knows, and those that it uses."""
    entries = []
    given = list(state.settings.bundles)
    for name in [*given, *(name for name in shipped_names() if name not in given)]:
        manifest = load_bundle(name).manifest
        entries.append((name in given, manifest))
    tasks = {_task(manifest) for is_given, manifest in entries if is_given}
    return [
        messages.BundleEntry(
            name=manifest.name,
            version=manifest.version,
            task=_task(manifest),
            summary=manifest.summary,
            licence=manifest.licence,
            used=is_given or _task(manifest) not in tasks,
            classes=manifest.classes,
            scores=[score.model_dump() for score in manifest.scores[:3]],
        )
        for is_given, manifest in entries
    ]


def _task(manifest) -> str:
    spec = manifest.spec
    return "classification of cells" if getattr(spec, "subject", "image") == "cell" else spec.task


@router.get("/health")
def health(user: User, state: Parts) -> messages.Health:
    """Whether the server works on its queue."""
    worker = state.supervisor.worker is not None
    return messages.Health(version=__version__, worker=worker, n_waiting=queue.n_waiting(state.database))


@router.post("/login", status_code=204, response_class=Response)
def login(shown: messages.Login, request: Request, response: Response, state: Parts) -> None:
    """Keep a token as a cookie that scripts cannot read and other sites cannot use."""
    if owner_of(shown.token, state.settings.tokens) is None:
        raise RefusalError(
            401, "Expected a token of this server, found none that it knows. Open the link printed at its start."
        )
    response.set_cookie(
        COOKIE, shown.token, max_age=SESSION_S, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )


@router.post("/logout", status_code=204, response_class=Response)
def logout(response: Response) -> None:
    """Forget the token."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
