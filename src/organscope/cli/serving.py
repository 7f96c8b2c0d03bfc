"""The server of the page as a process: its settings, its address, its end."""

import socket
from pathlib import Path

from organscope.cli.guard import say
from organscope.errors import MissingExtraError, UsageError

SHORTEST_TOKEN = 16
OWNER = "owner"


def settings_of(
    store: Path,
    allowed: tuple[Path, ...],
    host: str,
    port: int,
    *,
    token: str | None,
    users: tuple[str, ...],
    bundles: tuple[str, ...],
    threads: int | None,
    memory_gb: float | None,
    upload_mb: int,
):
    """Settings from the options; tokens are made where they are needed and none is given.

    Raises:
        MissingExtraError: The packages of the page are not installed.
        UsageError: The options do not fit together.
    """
    try:
        from organscope.web.access import tokens_for
        from organscope.web.settings import LOOPBACK, MB, Limits, Settings
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Expected the packages of the page, found no {error.name}. Run: pip install 'organscope[web]'."
        ) from error
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise UsageError(
            f"Expected a token of at least {SHORTEST_TOKEN} letters, found {len(token)}. Leave --token out."
        )
    if token is not None and users:
        raise UsageError("Expected --token or --user, found both: each user gets a token of their own.")
    wanted = users or ((OWNER,) if host not in LOOPBACK else ())
    tokens = {OWNER: token} if token is not None else tokens_for(wanted, store)
    known = {} if threads is None else {"threads": threads}
    cap = {} if memory_gb is None else {"memory_bytes": int(memory_gb * 1000 * MB)}
    return Settings(
        store=store.absolute(),
        host=host,
        port=port,
        tokens=tokens,
        allowed=allowed,
        bundles=_absolute(bundles),
        limits=Limits(upload_bytes=upload_mb * MB, **cap),
        **known,
    )


def _absolute(bundles: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of bundles as the worker finds them from any folder; names stay names."""
    return tuple(str(Path(name).absolute()) if Path(name).exists() else name for name in bundles)


def run_server(settings) -> None:
    """Serve until Ctrl-C.

    Raises:
        UsageError: The address is taken, or another server has the store.
    """
    import uvicorn

    from organscope.jobs import load_models
    from organscope.web.app import create_app
    from organscope.web.database import sole_server

    load_models(("segmentation", "classification"), settings.bundles, threads=1)
    with sole_server(settings.store):
        pass
    app = create_app(settings)
    listening = _listen(settings.host, settings.port)
    config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=3)
    with listening:
        _announce(settings, listening.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UsageError(
            f"Expected to listen on {host}, port {port}, found: {error.strerror}. Choose another with --port."
        ) from error
    return listening


def _announce(settings, port: int) -> None:
    """Where to open the page; tokens stand behind #, which browsers keep to themselves."""
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(settings.host, settings.host)
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
    if not settings.tokens:
        say(f"The page is open at {address} for this machine alone. Ctrl-C ends it.")
    for name, token in settings.tokens.items():
        say(f"The page of {name}: {address}login#{token}")
    if settings.tokens:
        say("Tokens travel unencrypted over http: put the page behind https on a network that others share.")
