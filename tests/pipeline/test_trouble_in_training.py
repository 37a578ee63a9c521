"""Faults injected into a training: what the command says, what it leaves, and that it goes on as if nothing had been.

Equal seeds give equal weights, byte for byte, whatever came between and however the batches are made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

import autolv.pipeline.train as recipe
from autolv.cli.train import main as train_main
from autolv.core.errors import DataError
from autolv.core.workspace import Workspace
from autolv.pipeline import keeper
from autolv.schema.record import read_record
from autolv.schema.results import RunRecord
from autolv.training import loop
from autolv.training.sampler import Batch, Sampler

_TRAIN = ["-d", "D", "-c", "2d_unet", "--epochs", "8", "--precision", "float32", "--device", "cpu"]
_FAULT_AT = 29  # in the last of 8 epochs of 4 iterations; workers are a few batches ahead of what is trained
Harm = Callable[[Batch], Batch]


@pytest.fixture
def root(planned_small: Path, tmp_path: Path) -> Path:
    shutil.copytree(planned_small, tmp_path / "w")
    return tmp_path / "w"


@pytest.fixture(scope="module")
def calm(planned_small: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the weights to which a training without any trouble comes."""
    folder = tmp_path_factory.mktemp("calm") / "w"
    shutil.copytree(planned_small, folder)
    assert _train(folder) == 0
    return _hash(folder)


def _train(root: Path, *more: str) -> int:
    return train_main([*_TRAIN, *more, "--root", str(root)])


def _place(root: Path) -> Path:
    return Workspace.at(root).fold("D", "default", "2d_unet", 0)


def _hash(root: Path) -> str:
    return hashlib.sha256((_place(root) / "weights.safetensors").read_bytes()).hexdigest()


def _record(root: Path) -> RunRecord:
    return read_record(RunRecord, _place(root) / "run.json")


def _inject(patch: pytest.MonkeyPatch, harm: Harm) -> None:
    """Save after each epoch, and let ``harm`` come over the batch of iteration ``_FAULT_AT``."""
    whole = Sampler.batch

    def harmed(self: Sampler, iteration: int) -> Batch:
        batch = whole(self, iteration)
        return harm(batch) if iteration == _FAULT_AT else batch

    patch.setattr(Sampler, "batch", harmed)
    patch.setattr(keeper, "_SAVE_EVERY_S", 0.0)


def _said_once(capfd: pytest.CaptureFixture[str], words: str) -> None:
    """Check that the command gave one error, with ``words`` and a remedy, and nothing that looks like a fault of its own."""
    said = capfd.readouterr().err
    assert said.count("error: ") == 1 and words in said and "what to do: " in said, said
    assert "Traceback" not in said and "Exception" not in said, said


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


def test_equal_seeds_give_equal_weights_and_others_do_not(root: Path, calm: str) -> None:
    assert _train(root) == 0
    assert _hash(root) == calm
    shutil.rmtree(root / "results")
    assert _train(root, "--seed", "1") == 0
    assert _hash(root) != calm


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_state(
    root: Path, calm: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _inject(patch, lambda batch: Batch(images=batch.images * float("nan"), labels=batch.labels, cases=batch.cases))
        assert _train(root) == 2
    _said_once(capfd, f"the loss or its gradient became nan at iteration {_FAULT_AT}, with the cases patient")
    assert _record(root).status == "training" and not (_place(root) / "weights.safetensors").exists()
    assert "in training" in (_place(root) / "report.html").read_text(encoding="utf-8")
    assert _train(root) == 0
    assert "resumed 2d_unet fold 0 at iteration 28" in capfd.readouterr().err
    assert _hash(root) == calm


def test_where_memory_runs_out_the_run_goes_on_in_parts_and_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = loop.step

    def tight(state: object, batch: Batch, loss: object, pace: loop.Pace, training: object) -> torch.Tensor:
        if state.iteration >= 6 and pace.parts < 2:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return whole(state, batch, loss, pace, training)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "step", tight)
    assert _train(root) == 0
    said = capfd.readouterr().err
    assert said.count("warning: out of memory: batches of 5 go through the network in 2 parts from now on.") == 1
    assert _record(root).status == "validated" and _record(root).measured.parts == 2


def test_batches_made_by_other_processes_give_the_same_weights(
    root: Path, calm: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipe, "fits_memory", lambda *_, **__: False)
    before = _children()
    assert _train(root, "--workers", "2") == 0
    assert "2 processes read them ahead" in capfd.readouterr().err
    assert _hash(root) == calm
    assert _children() <= before


def _dies(batch: Batch) -> Batch:
    os.kill(os.getpid(), signal.SIGKILL)
    return batch


def _raises(_: Batch) -> Batch:
    raise DataError("patient001_frame01 is gone.")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_dies, "a process that makes batches is no longer there"),
        (_raises, f"batch {_FAULT_AT} cannot be made: DataError: patient001_frame01 is gone"),
    ],
)
def test_a_worker_in_trouble_stops_the_run_which_can_go_on(
    root: Path, calm: str, harm: Harm, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = _children()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "fits_memory", lambda *_, **__: False)
        _inject(patch, harm)
        begin = time.monotonic()
        assert _train(root, "--workers", "2") == 2
        assert time.monotonic() - begin < 30
    _said_once(capfd, words)
    assert _children() <= before and _record(root).status == "training"
    assert _train(root) == 0
    assert "resumed 2d_unet fold 0 at iteration" in capfd.readouterr().err
    assert _hash(root) == calm
