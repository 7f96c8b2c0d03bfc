"""On the path of a Python, hides from organscope what Windows lacks; the standard library and others keep theirs.

Names of `os` and `signal` are missing, modules of POSIX cannot be imported, `os.kill` ends a process without any
handler, and the C library is not to be had as a whole.
"""

import builtins
import ctypes
import os
import signal
from types import ModuleType
from typing import Any

MODULES = frozenset({"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog"})
NAMES = {
    "os": frozenset(
        [
            "chown",
            "chroot",
            "fchmod",
            "fchown",
            "fork",
            "forkpty",
            "getegid",
            "geteuid",
            "getgid",
            "getgroups",
            "getloadavg",
            "getpgid",
            "getpgrp",
            "getpriority",
            "getsid",
            "getuid",
            "killpg",
            "lchown",
            "mkfifo",
            "mknod",
            "nice",
            "openpty",
            "pathconf",
            "pipe2",
            "posix_fadvise",
            "pread",
            "pwrite",
            "sched_getaffinity",
            "sched_setaffinity",
            "sendfile",
            "setgid",
            "setpgid",
            "setpriority",
            "setsid",
            "setuid",
            "statvfs",
            "sync",
            "sysconf",
            "uname",
            "wait",
            "wait3",
            "wait4",
            "waitid",
            "O_DIRECTORY",
            "O_NONBLOCK",
            "O_CLOEXEC",
        ]
    ),
    "signal": frozenset(
        [
            "SIGALRM",
            "SIGCHLD",
            "SIGCONT",
            "SIGHUP",
            "SIGKILL",
            "SIGPIPE",
            "SIGQUIT",
            "SIGSTOP",
            "SIGTSTP",
            "SIGUSR1",
            "SIGUSR2",
            "SIGWINCH",
            "SIG_BLOCK",
            "SIG_SETMASK",
            "SIG_UNBLOCK",
            "alarm",
            "pause",
            "pthread_kill",
            "pthread_sigmask",
            "setitimer",
            "siginterrupt",
            "sigpending",
            "sigwait",
            "sigwaitinfo",
        ]
    ),
}
_real_import = builtins.__import__


def _terminate(pid: int, number: int) -> None:
    """As on Windows: no handler runs, whatever the number."""
    os.kill(pid, signal.SIGKILL)


def _no_whole_library(name: str | None, *arguments: Any, **keywords: Any) -> ctypes.CDLL:
    if name is None:
        raise TypeError("LoadLibrary() argument 1 must be str, not None")
    return ctypes.CDLL(name, *arguments, **keywords)


INSTEAD = {"os": {"kill": _terminate}, "signal": {}, "ctypes": {"CDLL": _no_whole_library}}


class _Without(ModuleType):
    """A module without some of its names."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(INSTEAD[module.__name__])

    def __getattr__(self, name: str) -> Any:
        whole = {"os": os, "signal": signal, "ctypes": ctypes}[self.__name__]
        if name in NAMES.get(self.__name__, ()):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        return getattr(whole, name)


_HIDDEN = {module.__name__: _Without(module) for module in (os, signal, ctypes)}


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    if level == 0 and str((globals or {}).get("__name__", "")).partition(".")[0] == "organscope":
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        if name in _HIDDEN:
            return _HIDDEN[name]
    return _real_import(name, globals, locals, fromlist, level)


builtins.__import__ = _import
