"""organscope serve: the page for people who do not write code."""

from pathlib import Path
from typing import Annotated

import typer

from organscope.cli import options

EXAMPLES = """\b
Examples:
  organscope serve
  organscope serve --allow /data/slides --store /data/studies
  organscope serve --host 0.0.0.0 --user ada --user ben
"""

DEFAULT_STORE = Path("~/organscope-studies")

Store = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of studies, uploads and results.")]
Allow = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder whose slides may be analysed where they lie. Give it once for each.",
        show_default=False,
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on; others than this machine need a token.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")]
Token = Annotated[
    str | None,
    typer.Option(metavar="SECRET", help="Ask everybody for this token, at least 16 letters.", show_default=False),
]
Users = Annotated[
    list[str] | None,
    typer.Option(
        "--user",
        metavar="NAME",
        help="Make a token for this user, who sees only their own studies. Give it once for each.",
        show_default=False,
    ),
]


MemoryGb = Annotated[
    float | None,
    typer.Option(
        min=0.1, help="Memory that the page may take, in GB; three quarters of this machine's without.",
        show_default=False,
    ),
]  # fmt: skip
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads for the network; all cores but one if left out.", show_default=False),
]
UploadMb = Annotated[int, typer.Option(min=1, help="Largest file that may be uploaded, in MB.")]


def serve(
    store: Store = DEFAULT_STORE,
    allow: Allow = None,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    token: Token = None,
    user: Users = None,
    bundle: options.AnyBundles = None,
    threads: Threads = None,
    memory_gb: MemoryGb = None,
    upload_mb: UploadMb = 2000,
    debug: options.Debug = False,
) -> None:
    """Open a page on this machine: drop images in, check the answers, take them away.

    Studies are kept in --store and survive a restart. Only this machine can reach the page, unless --host says
    otherwise; then a token is asked for, and one is made where none is given. Ctrl-C ends the server; what it was
    working on goes on at the next start.

    Exit codes: 0 ended, 2 wrong use.
    """
    from organscope.cli.serving import run_server, settings_of

    settings = settings_of(
        store.expanduser(), tuple(allow or ()), host, port,
        token=token, users=tuple(user or ()), bundles=tuple(bundle or ()), threads=threads,
        memory_gb=memory_gb, upload_mb=upload_mb,
    )  # fmt: skip
    run_server(settings)
