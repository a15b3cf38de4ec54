"""Cores: the server has one and whoever calls it another, where the machine allows."""

import os
import shutil

SERVER, CLIENT = 0, 1


def pinned(core: int) -> list[str]:
    """What pins a command to a core, as the beginning of it; nothing where the machine does not allow it."""
    return ["taskset", "-c", str(sorted(os.sched_getaffinity(0))[core])] if pinning() else []


def pinning() -> bool:
    """Whether the server and whoever calls it have a core each."""
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1 and bool(shutil.which("taskset"))


def told() -> str:
    """The same in words, and how busy the machine is: ask before anything is measured."""
    return f"{_shared()}; load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else _shared()


def _shared() -> str:
    if pinning():
        return "the server has one core, whoever calls it another"
    if not shutil.which("taskset"):
        return "server and callers share the cores: taskset cannot be found (apt-get install util-linux)"
    return "server and callers share one core: this machine has no other, so all figures are low"
