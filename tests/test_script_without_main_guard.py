"""The Python API from a plain script: no main guard, start method spawn, no environment, no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import multiprocessing
multiprocessing.set_start_method("spawn")
import autolv

autolv.convert("acdc", SOURCE, dataset="D", root=ROOT, workers=2)
autolv.plan_and_preprocess("D", root=ROOT, folds=2, time_budget_minutes=1.0, device="cpu", workers=2)
autolv.train("D", configuration="2d_unet", fold="all", root=ROOT, epochs=1, precision="float32", device="cpu")
best = autolv.find_best_config("D", root=ROOT, workers=2)
statuses = autolv.predict(f"{ROOT}/raw_data/D/imagesTs", f"{ROOT}/out", dataset="D", root=ROOT, workers=2)
evaluation = autolv.evaluate(f"{ROOT}/raw_data/D/labelsTs", f"{ROOT}/out", workers=2)
print("done", best.chosen, len(statuses), len(evaluation.cases))
"""


@pytest.mark.slow
def test_a_script_goes_the_whole_way(tiny_phantoms: Path, tmp_path: Path) -> None:
    root = tmp_path / "a workspace"
    root.mkdir()
    script = tmp_path / "script.py"
    script.write_text(f"SOURCE, ROOT = {str(tiny_phantoms)!r}, {str(root)!r}\n{SCRIPT}")
    kept = ("PATH", "PYTHONPATH", "SYSTEMROOT", "OMP_NUM_THREADS", "HOME", "TMPDIR", "TEMP")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:1] == ["done"]
    assert done.stdout.split()[-2:] == ["2", "2"]
