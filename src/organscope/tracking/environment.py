"""Where and from what a run was started."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import psutil

import organscope

_GIT_SECONDS = 5

_CPUINFO = Path("/proc/cpuinfo")

_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Of processors that compute with bfloat16: AMD's and Intel's, and Arm's."""


def computer_facts() -> dict[str, str]:
    """Versions, computer and commit, by name."""
    return {
        "organscope": organscope.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "processor": _processor(),
        "bfloat16": "yes" if processor_has_bfloat16() else "no",
        "cpus": str(os.cpu_count()),
        "memory_gb": f"{psutil.virtual_memory().total / 2**30:.1f}",
    } | _git_facts(Path(organscope.__file__).parent)


def _git_facts(folder: Path) -> dict[str, str]:
    """`git_commit` and whether files differ from it (`git_changed`); nothing where the code is no checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit, "git_changed": "yes" if changed else "no"}


def memory_mb() -> float:
    """Memory that this process holds now, in megabytes of 2^20 bytes."""
    return psutil.Process().memory_info().rss / 2**20


def processor_has_bfloat16() -> bool:
    """Whether the processor computes with bfloat16 by itself; said to be false where the system does not tell.

    One that does not takes seven to nine times as long with it as with float32 (docs/experiments/cells.md).
    """
    flags = _cpuinfo("flags") or _cpuinfo("Features") or ""
    return not _BFLOAT16_FLAGS.isdisjoint(flags.split())


def _processor() -> str:
    """Its model in words, where the system tells; its instructions decide the last digits of sums."""
    model = _cpuinfo("model name")
    return platform.processor() if model is None else model


def _cpuinfo(name: str) -> str | None:
    """What Linux says of the first processor, empty where it says nothing; none on other systems."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _git(folder: Path, *words: str) -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    try:
        done = subprocess.run([git, "-C", folder, *words], capture_output=True, text=True, timeout=_GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
