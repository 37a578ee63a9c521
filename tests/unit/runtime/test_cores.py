"""Cores and memory are those granted: affinity, and the least that any control group on the way to the root allows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autolv.runtime.cores import granted_cores, total_memory_gb
from autolv.runtime.malloc import keep_freed_memory

_GB = 2**30
_UNLIMITED = 9223372036854771712  # what version 1 writes where no limit is set


@pytest.fixture(autouse=True)
def _big_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 cores and 64 GiB, so that every limit below can be told from the machine's."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * _GB // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)


class Tree:
    """A made-up ``/sys/fs/cgroup`` and ``/proc/self/cgroup``."""

    def __init__(self, folder: Path, *membership: str) -> None:
        self.cgroup, self._membership = folder / "cgroup", folder / "proc-self-cgroup"
        self.cgroup.mkdir()
        if membership:
            self._membership.write_text("".join(f"{line}\n" for line in membership))

    def write(self, path: str, content: object) -> None:
        file = self.cgroup / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")

    @property
    def cores(self) -> int:
        return granted_cores(cgroup=self.cgroup, membership=self._membership)

    @property
    def memory_gb(self) -> float:
        return total_memory_gb(cgroup=self.cgroup, membership=self._membership)


def test_without_control_groups_it_is_the_machine(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    assert (tree.cores, tree.memory_gb) == (64, 64.0)
    missing = tmp_path / "none"
    assert granted_cores(cgroup=missing, membership=missing) == 64
    assert total_memory_gb(cgroup=missing, membership=missing) == 64.0


def test_affinity_bounds_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path, "0::/")
    tree.write("cpu.max", "400000 100000")
    assert tree.cores == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert tree.cores == 3


@pytest.mark.parametrize("text", ["max 100000", "max"])
def test_no_quota_gives_the_affinity(tmp_path: Path, text: str) -> None:
    tree = Tree(tmp_path, "0::/")
    tree.write("cpu.max", text)
    tree.write("memory.max", "max")
    assert (tree.cores, tree.memory_gb) == (64, 64.0)


@pytest.mark.parametrize(("text", "cores"), [("50000 100000", 1), ("250000 100000", 3), ("150000 50000", 3)])
def test_a_quota_is_rounded_up_to_whole_cores(tmp_path: Path, text: str, cores: int) -> None:
    tree = Tree(tmp_path, "0::/")
    tree.write("cpu.max", text)
    assert tree.cores == cores


@pytest.mark.parametrize("tightest", ["slurm.scope/job_7/step_0/cpu.max", "slurm.scope/job_7/cpu.max", "cpu.max"])
def test_version_2_takes_the_least_on_the_way_up(tmp_path: Path, tightest: str) -> None:
    tree = Tree(tmp_path, "0::/slurm.scope/job_7/step_0")
    tree.write("slurm.scope/job_7/step_0/cpu.max", "1600000 100000")
    tree.write("slurm.scope/cpu.max", "max 100000")
    tree.write("slurm.scope/job_8/cpu.max", "100000 100000")  # the neighbour's
    assert tree.cores == 16
    tree.write(tightest, "300000 100000")
    assert tree.cores == 3


@pytest.mark.parametrize("tightest", ["user.slice/run.scope/memory.max", "user.slice/memory.max", "memory.max"])
def test_version_2_takes_the_least_memory_on_the_way_up(tmp_path: Path, tightest: str) -> None:
    tree = Tree(tmp_path, "0::/user.slice/run.scope")
    tree.write("user.slice/run.scope/memory.max", 32 * _GB)
    tree.write("user.slice/other.scope/memory.max", _GB)
    assert tree.memory_gb == 32.0
    tree.write(tightest, 3 * _GB)
    assert tree.memory_gb == 3.0


@pytest.mark.parametrize("mounted", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize("group", ["slurm/uid_1/job_2/step_0", "slurm/uid_1/job_2", "slurm", ""])
def test_version_1_takes_the_least_on_the_way_up(tmp_path: Path, mounted: str, group: str) -> None:
    tree = Tree(tmp_path, "5:memory:/elsewhere", "4:cpu,cpuacct:/slurm/uid_1/job_2/step_0", "1:name=systemd:/", "0::/")
    tree.write(f"{mounted}/slurm/uid_1/job_2/step_0/cpu.cfs_quota_us", 800000)
    tree.write(f"{mounted}/slurm/uid_1/job_2/step_0/cpu.cfs_period_us", 100000)
    tree.write(f"{mounted}/slurm/uid_1/cpu.cfs_quota_us", -1)
    tree.write(f"{mounted}/slurm/uid_1/cpu.cfs_period_us", 100000)
    tree.write(f"{mounted}/elsewhere/cpu.cfs_quota_us", 100000)  # the memory controller's group, not the cpu's
    tree.write(f"{mounted}/elsewhere/cpu.cfs_period_us", 100000)
    assert tree.cores == 8
    tree.write(f"{mounted}/{group}/cpu.cfs_quota_us", 100000)
    tree.write(f"{mounted}/{group}/cpu.cfs_period_us", 50000)
    assert tree.cores == 2


@pytest.mark.parametrize("group", ["slurm/job_2/step_0", "slurm/job_2", ""])
def test_version_1_takes_the_least_memory_on_the_way_up(tmp_path: Path, group: str) -> None:
    tree = Tree(tmp_path, "5:memory:/slurm/job_2/step_0", "4:cpu,cpuacct:/elsewhere")
    for place in ("", "/slurm", "/slurm/job_2", "/slurm/job_2/step_0"):
        tree.write(f"memory{place}/memory.limit_in_bytes", _UNLIMITED)
    tree.write("memory/elsewhere/memory.limit_in_bytes", _GB)
    assert tree.memory_gb == 64.0
    tree.write(f"memory/{group}/memory.limit_in_bytes", 5 * _GB)
    assert tree.memory_gb == 5.0


def test_version_2_beside_version_1(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "4:cpu:/one", "3:memory:/", "0::/two")
    tree.write("cpu/one/cpu.cfs_quota_us", 600000)
    tree.write("cpu/one/cpu.cfs_period_us", 100000)
    tree.write("unified/two/memory.max", 7 * _GB)
    assert (tree.cores, tree.memory_gb) == (6, 7.0)
    tree.write("unified/two/cpu.max", "500000 100000")
    assert tree.cores == 5


@pytest.mark.parametrize("name", ["/docker/0123abc", "/../0123abc", "/system.slice/a:b.service (deleted)"])
def test_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path, name: str) -> None:
    tree = Tree(tmp_path, f"5:memory:{name}", f"4:cpu,cpuacct:{name}", f"0::{name}")
    (tmp_path / "0123abc").mkdir()
    (tmp_path / "0123abc" / "cpu.max").write_text("100000 100000\n")  # outside of what is mounted
    tree.write("cpu.max", "200000 100000")
    tree.write("memory/memory.limit_in_bytes", 2 * _GB)
    assert (tree.cores, tree.memory_gb) == (2, 2.0)


@pytest.mark.parametrize("text", ["", "many", "100000", "100000 0", "0 100000", "-1 100000"])
def test_a_file_that_makes_no_sense_sets_no_limit(tmp_path: Path, text: str) -> None:
    tree = Tree(tmp_path, "0::/a")
    tree.write("a/cpu.max", text)
    tree.write("a/memory.max", "lots" if text else "")
    tree.write("a/memory.limit_in_bytes", 0)
    (tree.cgroup / "memory.max").write_bytes(b"\xff\xfe")
    assert (tree.cores, tree.memory_gb) == (64, 64.0)
    tree.write("cpu.max", "900000 100000")
    (tree.cgroup / "memory.max").write_text(f"{9 * _GB}\n")
    assert (tree.cores, tree.memory_gb) == (9, 9.0)


def test_lines_that_make_no_sense_do_not_hide_the_group(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "0::/a", "garbage", "", "::", "cpu")
    tree.write("a/cpu.max", "300000 100000")
    assert tree.cores == 3


def test_a_machine_that_does_not_tell_its_memory_counts_as_8_gib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert Tree(tmp_path).memory_gb == 8.0


def test_the_real_process_has_at_least_one_core_and_some_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 <= granted_cores() <= (os.cpu_count() or 1)
    assert 0.1 < total_memory_gb() < 1e5


def test_malloc_tuning_is_tried_and_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep_freed_memory() in (True, False)
    monkeypatch.setattr("sys.platform", "win32")
    assert keep_freed_memory() is False
