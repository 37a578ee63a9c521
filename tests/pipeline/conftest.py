"""What several tests of the commands begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autolv.cli.convert import main as convert_main
from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.datasets.phantom import PhantomSpec, write_acdc_tree


def _plan_phantoms(root: Path, name: str, *, seed: int) -> None:
    """Make, convert and plan four small phantom patients as the dataset ``name``, in two folds."""
    at = ["--root", str(root), "--quiet"]
    spec = replace(PhantomSpec(), shape=(5, 64, 64), spacing_mm=(12.0, 2.6, 2.6))
    write_acdc_tree(root / f"source{name}", patients=4, frames=4, spec=spec, cines=False, seed=seed)
    assert convert_main(["acdc", str(root / f"source{name}"), "-d", name, *at]) == 0
    assert plan_main(["-d", name, "--device", "cpu", "--time-budget", "1m", "--folds", "2", *at]) == 0


@pytest.fixture(scope="session")
def plan_phantoms() -> Callable[..., None]:
    """Return ``plan_phantoms(root, name, seed=...)``, which makes, converts and plans four small phantom patients."""
    return _plan_phantoms


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the planned dataset D of four small phantoms; read-only, made once."""
    root = tmp_path_factory.mktemp("planned")
    _plan_phantoms(root, "D", seed=0)
    return root
