"""How much memory the process has needed."""

import sys

import psutil


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in megabytes (1e6 bytes)."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
