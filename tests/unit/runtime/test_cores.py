"""Cores are those granted: affinity and control-group quota, whichever is smaller."""

import os
from pathlib import Path

import pytest

from autolv.runtime.cores import granted_cores, total_memory_gb
from autolv.runtime.malloc import keep_freed_memory


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def test_no_quota_gives_the_affinity(tmp_path: Path) -> None:
    assert granted_cores(cgroup=tmp_path) == _affinity()
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert granted_cores(cgroup=tmp_path) == _affinity()


def test_quota_of_version_2_is_rounded_up_and_bounds(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")  # half a core
    assert granted_cores(cgroup=tmp_path) == 1


def test_quota_of_version_1(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("100000")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert granted_cores(cgroup=tmp_path) == 1
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1")
    assert granted_cores(cgroup=tmp_path) == _affinity()


def test_memory_is_positive() -> None:
    assert 0.1 < total_memory_gb() < 1e5


def test_malloc_tuning_is_tried_and_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep_freed_memory() in (True, False)
    monkeypatch.setattr("sys.platform", "win32")
    assert keep_freed_memory() is False
