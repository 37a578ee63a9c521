"""Training on a GPU in pieces, here on the CPU: from a workspace to a table, and what the pieces promise."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from autolv.core.workspace import Workspace
from autolv.imageio.store import read_stored
from autolv.networks import build_network
from autolv.ops.crop import crop
from autolv.pipeline.cache import stored_file
from autolv.pipeline.context import open_dataset

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import gpu_training
from on_gpu.nnunet_plans import nnunet_plans
from on_gpu.packed import central_window, read_pack
from on_gpu.parts import join_file, split_file
from on_gpu.speed import busy_share

ROOT = Path(__file__).parents[2]
STEPS = ["-c", "2d_unet", "--device", "cpu", "--iterations", "7"]
# what a machine may lack that has torch, numpy, scipy, pydantic and acvl-utils with blosc2
ELSEWHERE = (
    "SimpleITK", "nibabel", "batchgenerators", "matplotlib", "safetensors", "cc3d", "skimage", "filelock", "optuna",
    "tensorboard",
)  # fmt: skip


@pytest.fixture(scope="module")
def packed(planned_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "d.npz"
    status = gpu_training.main(
        ["pack", "--root", str(planned_small), "-d", "D", "-c", "2d_unet", "--margin-mm", "5", "--out", str(path)]
    )
    assert status == 0
    return path


def _train(packed: Path, out: Path, *options: str) -> int:
    return gpu_training.main(["train", str(packed), *STEPS, "--out", str(out), *options])


def test_a_pack_keeps_labels_exactly_and_images_to_within_half_a_level(packed: Path, planned_small: Path) -> None:
    pack, workspace = read_pack(packed), Workspace.at(planned_small)
    _, dataset = open_dataset(workspace, "D")
    block = pack.configuration("2d_unet").preprocessing
    for packed_case, case in zip(pack.cases, dataset.training, strict=True):
        stored = read_stored(stored_file(workspace, dataset, block, case))
        assert np.array_equal(packed_case.labels, crop(stored.labels, packed_case.window))
        assert np.count_nonzero(packed_case.labels) == np.count_nonzero(stored.labels)  # no heart is cut
        bent, kept = (np.arcsinh(a) for a in (crop(stored.image, packed_case.window), packed_case.image))
        assert np.abs(bent - kept).max() <= np.ptp(bent) / 255 / 2 * 1.001
        assert packed_case.reference.shape == stored.record.grid.original_shape
        assert set(np.unique(packed_case.reference)) == {0, 1, 2, 3}


def test_the_window_is_the_middle_of_the_field_wherever_the_heart_lies() -> None:
    assert central_window((9, 100, 61), (20.0, 20.5)) == ((0, 9), (30, 70), (10, 51))
    assert central_window((9, 30, 200), (20.0, 20.0)) == ((0, 9), (0, 30), (80, 120))


def test_a_fold_in_pieces_ends_with_the_weights_and_scores_of_one_that_never_stopped(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    assert _train(packed, whole, "-f", "0") == 0
    statuses = []
    while not statuses or statuses[-1] == 3:
        assert len(statuses) < 20
        # no time at all: one step, or one fold's scores, per piece; the state travels in several files
        statuses.append(_train(packed, pieces, "-f", "0", "--minutes", "0", "--part-mb", "0.01"))
        if len(statuses) == 3:
            assert len(list(pieces.glob("2d_unet_fold0.state.[0-9][0-9]"))) > 1
    assert statuses == [3] * 7 + [0]  # seven steps, then the scores
    assert sorted(path.name for path in pieces.iterdir()) == ["2d_unet.json", "2d_unet_fold0.npz"]
    with np.load(whole / "2d_unet_fold0.npz") as one, np.load(pieces / "2d_unet_fold0.npz") as other:
        assert set(one.files) == set(other.files)
        assert all(one[name].dtype == np.float16 and np.array_equal(one[name], other[name]) for name in one.files)
    one, other = (json.loads((place / "2d_unet.json").read_text())["folds"]["0"]["dice"] for place in (whole, pieces))
    assert json.dumps(one) == json.dumps(other)
    pack = read_pack(packed)
    assert {row["patient"] for row in one} == set(pack.splits.folds[0].validation)
    assert all(math.isnan(value) or 0 <= value <= 1 for row in one for value in row["dice"].values())
    assert gpu_training.main(["table", str(packed), str(pieces)]) == 0
    (line,) = [text for text in capsys.readouterr().out.splitlines() if text.startswith("| 2d_unet ")]
    assert line.startswith("| 2d_unet | 0 of 2 | 4 | ")
    mean = np.nanmean([[*row["dice"].values()] for row in one], axis=0).mean()
    assert f"| {100 * mean:.2f} (" in line


def test_a_run_goes_on_with_its_own_settings_only(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(packed, tmp_path, "-f", "1", "--minutes", "0") == 3
    assert _train(packed, tmp_path, "-f", "1", "--seed", "4") == 2
    assert "other settings" in capsys.readouterr().err
    assert _train(packed, tmp_path, "-f", "2") == 2
    assert "no fold 2" in capsys.readouterr().err
    assert gpu_training.main(["table", str(packed), str(tmp_path)]) == 2
    assert "no fold is scored" in capsys.readouterr().err


def test_a_machine_with_few_packages_can_train(packed: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ELSEWHERE!r}))\n"  # importing one of them now fails
        f"sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); import gpu_training\n"
        f"raise SystemExit(gpu_training.main(sys.argv[1:]))"
    )
    common = [sys.executable, "-c", code]
    train = ["train", str(packed), *STEPS, "-f", "0", "--out", str(tmp_path)]
    assert subprocess.run([*common, *train], check=False).returncode == 0
    assert subprocess.run([*common, "table", str(packed), str(tmp_path)], check=False).returncode == 0


def test_speed_takes_steps_of_the_loop_and_tells_what_it_cannot_measure(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    options = ["-c", "2d_unet", "--device", "cpu", "--iterations", "4", "--compile", "off", "--precision", "float32"]
    assert gpu_training.main(["speed", str(packed), *options, "--out", str(out)]) == 0
    (row,) = json.loads(out.read_text())
    assert row["seconds_per_iteration"] > 0 and 0 < row["share_making_batches"] < 1 and row["share_of_matmul"] > 0
    assert math.isnan(row["busy_share"]) and math.isnan(row["peak_gib"])


def test_busy_is_what_any_kernel_covers_and_idle_what_none_does() -> None:
    assert busy_share([(0.0, 4.0), (1.0, 2.0), (6.0, 10.0), (9.0, 10.0)]) == 0.8
    assert busy_share([(5.0, 6.0), (6.0, 7.0)]) == 1.0
    assert math.isnan(busy_share([]))


def test_the_networks_of_the_peers_plans_have_its_parameters(packed: Path) -> None:
    pack = read_pack(packed)
    plans = nnunet_plans(4, pack.configuration("2d_unet").preprocessing)
    for name, millions in (("nnunet_2d", 20.6), ("nnunet_3d", 30.4)):
        with torch.device("meta"):
            network = build_network(plans[name].network)
        assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.15), name


def test_a_file_in_parts_is_the_file_again(tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    path.write_bytes(bytes(range(250)))
    assert [part.stat().st_size for part in split_file(path, 100)] == [100, 100, 50]
    assert not path.exists()
    shutil.copytree(tmp_path, tmp_path.with_name("there"))
    join_file(tmp_path.with_name("there") / "a.state")
    assert [p.name for p in tmp_path.with_name("there").iterdir()] == ["a.state"]
    assert (tmp_path.with_name("there") / "a.state").read_bytes() == bytes(range(250))
