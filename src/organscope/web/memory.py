"""How much memory the page may take, and how much it takes."""

from contextlib import suppress
from pathlib import Path

import psutil

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
DEFAULT_SHARE = 0.75
#: Of the cap: above, what can wait is asked to.
CROWDED_SHARE = 0.9


def default_cap_bytes() -> int:
    """Three quarters of the memory of this machine, or of the container around this process."""
    total = psutil.virtual_memory().total
    with suppress(OSError, ValueError):
        total = min(total, int(CGROUP_LIMIT.read_text()))
    return int(DEFAULT_SHARE * total)


def used_bytes() -> int:
    """What this process and all that it started hold at the moment."""
    own = psutil.Process()
    found = 0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            found += process.memory_info().rss
    return found
