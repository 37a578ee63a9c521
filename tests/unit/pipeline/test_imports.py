"""What short commands do not import, since it takes longer than their work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

HEAVY = (
    "torch", "scipy.ndimage", "scipy.stats", "scipy.special", "matplotlib", "skimage", "SimpleITK", "rich", "numpy.ma",
)  # fmt: skip


@pytest.mark.parametrize("recipe", ["evaluate", "find_best_config", "plan_and_preprocess"])
def test_recipes_that_do_not_need_heavy_packages_do_not_import_them(recipe):
    code = f"import sys, autolv.pipeline.{recipe}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_evaluating_with_all_its_drawings_imports_none_of_them(tmp_path: Path) -> None:
    labels = np.zeros((16, 16, 3), dtype=np.uint8)
    for code, half in ((2, 6), (3, 4)):
        labels[8 - half : 8 + half, 8 - half : 8 + half] = code
    for side in ("reference", "prediction"):
        (tmp_path / side).mkdir()
        for phase in ("ED", "ES"):
            nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / side / f"p_{phase}.nii.gz")
    words = ["-r", "reference", "-p", "prediction", "-o", "out", "--labels", "lv_myocardium=2,lv_cavity=3", "--readout"]
    code = (
        f"import sys; from autolv.cli.evaluate import main; status = main({words!r}); "
        f"sys.exit(status or str([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == "[]", done.stderr
    assert {file.name for file in (tmp_path / "out").glob("*.svg")} == {"agreement.svg", "readout_agreement.svg"}
