"""A fold takes the way that its machine and network are remembered for, and tries again where that no longer holds."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autolv.losses import LOSSES
from autolv.losses._deep_supervision import DeepSupervisionLoss
from autolv.pipeline import measure as module
from autolv.pipeline.job import FoldJob, fresh_network
from autolv.pipeline.measure import measure, pace_of
from autolv.pipeline.remember import keep, remembered
from autolv.schema.dataset import Dataset
from autolv.schema.plan import Configuration, Network, Preprocessing, Training
from autolv.schema.results import Measured, RunChoices
from autolv.schema.steps import RememberedTrial, Way
from autolv.training.loop import Loss, Pace
from autolv.training.sampler import Batch, Sampler, TrainingCase
from autolv.training.state import TrainState

CPU = torch.device("cpu")
NETWORK = Network(
    architecture="unet", patch=(16, 16), in_channels=1, classes=3, features=(4, 6), kernels=((3, 3),) * 2,
    strides=((1, 1), (2, 2)), blocks=(1, 1), decoder_blocks=(1,), heads=1,
)  # fmt: skip
TRAINING = Training(
    batch_size=2, loss="dice_ce", deep_supervision_weights=(1.0,), optimiser="adamw", learning_rate=0.01,
    weight_decay=0.0, momentum=0.9, warmup_fraction=0.0, schedule="cosine", gradient_clip=1.0, augmentation="none",
    mirror=False, heart_fraction=1.0, epochs=3, iterations_per_epoch=5, expected_memory_gb=0.1, expected_minutes=1.0,
)  # fmt: skip
RATES = {"float32": 100.0, "bfloat16": 140.0, "float16": 1.0}


def _job(steps: Path) -> FoldJob:
    block = Preprocessing(
        in_plane_spacing_mm=(1.5, 1.5), slice_spacing_mm=None, normalisation="zscore", image_order=3, label_order=1,
        crop_to_nonzero=True,
    )  # fmt: skip
    return FoldJob(
        place=steps.parent / "fold_0",
        dataset=Dataset(name="D", labels={"lv_myocardium": 1, "lv_cavity": 2}, file_ending=".nii.gz", training=()),
        run="default", fold=0, train_patients=("a",), validation_patients=(), train_cases=(), validation_cases=(),
        configuration=Configuration(name="2d_unet", preprocessing=block, network=NETWORK, training=TRAINING, reasons={}),
        choices=RunChoices(plan_hash="0", splits_hash="1", seed=0, epochs=3, time_budget_minutes=None),
        device="cpu", precision="auto", compile_mode="auto", overwrite=False, start=None, steps=steps,
    )  # fmt: skip


def _measure(job: FoldJob) -> Measured:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (4, 24, 24), generator=generator, dtype=torch.uint8)
    case = TrainingCase(
        case="a", patient="a", image=labels + torch.randn((4, 24, 24), generator=generator), labels=labels,
        heart_box=((0, 4), (4, 20), (4, 20)),
    )  # fmt: skip
    loss = DeepSupervisionLoss(LOSSES.get("dice_ce")(), (1.0,))
    sampler = Sampler([case], NETWORK, TRAINING, seed=0)
    return measure(job, fresh_network(job), sampler, loss, CPU, 1, time.monotonic())


@pytest.fixture(autouse=True)
def trials(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The compile modes of the trials that are made; the rates of matrix products are given."""
    made: list[str] = []
    original = module.run_trial

    def counted(*args: Any, **flags: Any) -> tuple[Way, dict[str, float]]:
        made.append(flags["compile_mode"])
        return original(*args, **flags)

    monkeypatch.setattr(module, "run_trial", counted)
    monkeypatch.setattr(module, "matmul_rates", lambda device: RATES)
    return made


def _remember(folder: Path, **change: Any) -> RememberedTrial:
    """Change the one trial that is remembered in ``folder``."""
    (trial,) = remembered(folder)
    changed = trial.model_copy(update=change)
    keep(folder, changed)
    return changed


