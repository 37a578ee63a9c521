from __future__ import annotations

import logging
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autolv.core.errors import PlanError
from autolv.planning.planner import make_plan
from autolv.schema.fingerprint import Fingerprint
from autolv.schema.plan import Compute, Configuration, Plan
from autolv.schema.record import from_json, read_record

ARCHITECTURES = ("unet", "attention_unet", "vnet", "resenc_unet")
NAMES = tuple(f"{dimensions}d_{architecture}" for dimensions in (2, 3) for architecture in ARCHITECTURES)


def on(device: str = "cpu", *, cores: int = 2, memory_gb: float = 18.0, minutes: float | None = 12.0) -> Compute:
    return Compute(device=device, cores=cores, memory_gb=memory_gb, time_budget_minutes=minutes)


@pytest.fixture
def acdc_like(make_fingerprint: Any) -> Fingerprint:
    """100 patients with the median geometry of ACDC: 1800 slices, 1440 of them in training."""
    return make_fingerprint()


def test_a_laptop_with_12_minutes(acdc_like: Fingerprint) -> None:
    plan = make_plan(acdc_like, on())
    flat = plan.configurations["2d_unet"]
    assert flat.network.patch == (112, 112)
    assert flat.network.features == (16, 32, 64, 128, 256)
    assert flat.network.heads == 3
    assert flat.training.batch_size == 12
    assert flat.training.iterations_per_epoch == 120  # 1440 slices in batches of 12
    assert flat.training.epochs == 21  # 3 · 0.925 GFLOP · 12 / 120 GFLOP/s = 0.277 s, 2595 steps in 12 min
    assert flat.training.expected_minutes == pytest.approx(11.7, abs=0.1)
    deep = plan.configurations["3d_unet"]
    assert deep.network.patch == (10, 112, 112)
    assert deep.network.features[0] == 16
    assert deep.training.batch_size == 2
    assert deep.training.iterations_per_epoch == 80
    assert plan.recommended == "2d_unet"


def test_there_are_eight_configurations_with_one_preprocessing_block(acdc_like: Fingerprint) -> None:
    plan = make_plan(acdc_like, on())
    assert tuple(plan.configurations) == NAMES
    blocks = {c.preprocessing for c in plan.configurations.values()}
    assert len(blocks) == 1
    block = blocks.pop()
    assert block.in_plane_spacing_mm == (1.5625, 1.5625)
    assert block.slice_spacing_mm is None
    assert all(name == c.name for name, c in plan.configurations.items())


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_the_three_blocks_has_a_reason(acdc_like: Fingerprint, name: str) -> None:
    configuration = make_plan(acdc_like, on()).configurations[name]
    paths = {
        f"{block}.{field}"
        for block in ("preprocessing", "network", "training")
        for field in type(getattr(configuration, block)).model_fields
    }
    assert set(configuration.reasons) == paths
    assert all(len(reason) > 10 for reason in configuration.reasons.values())


def test_the_plan_is_the_same_each_time_and_survives_json(acdc_like: Fingerprint) -> None:
    plan = make_plan(acdc_like, on())
    assert plan == make_plan(acdc_like, on())
    assert from_json(Plan, plan.to_json(), where="text") == plan
    assert plan.fingerprint_hash == acdc_like.content_hash()


def test_compute_changes_network_and_training_but_not_the_cache(acdc_like: Fingerprint) -> None:
    plans = [make_plan(acdc_like, on(minutes=2.0)), make_plan(acdc_like, on("cuda", memory_gb=80.0, minutes=None))]
    first, second = (plan.configurations["2d_unet"] for plan in plans)
    assert first.preprocessing.content_hash() == second.preprocessing.content_hash()
    assert first.network != second.network
    assert second.network.features[0] > first.network.features[0]
    assert second.network.stages == 6


@pytest.mark.parametrize("name", NAMES)
def test_less_memory_lowers_the_expected_memory(acdc_like: Fingerprint, name: str) -> None:
    def planned(memory_gb: float) -> Configuration:
        return make_plan(acdc_like, on("cuda", memory_gb=memory_gb, minutes=None)).configurations[name]

    large, small = planned(8.0), planned(4.0)
    assert small.training.expected_memory_gb < large.training.expected_memory_gb
    assert small.training.expected_memory_gb <= 4.0
    assert large.training.expected_memory_gb <= 8.0
    assert small.preprocessing == large.preprocessing
    assert small.network.classes == large.network.classes


def test_a_large_gpu_is_used(acdc_like: Fingerprint) -> None:
    small, large = (make_plan(acdc_like, on("cuda", memory_gb=gb, minutes=None)) for gb in (8.0, 80.0))
    for name in NAMES:
        assert large.configurations[name].training.batch_size >= small.configurations[name].training.batch_size
    for name, items in (("2d_unet", 1440), ("3d_unet", 160)):
        assert large.configurations[name].network.features[0] == 128
        assert 0.05 < large.configurations[name].training.batch_size / items <= 0.1


