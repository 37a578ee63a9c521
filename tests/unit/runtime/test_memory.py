"""What a stage has needed is given back before the next; the compiler is given one thread."""

from __future__ import annotations

import platform
import subprocess
import sys
import weakref

import pytest
import torch

from autolv.runtime import memory
from autolv.runtime.malloc import give_back_freed_memory
from autolv.runtime.memory import release_cached, settle

CPU = torch.device("cpu")
ON_GLIBC = platform.libc_ver()[0] == "glibc"

_IN_THE_MIDDLE = """
from autolv.runtime.malloc import give_back_freed_memory, keep_freed_memory

def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

assert keep_freed_memory()
blocks = [bytearray(1 << 20) for _ in range(64)]
last = bytearray(1 << 20)  # above the others in the heap: what is below it cannot be given back by the heap's end alone
full = resident_mib()
del blocks
kept = resident_mib()
assert give_back_freed_memory()
print(full - kept, kept - resident_mib())
"""


@pytest.mark.skipif(not ON_GLIBC, reason="needs glibc")
def test_what_is_freed_is_kept_until_it_is_given_back() -> None:
    told = subprocess.run([sys.executable, "-c", _IN_THE_MIDDLE], capture_output=True, text=True, check=True).stdout
    by_itself, when_told = map(float, told.split())
    assert by_itself < 8 and when_told > 56  # of 64 MiB


def test_elsewhere_nothing_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert give_back_freed_memory() is False


class _Knot:
    """What only the garbage collector frees."""

    def __init__(self) -> None:
        self.itself = self


def test_what_holds_itself_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back = []
    monkeypatch.setattr(memory, "give_back_freed_memory", lambda: given_back.append(knot()))
    knot = weakref.ref(_Knot())
    assert knot() is not None
    release_cached(CPU)
    assert given_back == [None]  # freed first, then given back


def test_a_gpu_settles_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[torch.device] = []
    monkeypatch.setattr(memory, "release_cached", released.append)
    settle(torch.device("cuda"))
    assert released == []
    settle(CPU)
    assert released == [CPU]
