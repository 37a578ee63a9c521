"""The comparison of predictions: what is measured of a command, and what is made of it."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from autolv.core.geometry import Geometry, Volume
from autolv.imageio.volumes import write_image

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
import prediction
from beside_nnunet.protocol import measured

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux's /proc"
)


def test_a_commands_children_count(tmp_path: Path) -> None:
    # the child holds 200 MiB and computes for 0.3 s of processor time
    child = "import time; held = bytearray(200 << 20)\nwhile time.process_time() < 0.3: pass\ntime.sleep(0.3)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True); print('done')"
    found = measured((sys.executable, "-c", code), os.environ, tmp_path / "log")
    assert found["wall_s"] >= 0.6
    assert found["cpu_s"] >= 0.3
    assert 200 < found["peak_mib"] < 300
    assert (tmp_path / "log").read_text(encoding="utf-8") == "done\n"


def test_a_command_that_fails_is_told_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)status 3; .* ends:\nno model"):
        measured((sys.executable, "-c", "print('no model'); raise SystemExit(3)"), os.environ, tmp_path / "log")


def test_ratios_are_medians_of_the_rounds_own() -> None:
    def rounds(*wall_s: float) -> list[dict[str, float]]:
        return [{"wall_s": wall, "cpu_s": 2 * wall, "peak_mib": 100.0} for wall in wall_s]

    rows = prediction._rows({"autolv": rounds(1.0, 4.0, 2.0), "nnU-Net": rounds(10.0, 20.0, 12.0)}, cases=4)
    assert rows[0] == ("", "autolv", "nnU-Net", "nnU-Net / autolv")
    assert rows[1] == ("wall [s]", "2.0", "12.0", "6.00 (5.00 to 10.00)")  # 10, 5 and 6
    assert rows[3] == ("peak memory, all processes [MiB]", "100.0", "100.0", "1.00 (1.00 to 1.00)")
    assert rows[4] == ("wall per case [s]", "0.50", "3.00", "")


def test_agreement_is_over_all_cases_by_code(tmp_path: Path) -> None:
    geometry = Geometry.from_spacing((8.0, 1.0, 1.0), (1, 2, 4))
    ours = np.array([[[0, 1, 1, 3], [0, 0, 0, 3]]])
    theirs = np.array([[[0, 1, 1, 1], [0, 0, 0, 3]]])
    for folder, name, labels in (("a", "c_0000.nii.gz", ours), ("b", "c.nii.gz", theirs)):
        write_image(tmp_path / folder / name, Volume(array=labels, geometry=geometry), dtype="uint8")
    found = prediction._agreement(tmp_path / "a", tmp_path / "b")
    assert found["dice"] == {"1": pytest.approx(4 / 5), "3": pytest.approx(2 / 3)}
    assert found["voxels"] == 7 / 8
