"""What differs between operating systems: signals, process groups, priorities, memory limits and file names.

Calls that one system has and another lacks stand here, and nowhere else. Each asks whether the call is there, and has
another way (mostly psutil's) where it is not.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

# Interrupts and the end of processes


@contextmanager
def held_back_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back, also from the processes that are started meanwhile, for as long as they live.

    Without that a worker that is still importing would print a traceback. Windows has no signal masks to inherit:
    there nothing is held back.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_interrupts_to_parent() -> None:
    """In a process that another one started: Ctrl-C is not for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def hear_interrupts() -> None:
    """Raise KeyboardInterrupt at what `end_group` sends, also where the parent ignores Ctrl-C."""
    for number in _signals("SIGINT", "SIGBREAK"):
        signal.signal(number, signal.default_int_handler)


def end_signals() -> tuple[signal.Signals, ...]:
    """What a stopped service or a closed terminal sends on this system."""
    return _signals("SIGTERM", "SIGHUP", "SIGBREAK")


def interrupt_main_thread() -> None:
    """From another thread of this process: run the main thread's handler of SIGTERM, waking it where that is possible.

    `os.kill` would do so on POSIX alone: on Windows it ends the process without a handler.
    """
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGTERM)


def own_group() -> dict[str, Any]:
    """Arguments of `subprocess.Popen` for a process that `end_group` can end with all that it starts."""
    if hasattr(os, "setsid"):
        return {"start_new_session": True}
    return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}


def end_group(process: subprocess.Popen, patience_s: float, number: signal.Signals = signal.SIGTERM) -> None:
    """Ask a process to end, and kill it with all that it started if it has not ended in time.

    Args:
        process: Started with `own_group`.
        patience_s: How long it may take to end by itself, in seconds.
        number: What it is asked with, SIGINT or SIGTERM. Windows knows the first as Ctrl-Break, and no second.
    """
    # Found before it ends: nobody knows the children of a process that is gone.
    family = _with_descendants(process.pid)
    if hasattr(os, "killpg"):
        _signal_group(process, number)
    elif number == signal.SIGINT and hasattr(signal, "CTRL_BREAK_EVENT"):
        with suppress(OSError):
            process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        _each(family, "terminate")
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)
    if hasattr(os, "killpg"):
        _signal_group(process, signal.SIGKILL)
    else:
        _each(family, "kill")
    process.wait()


def killed_by(returncode: int | None) -> str | None:
    """The signal that ended a process; None where it ended by itself, or the system has no such signals."""
    if returncode is None or returncode >= 0:
        return None
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


_PR_SET_PDEATHSIG = 1
"""Of prctl(2): which signal this process gets when its parent dies."""


def die_with_parent() -> None:
    """Be killed when the parent is: by the kernel on Linux, elsewhere by a thread that waits for the parent's end."""
    parent = os.getppid()
    try:
        control = ctypes.CDLL(None).prctl
    except (AttributeError, TypeError, OSError):
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
        return
    control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died before it could be asked for.
        os._exit(1)


def _end_after(pid: int) -> None:
    with suppress(psutil.Error):
        psutil.Process(pid).wait()
    os._exit(1)


def _signals(*names: str) -> tuple[signal.Signals, ...]:
    """Those of the names that this system has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


def _with_descendants(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _each(family: list[psutil.Process], call: str) -> None:
    # psutil refuses where the number means another process by now.
    for member in family:
        with suppress(psutil.Error):
            getattr(member, call)()


def _signal_group(process: subprocess.Popen, number: signal.Signals) -> None:
    # macOS refuses where only zombies are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


# Cores, priority and memory

_NICENESS = 5
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def usable_cores() -> int:
    """Physical cores, or fewer where this process is held to fewer."""
    process = psutil.Process()
    # macOS holds no process to some cores.
    allowed = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


def lower_priority() -> None:
    """Let other programs go first, also before what this process will start."""
    with suppress(psutil.Error, OSError):
        psutil.Process().nice(getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", _NICENESS))


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in megabytes (1e6 bytes)."""
    try:
        import resource
    except ModuleNotFoundError:
        now = psutil.Process().memory_info()
        return getattr(now, "peak_wset", now.rss) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def memory_bytes() -> int:
    """The memory of this machine, or of the container around this process."""
    total = psutil.virtual_memory().total
    with suppress(OSError, ValueError):
        total = min(total, int(_CGROUP_LIMIT.read_text(encoding="ascii")))
    return total


# File names

FOLDS_CASE = sys.platform in {"win32", "darwin"}
"""Whether `A.png` and `a.png` are usually one file."""

_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*", re.IGNORECASE)
_REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f]')


def portable_name(name: str, *, on_windows: bool = sys.platform == "win32") -> str:
    r"""A file name that results may have on every system, because they travel in zip files and on shared folders.

    Names of devices get an underscore (`con` -> `con_`, `NUL.tif` -> `NUL_.tif`), dots and spaces at the end become
    underscores, and on Windows so do the characters `<>:"|?*\`, which only names from elsewhere hold.

    Args:
        name: One part of a path.
        on_windows: Whether those characters are refused.
    """
    kept = name.rstrip(". ")
    name = kept + "_" * (len(name) - len(kept))
    if on_windows:
        name = _REFUSED.sub("_", name)
    head, dot, rest = name.partition(".")
    return f"{head}_{dot}{rest}" if _RESERVED.fullmatch(head) else name


def name_key(name: str) -> str:
    """Equal for names that mean one file on this system."""
    return name.casefold() if FOLDS_CASE else name