@pytest.fixture(scope="module")
def acdc() -> Fingerprint:
    """The committed fingerprint of ACDC's 100 training patients."""
    return read_record(Fingerprint, Path(__file__).parents[3] / "plans" / "ACDC" / "fingerprint.json")


@pytest.fixture(scope="module")
def acdc_on_gpus(acdc: Fingerprint) -> dict[float, Plan]:
    """The plan of ACDC for a GPU of so many GB, without a time budget."""
    return {gb: make_plan(acdc, on("cuda", cores=16, memory_gb=gb, minutes=None)) for gb in (8.0, 40.0, 80.0)}


@pytest.mark.parametrize("name", NAMES)
def test_an_80_gb_gpu_is_used_and_an_8_gb_one_is_not_overrun(acdc_on_gpus: dict[float, Plan], name: str) -> None:
    small, middle, large = (plan.configurations[name].training for plan in acdc_on_gpus.values())
    assert small.expected_memory_gb <= 8.0
    assert middle.expected_memory_gb <= 40.0
    assert 40.0 <= large.expected_memory_gb <= 80.0
    assert large.expected_memory_gb > middle.expected_memory_gb > 2 * small.expected_memory_gb
    assert all(training.expected_minutes <= 600.0 for training in (small, middle, large))


def test_80_gb_get_wider_networks_than_40_gb(acdc_on_gpus: dict[float, Plan]) -> None:
    for dimensions, batch in (("2d", 76), ("3d", 8)):  # 5 % of 1522 slices and of 160 volumes
        small, middle, large = (plan.configurations[f"{dimensions}_unet"] for plan in acdc_on_gpus.values())
        assert [c.network.features[0] for c in (small, middle, large)] == [64, 96, 128]
        assert small.training.batch_size < batch < middle.training.batch_size < large.training.batch_size
        reason = large.reasons["training.batch_size"]
        assert f"Isensee 2021 stops at 5% ({batch})" in reason
        idle = 80.0 - large.training.expected_memory_gb * (batch / large.training.batch_size)
        stated = float(reason.partition("would leave ")[2].partition(" GB")[0])
        assert stated == pytest.approx(idle, abs=1.5)  # parameters and PyTorch itself do not scale with the batch
        assert "10%" not in small.reasons["training.batch_size"]
        for configuration in (small, middle, large):
            assert (
                "96 or 128 where a batch of 5% of the data leaves memory" in configuration.reasons["network.features"]
            )


def test_the_committed_plan_of_acdc_is_what_the_planner_makes(acdc: Fingerprint) -> None:
    kept = read_record(Plan, Path(__file__).parents[3] / "plans" / "ACDC" / "plan.json")
    made = make_plan(acdc, kept.compute)
    assert made.training_hash() == kept.training_hash()
    assert {name: c.reasons for name, c in made.configurations.items()} == {
        name: c.reasons for name, c in kept.configurations.items()
    }
    assert made.not_proposed == kept.not_proposed


@pytest.mark.parametrize("device", ["cpu", "mps", "cuda"])
@pytest.mark.parametrize("minutes", [1.0, 12.0, 120.0])
def test_epochs_keep_to_the_budget(acdc_like: Fingerprint, device: str, minutes: float) -> None:
    for name, configuration in make_plan(acdc_like, on(device, minutes=minutes)).configurations.items():
        if configuration.training.epochs > 1:
            assert configuration.training.expected_minutes <= minutes, name


def test_more_time_never_gives_a_narrower_network(acdc_like: Fingerprint) -> None:
    plans = [make_plan(acdc_like, on(minutes=m)) for m in (1.0, 5.0, 12.0, 60.0, 600.0)]
    for name in NAMES:
        widths = [plan.configurations[name].network.features[0] for plan in plans]
        assert widths == sorted(widths)
        assert widths[-1] > widths[0]


def test_wider_networks_learn_at_a_lower_rate(acdc_like: Fingerprint) -> None:
    rates = [make_plan(acdc_like, on(minutes=m)).configurations["2d_unet"].training.learning_rate for m in (12.0, 60.0)]
    assert rates == [0.002, 0.0013]  # 16 channels, then 24: 0.002 · 16 / 24


def test_slices_that_keep_their_distance_are_augmented_for_other_scanners(
    acdc_like: Fingerprint, make_fingerprint: Any
) -> None:
    for minutes in (12.0, 24 * 60.0):
        for configuration in make_plan(acdc_like, on(minutes=minutes)).configurations.values():
            assert configuration.training.augmentation == "vendor-robust"
            assert "0027" in configuration.reasons["training.augmentation"]
    resampled = make_plan(make_fingerprint(**CASES["isotropic"]), on()).configurations["3d_unet"]
    assert resampled.training.augmentation == "default"
    assert "do not shift one by one" in resampled.reasons["training.augmentation"]


