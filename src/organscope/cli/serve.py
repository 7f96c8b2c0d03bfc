"""organscope serve: the page for people who do not write code.

The server of the page as a process: its settings, its address, its end.
"""

import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from organscope.cli import _options
from organscope.cli._errors import say
from organscope.errors import MissingExtraError, UsageError

EXAMPLES = """\b
Examples:
  organscope serve
  organscope serve --allow /data/slides --store /data/studies
  organscope serve --host 0.0.0.0 --user ada --user ben
"""

_DEFAULT_STORE = Path("~/organscope-studies")

_Store = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of studies, uploads and results.")]
_Allow = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder whose slides may be analyzed where they lie. Give it once for each.",
        show_default=False,
    ),
]
_Host = Annotated[str, typer.Option(help="Address to listen on; others than this machine need a token.")]
_Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")]
_Token = Annotated[
    str | None,
    typer.Option(metavar="SECRET", help="Ask everybody for this token, at least 16 letters.", show_default=False),
]
_Users = Annotated[
    list[str] | None,
    typer.Option(
        "--user",
        metavar="NAME",
        help="Make a token for this user, who sees only their own studies. Give it once for each.",
        show_default=False,
    ),
]


_MemoryGb = Annotated[
    float | None,
    typer.Option(
        min=0.1, help="Memory that the page may take, in GB; three quarters of this machine's without.",
        show_default=False,
    ),
]  # fmt: skip
_Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads for the network. Default: all cores but one.", show_default=False),
]
_UploadMb = Annotated[int, typer.Option(min=1, help="Largest file that may be uploaded, in MB.")]


def serve(
    store: _Store = _DEFAULT_STORE,
    allow: _Allow = None,
    host: _Host = "127.0.0.1",
    port: _Port = 8765,
    token: _Token = None,
    user: _Users = None,
    bundle: _options.AnyBundles = None,
    threads: _Threads = None,
    memory_gb: _MemoryGb = None,
    upload_mb: _UploadMb = 2000,
    debug: _options.Debug = False,
) -> None:
    """Open a page on this machine: drop images in, check the answers, take them away.

    Studies are kept in --store and survive a restart. Only this machine can reach the page, unless --host says
    otherwise; then a token is asked for, and one is made where none is given. Ctrl-C ends the server; what it was
    working on goes on at the next start.

    Exit codes: 0 ended, 2 wrong use.
    """

    settings = _settings_of(
        store.expanduser(), tuple(allow or ()), host, port,
        token=token, users=tuple(user or ()), bundles=tuple(bundle or ()), threads=threads,
        memory_gb=memory_gb, upload_mb=upload_mb,
    )  # fmt: skip
    _run_server(settings)


_SHORTEST_TOKEN = 16
_OWNER = "owner"


def _settings_of(
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
        from organscope.server.auth import tokens_for
        from organscope.server.settings import LOOPBACK, MB, Limits, Settings
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Expected the packages of the page, found no {error.name}. Run: pip install 'organscope[web]'."
        ) from error
    if token is not None and len(token) < _SHORTEST_TOKEN:
        raise UsageError(
            f"Expected a token of at least {_SHORTEST_TOKEN} letters, found {len(token)}. Leave --token out."
        )
    if token is not None and users:
        raise UsageError("Expected --token or --user, found both: each user gets a token of their own.")
    wanted = users or ((_OWNER,) if host not in LOOPBACK else ())
    tokens = {_OWNER: token} if token is not None else tokens_for(wanted, store)
    known: dict[str, Any] = {} if threads is None else {"threads": threads}
    cap: dict[str, Any] = {} if memory_gb is None else {"memory_bytes": int(memory_gb * 1000 * MB)}
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


def _run_server(settings) -> None:
    """Serve until Ctrl-C.

    Raises:
        UsageError: The address is taken, or another server has the store.
    """
    import uvicorn

    from organscope.pipeline import load_models
    from organscope.server.app import create_app
    from organscope.server.database import sole_server

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
