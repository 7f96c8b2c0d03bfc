"""A PostgreSQL server for the length of some tests, in a folder of its own, reached by its socket."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUPERUSER = "postgres"


def find_programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`; nothing where no server is installed."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def running_server(programs: Path, folder: Path) -> Iterator[str]:
    """Start a server and give the URL of its empty database.

    PostgreSQL refuses to run as root: then it runs as the account that Debian's package makes for it.
    """
    account = {} if os.getuid() else {"user": SUPERUSER}
    folder.mkdir()
    if account:
        pwd.getpwnam(SUPERUSER)
        shutil.chown(folder, SUPERUSER)
    data = folder / "data"
    # Nothing of it outlives the tests, so nothing needs to reach the disk.
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c full_page_writes=off"

    def call(*words: str) -> None:
        subprocess.run([programs / words[0], *words[1:]], check=True, capture_output=True, cwd=folder, **account)

    call("initdb", "-D", str(data), "-U", SUPERUSER, "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8")
    call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log.txt"), "-o", options, "start")
    try:
        yield f"postgresql://{SUPERUSER}@/postgres?host={folder}"
    finally:
        call("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
