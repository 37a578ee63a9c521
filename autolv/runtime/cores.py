"""How many cores and how much memory this process may use: what it was granted, never the machine's. No torch."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def granted_cores(*, cgroup: Path = _CGROUP, membership: Path = _MEMBERSHIP) -> int:
    """Return the number of cores granted by processor affinity and by control groups' quotas, at least 1.

    ``cgroup`` is where control groups are mounted; ``membership`` names the process's own, of which those above it
    (a container, a user's session, a job of a batch system) limit it too.
    """
    getter = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    affinity = len(getter(0)) if getter is not None else (os.cpu_count() or 1)
    quotas = [_quota_cores(group) for group in _groups("cpu", cgroup, membership)]
    return max(1, math.ceil(min([affinity, *quotas])))


def total_memory_gb(*, cgroup: Path = _CGROUP, membership: Path = _MEMBERSHIP) -> float:
    """Return the memory this process may use in GiB: the machine's (8.0 where unknown), or the least of its groups' limits.

    ``cgroup`` and ``membership`` are those of ``granted_cores``.
    """
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        machine = 8.0
    return min([machine, *(_memory_gb(group) for group in _groups("memory", cgroup, membership))])


def _groups(controller: str, cgroup: Path, membership: Path) -> list[Path]:
    """Return the folders of the process's group and of all above it, of version 2 and of version 1's ``controller``.

    A container often sees its own group as the root and a name from outside in ``membership``: folders need not exist.
    """
    names, path, path_2 = controller, "/", "/"
    for hierarchy in _lines(membership):
        _, _, rest = hierarchy.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers and group:  # version 2 has one hierarchy for all
            path_2 = group
        elif controller in controllers.split(","):
            names, path = controllers, group
    # version 2 is mounted at the top, or beside version 1; version 1 by its controllers, most often with links from each
    places = ((cgroup, path_2), (cgroup / "unified", path_2), (cgroup / names, path), (cgroup / controller, path))
    return [folder for top, group in places for folder in _upwards(top, group)]


def _upwards(top: Path, group: str) -> list[Path]:
    """Return the folder of ``group`` below ``top`` and those above it, ``top`` included, ``top`` alone if it lies outside."""
    parts = [part for part in group.split("/") if part]
    if ".." in parts:
        return [top]
    folder = top.joinpath(*parts)
    return [folder, *folder.parents[: len(parts)]]


def _quota_cores(group: Path) -> float:
    """Return the cores that a group's quota amounts to, infinitely many where it sets none."""
    words = " ".join(_lines(group / "cpu.max")).split()  # version 2: "limit period", the limit may be "max"
    if not words:
        words = _lines(group / "cpu.cfs_quota_us") + _lines(group / "cpu.cfs_period_us")  # version 1: -1 for none
    limit, period = _number(words, 0), _number(words, 1)
    return limit / period if 0 < limit < math.inf and 0 < period < math.inf else math.inf


def _memory_gb(group: Path) -> float:
    """Return a group's limit in GiB, infinite where it sets none (version 1 then writes a number beyond any machine's)."""
    limits = [_number(_lines(group / name), 0) for name in ("memory.max", "memory.limit_in_bytes")]
    return min(limit for limit in [*limits, math.inf] if limit > 0) / 2**30


def _number(words: Sequence[str], index: int) -> float:
    """Return ``words[index]`` as a number, infinity where it is missing or none."""
    try:
        return float(int(words[index]))
    except (IndexError, ValueError):
        return math.inf


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
