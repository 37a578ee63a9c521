"""A plan with two preprocessing blocks: each configuration trains from its own cache, and both meet on the image's grid."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from autolv.cli.find_best_config import main as find_main
from autolv.cli.plan_and_preprocess import main as plan_main
from autolv.cli.train import main as train_main
from autolv.core.workspace import Workspace
from autolv.imageio.store import read_stored
from autolv.imageio.volumes import read_labels
from autolv.planning import rules
from autolv.planning.isotropic import NAME
from autolv.schema.plan import Plan
from autolv.schema.record import read_record, write_record
from autolv.schema.results import BestConfig

_TRAIN = ["-d", "D", "--epochs", "1", "--precision", "float32", "--device", "cpu", "-f", "0"]


@pytest.fixture(scope="module")
def root(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose plan got a small network at 2 mm by hand; one fold of it, and of a 2D one, trained and compared."""
    folder = tmp_path_factory.mktemp("grids") / "w"
    shutil.copytree(planned, folder)
    path = Workspace.at(folder).plan_file("D")
    plan = read_record(Plan, path)
    deep = plan.configurations["3d_unet"]
    shape = rules.topology((16, 64, 64), (2.0, 2.0, 2.0), most_stages=2)
    network = {"patch": shape.patch, "features": (4, 8), "kernels": shape.kernels, "strides": shape.strides}
    fine = deep.model_copy(
        update={
            "name": NAME,
            "preprocessing": deep.preprocessing.model_copy(
                update={"in_plane_spacing_mm": (2.0, 2.0), "slice_spacing_mm": 2.0}
            ),
            "network": deep.network.model_copy(
                update={**network, "blocks": (1, 1), "decoder_blocks": (1,), "heads": 1}
            ),
            "training": deep.training.model_copy(
                update={"deep_supervision_weights": (1.0,), "iterations_per_epoch": 2}
            ),
        }
    )
    write_record(plan.model_copy(update={"configurations": {**plan.configurations, NAME: fine}}), path)
    at = ["--root", str(folder), "--quiet"]
    assert plan_main(["-d", "D", *at]) == 0  # keeps the plan, fills the second cache
    for name in ("2d_unet", NAME):
        assert train_main([*_TRAIN, "-c", name, *at]) == 0
    assert find_main(["-d", "D", *at]) == 0
    return folder


def test_each_block_has_its_own_cache_of_all_cases(root: Path) -> None:
    workspace = Workspace.at(root)
    plan = read_record(Plan, workspace.plan_file("D"))
    sizes = {}
    for name in ("2d_unet", NAME):
        files = sorted(workspace.cache("D", plan.configurations[name].preprocessing.content_hash()).iterdir())
        assert len(files) == 8  # four patients, two frames each
        sizes[name] = [read_stored(file) for file in files]
    for flat, fine in zip(sizes["2d_unet"], sizes[NAME], strict=True):
        assert flat.record.case == fine.record.case
        assert flat.record.grid.spacing_mm[0] == 12.0
        assert fine.record.grid.spacing_mm == pytest.approx((2.0, 2.0, 2.0), rel=0.02)
        assert fine.image.shape[0] == 6 * flat.image.shape[0]
        assert flat.record.heart_box is not None and fine.record.heart_box is not None
        assert fine.record.heart_box[0] == tuple(6 * z for z in flat.record.heart_box[0])


def test_both_are_validated_on_the_images_own_grid_and_compared(root: Path) -> None:
    workspace = Workspace.at(root)
    for name in ("2d_unet", NAME):
        place = workspace.fold("D", "default", name, 0) / "validation"
        labels = sorted(place.glob("*.nii.gz"))
        assert labels
        for file in labels:
            reference = read_labels(workspace.raw("D") / "labelsTr" / file.name)
            predicted = read_labels(file)
            assert predicted.array.shape == reference.array.shape
            np.testing.assert_allclose(predicted.geometry.affine, reference.geometry.affine)
    best = read_record(BestConfig, workspace.model("D", "default") / "best_config.json")
    assert {c.name for c in best.candidates} == {"2d_unet", NAME, f"2d_unet + {NAME}"}
