"""The same seed gives the same weights, bit for bit: again, after an interruption, and whatever the number of workers."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import torch

from autolv.cli.train import main as train_main
from autolv.core.workspace import Workspace
from autolv.schema.record import read_record
from autolv.schema.results import RunChoices

_TRAIN = ["-d", "D", "-c", "2d_unet", "-f", "0", "--epochs", "2", "--precision", "float32", "--quiet"]


def _train(root: Path, run: str, *flags: str) -> int:
    return train_main([*_TRAIN, "--root", str(root), "--run", run, *flags])


def _sha(root: Path, run: str) -> str:
    place = Workspace.at(root).fold("D", run, "2d_unet", 0)
    return hashlib.sha256((place / "weights.safetensors").read_bytes()).hexdigest()


def _stop_after(iterations: int) -> Callable[[], object]:
    """Return what stands for ``stop_signals``: a stop is asked for after so many iterations."""

    @contextmanager
    def signals() -> Iterator[Callable[[], bool]]:
        asked = count()
        yield lambda: next(asked) == iterations  # it is asked once before the fold

    return signals


def _interrupt_and_resume(root: Path, run: str, monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("autolv.pipeline.train.stop_signals", _stop_after(7))
        assert _train(root, run, *flags) == 130
    assert (Workspace.at(root).fold("D", run, "2d_unet", 0) / "state.pt").exists()
    assert _train(root, run, *flags) == 0


@pytest.fixture(scope="module")
def root(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the run ``once``, trained with ``--deterministic``."""
    folder = tmp_path_factory.mktemp("deterministic") / "w"
    shutil.copytree(planned, folder)
    assert _train(folder, "once", "--deterministic", "--device", "cpu") == 0
    return folder


def test_an_interrupted_run_ends_like_one_that_was_not(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _interrupt_and_resume(root, "stopped", monkeypatch, "--deterministic", "--device", "cpu")
    assert _sha(root, "stopped") == _sha(root, "once")
    choices = read_record(RunChoices, Workspace.at(root).run("D", "stopped") / "choices.json")
    assert choices.deterministic and "--deterministic" in choices.flags
    assert _train(root, "stopped", "--device", "cpu") == 2
    assert "deterministic True before, False now" in capsys.readouterr().err
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
@pytest.mark.parametrize("memory", [0.4, 0.0], ids=["in memory", "mapped"])
@pytest.mark.parametrize("workers", ["0", "1", "2"])
def test_the_number_of_workers_changes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, memory: float, workers: str
) -> None:
    monkeypatch.setattr("autolv.pipeline.cache.IN_MEMORY_SHARE", memory)
    run = f"share{memory:g}workers{workers}".replace(".", "_")
    assert _train(root, run, "--deterministic", "--workers", workers, "--device", "cpu") == 0
    assert _sha(root, run) == _sha(root, "once")


@pytest.mark.slow
def test_another_seed_gives_other_weights(root: Path) -> None:
    assert _train(root, "other", "--deterministic", "--seed", "1", "--device", "cpu") == 0
    assert _sha(root, "other") != _sha(root, "once")


@pytest.mark.gpu
@pytest.mark.parametrize("configuration", ["2d_unet", "3d_unet", "3d_attention_unet", "3d_vnet"])
def test_a_gpu_gives_the_same_bits_again_and_after_an_interruption(
    planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configuration: str
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    shutil.copytree(planned, tmp_path / "w")
    flags = ("-c", configuration, "--deterministic", "--device", "cuda")
    for run in ("one", "two"):
        assert _train(tmp_path / "w", run, *flags) == 0
    _interrupt_and_resume(tmp_path / "w", "three", monkeypatch, *flags)
    weights = Workspace.at(tmp_path / "w").root.glob(f"results/D/*/{configuration}/fold_0/weights.safetensors")
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in weights}) == 1
