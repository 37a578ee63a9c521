"""What short commands do not import, since it takes longer than their work."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "scipy.ndimage", "scipy.stats", "scipy.special", "matplotlib", "skimage", "SimpleITK", "rich")


@pytest.mark.parametrize("recipe", ["evaluate", "find_best_config", "plan_and_preprocess"])
def test_recipes_that_do_not_need_heavy_packages_do_not_import_them(recipe):
    code = f"import sys, autolv.pipeline.{recipe}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")
