"""What the operator of the page decides, in one place.

How much memory the page may take, and how much it takes.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from organscope.errors import UsageError
from organscope.system import memory_bytes

_DEFAULT_SHARE = 0.75
#: Of the cap: above, what can wait is asked to.
CROWDED_SHARE = 0.9


def _default_cap_bytes() -> int:
    """Three quarters of the memory of this machine, or of the container around this process."""
    return int(_DEFAULT_SHARE * memory_bytes())


def used_bytes() -> int:
    """What this process and all that it started hold at the moment."""
    own = psutil.Process()
    found = 0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            found += process.memory_info().rss
    return found


LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_DEFAULT_PORT = 8765
MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """How much the page takes on; beyond, a request is refused with a sentence.

    Attributes:
        upload_bytes: Size of one uploaded file, also of all files of one zip together once unpacked.
        image_pixels: Height x width of one uploaded image.
        images_a_study: Images of one study.
        queued: Images that wait for the network, of all users together.
        uploads_at_once: Uploads that are received at the same time.
        body_bytes: Size of any other request.
        tile_cache_bytes: Encoded tiles of slides that are kept in memory.
        memory_bytes: What the server and everything it starts may hold in memory together. Near it, new work is asked
            to come again; an image whose analysis goes beyond fails.
        free_disk_bytes: What uploads leave free on the disk.
    """

    upload_bytes: int = 2_000 * MB
    image_pixels: int = 400_000_000
    images_a_study: int = 2_000
    queued: int = 5_000
    uploads_at_once: int = 64
    body_bytes: int = 1 * MB
    tile_cache_bytes: int = 64 * MB
    memory_bytes: int = field(default_factory=_default_cap_bytes)
    free_disk_bytes: int = 1_000 * MB


@dataclass(frozen=True)
class Settings:
    """How the page is served.

    Attributes:
        store: Folder of everything that is kept: the database, uploads and results.
        host: Address to listen on.
        port: Port to listen on; 0 lets the system choose.
        tokens: Name of each user -> secret. Empty where nobody needs to say who they are.
        allowed: Folders whose images may be analyzed where they lie.
        bundles: Bundles to use instead of those inside the package, names or paths.
        threads: Threads of the network.
        limits: How much is taken on.
        analyze: Whether a worker is started; False where another process works on the queue.
    """

    store: Path
    host: str = "127.0.0.1"
    port: int = _DEFAULT_PORT
    tokens: dict[str, str] = field(default_factory=dict)
    allowed: tuple[Path, ...] = ()
    bundles: tuple[str, ...] = ()
    threads: int = field(default_factory=lambda: max(1, (os.cpu_count() or 2) - 1))
    limits: Limits = field(default_factory=Limits)
    analyse: bool = True

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK and not self.tokens:
            raise UsageError(
                f"Expected a token for the address {self.host}, which other machines can reach, found none. "
                "Give one with --token, or name users with --user."
            )
        for folder in self.allowed:
            if not folder.is_dir():
                raise UsageError(f"Expected a folder to allow, found none at {folder}. Check the path.")
        names = [folder.resolve().name for folder in self.allowed]
        if len(set(names)) != len(names):
            raise UsageError(f"Expected allowed folders of different names, found {', '.join(names)}. Rename one.")

    @property
    def database(self) -> Path:
        """The SQLite file of studies, images, jobs and corrections."""
        return self.store / "organscope.sqlite3"

    def upload_folder(self, image_id: str) -> Path:
        """Where the file of one uploaded image lies."""
        return self.store / "uploads" / image_id

    def result_folder(self, image_id: str) -> Path:
        """Where the results of one image lie: an output folder as `organscope analyze` makes it."""
        return self.store / "results" / image_id
