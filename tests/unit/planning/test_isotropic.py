"""The rival geometry for thick slices: when it is proposed, and what it then is."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest

from autolv.planning import budget, rules
from autolv.planning.isotropic import size_isotropic
from autolv.planning.networks import size_at_width, workload
from autolv.planning.planner import make_plan
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute

NAME = "3d_unet_iso"
FINE = rules.Target(in_plane_mm=1.0, slice_mm=1.0)


def on(device: str = "cuda", *, cores: int = 16, memory_gb: float = 72.0, minutes: float | None = None) -> Compute:
    return Compute(device=device, cores=cores, memory_gb=memory_gb, time_budget_minutes=minutes)


@pytest.fixture
def acdc_like(make_fingerprint: Any) -> Fingerprint:
    """100 patients with the median geometry of ACDC."""
    return make_fingerprint()


def test_a_laptop_with_12_minutes_does_not_get_it_and_is_told_why(
    acdc_like: Fingerprint, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        plan = make_plan(acdc_like, on("cpu", cores=2, memory_gb=18.0, minutes=12.0))
    assert NAME not in plan.configurations
    reason = plan.not_proposed[NAME]
    assert "there are 18 GB and 12 min" in reason
    assert "667 steps" in reason  # 12 000 measured slices in batches of 2 · 9
    assert f"{NAME} is not proposed: {reason}" in caplog.text


@pytest.mark.parametrize("memory_gb", [24.0, 40.0, 72.0])
def test_a_large_gpu_gets_the_whole_heart_at_1_mm(acdc_like: Fingerprint, memory_gb: float) -> None:
    plan = make_plan(acdc_like, on(memory_gb=memory_gb))
    assert plan.not_proposed == {}
    assert tuple(plan.configurations)[-1] == NAME
    chosen = plan.configurations[NAME]
    assert chosen.preprocessing.in_plane_spacing_mm == (1.0, 1.0)
    assert chosen.preprocessing.slice_spacing_mm == 1.0
    network = chosen.network
    assert network.architecture == "unet"
    assert network.patch == (96, 224, 224)  # 90 x 203 x 203 mm, to multiples of 16 x 32 x 32
    assert set(network.kernels) == {(3, 3, 3)}
    assert network.features[0] >= 16
    assert chosen.training.expected_memory_gb <= memory_gb
    assert chosen.training.batch_size >= 2
    assert plan.recommended == "2d_unet"


def test_the_others_keep_their_block_and_share_it(acdc_like: Fingerprint) -> None:
    with_rival, without = (make_plan(acdc_like, on(memory_gb=gb)) for gb in (24.0, 8.0))
    own = {c.preprocessing for name, c in with_rival.configurations.items() if name != NAME}
    assert len(own) == 1
    assert own == {c.preprocessing for c in without.configurations.values()}
    fine = with_rival.configurations[NAME].preprocessing
    assert fine.content_hash() != own.pop().content_hash()


def test_every_field_has_a_reason(acdc_like: Fingerprint) -> None:
    configuration = make_plan(acdc_like, on()).configurations[NAME]
    paths = {
        f"{block}.{field}"
        for block in ("preprocessing", "network", "training")
        for field in type(getattr(configuration, block)).model_fields
    }
    assert set(configuration.reasons) == paths
    assert "repeated" in configuration.reasons["preprocessing.slice_spacing_mm"]
    assert "90 slices" in configuration.reasons["network.patch"]


def test_it_is_proposed_from_the_memory_that_16_channels_need(acdc_like: Fingerprint) -> None:
    least = size_at_width(acdc_like, on(), "unet", 3, 16, target=FINE)
    assert isinstance(size_isotropic(acdc_like, on(memory_gb=least.memory_gb - 0.01)), str)
    sized = size_isotropic(acdc_like, on(memory_gb=least.memory_gb + 0.01))
    assert not isinstance(sized, str)
    assert sized.sizing.network == least.network
    assert sized.sizing.batch == 2


def test_it_is_proposed_from_the_time_that_16_channels_need(acdc_like: Fingerprint) -> None:
    least = size_at_width(acdc_like, on(minutes=1.0), "unet", 3, 16, target=FINE)
    minutes = budget.steps_needed(16, 2, 9) * least.seconds_per_step / 60
    assert "there are 72 GB and" in str(size_isotropic(acdc_like, on(minutes=0.99 * minutes)))
    sized = size_isotropic(acdc_like, on(minutes=1.01 * minutes))
    assert not isinstance(sized, str)
    assert sized.sizing.network.features[0] == 16


def test_a_cpu_with_a_day_and_the_memory_gets_it(acdc_like: Fingerprint) -> None:
    plan = make_plan(acdc_like, on("cpu", cores=8, memory_gb=64.0, minutes=24 * 60.0))
    assert plan.configurations[NAME].network.stages == 5
    assert plan.configurations[NAME].training.expected_minutes <= 24 * 60.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spacing_mm": (1.5, 1.5, 1.5)}, "1.0 times as far apart as pixels"),
        ({"spacing_mm": (4.5, 1.5, 1.5)}, "3.0 times as far apart as pixels"),
        ({"shape": (1, 256, 216), "heart_mm": (10.0, 100.0, 100.0)}, "one slice"),
    ],
)
def test_data_that_gain_nothing_by_it_do_not_get_it(make_fingerprint: Any, changes: dict[str, Any], words: str) -> None:
    plan = make_plan(make_fingerprint(**changes), on())
    assert NAME not in plan.configurations
    assert words in plan.not_proposed[NAME]


@pytest.mark.parametrize(
    "changes",
    [{"patients": 2}, {"heart_mm": (math.nan,) * 3}, {"structures": ("lv_cavity",)}, {"shape": (4, 40, 40)}],
    ids=["two patients", "unlabelled", "the cavity alone", "small stacks"],
)
def test_few_or_odd_data_get_a_sound_one(make_fingerprint: Any, changes: dict[str, Any]) -> None:
    fingerprint = make_fingerprint(**changes)
    chosen = make_plan(fingerprint, on()).configurations[NAME]
    assert chosen.network.classes == len(fingerprint.structures) + 1
    assert chosen.training.expected_memory_gb <= 72.0
    assert chosen.network.patch[0] >= 40


def test_the_work_counts_measured_slices_and_all_voxels(acdc_like: Fingerprint) -> None:
    own, fine = workload(acdc_like, 3), workload(acdc_like, 3, FINE)
    assert (own.items, own.slices_per_item) == (fine.items, fine.slices_per_item) == (160, 9)
    # 200 stacks of 90 x 400 x 337.5 voxels of 5 bytes
    assert fine.data_gb == pytest.approx(200 * 90 * 400 * 337.5 * 5 / 1e9)
    assert fine.data_gb / own.data_gb == pytest.approx(10 * 1.5625**2)
