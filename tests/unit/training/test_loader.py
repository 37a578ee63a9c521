"""Batches made ahead by other processes are those that the sampler makes, and their failures are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from autolv.core.errors import DataError, TrainingError
from autolv.schema.plan import Network, Training
from autolv.training import loader
from autolv.training.loader import prefetched
from autolv.training.sampler import Batch, Sampler, TrainingCase

NETWORK = Network(
    architecture="unet", patch=(24, 24), in_channels=1, classes=4, features=(4, 8), kernels=((3, 3),) * 2,
    strides=((1, 1), (2, 2)), blocks=(1, 1), decoder_blocks=(1,), heads=1,
)  # fmt: skip
TRAINING = Training(
    batch_size=3, loss="dice_ce", deep_supervision_weights=(1.0,), optimiser="adamw", learning_rate=0.01,
    weight_decay=0.0, momentum=0.9, warmup_fraction=0.0, schedule="cosine", gradient_clip=1.0,
    augmentation="vendor-robust", mirror=True, heart_fraction=0.5, epochs=1, iterations_per_epoch=9,
    expected_memory_gb=0.1, expected_minutes=0.1,
)  # fmt: skip


def _sampler() -> Sampler:
    rng = np.random.default_rng(3)
    cases = [
        TrainingCase(
            case=f"case{i}",
            patient=f"p{i}",
            image=torch.from_numpy(rng.standard_normal((4, 40, 36)).astype(np.float32)),
            labels=torch.from_numpy(rng.integers(0, 4, (4, 40, 36)).astype(np.uint8)),
            heart_box=((0, 4), (10, 30), (8, 28)),
            known=None if i else (True, True, False, True),
        )
        for i in range(3)
    ]
    return Sampler(cases, NETWORK, TRAINING, seed=5)


class _Troubled:
    """A sampler that makes batches as ever until the fourth, on which ``trouble`` comes."""

    def __init__(self, trouble: str) -> None:
        self._sampler, self._trouble = _sampler(), trouble

    def batch(self, iteration: int) -> Batch:
        if iteration == 3 and self._trouble == "raises":
            raise DataError("case1 is gone.")
        if iteration == 3 and self._trouble == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if iteration == 3 and self._trouble == "hangs":
            time.sleep(3600)
        return self._sampler.batch(iteration)


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.parametrize(("workers", "first"), [(1, 0), (2, 0), (3, 4)])
def test_batches_come_in_turn_and_are_those_of_the_sampler(workers: int, first: int) -> None:
    sampler = _sampler()
    with prefetched(_sampler, first=first, last=9, workers=workers, pin=False) as batch_of:
        for iteration in range(first, 9):
            made, expected = batch_of(iteration), sampler.batch(iteration)
            assert torch.equal(made.images, expected.images) and made.images.dtype == torch.float32
            assert torch.equal(made.labels, expected.labels) and made.labels.dtype == torch.int64
            assert made.cases == expected.cases
            assert (made.known is None) == (expected.known is None)
            assert made.known is None or torch.equal(made.known, expected.known)


def test_a_batch_out_of_turn_is_a_fault_of_the_caller() -> None:
    with prefetched(_sampler, first=2, last=9, workers=1, pin=False) as batch_of, pytest.raises(ValueError, match="2"):
        batch_of(3)


def _take_nine(trouble: str, patience_s: float = 2.0) -> None:
    make = partial(_Troubled, trouble)
    with prefetched(make, first=0, last=9, workers=2, pin=False, patience_s=patience_s) as batch_of:  # type: ignore[arg-type]
        for iteration in range(9):
            batch_of(iteration)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("raises", "batch 3 cannot be made: DataError: case1 is gone"),
        ("dies", "no longer there"),
        ("hangs", "no batch for 2 s"),
    ],
)
def test_a_worker_in_trouble_is_told_in_time_and_leaves_nobody_behind(
    trouble: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = _children()
    begin = time.monotonic()
    with pytest.raises(TrainingError, match=said) as caught:
        _take_nine(trouble)
    assert "--workers 0" in str(caught.value)
    assert time.monotonic() - begin < 10  # the 2 s of patience, and what batchgenerators takes to end
    assert _children() <= before
    assert capfd.readouterr() == ("", "")  # the sentence says it all


@pytest.mark.slow
def test_a_worker_that_hangs_is_told_within_thirty_seconds() -> None:
    before = _children()
    begin = time.monotonic()
    with pytest.raises(TrainingError, match="no batch for 20 s"):
        _take_nine("hangs", loader._PATIENCE_S)
    assert time.monotonic() - begin < 30
    assert _children() <= before


class _Large:
    """Makes batches of 24 MB, far more than a pipe holds: a worker is in the midst of writing one most of the time."""

    def batch(self, iteration: int) -> Batch:
        images = torch.full((8, 1, 512, 512), float(iteration))
        return Batch(images=images, labels=images[:, 0].long(), cases=("a",) * 8)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_killed_in_writing_a_batch_is_told_too(victim: int, capfd: pytest.CaptureFixture[str]) -> None:
    before = _children()
    with prefetched(_Large, first=0, last=99, workers=2, pin=False) as batch_of:  # type: ignore[arg-type]
        assert float(batch_of(0).images[0, 0, 0, 0]) == 0.0
        time.sleep(1.0)  # both write the batch after the next, for which there is no room
        os.kill(sorted(_children() - before)[victim], signal.SIGKILL)
        begin = time.monotonic()
        with pytest.raises(TrainingError, match="no longer there"):
            list(map(batch_of, range(1, 99)))
        assert time.monotonic() - begin < 10
    assert _children() <= before
    assert capfd.readouterr() == ("", "")


def _hold() -> None:
    """Take a batch, print which processes make them, and wait."""
    with prefetched(_sampler, first=0, last=9, workers=2, pin=False) as batch_of:
        batch_of(0)
        print(*_children(), flush=True)
        time.sleep(3600)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_outlive_a_signal_to_the_whole_group_and_end_with_a_parent_that_is_killed() -> None:
    code = (
        "import runpy, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"  # as a parent that stops later
        f"runpy.run_path({__file__!r})['_hold']()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) >= 2 and all(map(_alive, workers))
        os.killpg(parent.pid, signal.SIGTERM)
        time.sleep(2.0)
        assert all(map(_alive, workers))
        parent.kill()
        deadline = time.monotonic() + 15
        while any(map(_alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(map(_alive, workers))
