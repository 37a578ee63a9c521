"""What several tests of the commands begin with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autolv.cli.convert import main as convert_main
from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.core.workspace import Workspace
from autolv.datasets.phantom import PhantomSpec, write_acdc_tree
from autolv.schema.plan import Plan
from autolv.schema.record import read_record, write_record


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


@pytest.fixture(scope="session")
def planned_small(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace ``planned`` with a 2d_unet so small that an epoch takes a moment; read-only, made once."""
    root = tmp_path_factory.mktemp("planned_small") / "w"
    shutil.copytree(planned, root)
    path = Workspace.at(root).plan_file("D")
    plan = read_record(Plan, path)
    given = plan.configurations["2d_unet"]
    network = given.network.model_copy(
        update={
            "patch": (32, 32), "features": (4, 6, 8), "kernels": ((3, 3),) * 3, "strides": ((1, 1), (2, 2), (2, 2)),
            "blocks": (1, 1, 1), "decoder_blocks": (1, 1), "heads": 2,
        }
    )  # fmt: skip
    training = given.training.model_copy(
        update={"batch_size": 5, "iterations_per_epoch": 4, "deep_supervision_weights": (2 / 3, 1 / 3)}
    )
    small = given.model_copy(update={"network": network, "training": training})
    write_record(plan.model_copy(update={"configurations": plan.configurations | {"2d_unet": small}}), path)
    return root


@pytest.fixture(scope="session")
def untrained(planned_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of two untrained networks of the small 2d_unet: what it says means nothing, but is always the same."""
    import torch
    from safetensors.torch import save_file

    from autolv.inference.model_folder import describe_member, write_model
    from autolv.networks import build_network
    from autolv.schema.results import BestConfig

    folder = tmp_path_factory.mktemp("untrained")
    plan = read_record(Plan, Workspace.at(planned_small).plan_file("D"))
    configuration = plan.configurations["2d_unet"]
    members, files = [], []
    for fold in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(fold)
            weights = build_network(configuration.network).state_dict()
        files.append(folder / f"{fold}.safetensors")
        save_file({key: value.contiguous() for key, value in weights.items()}, files[-1])
        members.append(describe_member("2d_unet", fold, files[-1]))
    best = BestConfig(
        dataset="D", run="default", labels={"rv_cavity": 1, "lv_myocardium": 2, "lv_cavity": 3},
        structures=("lv_cavity", "lv_myocardium", "rv_cavity"), located=True, configurations={"2d_unet": configuration},
        members=tuple(members), postprocessing=(), candidates=(), chosen="2d_unet", reason="a test", score=0.0,
        score_with_postprocessing=0.0, cross_fitted_score=0.0, folds_available="", fingerprint_hash="0", licence_note="",
        versions={},
    )  # fmt: skip
    write_model(folder / "model", best, files)
    return folder / "model"