def test_a_patch_shrinks_only_where_that_makes_it_fit(make_fingerprint: Any, caplog: pytest.LogCaptureFixture) -> None:
    huge = make_fingerprint(
        patients=10, shape=(200, 400, 400), spacing_mm=(0.8, 0.8, 0.8), heart_mm=(110.0, 110.0, 110.0)
    )
    with caplog.at_level(logging.WARNING):
        roomy, tight, hopeless = (
            make_plan(huge, on("cuda", memory_gb=gb, minutes=None)).configurations["3d_unet"] for gb in (24.0, 1.5, 0.5)
        )
    assert roomy.network.patch == (192, 192, 192)  # 110 mm · 1.35 / 0.8 mm = 185.6 voxels
    assert math.prod(tight.network.patch) < math.prod(roomy.network.patch)
    assert tight.training.expected_memory_gb <= 1.5
    assert "reduced" in tight.reasons["network.patch"]
    assert hopeless.network.patch == roomy.network.patch
    assert "0.5 GB are too few" in hopeless.reasons["network.features"]
    assert "more than the 0.5 GB given" in caplog.text


@pytest.mark.parametrize(
    ("device", "slice_mm", "memory_gb", "expected"),
    [
        ("cpu", 10.0, 18.0, "2d_unet"),
        ("cpu", 1.5625, 18.0, "2d_unet"),
        ("cuda", 10.0, 80.0, "2d_unet"),  # 6.4 pixels apart
        ("cuda", 6.0, 80.0, "3d_unet"),  # 3.8 pixels apart
        ("cuda", 6.0, 6.0, "2d_unet"),
    ],
)
def test_what_is_recommended(
    make_fingerprint: Any, device: str, slice_mm: float, memory_gb: float, expected: str
) -> None:
    fingerprint = make_fingerprint(spacing_mm=(slice_mm, 1.5625, 1.5625))
    plan = make_plan(fingerprint, on(device, memory_gb=memory_gb))
    assert plan.recommended == expected
    assert len(plan.recommended_reason) > 20


CASES: dict[str, dict[str, Any]] = {
    "one patient": {"patients": 1},
    "two patients": {"patients": 2},
    "four patients": {"patients": 4},
    "the cavity alone": {"patients": 4, "structures": ("lv_cavity",)},
    "no right ventricle": {"patients": 4, "structures": ("lv_cavity", "lv_myocardium")},
    "one slice": {"patients": 4, "shape": (1, 256, 216), "heart_mm": (10.0, 100.0, 100.0)},
    "isotropic": {"patients": 4, "shape": (100, 180, 200), "spacing_mm": (1.5, 1.5, 1.5)},
    "small isotropic": {"patients": 2, "shape": (20, 20, 20), "spacing_mm": (2.0,) * 3, "heart_mm": (30.0,) * 3},
    "unlabelled": {"patients": 4, "heart_mm": (math.nan,) * 3},
    "tiny images": {"patients": 4, "shape": (5, 12, 14), "heart_mm": (40.0, 10.0, 10.0)},
    "oblong pixels": {"patients": 4, "spacing_mm": (8.0, 1.0, 2.5)},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_unusual_datasets_get_a_sound_plan(make_fingerprint: Any, name: str, device: str) -> None:
    fingerprint = make_fingerprint(**CASES[name])
    plan = make_plan(fingerprint, on(device, minutes=None))
    for configuration in plan.configurations.values():
        network, training = configuration.network, configuration.training
        assert network.patch[-2] == network.patch[-1] >= 32
        assert network.stages >= 3
        assert network.classes == len(fingerprint.structures) + 1
        assert training.batch_size >= 2
        assert training.epochs >= 1
        assert 10 <= training.iterations_per_epoch <= 250
        assert len(training.deep_supervision_weights) == network.heads
        assert sum(training.deep_supervision_weights) == pytest.approx(1.0)


def test_one_slice_is_planned_without_looking_across(make_fingerprint: Any) -> None:
    network = make_plan(make_fingerprint(**CASES["one slice"]), on()).configurations["3d_unet"].network
    assert network.patch[0] == 1
    assert all(kernel[0] == 1 for kernel in network.kernels)


def test_isotropic_data_are_resampled_along_z_and_convolved_alike(make_fingerprint: Any) -> None:
    configuration = make_plan(make_fingerprint(**CASES["isotropic"]), on()).configurations["3d_unet"]
    assert configuration.preprocessing.slice_spacing_mm == 1.5
    assert configuration.network.kernels[0] == (3, 3, 3)
    assert configuration.network.patch[0] > 1


@pytest.mark.parametrize(
    "compute", [on(memory_gb=0.0), on(cores=0), on(minutes=0.0)], ids=["memory", "cores", "minutes"]
)
def test_compute_that_is_none_is_refused(acdc_like: Fingerprint, compute: Compute) -> None:
    with pytest.raises(PlanError, match="needs memory, a core and time"):
        make_plan(acdc_like, compute)


def test_planning_does_not_import_torch() -> None:
    code = (
        "import sys, pkgutil, importlib, autolv.planning as p; "
        "[importlib.import_module(f'autolv.planning.{m.name}') for m in pkgutil.iter_modules(p.__path__)]; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
