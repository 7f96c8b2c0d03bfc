"""Who is asking: nobody in particular on this machine alone, or the user whose token is shown."""

import hashlib
import hmac
import json
import secrets
from pathlib import Path

from fastapi import Request

from organscope.errors import OutputError
from organscope.io import atomic_path
from organscope.server.errors import RefusalError

COOKIE = "organscope"
LOCAL_USER = "local"
_TOKENS_FILE = "tokens.json"


def user_of(request: Request) -> str:
    """The name of the user who asks.

    Raises:
        RefusalError: 401, where tokens are needed and none that is known was shown.
    """
    tokens: dict[str, str] = request.app.state.settings.tokens
    if not tokens:
        return LOCAL_USER
    shown = _bearer(request) or request.cookies.get(COOKIE, "")
    user = owner_of(shown, tokens)
    if user is None:
        raise RefusalError(
            401,
            "Expected a token of this server, found none that it knows. Open the link that was printed at its start.",
        )
    return user


def owner_of(shown: str, tokens: dict[str, str]) -> str | None:
    """Whose token this is; every token is compared in the same time."""
    found = None
    for name, token in tokens.items():
        if hmac.compare_digest(_digest(shown), _digest(token)):
            found = name
    return found


def tokens_for(users: tuple[str, ...], store: Path) -> dict[str, str]:
    """A token for each user, the same as at the last start where there was one.

    Raises:
        OutputError: They cannot be kept.
    """
    path = store / _TOKENS_FILE
    try:
        known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise OutputError(f"Expected tokens in {path}, found no JSON ({error}). Remove the file.") from error
    wanted = {user: known.get(user) or secrets.token_urlsafe(24) for user in users}
    if not wanted.items() <= known.items():
        store.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_text(json.dumps(known | wanted, indent=2), "utf-8")
    return wanted


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
