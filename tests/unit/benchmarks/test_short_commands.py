"""Measuring whole commands, and predictions made without training."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from beside_nnunet.commands import Stage, in_turn, rows
from beside_nnunet.predictions import disturbed

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")


def _stage(code: str, tool: str = "a", **options) -> Stage:
    return Stage(tool, [[sys.executable, "-c", code]], dict(os.environ), **options)


@linux
def test_memory_and_cpu_are_those_of_the_whole_tree(tmp_path: Path) -> None:
    child = "import time; x = bytearray(96 << 20); x[::4096] = b'1' * len(x[::4096]); time.sleep(0.6)"
    stage = _stage(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    assert 96 < stage.peak_mib(tmp_path / "log") < 200
    busy = "import time; t = time.process_time()\nwhile time.process_time() - t < 0.4: pass"
    wall_s, cpu_s = _stage(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])").used(
        tmp_path / "log"
    )
    assert 0.4 <= cpu_s <= wall_s + 0.1


@linux
def test_what_is_made_is_taken_away_before_each_round_and_order_turns(tmp_path: Path) -> None:
    calls: list[str] = []
    stages = [_stage("pass", tool, clear=lambda tool=tool: calls.append(tool)) for tool in ("a", "b")]
    found = in_turn(stages, 2, tmp_path / "log")
    assert calls == ["a", "b", "a", "b", "b", "a"]  # that of memory, then the two that count
    assert len(found["a"]["wall_s"]) == len(found["b"]["cpu_s"]) == 2
    assert found["a"]["peak_mib"] > 1


@linux
def test_a_command_that_fails_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)a: .* failed with status 3:.*what went wrong"):
        _stage("import sys; print('what went wrong'); sys.exit(3)").used(tmp_path / "log")


def test_ratios_are_of_rounds_and_memory_of_its_own() -> None:
    found = {
        "autolv": {"wall_s": [1.0, 2.0, 10.0], "cpu_s": [1.0, 1.0, 1.0], "peak_mib": 100.0},
        "nnunet": {"wall_s": [8.0, 16.0, 90.0], "cpu_s": [3.0, 5.0, 4.0], "peak_mib": 1600.0},
    }
    wall, cpu, memory = rows("evaluate", found, ["nnunet"])
    assert wall == ("evaluate", "s", "2.00", "16.00", "8.00 (8.00 to 9.00)", "nnunet")
    assert cpu[2:5] == ("1.00", "4.00", "4.00 (3.00 to 5.00)")
    assert memory[1:5] == ("MiB", "100", "1600", "16.0")


def test_disturbed_references_are_near_them_and_the_same_each_time() -> None:
    labels = np.zeros((6, 60, 50), dtype=np.uint8)
    labels[1:5, 10:40, 10:40] = 2
    labels[1:5, 18:32, 18:32] = 1
    labels[1:3, 10:40, 41:47] = 3
    before = labels.copy()
    made = [disturbed(labels, 4, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*made)
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_allclose(made[0].sum(axis=0), 1.0, atol=1e-5)
    predicted = made[0].argmax(axis=0)
    for label in (1, 2, 3):
        a, b = predicted == label, labels == label
        assert 0.75 < 2 * (a & b).sum() / (a.sum() + b.sum()) < 1.0