def test_the_second_fold_takes_the_way_of_the_first_without_a_trial(
    tmp_path: Path, trials: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    job = _job(tmp_path / "steps")
    first = _measure(job)
    assert trials == ["off"] and not first.remembered
    assert set(first.trial) == {
        f"{p} {layout}" for p in ("float32", "bfloat16") for layout in ("contiguous", "channels_last")
    }
    known = _remember(
        job.steps, way=Way(precision="bfloat16", channels_last=True), seconds={"bfloat16 channels_last": 60.0}
    )
    with caplog.at_level(logging.INFO):
        second = _measure(replace(job, fold=1))
    assert trials == ["off"] and second.remembered
    assert second.way == known.way and second.trial == known.seconds
    assert 0 < second.seconds_per_iteration < 60.0  # measured now, not remembered
    assert "bfloat16 channels_last, as remembered" in caplog.text
    pace = pace_of(second, fresh_network(job), CPU)
    assert (pace.precision, pace.channels_last, pace.total) == ("bfloat16", True, 15)


def test_a_way_that_has_become_much_slower_is_put_to_trial_again(
    tmp_path: Path, trials: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    job = _job(tmp_path / "steps")
    _measure(job)
    (trial,) = remembered(job.steps)
    _remember(job.steps, seconds=dict.fromkeys(trial.seconds, 1e-9))
    with caplog.at_level(logging.INFO):
        again = _measure(job)
    assert trials == ["off", "off"] and not again.remembered
    assert "timing all ways again" in caplog.text
    (trial,) = remembered(job.steps)
    assert min(trial.seconds.values()) > 1e-9


def test_a_way_that_no_longer_works_is_put_to_trial_again(
    tmp_path: Path, trials: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(network: torch.nn.Module, **flags: bool) -> None:
        raise RuntimeError("the compiler is gone")

    job = _job(tmp_path / "steps")
    _measure(job)
    way = Way(precision="float32", compiled=True)
    _remember(job.steps, way=way, seconds={way.name: 60.0})
    monkeypatch.setattr("autolv.training.trial.compiled_forward", broken)
    again = _measure(job)
    assert trials == ["off", "off"] and not again.remembered and not again.compiled


def test_memory_is_passed_over_when_asked_to_and_where_something_else_is_asked_for(
    tmp_path: Path, trials: list[str]
) -> None:
    job = _job(tmp_path / "steps")
    _measure(job)
    _measure(replace(job, retry_trial=True))
    _measure(replace(job, layout="channels_last"))
    assert trials == ["off"] * 3 and len(remembered(job.steps)) == 2
    fixed = _measure(replace(job, precision="bfloat16"))
    assert trials == ["off"] * 3
    assert (fixed.precision, fixed.channels_last, fixed.trial, fixed.remembered) == ("bfloat16", False, {}, False)


def test_a_damaged_memory_is_as_none(tmp_path: Path, trials: list[str]) -> None:
    job = _job(tmp_path / "steps")
    _measure(job)
    (path,) = job.steps.iterdir()
    path.write_bytes(b"{")
    assert not _measure(job).remembered and trials == ["off", "off"]
    assert len(remembered(job.steps)) == 1


def test_the_rate_of_a_step_is_told_as_a_share_of_the_fastest_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    timing = module._Timing(iteration_s=3e-6, step_s=2e-6, fastest_step_s=1e-6)
    monkeypatch.setattr(module, "_timing", lambda *args, **flags: timing)
    with caplog.at_level(logging.INFO):
        measured = _measure(_job(tmp_path / "steps"))
    # two samples, forward and twice as much backward, two per multiply-add: 16 x 16 voxels of 1 to 4 channels, 8 x 8 of 4
    # to 6, up by 2 x 2 from 6 to 4 at 8 x 8, 16 x 16 of 8 to 4, the head of 4 to 3
    flops = 2 * 3 * 2 * (256 * 9 * 1 * 4 + 64 * 9 * 4 * 6 + 64 * 4 * 6 * 4 + 256 * 9 * 8 * 4 + 256 * 4 * 3)
    assert measured.step_gflops == pytest.approx(flops / 2e-6 / 1e9, abs=0.01) == pytest.approx(635.9, abs=0.1)
    assert measured.matmul_gflops == RATES and measured.matmul_share == pytest.approx(635.9 / 140.0, abs=0.001)
    assert "636 GFLOP/s, 4.54 of this machine's matmul rate in bfloat16" in caplog.text


def test_a_precision_that_is_slower_here_than_float32_is_taken_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        measured = _measure(replace(_job(tmp_path / "steps"), precision="float16"))
    assert measured.precision == "float16"
    assert "more slowly in float16 (1.0 GFLOP/s) than in float32 (100.0): --precision auto is faster" in caplog.text


@pytest.mark.parametrize(
    ("rates", "asked", "first"),
    [(RATES, "auto", "float32"), (RATES | {"bfloat16": 200.0}, "auto", "bfloat16"), (RATES, "bfloat16", "bfloat16")],
)
def test_memory_is_tried_in_the_precision_of_the_ways_that_are_timed(
    rates: dict[str, float], asked: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    original = module.step_in_memory

    def step(state: TrainState, batch: Batch, loss: Loss, pace: Pace, training: Training) -> tuple[torch.Tensor, Pace]:
        tried.append(pace.precision)
        return original(state, batch, loss, pace, training)

    monkeypatch.setattr(module, "matmul_rates", lambda device: rates)
    monkeypatch.setattr(module, "step_in_memory", step)
    _measure(replace(_job(tmp_path / "steps"), precision=asked))
    assert tried == [first]
