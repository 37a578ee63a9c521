"""How many cores this process may use: never the machine's count, always what it was granted. No torch."""

from __future__ import annotations

import math
import os
from pathlib import Path


def granted_cores(*, cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of cores granted by processor affinity and by the control group's quota, at least 1."""
    getter = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    affinity = len(getter(0)) if getter is not None else (os.cpu_count() or 1)
    quota = _cgroup_quota(cgroup)
    return max(1, affinity if quota is None else min(affinity, quota))


def _cgroup_quota(cgroup: Path) -> int | None:
    """Return the whole cores that the control group allows (version 2, then 1), or ``None`` where it sets no limit."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
        return None if limit == "max" else max(1, math.ceil(int(limit) / int(period)))
    except (OSError, ValueError):
        pass
    try:
        limit_us = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
        return None if limit_us <= 0 else max(1, math.ceil(limit_us / period_us))
    except (OSError, ValueError):
        return None


def total_memory_gb() -> float:
    """Return the memory this process may use in GiB (machine's, or the control group's limit); 8.0 where unknown."""
    amounts: list[float] = []
    try:
        amounts.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):
        amounts.append(8.0)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            amounts.append(int((Path("/sys/fs/cgroup") / name).read_text()) / 2**30)
        except (OSError, ValueError):
            continue
    return min(amounts)
