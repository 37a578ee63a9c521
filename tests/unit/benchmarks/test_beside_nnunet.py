"""The comparison with nnU-Net: what it computes from measurements, and that autolv's arm takes real steps."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autolv.imageio.store import StoredCase, write_stored
from autolv.schema.plan import Configuration, Plan
from autolv.schema.preprocessed import Grid, PreprocessedCase
from autolv.schema.record import read_record

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from beside_nnunet.protocol import Arm
from beside_nnunet.report import fastest, ratios, step_seconds_of, waiting_share
from beside_nnunet.translation import nnunet_plans, surplus

ROOT = Path(__file__).parents[3]


@pytest.fixture
def small() -> Configuration:
    plan = read_record(Plan, ROOT / "plans" / "ACDC" / "plan.json")
    planned = plan.configurations["2d_unet"]
    stages = {
        "patch": (16, 16), "features": (4, 8, 16), "kernels": ((3, 3),) * 3, "strides": ((1, 1), (2, 2), (2, 2)),
        "blocks": (2, 2, 3), "decoder_blocks": (1, 2), "heads": 1,
    }  # fmt: skip
    network = planned.network.model_copy(update=stages)
    training = planned.training.model_copy(update={"batch_size": 2, "deep_supervision_weights": (1.0,)})
    return planned.model_copy(update={"network": network, "training": training})


def test_nnunets_network_is_larger_by_idle_biases_and_the_heads_that_autolv_leaves_out(small: Configuration) -> None:
    found = surplus(small.network)
    assert found.biases == 2 * 4 + 2 * 8 + 3 * 16 + 1 * 4 + 2 * 8
    assert found.heads == (8 + 1) * 4  # of the second of two decoder stages, for 4 classes


def test_the_plans_describe_the_same_network_patch_and_batch(small: Configuration) -> None:
    (plan,) = nnunet_plans(small)["configurations"].values()
    assert (plan["patch_size"], plan["batch_size"]) == ([16, 16], 2)
    words = plan["architecture"]["arch_kwargs"]
    assert (words["n_conv_per_stage"], words["n_conv_per_stage_decoder"]) == ([2, 2, 3], [1, 2])
    assert (words["features_per_stage"], words["strides"]) == ([4, 8, 16], [[1, 1], [2, 2], [2, 2]])


def test_other_architectures_are_refused(small: Configuration) -> None:
    network = small.network.model_copy(update={"architecture": "vnet"})
    with pytest.raises(ValueError, match="not a plain U-Net"):
        nnunet_plans(small.model_copy(update={"network": network}))


def test_a_machine_that_slows_down_between_rounds_changes_no_ratio() -> None:
    found = ratios([3.0, 6.0, 30.0], [1.0, 2.0, 10.0])
    assert (found.median, found.low, found.high) == (3.0, 3.0, 3.0)


def test_time_before_a_batch_counts_as_waiting_and_not_as_step() -> None:
    rounds = [{"seconds": [1.0, 3.0], "waits": [0.5, 0.5]}, {"seconds": [4.0], "waits": [1.0]}]
    assert waiting_share(rounds) == 2.0 / 8.0
    assert step_seconds_of(rounds) == [1.5, 3.0]


def test_the_fastest_type_is_that_of_the_median_over_rounds() -> None:
    matmul = [
        {"float32": 90.0, "bfloat16": 200.0},
        {"float32": 999.0, "bfloat16": 180.0},
        {"float32": 100.0, "bfloat16": 190.0},
    ]
    assert fastest(matmul) == ("bfloat16", [200.0, 180.0, 190.0])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_an_arm_answers_although_it_prints_and_its_failure_is_told_with_its_log(tmp_path: Path) -> None:
    code = (
        "from beside_nnunet.protocol import serve\n"
        "def double(value):\n    print('noise')\n    return 2 * value\n"
        "def fail():\n    raise ValueError('no more of this')\n"
        "serve({'double': double, 'fail': fail})"
    )
    environment = {"PYTHONPATH": str(ROOT / "benchmarks")}
    with Arm("a test", (sys.executable, "-c", code), environment, tmp_path / "log") as arm:
        assert arm.ask("double", value=21) == 42
        assert arm.peak_mib == 0
        assert arm.ask("double", watched=True, value=4) == 8
        assert arm.peak_mib > 1
        with pytest.raises(RuntimeError, match=r"(?s)asked to fail.*no more of this"):
            arm.ask("fail")


def test_autolvs_arm_takes_the_steps_that_it_is_asked_for(small: Configuration, tmp_path: Path) -> None:
    from beside_nnunet.autolv_arm import AutolvArm

    task: dict[str, Any] = {
        "configuration": small.model_dump(mode="json"),
        "compile": "off",
        "files": {"train": [str(_store(tmp_path, number)) for number in range(2)]},
    }
    arm = AutolvArm(json.loads(json.dumps(task)))
    told = arm.set_up(minutes=0.01)
    assert told["parameters"] > 0
    taken = arm.steps(3)
    assert len(taken["seconds"]) == len(taken["waits"]) == 3
    assert all(0 < wait < second for wait, second in zip(taken["waits"], taken["seconds"], strict=True))
    assert len(arm.steps(1)["seconds"]) == 1  # it goes on


def _store(folder: Path, number: int) -> Path:
    shape, rng = (3, 24, 24), np.random.default_rng(number)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[:, 8:16, 8:16] = 1
    grid = Grid(
        original_shape=shape, original_spacing_mm=(8.0, 1.0, 1.0), box=((0, 3), (0, 24), (0, 24)), shape=shape,
        spacing_mm=(8.0, 1.0, 1.0), clip=None, mean=0.0, sd=1.0,
    )  # fmt: skip
    record = PreprocessedCase(
        case=f"case{number}", patient=f"patient{number}", phase=None, group=None, key="", grid=grid,
        heart_box=((0, 3), (8, 16), (8, 16)), label_voxels={"lv_cavity": 192},
    )  # fmt: skip
    path = folder / f"case{number}.safetensors"
    write_stored(path, StoredCase(image=rng.standard_normal(shape).astype(np.float32), labels=labels, record=record))
    return path
