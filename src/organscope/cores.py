"""How many cores this process may use."""

import os

import psutil


def usable_cores() -> int:
    """Physical cores, or fewer where this process is held to fewer."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or allowed, allowed)
